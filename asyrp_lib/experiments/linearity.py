"""Linearity: does the image follow the strength of Δh_t in proportion, and how far?  (Asyrp Fig. 7)

A factor has walls: a broad smile cannot grow.  A face near one has no room, and a curve that runs into it is
bent whatever h-space does.  So proportion is judged on faces in mid-range and on a scale without walls, and
beside the scores that a step and a random rising curve would get.
"""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import pandas as pd

from ..measure.judge import usual
from .rows import joined, pick
from .trial import MARGIN, Trial, begin

#: Positions nearer to a wall count as this.
END = 0.02
#: Random rising curves.
DRAWS = 1000


def measure(
    domain,
    *,
    n: int = 20,
    names: Sequence[str] | None = None,
    strengths: Sequence[float] = (-2, -1, -0.6, -0.3, 0, 0.3, 0.6, 1, 2),
    trial: Trial | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Edit test images at many strengths, also negative ones and ones beyond 1, unseen in training.

    Args:
        n: images for each edit, in mid-range of its factor, see `Trial.in_mid_range`.
        names: of the edits; None: smiling, old, tanned and curly hair, or what there is.
        strengths: any; 0 is always included.
    Returns:
        rows of `judge.scores`, `outside` (share of values outside [-1, 1]); `apart`: perceptual distance
        between two test images.
    Source: Asyrp Sec. 5.2, Fig. 7.
    """
    names = usual(domain, names, ("smiling", "old", "tanned", "curly hair"))
    trial, strengths = begin(domain, trial, n, progress), sorted({*map(float, strengths), 0.0})
    parts = [trial.rows({"apart": domain.distance(trial.x_0, trial.x_0.roll(1, 0)).cpu()})]
    middle = chain(*(trial.in_mid_range(name).sweep(name, [name], strengths) for name in names))
    for run, edited in middle:
        table = run.trial.scores(run.where["edit"], edited)
        table["outside"] = (edited.abs() > 1).double().mean((1, 2, 3)).cpu().numpy()
        parts.append(run.rows(table))
    return joined(parts)


def mid_range(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the faces whose reconstruction has its factor at least `MARGIN` from both walls."""
    start = pick(rows, "position", strength=0.0).set_index(["edit", "image"])["value"]
    kept = start[(start > MARGIN) & (start < 1 - MARGIN)].index
    return rows[pd.MultiIndex.from_frame(rows[["edit", "image"]]).isin(kept)]


def logit(position: np.ndarray) -> np.ndarray:
    """A position between walls on a scale without them; readings closer than 2 % to one count as that."""
    inside = np.clip(position, END, 1 - END)
    return np.log(inside / (1 - inside))


def unwalled(rows: pd.DataFrame) -> pd.DataFrame:
    """The curves that are judged, of `mid_range` faces: how far an edit moved each from strength 0 on the
    scale of `logit`; from rows of `measure`.
    """
    rows = mid_range(pick(rows, "position"))
    rows = rows.assign(value=logit(rows["value"].to_numpy()))
    start = rows[rows["strength"] == 0].set_index(["edit", "image"])["value"]
    at = pd.MultiIndex.from_frame(rows[["edit", "image"]])
    return rows.assign(value=rows["value"] - start.reindex(at).to_numpy())


def ended(rows: pd.DataFrame) -> dict[str, float]:
    """edit -> share of the readings at strengths −1 … 1, 0 apart, of the faces that are judged, that stand at
    an end of the scale of `logit`; from rows of `measure`.
    """
    rows = mid_range(pick(rows, "position"))
    rows = rows[(rows["strength"].abs() <= 1) & (rows["strength"] != 0)]
    at_end = rows.assign(value=(rows["value"] <= END) | (rows["value"] >= 1 - END))
    return {str(edit): float(share) for edit, share in at_end.groupby("edit")["value"].mean().items()}


def slope(strengths: Sequence[float], shifts: Sequence[float]) -> float:
    """Of the line through the origin, least squares over strengths −1 … 1."""
    s, y = (np.asarray(values, dtype=np.float64) for values in (strengths, shifts))
    near = np.abs(s) <= 1
    return float((s * y)[near].sum() / (s * s)[near].sum())


def proportion(strengths: Sequence[float], shifts: Sequence[float]) -> float:
    """R² of the line through the origin, 1 − residual / variance about the mean, over strengths −1 … 1.

    Strength 0 is the reconstruction, whose shift is 0; below 0: worse than a constant.
    """
    s, y = (np.asarray(values, dtype=np.float64) for values in (strengths, shifts))
    y, s = y[np.abs(s) <= 1], s[np.abs(s) <= 1]
    return float(1 - ((y - slope(s, y) * s) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def proportions(rows: pd.DataFrame) -> pd.DataFrame:
    """edit, seed, image, value: the `proportion` of each face's curve, 0 for one that is flat; from rows of
    one score, strength 0 among them.
    """
    curves = rows.pivot(index=["edit", "seed", "image"], columns="strength", values="value").dropna()
    with np.errstate(invalid="ignore"):
        shares = [proportion(curves.columns, curve - curve[0.0]) for _, curve in curves.iterrows()]
    return curves.index.to_frame(index=False).assign(value=np.nan_to_num(shares, posinf=0, neginf=0))


def nulls(strengths: Sequence[float]) -> dict[str, float]:
    """`proportion` of curves that are not linear: a step sign(s), and random rising ones: their median, and
    what 95 % of them lie below.

    What does not clearly beat that has not been shown to be linear.  A random rising curve has independent
    exponential increments between neighbouring strengths (seed 0).
    """
    s = np.sort([v for v in strengths if abs(v) <= 1])
    climbs = np.cumsum(np.random.default_rng(0).exponential(size=(DRAWS, len(s))), axis=1)
    climbs -= climbs[:, [int(np.argmin(np.abs(s)))]]
    middle, high = np.percentile([proportion(s, climb) for climb in climbs], [50, 95])
    return {"step": proportion(s, np.sign(s)), "rising": float(middle), "rising, 95 %": float(high)}
