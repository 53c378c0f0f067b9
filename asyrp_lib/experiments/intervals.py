"""The editing interval and the number of steps: what do t_edit and S do to an edit?  (Asyrp Sec. 4, Fig. 11 and 17)"""

from collections.abc import Sequence

from torch import Tensor

from ..api import edit, invert
from ..measure.judge import chosen, per_picture, scores, summaries
from ..progress import tqdm


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
    progress: bool = True,
) -> dict:
    """Run trained f_t with later starts of the interval, and on finer and coarser grids than they were trained on.

    Args:
        domain: a Domain with f_t.
        n: test pictures of the first part.
        names: of the edits, those without an f_t are left out; None: smiling and old, or what the domain has
            (`Domain.trained_like`).
        t_edits: starts of the interval; those below an edit's own are left out, because its f_t never saw such times.
        grids: numbers of steps S, without the scaling S_train/S and with it.
        n_grids: test pictures on them, n at most.
        long_grid, n_long: one more S on the first `n_long` of them, for the first edit only; 0 pictures for none.
        progress: show progress bars.
    Returns:
        own: edit -> the t_edit it was trained from;
        t_edit: edit -> t_edit -> `judge.scores` as summaries, at 40 steps and strength 1;
        steps: edit -> S -> "scaled" and "unscaled" -> the same summaries, at strength 1 and the edit's own t_edit,
        and `images`: S_dir and aimed of each picture, so that runs on fewer pictures can be compared.
    Raises:
        DomainError: none of the edits is trained.
    """
    deltas, x_0 = chosen(domain, names, ("smiling", "old")), domain.images("test", n)
    found = {
        "own": {name: delta.t_edit for name, delta in deltas.items()},
        "t_edit": {},
        "steps": {name: {} for name in deltas},
    }
    x_T = invert(domain, x_0, progress=progress)
    plain = edit(domain, x_T, {}, progress=False)
    for name, delta in deltas.items():
        starts = [t for t in t_edits if t >= delta.t_edit]
        found["t_edit"][name] = {}
        for t_edit in tqdm(starts, desc=f"{name}: t_edit", unit="run", disable=not progress):
            edited = edit(domain, x_T, {delta: 1.0}, t_edit=t_edit, progress=False)
            found["t_edit"][name][str(t_edit)] = summaries(
                scores(domain, domain.edits[name], x_0, plain, edited)
            )
    for steps in grids:
        _on_grid(domain, deltas, x_0[: min(n, n_grids)], steps, found["steps"], progress)
    if n_long:
        _on_grid(
            domain, dict([next(iter(deltas.items()))]), x_0[:n_long], long_grid, found["steps"], progress
        )
    return found


def strengths_on(steps: int, train_steps: int) -> dict[str, float]:
    """The strengths that multiply Δh_t by S_train/S ("scaled", what `edit` does at strength 1) and by 1 ("unscaled").

    Args:
        steps: S of the run.
        train_steps: S_train of f_t.
    """
    return {"scaled": 1.0, "unscaled": steps / train_steps}


def _on_grid(domain, deltas: dict, x_0: Tensor, steps: int, found: dict, progress: bool) -> None:
    x_T = invert(domain, x_0, steps=steps, progress=progress)
    plain = edit(domain, x_T, {}, steps=steps, progress=progress)
    for name, delta in deltas.items():
        found[name][str(steps)] = {}
        for rule, strength in strengths_on(steps, delta.train_steps).items():
            edited = edit(domain, x_T, {delta: strength}, steps=steps, progress=progress)
            table = scores(domain, domain.edits[name], x_0, plain, edited)
            found[name][str(steps)][rule] = summaries(table) | {
                "images": per_picture(table, ("S_dir", "aimed"))
            }
