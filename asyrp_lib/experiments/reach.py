"""Reach: can h-space draw an unseen target, if f_t is shown it instead of being told by CLIP?

Where even this f_t stays away from the target, no text and no judge could have brought it there; where it
comes nearer than the one that CLIP taught, the teacher is what was missing.  (Our control of Fig. 5.)
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..deltas import Delta, build_delta
from ..measure.judge import all_trained
from ..method.train import TrainSettings, train
from ..store.cache import digest
from .trial import Trial, begin
from .unseen import absolute_error, approach


class TargetObjective:
    """|P_t^edit − target|₁, an `Objective`, for targets (N, C, R', R') as the U-Net sees them."""

    def __init__(self, targets: Tensor):
        self.targets = targets

    def __call__(self, P_edit: Tensor, index: Tensor, k: int) -> dict[str, Tensor]:
        """See `Objective`."""
        return {"loss": (P_edit - self.targets[index].to(P_edit)).abs().mean()}

    def identity(self) -> dict:
        """See `Objective`."""
        return {"targets": digest(self.targets)}


def measure(
    domain,
    *,
    n: int = 32,
    names: Sequence[str] | None = None,
    images: int = 96,
    epochs: int = 2,
    t_edit: int | None = None,
    trial: Trial | None = None,
    progress: bool = True,
) -> dict:
    """Train f_t on |P_t^edit − target|₁ with true targets of training images, and edit test images.

    Args:
        names: of the unseen edits; None: all of them that have an f_t.
        images: training images; with 32, as CLIP's f_t has, this teacher's learns them by heart.
        epochs: passes over them.
        t_edit: start of the editing interval, None for that of CLIP's f_t; 0: all the way down.
    Returns:
        edit -> teacher -> "distance" (perceptual) and "error" (mean absolute) -> `unseen.approach`.
        Teachers: "CLIP": the trained f_t; "target": the same kind; "target, seen": on its training images.
    Raises:
        DomainError: the domain cannot draw targets.
    """
    deltas = all_trained(domain, names, in_domain=False)
    aims = {name: (domain.targets(name, "test", n), domain.targets(name, "train", images)) for name in deltas}
    test = begin(domain, trial, n, progress)
    seen = test.like(n=images, split="train")
    found, kinds = {}, {"distance": domain.distance, "error": absolute_error}
    for name, told in deltas.items():
        unseen_aims, shown = aims[name]
        start = told.t_edit if t_edit is None else t_edit
        own = taught(domain, seen.x_T, shown, start, epochs, progress=progress)
        runs = {
            "CLIP": (told, test, unseen_aims),
            "target": (own, test, unseen_aims),
            "target, seen": (own, seen, shown),
        }
        for teacher, (delta, on, aim) in runs.items():
            after = on.edit({delta: 1.0})
            found.setdefault(name, {})[teacher] = {
                kind: approach(distance, on.plain, after, aim) for kind, distance in kinds.items()
            }
    return found


def taught(
    domain,
    x_T: Tensor,
    targets: Tensor,
    t_edit: int,
    epochs: int,
    settings: TrainSettings = TrainSettings(),
    *,
    progress: bool = False,
) -> Delta:
    """An f_t of the domain's kind, trained on |P_t^edit − target|₁ at every t >= t_edit.

    x_T: (N, C, R', R'), inversions of training images; targets: (N, 3, R, R) in [-1, 1], what they should
    become; settings: the rest of the training, without λ.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        delta = build_delta(domain.delta_config, domain.unet.h_shape, domain.unet.temb_dim)
    settings = replace(settings, t_edit=t_edit, epochs=epochs)
    objective = TargetObjective(domain.codec.encode(targets))
    train(domain.unet, delta, x_T, objective, settings, progress=progress)
    return delta
