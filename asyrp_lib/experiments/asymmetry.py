"""Asymmetry: does the shift belong into P_t alone?  (Asyrp Sec. 3.1, Theorem 1, Fig. 2-3)

In P_t and D_t alike it nearly cancels.  That alone would be a matter of strength, so the symmetric process is
also given what it lacks: a strength at which it changes images as much, and f_t that were trained in it, at
such a strength too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from .. import check
from ..deltas import Delta
from ..errors import SettingsError
from ..measure.judge import usual
from ..method.cut import Symmetric
from .rows import joined, numbers, pick
from .teach import losses, through, told
from .trial import Trial, begin, choosing

#: Variants: where the shift goes, and which.
ALONE, BOTH, TRAINED = "P_t", "P_t and D_t", "P_t and D_t, trained"
MATCHED, TRAINED_MATCHED = f"{BOTH}, matched", f"{TRAINED}, matched"


def measure(
    domain,
    *,
    n: int = 80,
    names: Sequence[str] | None = None,
    strengths: Sequence[float] = (1, 2, 4, 6, 9, 13),
    search: int = 8,
    trainings: int = 5,
    trial: Trial | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Edit test images with the same f_t in both processes, also matched, and with f_t trained symmetrically.

    Args:
        names: of the edits; None: smiling and old, or what there is.
        strengths: tried in the symmetric process, with the same f_t and with its own; `matched` chooses.
        search: images on which they are tried: of the validation split, or train where there is none.
        trainings: f_t that are trained symmetrically, on what the domain's were: images, settings, seeds 0 ….
    Returns:
        rows of `judge.scores` by variant: `ALONE`: the asymmetric process; `BOTH`: the symmetric one, both at
        strength 1; `MATCHED`: symmetric at the chosen strength; `TRAINED`: symmetric with its own f_t, at 1,
        which also has `teach.losses`; `TRAINED_MATCHED`: that at a strength of its own choice; "search, …" of
        `ALONE`, `BOTH` and `TRAINED`: the images tried on, any split's numbers.
    Source: Asyrp Sec. 3.1, Fig. 3.
    """
    check.whole("trainings", trainings, 1, 100, error=SettingsError)
    names = usual(domain, names, ("smiling", "old"))
    trial, parts = begin(domain, trial, n, progress), []
    tried = trial.like(split=choosing(domain), n=search)
    train, both = trial.like(split="train", n=domain.train_images), Symmetric(domain.unet)

    def add(on: Trial, name: str, variant: str, at: Sequence[float]) -> list[pd.DataFrame]:
        runs = on.sweep(variant, [name], at)
        new = [run.rows(run.trial.scores(name, edited)).assign(variant=variant) for run, edited in runs]
        parts.extend(new)
        return new

    for name in names:
        add(trial, name, ALONE, [1.0])
        add(through(trial, both), name, BOTH, [1.0])
        found = add(tried, name, f"search, {ALONE}", [1.0])
        found += add(through(tried, both), name, f"search, {BOTH}", strengths)
        add(through(trial, both), name, MATCHED, [matched(pd.concat(found))])
        own = {}
        for seed in range(trainings):
            settings = replace(domain.training, t_edit=domain.delta(name).t_edit, seed=seed)
            own[seed], history = told(through(train, both), name, domain.delta_config, settings)
            parts.append(numbers(losses(history), edit=name, variant=TRAINED, seed=seed))

        found += (own_search := _by_own(through(tried, both), name, f"search, {TRAINED}", own, strengths))
        strength = matched(pd.concat(found), TRAINED)
        for variant, at in {TRAINED: 1.0, TRAINED_MATCHED: strength}.items():
            parts += _by_own(through(trial, both), name, variant, own, [at])
        parts += own_search
    return joined(parts)


def _by_own(
    trial: Trial, name: str, variant: str, own: Mapping[int, Delta], strengths: Sequence[float]
) -> list[pd.DataFrame]:
    """Rows of the f_t of each seed on its share of a trial's images, at strengths."""
    parts = []
    for seed, here in trial.shares(own).items():
        for s in strengths:
            where = {"edit": name, "variant": variant, "seed": seed, "strength": s}
            parts.append(here.rows(here.scores(name, here.edit({own[seed]: s})), **where))
    return parts


def matched(rows: pd.DataFrame, variant: str = BOTH) -> float:
    """The strength at which a symmetric variant changes images as much as the asymmetric one at strength 1.

    Of the search rows of one edit: where the mean perceptual distance to the reconstruction, joined by lines
    from strength 0 on, first reaches the asymmetric one; the largest strength tried if it never does.
    """
    want = pick(rows, "distance", variant=f"search, {ALONE}")["value"].mean()
    means = pick(rows, "distance", variant=f"search, {variant}").groupby("strength")["value"].mean()
    s, d = np.array([0.0, *means.index]), np.array([0.0, *means])
    above = np.flatnonzero(d >= want)
    if not len(above):
        return float(s[-1])
    k = max(int(above[0]), 1)
    return float(np.interp(want, d[k - 1 : k + 1], s[k - 1 : k + 1]))
