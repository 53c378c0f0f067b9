"""Composition: what is left of each of several edits when their Δh_t are added?  (Asyrp Sec. 5.2, Fig. 8)

By the paper's rule Σ Δh_t / √n each of two edits is applied at 71 % of its strength.  What it keeps of its
effect alone (`kept`) is judged against what it would keep if only the rule and the walls of its factor were
at work (`added`).
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DomainError
from ..measure.judge import position, usual
from .rows import joined, pick
from .trial import Run, Trial, begin


def measure(
    domain,
    *,
    n: int = 15,
    names: Sequence[str] | None = None,
    trial: Trial | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Edit test images with all pairs and two triples of edits, and with each edit alone.

    Share k of the images is edited with seed k of every edit.  Each edit keeps its own interval.

    Args:
        names: of two edits or more; None: smiling, tanned, curly hair, old and glasses, or what there is.
    Returns:
        rows of `judge.scores`; edit: whose aim is read; variant: which edits, see `label_of`, or one edit's
        name, read for the aims of all; strength: what each Δh_t is multiplied with, one edit alone
        with all that occur.  Where there is an oracle also room: from the reconstruction to the factor's
        wall, in the data's deviations.
    Raises:
        DomainError: fewer than two edits are trained.
    Source: Asyrp Sec. 5.2 (several attributes, 1/√n), Fig. 8.
    """
    names = several(domain, names, ("smiling", "tanned", "curly hair", "old", "glasses"))
    trial, grouped = begin(domain, trial, n, progress), groups(names)
    alone = sorted({1.0, *(factor(group) for group in grouped)}, reverse=True)
    plan = [((name,), strength) for name in names for strength in alone]
    plan += [(group, factor(group)) for group in grouped]
    parts, runs, read = [], [], []
    for seed, part in trial.shares(shared_seeds(domain, names)).items():
        deltas = {name: domain.delta(name, seed) for name in names}
        for group, strength in plan:
            edits = {deltas[name]: strength * len(group) ** 0.5 for name in group}  # `combine` divides by √n
            runs.append(Run(part, edits, {"variant": label_of(group), "seed": seed, "strength": strength}))
            read.append(names if len(group) == 1 else group)
        for name in names if domain.oracle is not None else ():
            if domain.edit_named(name).factor:
                parts.append(part.rows({"room": room(part, name)}, edit=name, seed=seed))
    for aims, (run, edited) in zip(read, trial.runs("composition", runs)):
        parts += [run.trial.rows(run.trial.scores(aim, edited), edit=aim, **run.where) for aim in aims]
    return joined(parts)


def several(domain, names: Sequence[str] | None, wished: Sequence[str]) -> list[str]:
    """`judge.usual`, two edits at least; else DomainError."""
    found = usual(domain, names, wished)
    if len(found) < 2:
        raise DomainError(
            f"The domain {domain.name!r} has f_t of {', '.join(found)} only; expected two edits; train "
            f"another: python -m asyrp_lib train <edit> --domain {domain.name}"
        )
    return found


def shared_seeds(domain, names: Sequence[str]) -> tuple[int, ...]:
    """The seeds from which f_t of all these edits were trained."""
    return min((domain.seeds(name) for name in names), key=len)


def groups(names: Sequence[str]) -> list[tuple[str, ...]]:
    """All pairs, and of three edits or more the first and the last three."""
    triples = dict.fromkeys([tuple(names[:3]), tuple(names[-3:])]) if len(names) > 2 else ()
    return [*combinations(names, 2), *triples]


def label_of(group: Sequence[str]) -> str:
    """What the rows of a group are called."""
    return " + ".join(group)


def factor(group: Sequence[str]) -> float:
    """1/√n, what each Δh_t of a group is multiplied with, to the 4 decimals that are applied."""
    return round(len(group) ** -0.5, 4)


def room(trial: Trial, name: str) -> np.ndarray:
    """From each reconstruction (n,) to the wall of the edit's factor, in the data's deviations."""
    oracle: Any = trial.domain.oracle
    edit = trial.domain.edit_named(name)
    low, high = oracle.walls()[edit.factor]
    return (1 - position(trial.domain, edit, trial.plain)) * (high - low)


def kept(rows: pd.DataFrame, edit: str, group: Sequence[str]) -> float:
    """Share of an edit's aimed shift alone that is left of it in a group: the ratio of the means over faces.
    With `added` a statistic for `stats.over_seeds`, of rows with all variants.
    """
    together = _aimed(rows, edit, label_of(group), factor(group)).mean()
    return together / _aimed(rows, edit, edit, 1.0).mean()


def added(rows: pd.DataFrame, edit: str, group: Sequence[str]) -> float:
    """`kept` if shifts measured alone *at the group's strength* added up, in each face as far as the wall.
    An edit that runs into it alone keeps more than 71 % by the paper's rule; two that push the same way keep
    less of their sum.  Where the oracle read the edit alone beyond the wall, that reading is the wall.
    """
    shifts = sum(_aimed(rows, edit, other, factor(group)) for other in group)
    alone = _aimed(rows, edit, edit, 1.0)
    wall = np.maximum(pick(rows, "room", edit=edit)["value"].to_numpy(), alone)
    return np.minimum(shifts, wall).mean() / alone.mean()


def _aimed(rows: pd.DataFrame, edit: str, label: str, strength: float) -> np.ndarray:
    """Aimed shifts of all faces, in one order for all labels."""
    return pick(rows, "aimed", edit=edit, variant=label, strength=strength)["value"].to_numpy()
