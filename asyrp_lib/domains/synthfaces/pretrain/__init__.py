"""How the shipped networks of `synthfaces` are trained."""
from dataclasses import replace
from pathlib import Path

import torch

from .clip import pretrain_clip
from .ddpm import pretrain_ddpm
from .loop import Budget
from .measures import pretrain_oracle, pretrain_segmenter

#: network -> (trainer, budget, faces) of the shipped weights
RECIPES = {
    "ddpm": (pretrain_ddpm, Budget(minutes=145, batch=64, lr=4e-4, ema=0.9995), 60_000),
    "clip": (pretrain_clip, Budget(minutes=26, batch=128, lr=1e-3, weight_decay=0.05, seed=21), 16_000),
    "oracle": (pretrain_oracle, Budget(minutes=10, batch=128, lr=1e-3, weight_decay=0.01, seed=31), 30_000),
    "segmenter": (pretrain_segmenter, Budget(minutes=5, batch=64, lr=1e-3, seed=41), 10_000),
}


def pretrain(network: str, resolution: int, runs: Path, *, device: torch.device, minutes: float | None = None,
             faces: int | None = None) -> dict:
    """Train one network and write it where the domain looks for it.

    Args:
        network: a key of `RECIPES`.
        resolution: 32 or 64.
        runs: the resumable state goes to `runs`/<network><resolution>.
        device: where to train.
        minutes: time budget, None for that of the shipped weights.
        faces: training faces, None for as many as the shipped weights saw.
    Returns:
        What the trainer reports.
    """
    from .. import weights_file
    train, budget, default_faces = RECIPES[network]
    if minutes is not None:
        budget = replace(budget, minutes=minutes)
    return train(resolution, budget, runs / f"{network}{resolution}", weights_file(network), faces=faces or default_faces,
                 device=device)
