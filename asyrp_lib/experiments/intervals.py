"""The editing interval and the number of steps: what do t_edit and S do?  (Asyrp Sec. 4, Fig. 11 and 17)"""

from collections.abc import Sequence

from ..deltas import Delta
from ..measure.judge import chosen, per_image, summaries
from .trial import Trial, begin


def measure(
    domain,
    *,
    n: int = 16,
    names: Sequence[str] | None = None,
    t_edits: Sequence[int] = (200, 300, 400, 500, 600, 700, 800),
    grids: Sequence[int] = (20, 40, 100, 250),
    n_grids: int = 8,
    long_grid: int = 1000,
    n_long: int = 4,
    trial: Trial | None = None,
    progress: bool = True,
) -> dict:
    """Run trained f_t with later starts of the interval, and on other grids than they were trained on.

    Args:
        n: test images of the first part.
        names: of the edits; None: smiling and old, or what there is.
        t_edits: starts of the interval; those below an edit's own, which its f_t never saw, are left out.
        grids: numbers of steps S, without the scaling S_train/S and with it.
        n_grids: test images on them, n at most.
        long_grid, n_long: one more S on the first `n_long` of them, for the first edit only; 0 for none.
    Returns:
        own: edit -> the t_edit it was trained from;
        t_edit: edit -> t_edit -> `judge.scores` as summaries, at 40 steps and strength 1;
        steps: edit -> S -> "scaled" and "unscaled" -> the same at strength 1 and the edit's own t_edit, and
            `images`: S_dir and aimed of each image, so that runs on fewer images can be compared.
    """
    deltas, trial = chosen(domain, names, ("smiling", "old")), begin(domain, trial, n, progress)
    found: dict = {"own": {name: delta.t_edit for name, delta in deltas.items()}}
    found |= {part: {name: {} for name in deltas} for part in ("t_edit", "steps")}
    runs = {
        (name, t): {"edits": {delta: 1.0}, "t_edit": t}
        for name, delta in deltas.items()
        for t in t_edits
        if t >= delta.t_edit
    }
    for (name, t), edited in trial.edits("t_edit", runs):
        found["t_edit"][name][str(t)] = summaries(trial.scores(name, edited))
    for steps in grids:
        _on_grid(trial.like(n=min(n, n_grids), steps=steps), deltas, found["steps"])
    if n_long:
        first = dict([next(iter(deltas.items()))])
        _on_grid(trial.like(n=min(n, n_long), steps=long_grid), first, found["steps"])
    return found


def strengths_on(steps: int, train_steps: int) -> dict[str, float]:
    """Strengths for a run of S steps that multiply Δh_t by S_train/S ("scaled", as `edit` does) and by 1."""
    return {"scaled": 1.0, "unscaled": steps / train_steps}


def _on_grid(trial: Trial, deltas: dict[str, Delta], found: dict) -> None:
    runs = {
        (name, rule): {"edits": {delta: strength}}
        for name, delta in deltas.items()
        for rule, strength in strengths_on(trial.steps, delta.train_steps).items()
    }
    for (name, rule), edited in trial.edits(f"{trial.steps} steps", runs):
        table = trial.scores(name, edited)
        row = summaries(table) | {"images": per_image(table, ("S_dir", "aimed"))}
        found[name].setdefault(str(trial.steps), {})[rule] = row
