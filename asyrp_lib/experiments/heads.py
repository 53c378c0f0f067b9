"""Heads at run time: what does f_t of h heads do with another head count?  (Study Fig. 13 and 18)

No weight's shape depends on the head count, so the study read f_t of 2, 4 and 8 heads with one head, and
nothing failed.  Here they are trained as the cells of `ablations/heads.yaml` are, and edit with either count.
"""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import torch
from torch import Tensor

from .. import check
from ..deltas import StudyDelta
from ..errors import SettingsError
from ..measure.judge import usual
from ..measure.stats import Interval, crossed, paired
from ..runs.run import config_for
from .ablation import after
from .rows import joined, pick
from .teach import lengths
from .trial import Trial, begin


def measure(
    domain,
    *,
    n: int = 12,
    names: Sequence[str] | None = None,
    heads: Sequence[int] = (2, 4, 8),
    run: int = 1,
    trainings: int = 5,
    delta: Mapping = {"layout": "pc"},
    optimiser: str = "adamw",
    lr: float = 1e-4,
    batch_size: int = 4,
    images: int = 16,
    epochs: int = 2,
    trial: Trial | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Edit test images with f_t of several head counts, each with its own count and with another.

    Args:
        n: test images, the same for all f_t.
        names: of the edits; None: smiling, or what there is.
        heads: that f_t are trained with; run: the other count that their weights are read with.
        trainings: f_t of each count, from seeds 0 …
        delta: further settings of `StudyDelta`.
        optimiser, lr, batch_size, images, epochs: of the trainings, see `runs.run.config_for`; runs/ keeps
            them, and a run that a grid made with these settings is read.
    Returns:
        rows with the variants "8 heads, run with 8", "8 heads, run with 1", …: of each image `judge.scores`
        and `teach.lengths`; of those run with another count also "difference", see `beside`.
    Raises:
        SettingsError: no head count, or one that is no whole number; WeightsError: one that does not divide
            the tokens.
    Source: study Fig. 13, 18: `--db_nheads 1` for all weights.
    """
    names = usual(domain, names, ("smiling",))
    counts = [check.whole("heads", count, 1, 65_536, error=SettingsError) for count in heads]
    check.whole("trainings", trainings, 1, 100, error=SettingsError)
    if not counts:
        raise SettingsError("No head count is given; expected at least one; give such as heads=(2, 8).")
    trial, parts = begin(domain, trial, n, progress), []
    how = {"optimiser": optimiser, "lr": lr, "batch_size": batch_size, "images": images, "epochs": epochs}
    for name in names:
        for count in counts:
            kind = {"kind": "StudyDelta", **delta, "heads": count}
            for seed in range(trainings):
                config = config_for(domain, name, delta=kind, seed=seed, **how)
                right = after(domain, config, epochs, progress)
                where = {"edit": name, "seed": seed, "strength": 1.0}
                for edited, sizes, with_ in beside(trial, right, run):
                    table = trial.scores(name, edited).assign(**sizes)
                    parts.append(trial.rows(table, variant=called(count, with_), **where))
    return joined(parts)


def called(count: int, run: int) -> str:
    """The variant of f_t of a head count, run with another."""
    return f"{count} head{'s' * (count > 1)}, run with {run}"


def beside(trial: Trial, right: StudyDelta, run: int) -> list[tuple[Tensor, dict[str, list[float]], int]]:
    """(images edited, `teach.lengths`, head count) of f_t with its own head count, and with `run` if that is
    another: then also "difference" of each image, |Δh_t of `run` heads − Δh_t| / |Δh_t|, Euclidean, its mean
    over the interval, both at each h_t of the right path.
    """
    other = right.with_heads(run)
    apart: dict[int, list[Tensor]] = {}

    def note(_, given, dh: Tensor) -> None:
        of = (other(*given) - dh).flatten(1).norm(dim=1) / dh.flatten(1).norm(dim=1)
        apart.setdefault(given[2], []).append(of.cpu())

    hook = right.register_forward_hook(note)
    try:
        edited, sizes, _ = lengths(trial, right)
    finally:
        hook.remove()
    found = [(edited, sizes, right.settings.heads)]
    if run != right.settings.heads:
        difference = torch.stack([torch.cat(parts) for parts in apart.values()]).mean(0).tolist()
        edited, sizes, _ = lengths(trial, other)
        found.append((edited, sizes | {"difference": difference}, run))
    return found


def counts(rows: pd.DataFrame) -> list[tuple[int, int]]:
    """(trained, run) of the variants with another head count than their own."""
    words = [name.split() for name in dict.fromkeys(rows["variant"].dropna()) if ", run with " in name]
    pairs = [(int(first), int(last)) for first, *_, last in words]
    return [(count, run) for count, run in pairs if count != run]


def lost(rows: pd.DataFrame) -> dict[str, dict[int, Interval]]:
    """Edit -> head count -> aimed shift with the right count less that with the other, on the same seeds and
    faces, with its interval over both.
    """
    apart = lambda part, count, run: paired(*(pick(part, variant=called(count, k)) for k in (count, run)))
    return _by_count(rows, "aimed", apart)


def means(rows: pd.DataFrame, score: str, *, right: bool) -> dict[str, dict[int, Interval]]:
    """Edit -> head count -> a score's mean, with the right count or with the other, with its interval."""
    of = lambda part, count, run: pick(part, variant=called(count, count if right else run))
    return _by_count(rows, score, of)


def _by_count(rows: pd.DataFrame, score: str, of: Callable) -> dict[str, dict[int, Interval]]:
    """Edit -> head count -> mean of what `of` gives of an edit's rows of a score, where that is something."""
    found: dict[str, dict[int, Interval]] = {}
    for edit, part in pick(rows, score).groupby("edit"):
        for count, run in counts(rows):
            if len(chosen := of(part, count, run)):
                found.setdefault(str(edit), {})[count] = crossed(chosen)
    return found
