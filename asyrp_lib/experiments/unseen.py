"""Unseen domains: do edits reach targets that CLIP knows and the frozen model never saw?  (Asyrp Fig. 5)

A rendered domain can draw the true target of the very same images: "it worked" is a distance and no opinion.
"""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
from torch import Tensor

from ..measure.judge import all_trained
from .rows import joined, pick
from .trial import Trial, begin


def measure(
    domain,
    *,
    n: int = 32,
    names: Sequence[str] | None = None,
    strengths: Sequence[float] = (1.0,),
    trial: Trial | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Edit test images towards every unseen target and compare with the true targets.

    Args:
        names: of the unseen edits; None: all of them that have an f_t.
    Returns:
        rows of `judge.scores`, where `leaked` is over all factors; and where the domain draws targets, of
        each edit and each target T: "distance to T" and "error to T", see `apart`.  Variants: "before", the
        reconstruction, without an edit; "target", the true target of the edit itself, its scores as if it
        had been made: what S_dir can reach, and how far a style misleads the oracle.
    Source: Asyrp Sec. 5.1, Fig. 5.
    """
    names = all_trained(domain, names, in_domain=False)
    trial, targets = begin(domain, trial, n, progress), {}
    if domain.target_source is not None:
        targets = {name: domain.targets(name, "test", n) for name in names}
    parts = [trial.rows(apart(domain.distance, trial.plain, targets), variant="before")] if targets else []
    for name, target in targets.items():
        parts.append(trial.rows(trial.scores(name, target), edit=name, variant="target"))
    for run, edited in trial.sweep("unseen edits", names, strengths):
        there = {name: run.trial.part(target) for name, target in targets.items()}
        parts += [run.rows(run.trial.scores(run.where["edit"], edited))]
        parts += [run.rows(apart(domain.distance, edited, there))] if there else []
    return joined(parts)


def absolute_error(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute error (B,) of images a and b, both (B, 3, R, R)."""
    return (a - b).abs().mean((1, 2, 3))


def apart(
    distance: Callable[[Tensor, Tensor], Tensor], images: Tensor, targets: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """How far images (B, 3, R, R) are from targets of the same faces, T -> (B, 3, R, R), by two measures:
    "distance to T", the perceptual one, and "error to T", the mean absolute one, each (B,).
    """
    kinds = {"distance": distance, "error": absolute_error}
    return {f"{k} to {t}": d(images, x).cpu() for k, d in kinds.items() for t, x in targets.items()}


def gains(rows: pd.DataFrame, kind: str = "error") -> pd.DataFrame:
    """The share of its way to each target that an edit goes, for each face: 1 − after / before.

    From rows of `measure`; `kind`: "distance" or "error".  Columns: edit, seed, image, strength, target,
    value; 1 at the target, 0 for no approach, below 0 if the edit leads away.
    """
    starting = rows["score"].str.startswith(f"{kind} to ")
    table = rows[starting].assign(target=rows["score"].str.removeprefix(f"{kind} to "))
    before = pick(table, variant="before")[["image", "target", "value"]]
    both = pick(table, variant=None).merge(before, on=["image", "target"], suffixes=("", "_before"))
    both["value"] = 1 - both["value"] / both["value_before"]
    return both[["edit", "seed", "image", "strength", "target", "value"]]


def own(gained: pd.DataFrame, strength: float = 1.0) -> pd.DataFrame:
    """Of `gains` at a strength, those towards the edit's own target."""
    return gained[(gained["edit"] == gained["target"]) & (gained["strength"] == strength)]


def beyond_others(gained: pd.DataFrame) -> pd.DataFrame:
    """Of `gains`: how much more each edit gains towards a target than the other edits do, on each face."""
    keys = ["image", "strength", "target"]
    of = gained.groupby(keys)["value"]
    others = (of.transform("sum") - gained["value"]) / (of.transform("size") - 1)
    return gained.assign(value=gained["value"] - others)


def confusion(gained: pd.DataFrame) -> pd.DataFrame:
    """edit × target: the share of faces that an edit brought nearer to this target than to any other, as
    shares of the way, from `gains` at strength 1.  Chance is 1 / number of targets; an edit that works is on
    the diagonal.
    """
    here = pick(gained, strength=1.0)
    most = here.loc[here.groupby(["edit", "image"])["value"].idxmax()]
    table = pd.crosstab(most["edit"], most["target"], normalize="index")
    return table.reindex(columns=sorted(here["target"].unique()), fill_value=0.0)
