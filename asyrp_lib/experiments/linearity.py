"""Linearity: does the image follow the strength of Δh_t in proportion, and how far?  (Asyrp Fig. 7)"""

from collections.abc import Sequence

import numpy as np

from ..measure.judge import chosen, per_image, summaries
from ..measure.stats import decimals
from .trial import Trial, begin

#: A side of the curve ends where the mean shift is this share below the line, ...
SHORTFALL = 0.25
#: ... or where so many more values than in the reconstruction are outside [-1, 1] (see `break_point`).
OUTSIDE = 0.05


def measure(
    domain,
    *,
    n: int = 32,
    names: Sequence[str] | None = None,
    strengths: Sequence[float] = (-3, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3),
    trial: Trial | None = None,
    progress: bool = True,
) -> dict:
    """Edit test images at many strengths, also negative ones and ones beyond 1, unseen in training.

    Args:
        names: of the edits; None: smiling, old, tanned and curly hair, or what there is.
        strengths: any; 0 is always included.
    Returns:
        apart: mean perceptual distance of two different test images;
        edits: edit -> strengths: strength -> scores as summaries, `outside` (share of values outside [-1, 1])
        among them, and with an oracle: images: strength -> aimed shift of each; fit: `line` of the mean shift
        over -1 … 1; faces: correlation with the strength over -1 … 1 of each image; breaks: see
            `break_point`, "+" and "-".
    Source: Asyrp Sec. 5.2, Fig. 7.
    """
    deltas = chosen(domain, names, ("smiling", "old", "tanned", "curly hair"))
    trial, strengths = begin(domain, trial, n, progress), sorted({*map(float, strengths), 0.0})
    apart = float(domain.distance(trial.x_0, trial.x_0.roll(1, 0)).mean())
    tables = {name: {} for name in deltas}
    for (name, s), edited in trial.sweep("linearity", deltas, strengths):
        table = tables[name][s] = trial.scores(name, edited)
        table["outside"] = (edited.abs() > 1).double().mean((1, 2, 3)).cpu().numpy()
    found = {"apart": decimals(apart), "edits": {}}
    s = np.array(strengths)
    trusted = np.abs(s) <= 1
    for name, runs in tables.items():
        row = found["edits"][name] = {"strengths": {f"{s:g}": summaries(table) for s, table in runs.items()}}
        if "aimed" in runs[0.0]:
            column = lambda name, runs=runs: np.stack([table[name] for table in runs.values()])
            aimed, far, out = column("aimed"), column("distance").mean(1), column("outside").mean(1)
            row |= {
                "images": {f"{s:g}": per_image(table, ["aimed"])["aimed"] for s, table in runs.items()},
                "fit": line(s[trusted], aimed[trusted].mean(1)),
                "faces": decimals([correlation(s[trusted], face) for face in aimed[trusted].T]),
                "breaks": {
                    side: break_point(sign * s, sign * aimed.mean(1), far, out, apart)
                    for side, sign in (("+", 1), ("-", -1))
                },
            }
    return found


def line(strengths: Sequence[float], shifts: Sequence[float]) -> dict[str, float]:
    """The line through the origin (strength 0 is the reconstruction, its shift is 0), by least squares.

    slope; R2: 1 − residual / variance about the mean, negative if the line is worse than a constant.
    """
    s, y = (np.asarray(values, dtype=np.float64) for values in (strengths, shifts))
    slope = (s * y).sum() / (s * s).sum()
    R2 = 1 - ((y - slope * s) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    return {"slope": decimals(slope), "R2": decimals(R2)}


def correlation(strengths: Sequence[float], shifts: Sequence[float]) -> float:
    """Pearson's r; 0 where nothing moves."""
    return float(np.corrcoef(strengths, shifts)[0, 1]) if np.std(shifts) > 0 else 0.0


def break_point(
    strengths: Sequence[float],
    shifts: Sequence[float],
    distance: Sequence[float],
    outside: Sequence[float],
    apart: float,
) -> dict:
    """Where the positive side of a curve ends: the smallest strength at which one of these happens.

    "stops growing": the mean shift is not above that of the strength before; "off the line": it is more than
    `SHORTFALL` below this side's own line, through the origin, fitted up to 1; "leaves the data": the image
    is farther from its reconstruction than two different test images are from each other, or the values
    outside [-1, 1] grew by more than `OUTSIDE`.

    Args:
        strengths: (k,), with 0; turn the signs of strengths and shifts around for the negative side.
        shifts, distance, outside: at each, the means of the aimed shift and of the perceptual distance to the
            reconstruction, and the share of values outside [-1, 1].
        apart: mean perceptual distance of two different test images.
    Returns:
        {"at": strength, None if the curve has no end or no strengths up to 1, "why": list of the reasons}.
    """
    at = {float(s): values for s, *values in zip(strengths, shifts, distance, outside)}
    side = sorted(s for s in at if s > 0)
    fitted = [s for s in side if s <= 1]
    slope = line([0, *fitted], [0, *(at[s][0] for s in fitted)])["slope"] if fitted else 0.0
    for before, s in zip([0.0, *side], side if fitted else []):
        shift, far, out = at[s]
        why = {
            "stops growing": shift <= at[before][0],
            "off the line": shift < (1 - SHORTFALL) * slope * s,
            "leaves the data": far > apart or out > at[0.0][2] + OUTSIDE,
        }
        if any(why.values()):
            return {"at": s, "why": [reason for reason, so in why.items() if so]}
    return {"at": None, "why": []}
