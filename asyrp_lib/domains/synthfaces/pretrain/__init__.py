"""How the shipped networks of `synthfaces` are trained."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from .... import check
from ....errors import SettingsError
from ..faces import RESOLUTION
from .clip import pretrain_clip
from .ddpm import pretrain_ddpm
from .loop import Budget, Job
from .measures import pretrain_oracle, pretrain_segmenter

_DDPM = Budget(images=122_000, batch=16, lr=5e-4, betas=(0.9, 0.99), ema=0.9995)
_CLIP = Budget(images=128_000, batch=128, lr=1e-3, weight_decay=0.05, seed=21)
_ORACLE = Budget(images=128_000, batch=64, lr=1e-3, weight_decay=0.01, seed=31)
#: network -> (trainer, budget, faces) of the shipped weights
RECIPES = {
    "ddpm": (pretrain_ddpm, _DDPM, 60_000),
    "clip": (pretrain_clip, _CLIP, 16_000),
    "second_clip": (partial(pretrain_clip, second=True), replace(_CLIP, images=384_000, seed=22), 24_000),
    "oracle": (pretrain_oracle, _ORACLE, 24_000),
    "oracle_2": (
        partial(pretrain_oracle, split="oracle_2", body="patches"),
        replace(_ORACLE, seed=32),
        24_000,
    ),
    "oracle_3": (partial(pretrain_oracle, split="oracle_3"), replace(_ORACLE, seed=33), 24_000),
    "segmenter": (pretrain_segmenter, Budget(images=32_000, batch=64, lr=1e-3, seed=41), 10_000),
}


def pretrain(
    network: str,
    runs: Path,
    *,
    device: torch.device,
    images: int | None = None,
    faces: int | None = None,
) -> Path:
    """Train one network of `RECIPES`, or go on, and answer its file in `runs`.

    Args:
        images: budget; faces: of the training; None for those of the shipped weights.
    """
    train, budget, usual = RECIPES[network]
    faces = check.whole("faces", usual if faces is None else faces, 1, 1_000_000, error=SettingsError)
    if images is not None:
        check.whole("images", images, 1, 10**9, error=SettingsError)
        budget = replace(budget, images=images)
    folder = runs / f"{network}{RESOLUTION}"
    job = Job(budget, folder, folder / f"{network}.safetensors", faces, device)
    train(job)
    return job.export
