"""The uncertainty of a Fréchet distance, and the network that makes it an FID."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import OfflineError
from .scores import check_range, frechet_distance

Features = Tensor | np.ndarray


def frechet_summary(a: Features, b: Features, *, paired: bool = False) -> tuple[float, float, float]:
    """A Fréchet distance of features (N_a, D), (N_b, D): (value, low, high) to 4 decimals.

    The interval is the value ± 1.96 standard deviations of 200 resampled values (seed 0).  Their percentiles
    would lie too high: a resample repeats images, which lowers the covariance's rank and raises the distance.
    `paired`: row i of both is the same image, before and after, resampled together; else `b` is fixed.
    """
    a, b, rng = np.asarray(a), np.asarray(b), np.random.default_rng(0)
    drawn = []
    for _ in range(200):
        rows = rng.integers(len(a), size=len(a))
        drawn.append(frechet_distance(a[rows], b[rows] if paired else b))
    value, std = frechet_distance(a, b), float(np.std(drawn, ddof=1))
    value, low, high = np.round([value, value - 1.96 * std, value + 1.96 * std], 4).tolist()
    return value, low, high


def inception_file() -> Path:
    """Where pytorch-fid keeps Inception's weights."""
    return Path(torch.hub.get_dir()) / "checkpoints" / "pt_inception-2015-12-05-6726825d.pth"


def inception() -> nn.Module:
    """pytorch-fid's InceptionV3 (2048-d pool features), the network that makes a Fréchet distance an FID;
    OfflineError where its weights are neither cached nor reachable."""
    from pytorch_fid.inception import InceptionV3

    try:
        return InceptionV3([InceptionV3.BLOCK_INDEX_BY_DIM[2048]]).eval().requires_grad_(False)
    except Exception as error:  # urllib's and torch.hub's many ways to say that there is no network
        raise OfflineError(
            f"FID needs Inception's weights and {inception_file()} is neither there nor reachable "
            f"({type(error).__name__}); connect once, put the file there, or report FD-CLIP instead."
        ) from error


@torch.inference_mode()
def inception_features(network: nn.Module, images: Tensor) -> Tensor:
    """Pool features (N, 2048) of images (N, 3, R, R) in [-1, 1] for `frechet_distance`."""
    check_range(images)
    device = next(network.parameters()).device
    return torch.cat([network((x.to(device) + 1) / 2)[0].flatten(1).cpu() for x in images.split(64)])
