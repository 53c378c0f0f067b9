"""Scores of edits: S_dir, segmentation consistency, Fréchet distance."""

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import ImageError
from ..method.clip import Clip, directional_distance


@torch.inference_mode()
def s_dir(
    clip: Clip, x_0: Tensor, x_edit: Tensor, source: str, target: str, *, batch_size: int = 64
) -> Tensor:
    """Directional CLIP similarity cos(ΔI, ΔT) (N,) of images (N, 3, R, R) in [-1, 1]; higher is better.

    The study's table prints 1 − cos under this name; here it is always the cosine.  `clip`: take another one
    than the training used, where there is one.  (Asyrp Sec. 5.3, Table 4)
    """
    direction = clip.text_direction(source, target)
    encode = lambda x: torch.cat([clip.encode_images(p.to(clip.mean.device)) for p in x.split(batch_size)])
    return (1 - directional_distance(encode(x_0), encode(x_edit), direction)).cpu()


def segmentation_consistency(before: Tensor, after: Tensor, classes: int) -> Tensor:
    """SC: mean intersection over union of two segmentations, over the classes that either shows.

    From class numbers (N, R, R) before and after, (N,) in [0, 1]; 1: equal ones.  (Asyrp Sec. 5.3, Table 4)
    """
    number = torch.arange(classes, device=before.device)[:, None, None]
    a, b = before[:, None] == number, after[:, None] == number
    union = (a | b).sum((2, 3)).float()
    iou = (a & b).sum((2, 3)) / union.clamp(min=1)
    return (iou * (union > 0)).sum(1) / (union > 0).sum(1)


def frechet_distance(a: Tensor | np.ndarray, b: Tensor | np.ndarray) -> float:
    """Fréchet distance of two sets of features (N_a, D), (N_b, D) under the Gaussian assumption.

    |μ_a − μ_b|² + tr(Σ_a + Σ_b − 2 (Σ_a Σ_b)^½); the trace of the root is the sum of the singular values of
    Σ_a^½ Σ_b^½, which needs no matrix square root of a non-symmetric matrix.  With N features of dimension D
    the covariance has rank N − 1 at most, so values for N < D are biased upwards: compare only at equal N.
    ImageError: fewer than two features in a set.  (Heusel et al. 2017, Eq. 6)
    """
    a, b = (np.asarray(x, dtype=np.float64) for x in (a, b))
    if min(len(a), len(b)) < 2:
        raise ImageError(
            f"{len(a)} and {len(b)} images have no Fréchet distance; expected at least 2 each; give more."
        )
    centre = lambda x: (x - x.mean(0)) / np.sqrt(len(x) - 1)
    short = lambda c: (
        np.asarray(np.linalg.qr(c, mode="r")) if len(c) > c.shape[1] else c
    )  # its cᵀc is the same
    ca, cb = short(centre(a)), short(centre(b))  # Σ = cᵀc, and Σ_a^½ Σ_b^½ has the singular values of ca cbᵀ
    cross = np.linalg.svd(ca @ cb.T, compute_uv=False).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + (ca**2).sum() + (cb**2).sum() - 2 * cross)


@torch.inference_mode()
def clip_features(clip: Clip, images: Tensor, *, batch_size: int = 64) -> Tensor:
    """Normalised CLIP features (N, D) for `frechet_distance`: the result is an "FD-CLIP", never an FID."""
    check_range(images)
    parts = [clip.encode_images(x.to(clip.mean.device)) for x in images.split(batch_size)]
    return nn.functional.normalize(torch.cat(parts), dim=-1).cpu()


def check_range(images: Tensor) -> None:
    """ImageError unless images are floating point and about in [-1, 1]: bytes would wrap around unseen."""
    if not images.is_floating_point() or float(images.abs().max()) > 100:
        raise ImageError(
            f"The images are {images.dtype} up to {float(images.max()):g}; expected floating point in "
            "[-1, 1]; divide bytes by 127.5 and subtract 1."
        )
