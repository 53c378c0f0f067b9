"""The editing interval and the number of steps: what do t_edit and S do?  (Asyrp Sec. 4, Fig. 11 and 17)

A larger t_edit leaves f_t fewer steps, from T down to t_edit; what the paper's rule for it promises can only
be seen with an f_t that was trained for it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pandas as pd

from .. import check
from ..deltas import Delta
from ..domains import t_edit_of
from ..errors import SettingsError
from ..measure.judge import usual
from ..measure.stats import Interval, over_seeds
from ..runs.run import config_for, train_run
from .rows import joined, numbers, pick
from .trial import Run, Trial, begin

#: The grid that all others are compared with.
BASE = "S 40 scaled"


def measure(
    domain,
    *,
    n: int = 32,
    names: Sequence[str] | None = None,
    n_trained: int = 30,
    trainings: int = 3,
    shorter: Sequence[int] = (500, 600, 700, 800),
    trained: Sequence[int] = (200, 400, 600, 800),
    grids: Sequence[int] = (20, 40, 100),
    long_grid: int = 1000,
    per_seed: int = 1,
    trial: Trial | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Edit in shorter intervals, with f_t trained for other t_edit, and on other grids than the training's.

    Args:
        n: test images on the grids; 40 is always among them.
        names: of the edits; None: smiling and old, or what there is.
        n_trained: test images for other t_edit, n at most; trainings: f_t for each, from seeds 0 …, each with
            a share of these images; as many as the domain has at most.
        shorter: t_edit for f_t as they are; those below an edit's own, whose times it never saw, are left
            out.
        trained: t_edit for which f_t are trained, like the domain's; runs/ keeps them, so that a second call,
            or one after a kill, does not begin again.  Empty: none.
        grids: numbers of steps S; long_grid: one more, on `per_seed` images of each f_t.
    Returns:
        rows of `judge.scores` at the variants "shorter t": f_t down to t only; "trained t": the f_t trained
        for t, the domain's own among them, all on the same faces; of the first edit "S s scaled":
        Δh_t times S_train/S, and "S s unscaled": without, strength S/S_train.  Of each edit the numbers
        t_edit, its own, and t_edit_rule, by the paper's rule, where the domain has a curve.
    """
    check.whole("trainings", trainings, 1, 100, error=SettingsError)
    names, trial = usual(domain, names, ("smiling", "old")), begin(domain, trial, n, progress)
    few, parts = trial.like(n=min(n, n_trained)), [numbers(ends(domain, name), edit=name) for name in names]
    runs = [*_shorter(few, names, shorter), *_trained(few, names, trained, trainings, progress)]
    for grid in sorted({40, *grids}):
        on = trial.like(steps=grid)
        runs += _scaled(on, names[0]) + (_scaled(on, names[0], scaled=False) if grid != 40 else [])
    if long_grid and per_seed:
        runs += _scaled(trial, names[0], long_grid, per_seed)
    for run, edited in trial.runs("intervals", runs):
        parts.append(run.rows(run.trial.scores(run.where["edit"], edited)))
    return joined(parts)


def ends(domain, name: str) -> dict[str, float]:
    """t_edit of an edit's f_t, and t_edit_rule, what the paper's rule would give (Asyrp Sec. 4)."""
    found = {"t_edit": float(domain.delta(name).t_edit)}
    if domain.curve is not None:
        found["t_edit_rule"] = float(t_edit_of(domain, replace(domain.edit_named(name), t_edit=None)))
    return found


def _shorter(trial: Trial, names: Sequence[str], shorter: Sequence[int]) -> Iterator[Run]:
    for name in names:
        for seed, part in trial.shares(trial.domain.seeds(name)).items():
            delta = trial.domain.delta(name, seed)
            for t in sorted({delta.t_edit, *(t for t in shorter if t > delta.t_edit)}):
                where = {"edit": name, "variant": f"shorter {t}", "seed": seed, "strength": 1.0}
                yield Run(part, {delta: 1.0}, where, {"t_edit": t})


