"""Inversion: how near does an image come back, and is its x_T the noise that a generation begins with?

DDIM upwards takes ε where a step begins, DDIM downwards where it ended: a finer grid makes the two agree, and
so do fixed-point corrections, which take ε again where the step ends.  (Asyrp Sec. 2; Pan et al. 2023)
"""

from collections.abc import Sequence

import pandas as pd
from torch import Tensor

from .. import api
from ..measure.stats import Interval, over_seeds
from .rows import joined, pick
from .trial import Trial, begin

#: Variant of standard normal noise, for its moments.
NOISE = "noise"


def measure(
    domain,
    *,
    n: int = 12,
    grids: Sequence[int] = (20, 40, 100),
    long_grid: int = 1000,
    corrections: Sequence[int] = (0, 1, 2),
    trial: Trial | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Invert test images on several grids, with several numbers of corrections, and generate them again.

    Args:
        grids: numbers of steps S; long_grid: one more, for the first image and the first number of
            corrections only; 0: none.
    Returns:
        rows at the variants of `variant`: error (mean |x_0 − reconstruction|, images in [-1, 1]), distance
        (perceptual), and `moments` of x_T; the latter also of as many images of `NOISE`.
    """
    trial = begin(domain, trial, n, progress)
    parts = [trial.rows(moments(domain.codec.decode(domain.seeded_noise(n))), variant=NOISE)]
    runs = [(s, trial, c) for s in grids for c in corrections]
    for steps, part, c in [*runs, *([(long_grid, trial.like(n=1), corrections[0])] if long_grid else [])]:
        x_T = api.invert(domain, part.x_0, steps=steps, corrections=c, progress=progress)
        back = api.generate(domain, x_T, steps=steps, progress=progress)
        table = {
            "error": (back - part.x_0).abs().mean((1, 2, 3)).tolist(),
            "distance": domain.distance(part.x_0, back).tolist(),
            **moments(domain.codec.decode(x_T)),
        }
        parts.append(part.rows(table, variant=variant(steps, c)))
    return joined(parts)


def variant(steps: int, corrections: int) -> str:
    """How the rows of a grid and a number of corrections are called."""
    return f"S {steps}, corrections {corrections}"


def moments(x: Tensor) -> dict[str, list[float]]:
    """Of each of (N, C, R, R): sd (1 for standard normal noise), kurtosis (3) and neighbours, the correlation
    of values side by side (0).
    """
    flat = x.double().flatten(1)
    sd, centred = flat.std(1), x.double() - flat.mean(1)[:, None, None, None]
    beside = (centred[..., 1:] * centred[..., :-1]).mean((1, 2, 3)) / sd**2
    kurtosis = centred.flatten(1).pow(4).mean(1) / sd**4
    return {"sd": sd.tolist(), "kurtosis": kurtosis.tolist(), "neighbours": beside.tolist()}


def by_grid(rows: pd.DataFrame) -> dict[int, dict[int, Interval]]:
    """corrections -> S -> mean error with its interval over faces; one face has none."""
    found: dict[int, dict[int, Interval]] = {}
    for name, part in pick(rows, "error").groupby("variant"):
        if name != NOISE:
            steps, corrections = (int(word.split()[1]) for word in str(name).split(", "))
            found.setdefault(corrections, {})[steps] = over_seeds(part)
    return {c: dict(sorted(found[c].items())) for c in sorted(found)}
