"""Settings of the trainings, chosen on validation faces by one rule for all edits, before anything is read.

The rule: of the candidates for λ_recon the one whose edits come nearest to the true target of their faces,
by the share of the perceptual distance that they close.  What an edit should have left alone counts as much
as what it should have moved.
"""

from collections.abc import Sequence

import pandas as pd

from ..runs.run import config_for, train_run
from .rows import joined, pick
from .trial import Run, Trial

#: λ_recon, times the cosine of the texts; the paper has 3 for faces, which here lets an edit change anything
CANDIDATES = (10.0, 30.0, 100.0)


def measure(
    domain,
    *,
    n: int = 8,
    names: Sequence[str] | None = None,
    candidates: Sequence[float] = CANDIDATES,
    images: int = 12,
    epochs: int = 2,
    trial: Trial | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Train each edit with each λ_recon, shortly, and edit validation faces.

    Args:
        names: of the edits; None: all that are to be tuned; the domain must draw their targets.
        images, epochs: of each training; `runs/` keeps them, so that a measurement that was stopped goes on.
    Returns:
        rows with variant "λ_recon 3" of gain (share of the perceptual distance to the target that the edit
        closes, 1 at the target) and of `judge.scores`.
    Raises:
        DomainError: the domain cannot draw targets.
    """
    names = [name for name, edit in domain.edits.items() if edit.tuned] if names is None else list(names)
    trial = Trial(domain, n, split="validation", progress=progress)
    parts = []
    for name in names:
        edit, target = domain.edit_named(name), domain.targets(name, "validation", n)
        before = domain.distance(trial.plain, target)
        for weight in candidates:
            config = config_for(domain, edit, lambda_recon=weight, epochs=epochs, images=images)
            delta = train_run(config, domain, progress=progress).delta
            edited = trial.edit({delta: 1.0})
            table = trial.scores(name, edited)
            table["gain"] = (1 - domain.distance(edited, target) / before).cpu().numpy()
            where = {"edit": name, "variant": f"λ_recon {weight:g}", "strength": 1.0}
            parts.append(Run(trial, {delta: 1.0}, where).rows(table))
    return joined(parts)


def chosen(rows: pd.DataFrame) -> dict[str, float]:
    """edit -> λ_recon with the largest mean gain."""
    means = pick(rows, "gain").groupby(["edit", "variant"])["value"].mean()
    best = means.groupby("edit").idxmax()
    return {str(edit): float(variant.removeprefix("λ_recon ")) for edit, (_, variant) in best.items()}
