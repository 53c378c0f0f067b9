"""The caller's view: a domain in, images out.  A few lines over `method` each, with names for edits."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from . import check
from .deltas import Delta, PerTimeDelta, build_delta
from .domains.domain import Domain, t_edit_of
from .domains.edits import Edit
from .method import process, train as training
from .method.train import TrainSettings
from .store.cache import cached
from .store.images import as_images, as_noise

#: name of an edit of the domain, or a Δh -> strength
Edits = Mapping[str | Delta, float | Tensor]


def invert(
    domain: Domain, x_0: Tensor, *, steps: int = 40, corrections: int | None = None, cache: bool = True, **how
) -> Tensor:
    """Bring images to noise by deterministic DDIM, cached by content.

    Args:
        x_0: (B, 3, R, R) in [-1, 1].
        steps: S, length of the time grid, 1 … 1000.
        corrections: fixed-point corrections of each step, 0 … 10; None: the domain's.  Each costs one more
            evaluation; the paper has none, and with one the embedded domain's error falls to a sixth.
        cache: whether an earlier result may answer; never with a callback.
        how: batch_size (None: what suits), progress, callback; see `method.process.by_batches`.
    Returns:
        x_T (B, C, R', R'), noise as the U-Net sees it: C = 3, R' = R where the codec is the identity.
    Raises:
        ImageError: images of another size or with NaN.  GridError: steps out of range.
    Source: Asyrp Sec. 2, Eq. 2-4 with σ = 0, walked upwards.
    """
    x_0 = as_images(x_0, domain.resolution)
    steps = check.whole("steps", steps, 1, len(domain.unet.schedule))
    x, unet = domain.codec.encode(x_0.to(domain.unet.device)), domain.unet
    corrections = domain.corrections if corrections is None else corrections
    check.whole("corrections", corrections, 0, 10)
    compute = lambda: process.invert(unet, x, steps=steps, corrections=corrections, **how)
    use = cache and not how.get("callback")
    about = {"steps": steps, "corrections": corrections, "unet": unet.digest()}
    return cached("invert", x, unet, about, compute, use=use)


def generate(domain: Domain, x_T: Tensor, *, steps: int = 40, **how) -> Tensor:
    """Plain deterministic DDIM from x_T to images (B, 3, R, R); see `invert` (Asyrp Sec. 2.1, Eq. 3)."""
    return domain.codec.decode(process.generate(domain.unet, _noise(domain, x_T), steps=steps, **how))


def edit(
    domain: Domain,
    x_T: Tensor,
    edits: Edits,
    *,
    steps: int = 40,
    t_edit: int | None = None,
    t_boost: int = 0,
    seeds: Sequence[int] | None = None,
    **how,
) -> Tensor:
    """Generate from x_T with the asymmetric reverse process; no edits, or strength 0, give plain generation.

    Args:
        x_T: from `invert`.
        edits: name of an edit, or a Δh -> strength, any sign, one number or one per image.  Of several, each
            is multiplied by 1/√n, n = how many of an image's strengths are not 0.
        steps: S, 1 … 1000; Δh is rescaled by S_train / S.
        t_edit: start of the editing interval of all edits, 0 … 999; None: each edit's own.
        t_boost: quality boosting below it, e.g. `domain.t_boost`; 0: none, which stays nearest to small x_0.
        seeds: one per image for the boosting noise, None for 0 … B − 1.
        how: batch_size, progress, callback, which sees h and Δh_t; see `method.process.by_batches`.
    Returns:
        (B, 3, R, R), about in [-1, 1].
    Raises:
        UnknownNameError, WeightsError: an edit that is not known, not trained, or made for another U-Net.
        GridError: steps, t_edit or t_boost out of range.
    Source: Asyrp Sec. 3-4, Eq. 5-12.
    """
    table = deltas(domain, edits)
    how = {"steps": steps, "t_edit": t_edit, "t_boost": t_boost, "seeds": seeds, **how}
    return domain.codec.decode(process.edit(domain.unet, _noise(domain, x_T), table, **how))


def edit_photo(
    domain: Domain,
    path: str | os.PathLike,
    edits: Edits,
    *,
    steps: int = 40,
    resize: bool | None = None,
    align: bool = False,
    progress: bool = True,
    **how,
) -> Tensor:
    """Invert one's own image and generate it again, edited: `edit_photo(domain, "me.jpg", {"smiling": 1.0})`.

    path, resize, align: see `Domain.photo`; edits, steps, how: see `edit`.  (1, 3, R, R), about in [-1, 1].
    """
    table = deltas(domain, edits)  # before the inversion: a wrong name should not cost one
    x_T = invert(domain, domain.photo(path, resize=resize, align=align), steps=steps, progress=progress)
    return edit(domain, x_T, table, steps=steps, progress=progress, **how)


def per_time_mean(domain: Domain, x_T: Tensor, delta: str | Delta, **how) -> PerTimeDelta:
    """Δh_t^mean of an f_t over images x_T; see `method.process.per_time_mean` (Asyrp Sec. 5.4, Fig. 10)."""
    (one,) = deltas(domain, [delta])
    return process.per_time_mean(domain.unet, _noise(domain, x_T), one, **how)


def train_delta(
    domain: Domain,
    edit: Edit | str,
    settings: TrainSettings | None = None,
    *,
    images: int | None = None,
    x_T: Tensor | None = None,
    delta: Mapping | Delta | None = None,
    folder: Path | None = None,
    progress: bool = True,
    **how,
) -> tuple[Delta, pd.DataFrame]:
    """Train f_t for an edit on the domain's training images; gives f_t and the loss history.

    Args:
        edit: its name, or an `Edit`; `Edit("surprised", "face", "face with an open mouth")` is enough.
        settings: None for the domain's; what they leave open is the edit's, see `settled`.
        images: number of training images, None for the domain's.
        x_T: noise (N, C, R', R') to start from, e.g. `domain.seeded_noise(32)`; what it generates takes the
            place of the training images (Asyrp appendix).  None: the inverted training images.
        delta: configuration for `deltas.build_delta` or an f_t to go on from; None for the domain's kind.
        folder: run folder for resuming, None to keep nothing.
        how: on_epoch, save_every; see `method.train.train`.
    Raises:
        TrainingError: the loss became NaN, or the folder holds another run.
    Source: Asyrp Sec. 3.2-3.3.
    """
    edit = domain.edit_named(edit) if isinstance(edit, str) else edit
    settings = domain.training if settings is None else settings
    check.kind("edit", edit, Edit, "its name or an Edit")
    check.kind("settings", settings, TrainSettings, "TrainSettings(epochs=3)")
    check.kind("delta", delta, (type(None), Mapping, Delta), '{"kind": "ConvDelta"}')
    settings = settled(domain, edit, settings)
    if x_T is None:
        x_0 = domain.images("train", domain.train_images if images is None else images)
        x_T = invert(domain, x_0, steps=settings.steps, progress=progress)
    else:
        x_T = _noise(domain, x_T)
        x_0 = generate(domain, x_T, steps=settings.steps, progress=progress)
    if not isinstance(delta, Delta):
        with torch.random.fork_rng(devices=[]):  # the same seed, the same f_t, whatever ran before
            torch.manual_seed(settings.seed)
            delta = build_delta(delta or domain.delta_config, domain.unet.h_shape, domain.unet.temb_dim)
    delta.name = edit.name
    how = {"folder": folder, "progress": progress, "decode": domain.codec.decode, **how}
    texts = edit.source, edit.target
    history = training.train_delta(domain.unet, domain.clip, delta, x_0, x_T, *texts, settings, **how)
    return delta, history


def settled(domain: Domain, edit: Edit, settings: TrainSettings) -> TrainSettings:
    """The settings with t_edit and λ of the edit where they leave them open."""
    own = {"lambda_clip": edit.lambda_clip, "lambda_recon": edit.lambda_recon}
    if settings.t_edit is None:
        own["t_edit"] = t_edit_of(domain, edit)
    return replace(settings, **{key: value for key, value in own.items() if getattr(settings, key) is None})


def deltas(domain: Domain, edits: Edits | Iterable[str | Delta]) -> dict[Delta, float | Tensor]:
    """Δh -> strength, with names looked up; a bare list has strength 1 each."""
    check.kind("edits", edits, (str, Iterable), "{'smiling': 1.0}")
    listed = [edits] if isinstance(edits, str) else list(edits)
    for one in listed:
        check.kind("edit", one, (str, Delta), "its name or a Δh")
    table = edits if isinstance(edits, Mapping) else dict.fromkeys(listed, 1.0)
    return {domain.delta(one) if isinstance(one, str) else one: strength for one, strength in table.items()}


def _noise(domain: Domain, x_T) -> Tensor:
    """x_T as it was given -> on the U-Net's device."""
    shape = (domain.unet.channels, domain.unet.resolution, domain.unet.resolution)
    return as_noise(x_T, shape).to(domain.unet.device)
