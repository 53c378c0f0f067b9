"""Reach: can h-space draw an unseen target at all?  The same f_t, shown the true target instead of being told by CLIP.

Where even this f_t stays away from the target, no text and no judge could have brought it there; where it comes nearer than the
one that CLIP taught, the teacher is what was missing.  (Our control of Asyrp Sec. 5.1, Fig. 5; not in the paper.)
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..api import edit, invert
from ..deltas import ConvDelta
from ..method.train import TrainSettings, edited_predictions, training_pairs
from ..progress import tqdm
from .unseen import absolute_error, approach


def measure(
    domain,
    *,
    n: int = 32,
    names: Sequence[str] | None = None,
    images: int = 96,
    epochs: int = 2,
    t_edit: int | None = None,
    progress: bool = True,
) -> dict:
    """Train f_t on |P_t^edit − target|₁ with the true targets of training pictures, and edit test pictures with it.

    Args:
        domain: a Domain that draws its targets.
        n: test pictures.
        names: of the unseen edits; None: all of them that have an f_t.
        images: training pictures; with 32, as CLIP's f_t has, this teacher's learns them by heart.
        epochs: passes over them.
        t_edit: start of the editing interval, None for that of CLIP's f_t; 0 edits all the way down, which the paper does not.
        progress: show a progress bar.
    Returns:
        edit -> teacher -> "distance" and "error" (perceptual, and mean absolute) -> `unseen.approach` of the test pictures.
        Teachers: "CLIP": the trained f_t; "target": the same kind of f_t; "target, seen": that one on its own training pictures.
    Raises:
        DomainError: the domain cannot draw targets, or no unseen edit is trained.
    """
    deltas = domain.trained(
        [name for name, this in domain.edits.items() if not this.in_domain] if names is None else names
    )
    aims = {name: (domain.targets(name, "test", n), domain.targets(name, "train", images)) for name in deltas}
    x_0, train_x_0 = domain.images("test", n), domain.images("train", images)
    x_T, train_x_T = (invert(domain, x, progress=progress) for x in (x_0, train_x_0))
    found, kinds = {}, {"distance": domain.distance, "error": absolute_error}
    plain, train_plain = (edit(domain, x, {}, progress=False) for x in (x_T, train_x_T))
    for name, told in tqdm(deltas.items(), desc="reach", unit="edit", disable=not progress):
        targets, shown = aims[name]
        own = taught(domain.unet, train_x_T, shown, told.t_edit if t_edit is None else t_edit, epochs)
        runs = {
            "CLIP": (told, x_T, plain, targets),
            "target": (own, x_T, plain, targets),
            "target, seen": (own, train_x_T, train_plain, shown),
        }
        for teacher, (delta, noise, before, aim) in runs.items():
            after = edit(domain, noise, {delta: 1.0}, progress=False)
            found.setdefault(name, {})[teacher] = {
                kind: approach(distance, before, after, aim) for kind, distance in kinds.items()
            }
    return found


def taught(
    unet, x_T: Tensor, targets: Tensor, t_edit: int, epochs: int, settings: TrainSettings = TrainSettings()
) -> ConvDelta:
    """A conv f_t trained with Adam on |P_t^edit − target|₁ at every t >= t_edit.

    Args:
        unet: the frozen model.
        x_T: (N, C, R, R), inversions of training pictures.
        targets: (N, C, R, R) in [-1, 1], what they should become.
        t_edit: start of the editing interval.
        epochs: passes over the pictures.
        settings: steps, learning rate, batch size and seed; the rest is not used.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        delta = ConvDelta(unet.h_channels, unet.temb_dim, t_edit=t_edit, train_steps=settings.steps).to(
            unet.device
        )
    optimiser, order = (
        torch.optim.Adam(delta.parameters(), settings.lr),
        torch.Generator().manual_seed(settings.seed),
    )
    for _ in range(epochs):
        for index in torch.randperm(len(x_T), generator=order).split(settings.batch_size):
            for _, p_edit in edited_predictions(
                unet, delta, x_T[index].to(unet.device), training_pairs(settings.steps, t_edit)
            ):
                optimiser.zero_grad(set_to_none=True)
                (p_edit - targets[index]).abs().mean().backward()
                optimiser.step()
    return delta.eval().requires_grad_(False)
