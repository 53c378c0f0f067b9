"""The uncertainty and the bias of a Fréchet distance."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from .scores import frechet_distance


def frechet_summary(
    a: Tensor | np.ndarray,
    b: Tensor | np.ndarray,
    *,
    paired: bool = False,
    resamples: int = 200,
    seed: int = 0,
) -> dict[str, float]:
    """A Fréchet distance with a bootstrap interval.

    The interval is the value ± 1.96 standard deviations of the resampled values.  Their percentiles would lie too high:
    a resample repeats pictures, which lowers the rank of the covariance and raises the distance.

    Args:
        a, b: features (N_a, D), (N_b, D).
        paired: row i of both is the same picture, before and after, and they are resampled together; else `b` is a fixed
            reference.
        resamples: number of resamples.
        seed: of the resampling.
    Returns:
        {"value", "std", "low", "high", "n"}, rounded to 4 decimals.
    """
    a, b, rng = np.asarray(a), np.asarray(b), np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples):
        rows = rng.integers(len(a), size=len(a))
        drawn.append(frechet_distance(a[rows], b[rows] if paired else b))
    value, std = frechet_distance(a, b), float(np.std(drawn, ddof=1))
    return {
        name: round(v, 4)
        for name, v in {
            "value": value,
            "std": std,
            "low": value - 1.96 * std,
            "high": value + 1.96 * std,
        }.items()
    } | {"n": len(a)}


def frechet_bias(
    features: Tensor | np.ndarray, sizes: Sequence[int], *, draws: int = 20, seed: int = 0
) -> dict[str, dict[str, float]]:
    """Fréchet distance of two disjoint samples of the same pictures: what a perfect generator would score.

    Args:
        features: (N, D) of real pictures.
        sizes: pictures in each sample, N/2 at most.
        draws: pairs of samples for each size.
        seed: of the draws.
    Returns:
        size -> {"mean", "std" over the draws}; the true value is 0.
    """
    features, rng, found = np.asarray(features), np.random.default_rng(seed), {}
    for size in sizes:
        values = []
        for _ in range(draws):
            rows = rng.permutation(len(features))
            values.append(frechet_distance(features[rows[:size]], features[rows[size : 2 * size]]))
        found[str(size)] = {
            "mean": round(float(np.mean(values)), 4),
            "std": round(float(np.std(values, ddof=1)), 4),
        }
    return found
