"""The editing interval [t_edit, T] and the start of quality boosting, t_boost, from perceptual curves.

Both are read off curves over t: how far x_t is from x_0, which noise hides, and how far P_t is, what is open.
"""

from collections.abc import Callable, Sequence

import pandas as pd
from torch import Tensor

from ..errors import GridError
from .hspace import HSpaceUNet
from .process import Step, by_batches
from .schedule import inversion_pairs, time_grid


def t_edit_from_curve(
    timesteps: Sequence[int], distances: Sequence[float], cosine: float, threshold: float = 0.33
) -> int:
    """End of the editing interval: the smallest t with d(x_0, P_t) >= threshold · cosine.

    `distances` are d(x_0, P_t), LPIPS or alike, at `timesteps`; `cosine` is cos(E_T(source), E_T(target)) of
    the bare texts, near 1 for a small change, which gets a short interval.  GridError: it never gets there.
    Source: Asyrp Sec. 4 (LPIPS(x, P_t) = 0.33), appendix (cosine).
    """
    return _first_reaching(timesteps, distances, threshold * cosine)


def t_boost_from_curve(timesteps: Sequence[int], distances: Sequence[float], threshold: float = 1.2) -> int:
    """Start of quality boosting: the smallest t with distance >= threshold, else GridError.

    `distances` are d(x_0, x_t), with the paper's threshold 1.2, or d(x_0, P_t) with 0.1, the original code's
    other rule, at `timesteps`.  (Asyrp Sec. 3.4, Sec. 4: LPIPS(x, x_t) = 1.2)
    """
    return _first_reaching(timesteps, distances, threshold)


def perceptual_curves(
    unet: HSpaceUNet, x0: Tensor, distance: Callable[[Tensor, Tensor], Tensor], *, steps: int = 100, **how
) -> pd.DataFrame:
    """How x_t and P_t move away from x_0 along its inversion, averaged over images (N, C, R, R) in [-1, 1].

    Args:
        distance: (a, b), both (B, C, R, R) -> (B,), e.g. LPIPS.
        steps: of the inversion and of the curves; the original used 1000, on 100 images.
        how: batch_size, progress; see `process.by_batches`.
    Returns:
        DataFrame (`steps` rows): t, x_t (mean distance of x_t to x_0), P_t (mean distance of P_t to x_0).
    Source: Asyrp Sec. 3.4 and 4, appendix (LPIPS curves behind t_edit and t_boost).
    """
    grid = time_grid(steps, len(unet.schedule) - 1)
    rows = {t: {"t": t, "x_t": 0.0, "P_t": 0.0} for t in grid}

    def measure(now: Step) -> None:
        original = x0[now.images].to(now.P)
        rows[now.t]["P_t"] += float(distance(original, now.P).double().sum()) / len(x0)
        if now.t_next in rows:
            rows[now.t_next]["x_t"] += float(distance(original, now.x).double().sum()) / len(x0)

    # one pair more than an inversion has, so that P_t is also seen at the top
    pairs = [*inversion_pairs(grid), (grid[-1], -1)]
    by_batches(unet, x0, pairs, callback=measure, title="perceptual curves", **how)
    return pd.DataFrame(rows.values())


def _first_reaching(timesteps: Sequence[int], distances: Sequence[float], level: float) -> int:
    if len(timesteps) != len(distances):
        raise GridError(
            f"{len(timesteps)} timesteps and {len(distances)} distances; expected as many of both."
        )
    there = [int(t) for t, d in zip(timesteps, distances) if d >= level]
    if not there:
        top = max(distances, default=float("nan"))
        raise GridError(
            f"The curve reaches {top:.3f} and never {level:.3f}; expected a crossing; lower the threshold."
        )
    return min(there)
