"""Consistency: is Δh_t the same for all images and times, so that its mean edits as well?  (Asyrp Fig. 10)

A mean is shorter than what it is the mean of, so means edit at the mean length of Δh_t, too.  And every f_t,
a random one as well, answers similar h alike: a cosine says something only beside that of random f_t.
"""

import copy
from collections import defaultdict
from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor

from .. import check
from ..deltas import Delta, GlobalDelta, PerTimeDelta
from ..errors import ImageError
from ..measure.judge import usual
from ..measure.stats import Interval, over_seeds
from ..method.hspace import Encoded
from ..method.process import by_batches, global_mean
from ..method.ready import check_edits, evaluating
from ..method.schedule import interval_pairs
from .rows import joined, numbers, pick
from .trial import Run, Trial, begin

TRAINED, RANDOM, MATCHED = "Δh_t", "random f_t", ", length matched"


def measure(
    domain,
    *,
    n: int = 15,
    names: Sequence[str] | None = None,
    n_train: int = 12,
    nulls: int = 5,
    trial: Trial | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Edit test images with f_t and with its means over training images and times, as they are and longer.

    Args:
        names: of the edits; None: smiling, tanned and curly hair, or what there is.
        n_train: training images in the means of each f_t, 2 or more, others for each seed.
        nulls: random f_t of the same kind; none where f_t is no network.
    Returns:
        rows of `judge.scores`; variant: `TRAINED`, "mean" (Δh_t^mean), "global" (Δh^global), "global of one"
        (of one training image), and those + `MATCHED`; and of `alignment` on the *training* images, whose
        numbers `image` then has, for `TRAINED` and `RANDOM`, there by the seed of its weights.
    Source: Asyrp Sec. 5.4, Fig. 10.
    """
    names = usual(domain, names, ("smiling", "tanned", "curly hair"))
    check.whole("n_train", n_train, 2, 10**5, error=ImageError)
    trial, runs, parts = begin(domain, trial, n, progress), [], []
    most = max(len(domain.seeds(name)) for name in names)
    pool = trial.like(n=n_train * most, split="train")
    for name in names:
        shares = trial.shares(domain.seeds(name))
        for k, (seed, part) in enumerate(shares.items()):
            delta, seen = domain.delta(name, seed), pool.like(first=n_train * seed, n=n_train)
            network = any(True for _ in delta.parameters())
            chance = [r for r in range(nulls) if network and r % len(shares) == k]
            others = [untrained(delta, r) for r in chance]
            mine, *theirs = answers(domain.unet, seen.x_T, delta, others, progress=progress)
            asked = [(TRAINED, seed, mine), *((RANDOM, r, found) for r, found in zip(chance, theirs))]
            for variant, of, found in asked:
                where, (table, at) = {"edit": name, "variant": variant, "seed": of}, alignment(found)
                parts += [seen.rows(table, **where), numbers(at, **where)]
            for variant, shift in {TRAINED: delta, **means(delta, mine)}.items():
                where = {"edit": name, "variant": variant, "seed": seed, "strength": 1.0}
                runs.append(Run(part, {shift: 1.0}, where))
    for run, edited in trial.runs("consistency", runs):
        parts.append(run.rows(run.trial.scores(run.where["edit"], edited)))
    return joined(parts)


def kept(rows: pd.DataFrame, variant: str) -> float:
    """Share of the aimed shift of Δh_t that a variant keeps: ratio of means, of one edit's aimed rows."""
    mean = lambda kind: pick(rows, "aimed", variant=kind)["value"].mean()
    return mean(variant) / mean(TRAINED)


def over_times(rows: pd.DataFrame, what: str) -> dict[str, dict[float, Interval]]:
    """variant -> t -> interval over seeds of what `alignment` gives at each time, of one edit's rows:
    "cosine of faces", "cosine of times" or "length"; of random f_t a seed is one of them.
    """
    at, found = rows[rows["score"].str.startswith(f"{what} at ")], {}
    faces = pick(rows, what).groupby("variant")["image"].nunique()
    for variant, of in at.groupby("variant", sort=False):
        for score, part in of.groupby("score"):
            t = float(str(score).removeprefix(f"{what} at "))
            found.setdefault(str(variant), {})[t] = over_seeds(part)._replace(faces=int(faces[variant]))
    return found


def untrained(delta: Delta, seed: int) -> Delta:
    """An f_t of the same kind and sizes with random weights, the last layer's too, as PyTorch draws them."""
    twin = copy.deepcopy(delta).cpu()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in twin.modules():
            if reset := getattr(module, "reset_parameters", None):
                reset()
    return twin


def answers(
    unet, x_T: Tensor, delta: Delta, others: Sequence[Delta] = (), *, steps: int = 40, progress=False
) -> list[dict[int, Tensor]]:
    """What an f_t answers along its own edit of x_T, and what others, without effect, answer to the same h.

    For each of them t -> Δh_t (N, C, H, W) on the CPU, unscaled.
    """
    check_edits(unet, [delta, *others], None)
    found = [defaultdict(list) for _ in (delta, *others)]

    def shift(z: Encoded, t: int, images: slice) -> Tensor:
        for f_t, seen in zip((delta, *others), found):
            seen[t].append(f_t(z.h, z.emb, t).expand_as(z.h).cpu())
        return delta.train_steps / steps * found[0][t][-1].to(z.h)

    with evaluating([delta, *others]):
        pairs = interval_pairs(steps, delta.t_edit, len(unet.schedule))
        by_batches(unet, x_T, pairs, shift, progress=progress, title=f"Δh_t of {delta.name}")
    return [{t: torch.cat(parts) for t, parts in seen.items()} for seen in found]


def means(delta: Delta, seen: dict[int, Tensor]) -> dict[str, Delta]:
    """variant -> Δh that looks at no h, from what f_t answered (`answers`).

    `MATCHED`: Δh_t^mean at each t, and Δh^global over all, is as long as Δh_t is on average over images.
    """
    times = sorted(seen)
    shifts = torch.stack([seen[t] for t in times])  # (T, N, C, H, W)
    lengths = shifts.flatten(2).norm(dim=2).mean(1)  # (T,)
    mean = PerTimeDelta(times, shifts.mean(1), **delta.about)
    one = global_mean(PerTimeDelta(times, shifts[:, 0], **delta.about))
    scale = (lengths / mean.shifts.flatten(1).norm(dim=1).clamp(min=1e-12))[:, None, None, None]
    grown = lambda shift: shift * lengths.mean() / shift.norm().clamp(min=1e-12)
    long = lambda made: GlobalDelta(grown(made.shift), **delta.about)
    overall = global_mean(mean)
    plain: dict[str, Delta] = {"mean": mean, "global": overall, "global of one": one}
    matched = PerTimeDelta(times, mean.shifts * scale, **delta.about), long(overall), long(one)
    return plain | {kind + MATCHED: made for kind, made in zip(plain, matched)}


def alignment(seen: dict[int, Tensor]) -> tuple[dict[str, Tensor], dict[str, float]]:
    """How far Δh_t, in `seen`: t -> (N >= 2, C, H, W), points the same way for images and for times.

    Returns:
        of each image (N,): "cosine of faces": to the other images at the same time, mean over times; "cosine
        of times": between two times of its own, mean over pairs, if there are two; "length": mean over times.
        And of all images together the same at each time: "cosine of faces at 975", ….
    """
    times = sorted(seen, reverse=True)
    shifts = torch.stack([seen[t].flatten(1).double() for t in times])  # (T, N, D)
    (T, N), lengths = shifts.shape[:2], shifts.norm(dim=2)
    unit = shifts / lengths.clamp(min=1e-12)[..., None]
    others = lambda dim, count: ((unit * unit.sum(dim, keepdim=True)).sum(2) - 1) / (count - 1)  # (T, N)
    found = {"cosine of faces": others(1, N), "length": lengths}
    if T > 1:
        found["cosine of times"] = others(0, T)
    at = {f"{name} at {t}": float(row.mean()) for name in found for t, row in zip(times, found[name])}
    return {name: table.mean(0) for name, table in found.items()}, at
