"""Unseen domains: do edits reach targets that CLIP knows and the frozen model never saw?  (Asyrp Sec. 5.1, Fig. 5)

A rendered domain can draw the true target of the very same pictures, so that "it worked" is a distance and no opinion.
"""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from ..api import edit, invert
from ..measure.judge import scores, summaries
from ..measure.scores import factor_shifts
from ..measure.stats import summary
from ..progress import tqdm


def measure(
    domain, *, n: int = 32, strengths: Sequence[float] = (0.5, 1.0), steps: int = 40, progress: bool = True
) -> dict:
    """Edit test pictures towards every unseen target and compare with the true targets.

    Args:
        domain: a Domain with f_t of unseen edits.
        n: test pictures.
        strengths: of the edits.
        steps: S.
        progress: show a progress bar.
    Returns:
        scores: edit -> strength -> `judge.scores` as summaries; `leaked` is over all factors, the identity that was lost;
        closer: edit -> strength -> "distance" and "error" (perceptual, and mean absolute) -> `approach`;
        confusion: the same two -> strength -> edit -> true target -> mean relative gain;
        nearest: the same two -> strength -> edit -> true target -> how many pictures gained most towards it;
        target_leaked: edit -> the oracle's `leaked` of the true target itself: how far a style misleads it;
        the last four only where the domain draws targets.
    Raises:
        DomainError: no unseen edit is trained.
    """
    deltas = domain.trained([name for name, this in domain.edits.items() if not this.in_domain])
    x_0 = domain.images("test", n)
    x_T = invert(domain, x_0, steps=steps, progress=progress)
    plain = edit(domain, x_T, {}, steps=steps, progress=False)
    targets = {name: domain.targets(name, "test", n) for name in deltas} if domain.target_source else {}
    found: dict = {"scores": {name: {} for name in deltas}}
    kinds = {"distance": domain.distance, "error": absolute_error}
    if targets:
        found |= {"closer": {name: {} for name in deltas}} | {
            table: {kind: {f"{s:g}": {} for s in strengths} for kind in kinds}
            for table in ("confusion", "nearest")
        }
    if targets and domain.oracle is not None:
        shifts = {name: factor_shifts(domain.oracle.read, x_0, target) for name, target in targets.items()}
        found["target_leaked"] = {
            name: summary(np.sqrt((table**2).mean(axis=1))) for name, table in shifts.items()
        }
    bar = tqdm(
        [(name, s) for name in deltas for s in strengths],
        desc="unseen edits",
        unit="edit",
        disable=not progress,
    )
    for name, strength in bar:
        edited, key = (
            edit(domain, x_T, {deltas[name]: strength}, steps=steps, progress=False),
            f"{strength:g}",
        )
        found["scores"][name][key] = summaries(scores(domain, domain.edits[name], x_0, plain, edited))
        if targets:
            found["closer"][name][key] = {
                kind: approach(distance, plain, edited, targets[name]) for kind, distance in kinds.items()
            }
        for kind, distance in kinds.items() if targets else ():
            gains = {
                other: relative_gain(distance, plain, edited, target) for other, target in targets.items()
            }
            most = np.stack(list(gains.values())).argmax(0)
            found["confusion"][kind][key][name] = {
                other: round(float(gain.mean()), 4) for other, gain in gains.items()
            }
            found["nearest"][kind][key][name] = {
                other: int((most == k).sum()) for k, other in enumerate(gains)
            }
    return found


def absolute_error(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute error (B,) of pictures a and b, both (B, 3, R, R)."""
    return (a - b).abs().mean((1, 2, 3))


def approach(distance, plain: Tensor, edited: Tensor, target: Tensor) -> dict:
    """How much closer to its true target a picture is edited than reconstructed.

    Args:
        distance: (a, b) -> (B,).
        plain, edited, target: (B, 3, R, R).
    Returns:
        before, after: mean distances of reconstruction and edit to the target; gain: summary of before − after per
        picture; closer: how many pictures came closer; images: the gain of each.
    """
    before, after = (distance(picture, target).cpu().double().numpy() for picture in (plain, edited))
    return {
        "before": round(float(before.mean()), 4),
        "after": round(float(after.mean()), 4),
        "gain": summary(before - after),
        "closer": int((after < before).sum()),
        "images": [round(float(v), 4) for v in before - after],
    }


def relative_gain(distance, plain: Tensor, edited: Tensor, target: Tensor) -> np.ndarray:
    """1 − d(edited, target) / d(plain, target), (B,): 1 at the target, 0 for no approach, negative for moving away."""
    return 1 - (distance(edited, target) / distance(plain, target)).cpu().double().numpy()
