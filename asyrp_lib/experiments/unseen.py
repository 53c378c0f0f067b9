"""Unseen domains: do edits reach targets that CLIP knows and the frozen model never saw?  (Fig. 5)

A rendered domain can draw the true target of the very same images: "it worked" is a distance and no opinion.
"""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from ..measure.judge import all_trained, summaries
from ..measure.scores import factor_shifts
from ..measure.stats import decimals, summary
from .trial import Trial, begin


def measure(
    domain,
    *,
    n: int = 32,
    names: Sequence[str] | None = None,
    strengths: Sequence[float] = (0.5, 1.0),
    steps: int = 40,
    trial: Trial | None = None,
    progress: bool = True,
) -> dict:
    """Edit test images towards every unseen target and compare with the true targets.

    Args:
        names: of the unseen edits; None: all of them that have an f_t.
    Returns:
        scores: edit -> strength -> `judge.scores` as summaries; `leaked` is over all factors;
        and where the domain draws targets:
        closer: edit -> strength -> "distance" and "error" (perceptual, and mean absolute) -> `approach`;
        confusion: the same two -> strength -> edit -> true target -> mean relative gain;
        nearest: the same two -> strength -> edit -> true target -> how many images gained most towards it;
        target_leaked: edit -> the oracle's `leaked` of the true target itself: how far a style misleads it.
    """
    deltas = all_trained(domain, names, in_domain=False)
    trial = begin(domain, trial, n, progress, steps)
    plain, kinds = trial.plain, {"distance": domain.distance, "error": absolute_error}
    targets = {name: domain.targets(name, "test", n) for name in deltas} if domain.target_source else {}
    found: dict = {"scores": {}}
    for (name, strength), edited in trial.sweep("unseen edits", deltas, strengths):
        key = f"{strength:g}"
        found["scores"].setdefault(name, {})[key] = summaries(trial.scores(name, edited))
        for kind, distance in kinds.items() if targets else ():
            gains = {other: relative_gain(distance, plain, edited, t) for other, t in targets.items()}
            most = np.stack(list(gains.values())).argmax(0)
            rows = {
                ("closer", name, key, kind): approach(distance, plain, edited, targets[name]),
                ("confusion", kind, key, name): {other: decimals(g.mean()) for other, g in gains.items()},
                ("nearest", kind, key, name): {
                    other: int((most == k).sum()) for k, other in enumerate(gains)
                },
            }
            for (table, one, two, three), row in rows.items():
                found.setdefault(table, {}).setdefault(one, {}).setdefault(two, {})[three] = row
    if targets and domain.oracle is not None:
        shifts = {name: factor_shifts(domain.oracle.read, trial.x_0, t) for name, t in targets.items()}
        leaked = {name: summary(np.sqrt((table**2).mean(axis=1))) for name, table in shifts.items()}
        found["target_leaked"] = leaked
    return found


def absolute_error(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute error (B,) of images a and b, both (B, 3, R, R)."""
    return (a - b).abs().mean((1, 2, 3))


def approach(distance, plain: Tensor, edited: Tensor, target: Tensor) -> dict:
    """How much closer to its true target an image (B, 3, R, R) is edited than reconstructed.

    Args:
        distance: (a, b) -> (B,).
    Returns:
        before, after: mean distances of both to the target; gain: summary of before − after;
        closer: how many images came closer; images: the gain of each.
    """
    before, after = (distance(image, target).cpu().double().numpy() for image in (plain, edited))
    return {
        "before": decimals(before.mean()),
        "after": decimals(after.mean()),
        "gain": summary(before - after),
        "closer": int((after < before).sum()),
        "images": decimals(before - after),
    }


def relative_gain(distance, plain: Tensor, edited: Tensor, target: Tensor) -> np.ndarray:
    """1 − d(edited, target) / d(plain, target), (B,): 1 at the target, 0 for no approach."""
    return 1 - (distance(edited, target) / distance(plain, target)).cpu().double().numpy()
