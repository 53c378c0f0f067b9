"""Reach: can h-space draw an unseen target at all?  (Our control of Asyrp Fig. 5)

An f_t of 1×1 convolutions that CLIP taught may stay away from a target for three reasons: its teacher, its
form, or h-space.  So beside it stand one of its kind that was shown true targets, and a free Δh_t for each
face, which is the limit of h-space under this loss.  A free Δε_t can draw any P_t: the limit of the process,
as far as some steps of Adam lead; what the U-Net takes for noise comes back through D_t and adds up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from torch import Tensor

from ..measure.judge import all_trained
from ..method.cut import Cut
from .rows import joined, numbers
from .teach import SPACES, STEPS, free, freely, losses, shown, through
from .trial import Run, Trial, begin
from .unseen import absolute_error


def measure(
    domain,
    *,
    n: int = 4,
    names: Sequence[str] | None = None,
    images: int = 16,
    epochs: int = 2,
    free_epochs: int = 20,
    lr: Mapping[str, float] = STEPS,
    t_edit: int | None = 0,
    trial: Trial | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Bring test images to their true targets by four teachers, and say how near they come.

    Args:
        names: of unseen edits; None: the first two that the domain has an f_t of.
        images: training images for the f_t that is shown targets; epochs: passes over them.
        free_epochs: steps at each time for a free shift of one test image, on its own target.
        lr: of free shifts, as in `homogeneity`.
        t_edit: down to which a free shift shifts: all the way; None: as CLIP's f_t.
    Returns:
        rows by teacher, the variant: "CLIP": the domain's f_t; "target": its kind, shown targets of training
        images; "Δh", "Δε": free, shown the image's own target.  Scores: "distance" (perceptual) and "error"
        (mean absolute), each "before" and "after" the edit, and "gain", see `gain`; `judge.scores` but for
        its distance; of trainings `teach.losses`.
    Raises:
        DomainError: the domain cannot draw targets.
    """
    found = all_trained(domain, names, in_domain=False)
    trial, parts = begin(domain, trial, n, progress), []
    train = trial.like(split="train", n=images)
    for name in found if names else found[:2]:
        aims, shown_aims = domain.targets(name, "test", n), domain.targets(name, "train", images)

        def add(run: Run, edited: Tensor, aims: Tensor = aims) -> None:
            on = run.trial
            scores = on.scores(run.where["edit"], edited).drop(columns="distance")
            parts.append(run.rows(scores.assign(**approach(domain, on.plain, edited, on.part(aims)))))

        for run, edited in trial.sweep("reach", [name]):
            add(run._replace(where={**run.where, "variant": "CLIP"}), edited)
        settings = replace(domain.training, t_edit=domain.delta(name).t_edit, epochs=epochs)
        delta, history = shown(train, name, domain.delta_config, settings, shown_aims)
        where = {"edit": name, "variant": "target", "seed": settings.seed, "strength": 1.0}
        parts.append(numbers(losses(history), **{**where, "strength": None}))
        add(Run(trial, {delta: 1.0}, where), trial.edit({delta: 1.0}))
        settings = settings if t_edit is None else replace(settings, t_edit=t_edit)
        for space, place in SPACES.items():
            settings = freely(settings, free_epochs, lr, space)
            for k in range(n):
                own = through(trial.like(first=k, n=1), Cut(domain.unet, place))
                delta, history = shown(own, name, free(own, settings.t_edit), settings, aims[k : k + 1])
                where = {"edit": name, "variant": space, "strength": 1.0}
                parts.append(own.rows({score: [v] for score, v in losses(history).items()}, **where))
                add(Run(own, {delta: 1.0}, where), own.edit({delta: 1.0}))
    return joined(parts)


def approach(domain, plain: Tensor, edited: Tensor, target: Tensor) -> dict[str, np.ndarray]:
    """How near reconstructions and edits (N, 3, R, R) are to their true targets: "distance before", "distance
    after", "distance gain" and the same of "error", each (N,).
    """
    found = {}
    for kind, apart in {"distance": domain.distance, "error": absolute_error}.items():
        before, after = (apart(images, target).cpu().double().numpy() for images in (plain, edited))
        found |= {f"{kind} before": before, f"{kind} after": after, f"{kind} gain": gain(before, after)}
    return found


def gain(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """What share of its way to the target an image went: 1 at the target, 0 for no approach, < 0 away."""
    return 1 - after / before
