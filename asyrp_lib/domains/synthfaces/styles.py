"""Unseen domains: ways to redraw a face that the diffusion model never sees but CLIP does.

Every style is a function (images (B, 3, R, R) in [-1, 1], masks (B, R, R)) -> images in [-1, 1].  With them
"unseen domain" means what it means in the paper (Sec. 5.1, Fig. 5): the text knows the target, the frozen
U-Net does not.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from .canvas import EYES, HAIR, MOUTH, SKIN


def _grey(unit: Tensor) -> Tensor:
    return unit.mul(unit.new_tensor([0.30, 0.59, 0.11])[:, None, None]).sum(1, keepdim=True)


def _blur(unit: Tensor, fraction: float) -> Tensor:
    sigma = fraction * unit.shape[-1]
    return gaussian_blur(unit, 2 * max(1, round(2 * sigma)) + 1, sigma)


def _edges(unit: Tensor) -> Tensor:
    """Gradient magnitude (B, 1, R, R) of the brightness, brought to about 0 … 1."""
    grey = F.pad(_grey(unit), (1, 1, 1, 1), mode="replicate")
    dx = grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2]
    dy = grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]
    return (2.2 * (dx**2 + dy**2).sqrt()).clamp(0, 1)


def pencil_sketch(images: Tensor, masks: Tensor) -> Tensor:
    """Graphite on paper: brightness divided by its blur, contours darkened."""
    unit = (images + 1) / 2
    grey = _grey(unit)
    dodge = (grey / (_blur(grey, 0.06) + 0.02)).clamp(0, 1)
    paper = (0.96 * dodge**1.5 - 0.75 * _edges(unit)).clamp(0.05, 1)
    return (paper * unit.new_tensor([1.0, 0.99, 0.95])[:, None, None]) * 2 - 1


def watercolour(images: Tensor, masks: Tensor) -> Tensor:
    """Pale washes in few tones, darker where they meet, on cream paper."""
    unit = (images + 1) / 2
    wash = (_blur(unit, 0.025) * 5).round() / 5
    wash = 0.45 + 0.55 * (1.35 * (wash - _grey(wash)) + _grey(wash)).clamp(0, 1)
    return ((wash - 0.25 * _edges(wash)) * unit.new_tensor([1.0, 0.98, 0.93])[:, None, None]).clamp(
        0, 1
    ) * 2 - 1


def pixel_art(images: Tensor, masks: Tensor) -> Tensor:
    """Sixteen fat pixels a side in four tones a channel."""
    small = F.interpolate((images + 1) / 2, size=(16, 16), mode="area")
    quantised = (small * 3.4).round().clamp(0, 3) / 3
    return F.interpolate(quantised, size=images.shape[-2:], mode="nearest") * 2 - 1


def zombie(images: Tensor, masks: Tensor) -> Tensor:
    """Greenish, sunken skin, pale glowing eyes, dark mouth and dull hair."""
    unit = (images + 1) / 2
    grey = _grey(unit)

    def region(*labels: int) -> Tensor:
        inside = torch.stack([masks == k for k in labels]).any(0)
        return _blur(inside[:, None].float(), 0.012)

    green = (grey * 0.95 + 0.06) * unit.new_tensor([0.55, 0.95, 0.45])[:, None, None]
    out = torch.lerp(unit, green, 0.9 * region(SKIN))
    out = torch.lerp(out, (1 - grey) * unit.new_tensor([0.75, 0.8, 0.3])[:, None, None], 0.55 * region(EYES))
    out = torch.lerp(out, grey * unit.new_tensor([0.35, 0.05, 0.08])[:, None, None], 0.9 * region(MOUTH))
    out = torch.lerp(out, 0.6 * grey.expand_as(unit), 0.8 * region(HAIR))
    return out.clamp(0, 1) * 2 - 1


def neon(images: Tensor, masks: Tensor) -> Tensor:
    """Glowing contours in magenta and cyan on black."""
    unit = (images + 1) / 2
    edge = _edges(unit)
    glow = (edge + 1.5 * _blur(edge, 0.03)).clamp(0, 1)
    ramp = torch.linspace(0, 1, unit.shape[-1], device=unit.device)[:, None]
    hue = torch.stack([1 - 0.9 * ramp, 0.15 + 0.8 * ramp, 0.9 + 0 * ramp])
    return (0.06 * unit + glow * hue).clamp(0, 1) * 2 - 1


#: caption of the style -> the function that draws it
STYLES = {
    "a pencil sketch": pencil_sketch,
    "a watercolour painting": watercolour,
    "pixel art": pixel_art,
    "a zombie": zombie,
    "a neon drawing": neon,
}
