"""Numbers with their uncertainty."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import stats


def decimals(values) -> Any:
    """A number or nested lists of them, anything that numpy reads, to 4 decimals."""
    return np.round(np.asarray(values, dtype=np.float64), 4).tolist()


def rounded(values: Mapping[str, float]) -> dict[str, float | None]:
    """To 4 decimals; None for what is not finite, such as the spread of one value."""
    return {name: decimals(v) if math.isfinite(v) else None for name, v in values.items()}


def summary(values) -> dict[str, float | None]:
    """Mean, standard deviation and 95 % confidence interval of the mean (Student's t) of independent values.

    {"mean", "std", "low", "high", "n"}, `rounded`; one value has a mean only.
    """
    values = np.asarray(values, dtype=np.float64)
    n, mean = len(values), values.mean()
    std = values.std(ddof=1) if n > 1 else math.nan
    half = stats.t.ppf(0.975, n - 1) * std / n**0.5 if n > 1 else math.nan
    return rounded({"mean": mean, "std": std, "low": mean - half, "high": mean + half}) | {"n": n}


def ratio_of_means(above, below, *, resamples: int = 2000) -> dict[str, float | None]:
    """mean(above) / mean(below), (n,) each, image by image, with its 95 % interval by the paired bootstrap.

    The ratio of means, not the mean of ratios: single images on which `below` is near 0 must not decide.
    {"mean", "low", "high", "n"}, `rounded` (percentiles, seed 0); one image has no interval.  (Efron 1979)
    """
    above, below = (np.asarray(values, dtype=np.float64) for values in (above, below))
    n = len(above)
    drawn = np.random.default_rng(0).integers(0, n, (resamples, n))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = above[drawn].mean(1) / below[drawn].mean(1)
        low, high = np.percentile(ratios, [2.5, 97.5]) if n > 1 else (math.nan, math.nan)
        return rounded({"mean": above.mean() / below.mean(), "low": low, "high": high}) | {"n": n}
