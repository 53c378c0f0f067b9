"""Numbers with their uncertainty."""

import numpy as np
from scipy import stats


def summary(values) -> dict[str, float]:
    """Mean, standard deviation and the 95 % confidence interval of the mean (Student's t) of n independent values.

    Args:
        values: (n,), anything that numpy reads, n >= 2.
    Returns:
        {"mean", "std", "low", "high", "n"}, rounded to 4 decimals.
    """
    values = np.asarray(values, dtype=np.float64)
    mean, std = values.mean(), values.std(ddof=1)
    half = stats.t.ppf(0.975, len(values) - 1) * std / len(values) ** 0.5
    return {
        name: round(float(v), 4)
        for name, v in {"mean": mean, "std": std, "low": mean - half, "high": mean + half}.items()
    } | {"n": len(values)}


def ratio_of_means(above, below, *, resamples: int = 2000) -> dict[str, float]:
    """mean(above) / mean(below) on the same pictures, with a 95 % interval by the paired bootstrap (percentiles, seed 0).

    The ratio of means, not the mean of ratios: single pictures on which `below` is near 0 must not decide.

    Args:
        above, below: (n,) each, picture by picture.
        resamples: bootstrap samples.
    Returns:
        {"mean", "low", "high", "n"}, rounded to 4 decimals.
    Source: Efron 1979.
    """
    above, below = (np.asarray(values, dtype=np.float64) for values in (above, below))
    drawn = np.random.default_rng(0).integers(0, len(above), (resamples, len(above)))
    low, high = np.percentile(above[drawn].mean(1) / below[drawn].mean(1), [2.5, 97.5])
    found = {"mean": above.mean() / below.mean(), "low": low, "high": high}
    return {name: round(float(value), 4) for name, value in found.items()} | {"n": len(above)}
