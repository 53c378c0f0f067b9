"""Mixing: do edits blend when their strengths are interpolated?  (Asyrp Sec. 5.2)"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from .composition import several, shared_seeds
from .rows import joined, pick
from .trial import Run, Trial, begin


def measure(
    domain,
    *,
    n: int = 20,
    names: Sequence[str] | None = None,
    shares: Sequence[float] = (0.25, 0.5, 0.75),
    trial: Trial | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Edit test images with (1 − w) Δh_t of one edit + w Δh_t of another, without the 1/√n of `combine`.

    Args:
        names: of the edits, two and two a pair; None: smiling, tanned, curly hair and old, or what there is.
        shares: w, between 0 and 1, which are always included.
    Returns:
        rows of `judge.scores`; edit: whose aim is read, of both; variant: "one → other"; strength: w.
    Raises:
        DomainError: fewer than two edits are trained.
    """
    names = several(domain, names, ("smiling", "tanned", "curly hair", "old"))
    trial, shares = begin(domain, trial, n, progress), sorted({0.0, *map(float, shares), 1.0})
    runs, parts = [], []
    for pair in zip(names[::2], names[1::2]):
        for seed, part in trial.shares(shared_seeds(domain, pair)).items():
            one, other = (domain.delta(name, seed) for name in pair)
            where = {"variant": " → ".join(pair), "seed": seed}
            for w in shares:
                root = 2**0.5 if 0 < w < 1 else 1.0  # n of `combine` counts strengths that are not 0
                edits = {one: (1 - w) * root, other: w * root}
                runs.append((pair, Run(part, edits, {**where, "strength": w})))
    for (pair, _), (run, edited) in zip(runs, trial.runs("mixing", [run for _, run in runs])):
        parts += [run.trial.rows(run.trial.scores(aim, edited), edit=aim, **run.where) for aim in pair]
    return joined(parts)


def bend(rows: pd.DataFrame, edit: str, variant: str) -> pd.Series:
    """By w: how far the mean aimed shift lies above the straight line between its ends, as a share of what it
    changes between them.  0: the edits blend evenly.  A step would lie 0.5 or more off somewhere, and the
    paper's 1/√n, had it been left in, 0.15 below at the half.
    """
    means = pick(rows, "aimed", edit=edit, variant=variant).groupby("strength")["value"].mean()
    w, (first, last) = np.asarray(means.index), (means[0.0], means[1.0])
    return (means - (first + w * (last - first))) / abs(last - first)
