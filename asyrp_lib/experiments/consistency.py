"""Consistency: is Δh_t the same for all images and times, so that its mean edits as well?  (Asyrp Fig. 10)"""

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from ..deltas import Delta
from ..measure.judge import chosen, summaries
from ..measure.stats import decimals, ratio_of_means
from ..method.process import Step, global_mean, per_time_mean
from .trial import Trial, begin


def measure(
    domain,
    *,
    n: int = 32,
    names: Sequence[str] | None = None,
    n_train: int = 32,
    counts: Sequence[int] = (1, 4, 16),
    trial: Trial | None = None,
    progress: bool = True,
) -> dict:
    """Edit test images with f_t, with its mean over training images, and with that over times, too.

    Args:
        names: of the edits; None: smiling, tanned and curly hair, or what there is.
        n_train: training images in the means.
        counts: further means over images and times, of so many of these images.
    Returns:
        edit -> runs: "Δh_t", "mean", "global", "global of k" -> scores as summaries and, if it has an oracle,
            share: aimed shift over that of Δh_t; alignment: see `alignment`, of Δh_t on the training images.
    Source: Asyrp Sec. 5.4, Fig. 10.
    """
    deltas, kinds, found = chosen(domain, names, ("smiling", "tanned", "curly hair")), {}, {}
    trial = begin(domain, trial, n, progress)
    seen = trial.like(n=n_train, split="train")
    for name, delta in deltas.items():
        shifts = defaultdict(list)

        def keep(now: Step) -> None:
            if now.dh is not None:
                shifts[now.t].append(now.dh)  # noqa: B023, used within this turn

        seen.edit({delta: 1.0}, callback=keep)
        found[name] = {"runs": {}, "alignment": alignment({t: torch.cat(dh) for t, dh in shifts.items()})}
        made = means(domain, seen.x_T, delta, counts, progress=progress)
        kinds |= {(name, kind): shift for kind, shift in {"Δh_t": delta, **made}.items()}
    whole, runs = {}, {run: {"edits": {shift: 1.0}} for run, shift in kinds.items()}
    for (name, kind), edited in trial.edits("consistency", runs):
        table = trial.scores(name, edited)
        row = found[name]["runs"][kind] = dict(summaries(table))
        if "aimed" in table:  # of Δh_t, which comes first, it is the whole
            row["share"] = ratio_of_means(table["aimed"], whole.setdefault(name, table["aimed"]))
    return found


def means(
    domain, x_T: Tensor, delta: Delta, counts: Sequence[int] = (), *, progress=False
) -> dict[str, Delta]:
    """Δh_t^mean and Δh^global over images x_T, and Δh^global over the first k of them for k in `counts`."""
    over = lambda x: per_time_mean(domain.unet, x, delta, progress=progress)
    mean = over(x_T)
    fewer = {f"global of {k}": global_mean(over(x_T[:k])) for k in counts}
    return {"mean": mean, "global": global_mean(mean), **fewer}


def alignment(seen: dict[int, Tensor]) -> dict:
    """How far Δh_t, in `seen`: t -> (N, C, H, W), points the same way for N >= 2 images and for times.

    Returns:
        times: T, falling; images: mean cosine of two images at each time (T,); cosines: of an image's Δh at
            two of them, mean over images (T, T); norms: mean |Δh_t| (T,).  Random ones have a cosine of about
            0.
    """
    times = sorted(seen, reverse=True)
    shifts = torch.stack([seen[t].flatten(1).double().cpu() for t in times])  # (T, N, D)
    norms = shifts.norm(dim=2)
    unit, n = shifts / norms[..., None], shifts.shape[1]
    images = (unit.sum(1).square().sum(1) - n) / (n * (n - 1))  # Σ_{i≠j} u_i·u_j over the number of pairs
    cosines = torch.einsum("snd,tnd->st", unit, unit) / n
    rows = {"images": images, "cosines": cosines, "norms": norms.mean(1)}
    return {"times": times, **{name: decimals(row) for name, row in rows.items()}}
