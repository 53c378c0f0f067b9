"""The final evaluation: every edit by every score on faces that no choice was made on.  (Asyrp Table 4)

It alone reads a domain's sealed faces, once; settings are frozen before.
"""

from collections.abc import Callable, Sequence
from itertools import chain

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..deltas import GlobalDelta
from ..measure.frechet import frechet_summary, inception, inception_features, inception_file
from ..measure.judge import factor_shifts, sc, usual
from ..measure.scores import clip_features, s_dir
from ..measure.stats import Interval, over_seeds
from .rows import ends, joined, numbers, pick
from .teach import lengths
from .trial import Run, Trial, begin

#: A metric that ranks these high, which edit nothing, measures something else.
CONTROLS = ("no edit", "no edit, boosted", "random Δh")
#: What a perfect edit would be given.
TARGET = "target"
#: Directions of the random Δh, each on its share of the faces.
DRAWS = 5
#: The edits of the paper's table, which has them at half strength too.
TABLE_4 = ("smiling", "sad", "tanned", "pixar", "neanderthal")


def measure(
    domain,
    *,
    n: int = 256,
    names: Sequence[str] | None = None,
    half: Sequence[str] = TABLE_4,
    trial: Trial | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Score edits, and `CONTROLS` as if they were every edit, on the first n faces of the final split.

    Args:
        names: of the edits; None: all in-domain ones and those of `half`.
        half: edits that are measured at strength 0.5 too.
    Returns:
        rows of `judge.scores`, further S_dir_recon (from the reconstruction), SC_original, and where targets
        can be drawn "distance to target", the perceptual one; of each factor that the oracle sees "start",
        its reading of each reconstruction, and of the shifts of each seed's faces "mean" and "rms"; of all
        faces together the Fréchet distance fd to originals and reconstructions, in features of the second
        CLIP, and fid where Inception's weights are at hand (biased for n < 2048), with low and high.
        Controls are variants; so is `TARGET`, the true targets, scored as if an edit had made them.
    Source: Asyrp Table 4.
    """
    known = [name for name, edit in domain.edits.items() if edit.in_domain]
    names = usual(domain, names, list(dict.fromkeys([*known, *half])))
    halved = [name for name in names if name in half]
    with domain.unsealed():
        trial = begin(domain, trial, n, progress, domain.final_split)
        kinds = _features(domain)
        base = {"original": trial.x_0, "recon": trial.plain}
        real = {(kind, to): features(base[to]) for kind, features in kinds.items() for to in base}
        parts, seen = [], {}
        if domain.oracle is not None:
            start = domain.oracle.read(trial.plain).add_prefix("start ")
            parts.append(trial.rows(start, variant="no edit"))
        runs = chain(trial.sweep("final", names), trial.sweep("final, half", halved, [0.5]))
        for run, edited in runs:
            parts += _scored(run, run.where["edit"], edited)
            key = run.where["edit"], run.where["strength"]
            for kind, features in kinds.items():
                seen.setdefault((*key, kind), []).append(features(edited))
        for (name, strength, kind), found in seen.items():
            parts += [_distances(real, kind, torch.cat(found), edit=name, strength=strength)]
        if domain.target_source is not None:
            for name in names:
                run = Run(trial, {}, {"edit": name, "variant": TARGET})
                parts += _scored(run, name, domain.targets(name, trial.split, n))
        for variant, images in _controls(trial, names).items():
            for name in names:
                where = {"edit": name, "variant": variant}
                parts += _scored(Run(trial, {}, where), name, images)
            for kind, features in kinds.items():
                parts += [_distances(real, kind, features(images), variant=variant)]
    return joined(parts)


def _features(domain) -> dict[str, Callable[[Tensor], Tensor]]:
    """fd and, if its network is here, fid -> (images) -> features (N, D)."""
    judge = domain.second_clip or domain.clip
    kinds = {"fd": lambda images: clip_features(judge, images)}
    if inception_file().exists():
        network = inception().to(domain.unet.device)
        kinds["fid"] = lambda images: inception_features(network, images)
    return kinds


def _distances(real: dict, kind: str, features: Tensor, **where) -> pd.DataFrame:
    """Fréchet distances to originals and reconstructions with their intervals, as rows."""
    found = {}
    for to in ("original", "recon"):
        summary = frechet_summary(features, real[kind, to][: len(features)], paired=True)
        found |= ends(f"{kind}_{to}", summary)
    return numbers(found, **where)


def _scored(run: Run, name: str, images: Tensor) -> list[pd.DataFrame]:
    """All scores of images by what the edit `name` aims at, as rows."""
    trial, domain = run.trial, run.trial.domain
    edit, table = domain.edit_named(name), trial.scores(name, images)
    judge = domain.second_clip or domain.clip
    table["S_dir_recon"] = s_dir(judge, trial.plain, images, edit.source, edit.target).numpy()
    if domain.segmenter is not None:
        table["SC_original"] = sc(domain, trial.x_0, images)
    if domain.target_source is not None:
        target = domain.targets(name, trial.split, trial.n, first=trial.first)
        table["distance to target"] = domain.distance(images, target).cpu()
    parts = [run.rows(table)]
    if domain.oracle is not None:
        shifts = factor_shifts(domain, trial.plain, images)
        means = {f"mean {factor}": shifts[factor].mean() for factor in shifts}
        roots = {f"rms {factor}": float((shifts[factor] ** 2).mean()) ** 0.5 for factor in shifts}
        parts.append(numbers(means | roots, **run.where))
    return parts


def _controls(trial: Trial, names: Sequence[str]) -> dict[str, Tensor]:
    """Variant -> images that nothing edits: reconstructions, those boosted, and shifts of h at random."""
    domain = trial.domain
    known = [name for name in names if domain.edit_named(name).in_domain] or names
    few = trial.like(n=min(4, trial.n))
    length = float(np.mean([lengths(few, domain.delta(name))[1]["length"] for name in known]))
    about = {"t_edit": min(domain.delta(name).t_edit for name in known), "name": "random"}
    chance = []
    for seed, part in trial.shares(range(DRAWS)).items():
        noise = torch.randn(domain.unet.h_shape, generator=torch.Generator().manual_seed(seed))
        shift = GlobalDelta(noise / noise.norm() * length, **about)
        chance.append(part.edit({shift: 1.0}))
    made = trial.plain, trial.edit({}, t_boost=domain.t_boost), torch.cat(chance)
    return dict(zip(CONTROLS, made))


def moved(rows: pd.DataFrame, kind: str = "mean") -> pd.DataFrame:
    """What each edit at strength 1 moved of each factor, edit × factor, as `over_seeds`; from rows of
    `measure`, `kind`: "mean" or "rms" of a seed's faces.
    """
    at, table = pick(rows, variant=None, strength=1.0), {}
    of = at[at["score"].str.startswith(f"{kind} ")]
    for (edit, score), part in of.groupby(["edit", "score"], sort=False):
        shift = over_seeds(part)._replace(faces=pick(at, edit=edit)["image"].nunique())
        table.setdefault(edit, {})[str(score).removeprefix(f"{kind} ")] = shift
    return pd.DataFrame(table).T


def halves(rows: pd.DataFrame, factor: str) -> dict[str, tuple[Interval, Interval]]:
    """edit -> `over_seeds` of the aimed shift at strength 1 on the faces that began below the data's mean of
    a factor, and on those above.
    """
    start = pick(rows, f"start {factor}")[["image", "value"]].rename(columns={"value": "start"})
    edited = pick(rows, "aimed", variant=None, strength=1.0).merge(start, on="image")
    found = {}
    for edit, of in edited.groupby("edit", sort=False):
        low, high = of[of["start"] < 0], of[of["start"] >= 0]
        if len(low) and len(high):
            found[str(edit)] = over_seeds(low), over_seeds(high)
    return found
