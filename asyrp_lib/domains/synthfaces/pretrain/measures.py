"""Training of the oracle and the segmenter, each on its own split, each scored on the audit split."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..faces import from_bytes, render_split
from ..networks import ORACLE_FACTORS, Oracle, Segmenter, save_network
from ..render import CLASSES
from .augment import disturb
from .loop import Budget, train_network


def pretrain_oracle(
    resolution: int,
    budget: Budget,
    folder: Path,
    export: Path,
    *,
    faces: int = 40_000,
    audit: int = 2_000,
    device: torch.device,
) -> dict:
    """Train the factor regressor on the oracle split under disturbances and write it with its audit scores.

    Args:
        resolution: side of the pictures.
        budget: images, batch, rate.
        folder: run folder with the resumable state.
        export: weights file.
        faces: training faces.
        audit: faces of the audit split behind the scores.
        device: where to render and train.
    Returns:
        The card: images seen, seconds, and R² per factor on clean and on disturbed audit pictures.
    """
    data = render_split("oracle", faces, resolution, device=device)
    table = torch.tensor(data.factors[list(ORACLE_FACTORS)].to_numpy(), dtype=torch.float32, device=device)
    torch.manual_seed(budget.seed)
    oracle = Oracle(resolution).to(device)
    oracle.mean.copy_(table.mean(0))
    oracle.std.copy_(table.std(0))
    target = (table - oracle.mean) / oracle.std

    def loss_of(model: nn.Module, index: Tensor, generator: torch.Generator) -> Tensor:
        images = disturb(from_bytes(data.images[index]), generator)
        return F.mse_loss(model(images).float(), target[index])

    oracle, info = train_network(
        oracle,
        loss_of,
        faces,
        budget,
        folder,
        identity={"network": "oracle", "resolution": resolution, "faces": faces},
    )
    held = render_split("audit", audit, resolution, device=device)
    truth = (
        held.factors[list(ORACLE_FACTORS)].to_numpy() - oracle.mean.cpu().numpy()
    ) / oracle.std.cpu().numpy()

    def r2(images: Tensor) -> dict[str, float]:
        error = oracle.read(images).to_numpy() - truth
        scores = 1 - (error**2).mean(0) / truth.var(0)
        return {name: round(float(s), 4) for name, s in zip(ORACLE_FACTORS, scores)}

    clean = from_bytes(held.images)
    card = {
        **info,
        "faces": faces,
        "audit_faces": audit,
        "r2_clean": r2(clean),
        "r2_disturbed": r2(disturb(clean, torch.Generator().manual_seed(99))),
    }
    save_network(oracle, export, card)
    return card


def pretrain_segmenter(
    resolution: int,
    budget: Budget,
    folder: Path,
    export: Path,
    *,
    faces: int = 20_000,
    audit: int = 2_000,
    device: torch.device,
) -> dict:
    """Train the segmenter on the oracle split and write it with its audit scores.

    Args:
        resolution: side of the pictures.
        budget: images, batch, rate.
        folder: run folder with the resumable state.
        export: weights file.
        faces: training faces.
        audit: faces of the audit split behind the scores.
        device: where to render and train.
    Returns:
        The card: images seen, seconds, pixel accuracy and intersection over union per class.
    """
    data = render_split("oracle", faces, resolution, device=device)
    torch.manual_seed(budget.seed)
    segmenter = Segmenter().to(device)

    def loss_of(model: nn.Module, index: Tensor, generator: torch.Generator) -> Tensor:
        images = disturb(from_bytes(data.images[index]), generator, geometry=False)
        return F.cross_entropy(model(images).float(), data.masks[index].long())

    segmenter, info = train_network(
        segmenter,
        loss_of,
        faces,
        budget,
        folder,
        identity={"network": "segmenter", "resolution": resolution, "faces": faces},
    )
    held = render_split("audit", audit, resolution, device=device)
    found = torch.cat([segmenter.segment(from_bytes(part)) for part in held.images.split(256)]).cpu().numpy()
    truth = held.masks.cpu().numpy()
    iou = {
        name: round(
            float(np.logical_and(found == k, truth == k).sum() / np.logical_or(found == k, truth == k).sum()),
            4,
        )
        for k, name in enumerate(CLASSES)
    }
    card = {
        **info,
        "faces": faces,
        "audit_faces": audit,
        "pixel_accuracy": round(float((found == truth).mean()), 4),
        "iou": iou,
    }
    save_network(segmenter, export, card)
    return card
