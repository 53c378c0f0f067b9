"""A trained network in the place of the shipped one, if it is as good."""

from pathlib import Path

import numpy as np
import torch

from ....errors import TrainingError
from ....method.hspace import HSpaceUNet
from ....store.weights import read_tensors, read_weights, record_shipped, save_weights
from ..faces import render_split
from .ddpm import RECIPES, v_loss
from .loop import Job


def ship(network: str, job: Job, shipped: Path) -> Path:
    """Copy `job.export` over the shipped file, atomically, with its line in data/SHA256SUMS.

    Raises TrainingError: its score is none or below the shipped one's, if that is of the same resolution;
    WeightsError: it is not finite.
    """
    listed, chance = shipped.exists(), 0.5 if network == "clip" else 0.0
    made, known = (_score(network, file, job) if file.exists() else chance for file in (job.export, shipped))
    if not made > chance or made < known:
        text = f"{job.export} scores {made:.4f} on unseen faces; expected over {chance} and no less than "
        raise TrainingError(f"{text}{known:.4f} of the shipped one; train it longer.")
    state, config = read_tensors(job.export)
    save_weights(shipped, state, config)
    if not listed:
        record_shipped()
    return shipped


@torch.inference_mode()
def _score(network: str, file: Path, job: Job) -> float:
    """Mean audit score on a card, or how much of v a DDPM explains; −1: of another resolution."""
    card = read_weights(file)[1]["card"]
    if network != "ddpm":
        scores = card.get("r2_disturbed") or card.get("iou") or card["zero_shot"]
        return float(np.mean(list(scores.values()))) if card.get("resolution", 32) == job.resolution else -1.0
    recipe, model = RECIPES[job.resolution], HSpaceUNet.from_pretrained(file).to(job.device)
    if (model.resolution * card.get("codec", 1), card.get("edition", 1)) != (job.resolution, recipe.edition):
        return -1.0
    faces = render_split("validation", 256, job.resolution, edition=recipe.edition, device=job.device)
    loss_of = v_loss(model.schedule, faces.images, recipe.codec)
    index, nothing = torch.arange(256, device=job.device), lambda x, t, **_: (torch.zeros_like(x),)
    loss = lambda net: sum(loss_of(net, i, torch.Generator().manual_seed(0)).item() for i in index.split(32))
    return 1 - loss(model.net) / loss(nothing)
