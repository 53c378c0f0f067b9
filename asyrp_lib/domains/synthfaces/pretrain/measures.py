"""Training of the oracle and the segmenter, each on the oracle split, each scored on the audit split."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..canvas import CLASSES
from ..faces import (
    EDITION,
    RESOLUTION,
    Faces,
    from_bytes,
    kept_images,
    render_split,
    split_factors,
    world_digest,
)
from ..networks import ORACLE_FACTORS, Oracle, Segmenter, save_network
from .augment import disturb
from .loop import Job, factor_table, train_network

#: Faces of the audit split that score a network.
AUDIT = 2_000


def pretrain_oracle(job: Job, split: str = "oracle", body: str = "strided") -> dict:
    """Train a factor regressor on a split of its own, under disturbances; its card has R² on clean and
    disturbed audit images.  `body`: one of `networks.BODIES`.
    """
    images = kept_images(split, job.faces, RESOLUTION, job.pool)
    table = factor_table(split_factors(split, job.faces), job.device)
    torch.manual_seed(job.budget.seed)
    oracle = Oracle(RESOLUTION, 24, body).to(job.device)
    oracle.mean.copy_(table.mean(0))
    oracle.std.copy_(table.std(0))
    target = (table - oracle.mean) / oracle.std

    def loss_of(model: nn.Module, index: Tensor, generator: torch.Generator) -> Tensor:
        seen = disturb(from_bytes(images[index.to(images.device)].to(index.device)), generator)
        return F.mse_loss(model(seen).float(), target[index])

    def scores_of(oracle: Oracle, held: Faces) -> dict:
        mean, std = oracle.mean.cpu().numpy(), oracle.std.cpu().numpy()
        truth = (held.factors[list(ORACLE_FACTORS)].to_numpy() - mean) / std

        def r2(images: Tensor) -> dict[str, float]:
            error = oracle.read(images).to_numpy() - truth
            scores = 1 - (error**2).mean(0) / truth.var(0)
            return {name: round(float(s), 4) for name, s in zip(ORACLE_FACTORS, scores)}

        clean = from_bytes(held.images)
        disturbed = disturb(clean, torch.Generator().manual_seed(99))
        return {"r2_clean": r2(clean), "r2_disturbed": r2(disturbed)}

    return _train(job, oracle, loss_of, scores_of, split=split, **oracle.config)


def pretrain_segmenter(job: Job) -> dict:
    """Train the segmenter; its card has pixel accuracy and intersection over union per class."""
    data = render_split("oracle", job.faces, device=job.device)
    torch.manual_seed(job.budget.seed)

    def loss_of(model: nn.Module, index: Tensor, generator: torch.Generator) -> Tensor:
        images = disturb(from_bytes(data.images[index]), generator, geometry=False)
        return F.cross_entropy(model(images).float(), data.masks[index].long())

    def scores_of(segmenter: Segmenter, held: Faces) -> dict:
        found = torch.cat([segmenter.segment(from_bytes(part)) for part in held.images.split(256)])
        found, truth = found.cpu().numpy(), held.masks.cpu().numpy()
        iou = {}
        for k, name in enumerate(CLASSES):
            both, either = (found == k) & (truth == k), (found == k) | (truth == k)
            iou[name] = round(float(both.sum() / either.sum()), 4)
        return {"pixel_accuracy": round(float((found == truth).mean()), 4), "iou": iou}

    return _train(job, Segmenter().to(job.device), loss_of, scores_of)


def _train(job: Job, network: nn.Module, loss_of: Callable, scores_of: Callable, **about) -> dict:
    """Train, score on faces of the audit split, write; the card."""
    network, info = train_network(
        network.to(memory_format=torch.channels_last),  # a fifth faster
        loss_of,
        job.faces,
        job.budget,
        job.folder,
        identity=job.identity(type(network).__name__.lower(), edition=EDITION, **about),
    )
    held = render_split("audit", AUDIT, device=job.device)
    about |= {"faces": job.faces, "resolution": RESOLUTION, "audit_faces": AUDIT, "edition": EDITION}
    about["world"] = world_digest()
    card = {**info, **about, **scores_of(network, held)}
    save_network(network, job.export, card)
    return card
