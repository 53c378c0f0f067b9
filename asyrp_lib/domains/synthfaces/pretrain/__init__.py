"""How the shipped networks of `synthfaces` are trained."""

from dataclasses import replace
from pathlib import Path

import torch

from .... import check
from ....errors import SettingsError
from .clip import pretrain_clip
from .ddpm import pretrain_ddpm
from .loop import Budget
from .measures import pretrain_oracle, pretrain_segmenter

#: network -> (trainer, budget, faces) of the shipped weights
RECIPES = {
    "ddpm": (
        pretrain_ddpm,
        Budget(images=1_500_000, batch=32, lr=6e-4, betas=(0.9, 0.99), ema=0.9995),
        60_000,
    ),
    "clip": (pretrain_clip, Budget(images=449_152, batch=128, lr=1e-3, weight_decay=0.05, seed=21), 16_000),
    "oracle": (
        pretrain_oracle,
        Budget(images=319_744, batch=128, lr=1e-3, weight_decay=0.01, seed=31),
        30_000,
    ),
    "segmenter": (pretrain_segmenter, Budget(images=106_816, batch=64, lr=1e-3, seed=41), 10_000),
}


def pretrain(
    network: str,
    resolution: int,
    runs: Path,
    *,
    device: torch.device,
    images: int | None = None,
    faces: int | None = None,
) -> Path:
    """Train one network, or go on, and write it to `runs`, beside its state: what is shipped stays as it is.

    Args:
        network: a key of `RECIPES`.
        resolution: 32 or 64.
        runs: state and weights go to `runs`/<network><resolution>.
        device: where to train.
        images: budget, None for that of the shipped weights.
        faces: training faces, None for as many as the shipped weights saw.
    Returns:
        The weights file.
    """
    from .. import weights_file

    train, budget, default_faces = RECIPES[network]
    faces = check.whole("faces", default_faces if faces is None else faces, 1, 1_000_000, error=SettingsError)
    if images is not None:
        check.whole("images", images, 1, 10**9, error=SettingsError)
        budget = replace(budget, images=images)
    folder = runs / f"{network}{resolution}"
    export = folder / f"{network}.safetensors"
    start = {"start": weights_file(f"{network}{resolution}")} if network == "ddpm" else {}
    train(resolution, budget, folder, export, faces=faces, device=device, **start)
    return export
