"""The caller's view: a domain in, pictures out.  Each function here is a few lines over the engine."""

from collections.abc import Mapping

import pandas as pd
import torch
from torch import Tensor, nn

from .deltas import ConvDelta
from .domains.domain import Domain, t_edit_of
from .domains.edits import Edit
from .method import process, train
from .method.process import generate, per_time_mean
from .store.cache import cached, digest
from .store.images import check_images


def invert(
    domain, x_0: Tensor, *, steps: int = 40, batch_size: int | None = None, progress: bool = True
) -> Tensor:
    """Bring pictures to noise by deterministic DDIM, cached by content.

    Args:
        domain: a Domain.
        x_0: (B, 3, R, R) in [-1, 1].
        steps: S, length of the time grid.
        batch_size: pictures per pass, None for `HSpaceUNet.batch_size`.
        progress: show a progress bar.
    Returns:
        x_T (B, 3, R, R).
    Raises:
        ImageError: pictures of another size or with NaN.
        GridError: steps outside 1 … 1000.
    Source: Asyrp Sec. 2, Eq. 2-4 with σ = 0, walked upwards.
    """
    check_images(x_0, domain.resolution)
    x_0 = x_0.to(domain.unet.device)
    unet = domain.unet
    settings = {
        "steps": steps,
        "schedule": digest(unet.schedule.alphas_cumprod),
        "predicts": unet.prediction_type,
        "unet": unet.unet_config,
    }
    return cached(
        "invert",
        x_0,
        unet,
        settings,
        lambda: process.invert(unet, x_0, steps=steps, batch_size=batch_size, progress=progress),
    )


def edit(
    domain,
    x_T: Tensor,
    edits: Mapping[nn.Module, float],
    *,
    steps: int = 40,
    t_edit: int | None = None,
    t_boost: int = 0,
    seeds=None,
    batch_size: int | None = None,
    progress: bool = True,
) -> Tensor:
    """Generate from x_T with the asymmetric reverse process; no edits, or strength 0, give plain generation.

    Args:
        domain: a Domain.
        x_T: (B, 3, R, R).
        edits: f_t -> strength; negative strengths are legal.
        steps: S; Δh is rescaled by S_train / S.
        t_edit: start of the editing interval, None for the edits' own.
        t_boost: quality boosting below it, e.g. `domain.t_boost`; 0 for none, which keeps small pictures nearest to x_0.
        seeds: one per picture for the boosting noise, None for 0 … B − 1.
        batch_size: pictures per pass, None for `HSpaceUNet.batch_size`.
        progress: show a progress bar.
    Returns:
        (B, 3, R, R), about in [-1, 1].
    Raises:
        GridError: steps outside 1 … 1000, t_edit or t_boost outside 0 … 999.
    Source: Asyrp Sec. 3-4, Eq. 5-12.
    """
    check_images(x_T, domain.resolution)
    return process.edit(
        domain.unet,
        x_T.to(domain.unet.device),
        edits,
        steps=steps,
        t_edit=t_edit,
        t_boost=t_boost,
        seeds=seeds,
        batch_size=batch_size,
        progress=progress,
    )


def edit_photo(
    domain: Domain,
    path,
    edits: Mapping[str, float],
    *,
    steps: int = 40,
    resize: bool | None = None,
    align: bool = False,
    progress: bool = True,
    **settings,
) -> Tensor:
    """Invert one's own image and generate it again, edited: `edit_photo(domain, "me.jpg", {"smiling": 1.0})`.

    Args:
        path, resize, align: see `Domain.photo`.
        edits, steps, settings: see `edit`.
    Returns:
        (1, 3, R, R), about in [-1, 1].
    """
    deltas = {domain.delta(name): strength for name, strength in edits.items()}
    x_T = invert(domain, domain.photo(path, resize=resize, align=align), steps=steps, progress=progress)
    return edit(domain, x_T, deltas, steps=steps, progress=progress, **settings)


def train_delta(
    domain,
    edit: Edit,
    settings: train.TrainSettings | None = None,
    *,
    images: int = 32,
    x_T: Tensor | None = None,
    folder=None,
    progress: bool = True,
    on_epoch=None,
) -> tuple[nn.Module, pd.DataFrame]:
    """Train a conv f_t for an edit on the domain's training images.

    Args:
        domain: a Domain.
        edit: texts and weights; `Edit("wink", "face", "winking face")` is enough for a new one.
        settings: None for the domain's defaults with the edit's λ and t_edit.
        images: number of training images.
        x_T: noise to start from, e.g. `domain.seeded_noise(32)`, with the pictures it generates in the place of training
            images (Asyrp appendix: training from random noise); None: the inverted training images.
        folder: run folder for resuming, None to keep nothing.
        progress: show progress bars.
        on_epoch: see `asyrp_lib.method.train.train_delta`.
    Returns:
        (f_t, loss history).
    Raises:
        TrainingError: the loss became NaN, or the folder holds another run.
    Source: Asyrp Sec. 3.2-3.3.
    """
    if settings is None:
        settings = train.TrainSettings(
            t_edit=t_edit_of(domain, edit), lambda_clip=edit.lambda_clip, lambda_recon=edit.lambda_recon
        )
    if x_T is None:
        x_0 = domain.images("train", images)
        x_T = invert(domain, x_0, steps=settings.steps, progress=progress)
    else:
        x_0 = process.generate(domain.unet, x_T, steps=settings.steps, progress=progress)
    with torch.random.fork_rng(devices=[]):  # the same seed, the same f_t, whatever ran before
        torch.manual_seed(settings.seed)
        delta = ConvDelta(domain.unet.h_channels, domain.unet.temb_dim)
    delta.name = edit.name
    history = train.train_delta(
        domain.unet,
        domain.clip,
        delta,
        x_0,
        x_T,
        edit.source,
        edit.target,
        settings,
        folder=folder,
        progress=progress,
        on_epoch=on_epoch,
    )
    return delta, history
