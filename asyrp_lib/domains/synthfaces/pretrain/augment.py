"""Disturbances under which the measuring networks and CLIP must keep their judgement."""

import torch
import torch.nn.functional as F
from torch import Tensor


def disturb(
    images: Tensor, generator: torch.Generator, *, geometry: bool = True, coarsest: float = 0.5
) -> Tensor:
    """Shift, zoom, change of light and contrast, blur and noise, each at random per image (B, 3, R, R) in
    [-1, 1].
    P_t is blurry far from t = 0 and edits leave small artefacts; a network that saw neither would judge them
    by accident.
    Args:
        generator: of the CPU, the only source of chance.
        geometry: also shift by up to 6 % and zoom by up to 10 % (off where a mask must stay aligned).
        coarsest: share of the resolution that the strongest blur leaves.
    """
    b, _, r, _ = images.shape
    device = images.device

    def uniform(low: float, high: float) -> Tensor:
        return (low + (high - low) * torch.rand(b, generator=generator)).to(device)[:, None, None, None]

    out = images
    if geometry:
        theta = torch.zeros(b, 2, 3, device=device)
        theta[:, 0, 0] = theta[:, 1, 1] = uniform(0.9, 1.1).flatten()
        theta[:, 0, 2], theta[:, 1, 2] = uniform(-0.12, 0.12).flatten(), uniform(-0.12, 0.12).flatten()
        grid = F.affine_grid(theta, list(images.shape), align_corners=False)
        out = F.grid_sample(out, grid, padding_mode="reflection", align_corners=False)
    small = F.interpolate(out, scale_factor=coarsest, mode="area")
    small = F.interpolate(small, size=(r, r), mode="bilinear", align_corners=False)
    out = torch.lerp(out, small, uniform(-0.8, 1).clamp(min=0))
    out = out * uniform(0.85, 1.1) + uniform(-0.08, 0.08)
    noise = torch.randn(out.shape, generator=generator).to(device)
    return out + uniform(-0.08, 0.10).clamp(min=0) * noise