def _trained(
    trial: Trial, names: Sequence[str], trained: Sequence[int], trainings: int, progress: bool
) -> Iterator[Run]:
    for name in names if trained else ():
        known = {int(t) for t in ends(trial.domain, name).values()}
        for seed, part in trial.shares(trial.domain.seeds(name)[:trainings]).items():
            for t in sorted({*trained, *known}):
                where = {"edit": name, "variant": f"trained {t}", "seed": seed, "strength": 1.0}
                yield Run(part, {trained_from(trial.domain, name, t, seed, progress): 1.0}, where)


def trained_from(domain, name: str, t_edit: int, seed: int = 0, progress: bool = False) -> Delta:
    """The f_t of an edit for another t_edit, trained as the domain trains; kept in runs/."""
    delta = domain.delta(name, seed)
    if delta.t_edit == t_edit:
        return delta
    return train_run(config_for(domain, name, t_edit=t_edit, seed=seed), domain, progress=progress).delta


def _scaled(trial: Trial, name: str, steps: int = 0, per_seed: int = 0, scaled: bool = True) -> list[Run]:
    """Runs on a grid, of other `steps` if given, then on the first `per_seed` faces of each f_t's own."""
    runs = []
    for seed, part in trial.shares(trial.domain.seeds(name)).items():
        delta = trial.domain.delta(name, seed)
        if steps:  # nothing of the other faces is made on this grid
            part = replace(part, n=min(per_seed, part.n), steps=steps, larger=None)
        strength = 1.0 if scaled else part.steps / delta.train_steps
        rule = f"S {part.steps} {'scaled' if scaled else 'unscaled'}"
        where = {"edit": name, "variant": rule, "seed": seed, "strength": strength}
        runs.append(Run(part, {delta: strength}, where))
    return runs


def beside(rows: pd.DataFrame, variant: str, score: str = "aimed") -> pd.DataFrame:
    """A score of equal edits, seeds and faces in a variant and in `BASE`: edit, seed, image, value, base."""
    keys = ["edit", "seed", "image"]
    one, other = (pick(rows, score, variant=v)[[*keys, "value"]] for v in (variant, BASE))
    return one.merge(other.rename(columns={"value": "base"}), on=keys)


def kept(both: pd.DataFrame) -> float:
    """Of `beside`: mean value over mean base, the share of the effect that the other variant keeps."""
    return both["value"].mean() / both["base"].mean()


def by_t_edit(rows: pd.DataFrame, kind: str) -> dict[str, dict[int, Interval]]:
    """score -> t_edit -> interval, of one edit's runs of a kind, "shorter" or "trained": "aimed", "leaked"
    and "aimed − leaked", what each t_edit brings less what it breaks; "S_dir" where the truth is not known.
    """
    of = _of_kind(rows, kind)
    known = bool(len(pick(of, "aimed")))
    tables = {score: pick(of, score) for score in (("aimed", "leaked") if known else ("S_dir",))}
    if known:
        tables["aimed − leaked"] = net(rows, kind)
    ends = {score: table.groupby("t_edit") for score, table in tables.items()}
    return {score: {int(t): over_seeds(p) for t, p in parts} for score, parts in ends.items()}


def net(rows: pd.DataFrame, kind: str = "trained") -> pd.DataFrame:
    """What each t_edit brings less what it breaks: aimed − leaked, sd, by face, of the f_t trained for it, or
    in "shorter" intervals of those that are there.

    Columns: edit, seed, image, t_edit, value.  A rule for t_edit is good where no other one is higher.
    """
    of, keys = _of_kind(rows, kind), ["edit", "seed", "image", "t_edit"]
    table = of[of["score"].isin(["aimed", "leaked"])].pivot(index=keys, columns="score", values="value")
    return (table["aimed"] - table["leaked"]).rename("value").reset_index()


def _of_kind(rows: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The rows of a kind of runs, "shorter" or "trained", with their t_edit in a column of its own."""
    of = rows[rows["variant"].str.startswith(f"{kind} ").fillna(False)]
    return of.assign(t_edit=of["variant"].str.removeprefix(f"{kind} ").astype(int))
