"""Unseen domains: faces that the diffusion model never saw and CLIP did.

Each is drawn for a face of the data: by factors beyond their range, by parts that no human face has, or by
another medium.  So "unseen" means what it means in the paper (Asyrp Sec. 5.1, Fig. 5: the text knows the
target, the frozen U-Net does not), and what an edit should make of each face is known.
"""

from collections.abc import Callable
from typing import NamedTuple

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from .canvas import EYES, HAIR, MOUTH, SKIN, Look
from .faces import RESOLUTION, from_bytes, to_bytes
from .render import render


class Unseen(NamedTuple):
    """One unseen domain."""

    noun: str  # what a caption calls it
    factors: dict[str, float] = {}  # values that replace a face's own
    look: dict = {}  # changes of `Look`
    finish: Callable[[Tensor, Tensor], Tensor] | None = None  # (images, masks) -> images, after drawing
    medium: bool = False  # whether the noun is a way of drawing a person, not a kind of person

    @property
    def text(self) -> str:
        """What an edit is told to reach."""
        return f"a {self.noun} of a face" if self.medium else f"{self.noun} face"

    def draw(
        self, factors: pd.DataFrame, resolution: int = RESOLUTION, *, device: torch.device | str = "cpu"
    ) -> Tensor:
        """The faces of a factor table as this domain has them, (n, 3, R, R) in [-1, 1]."""
        look, images = Look()._replace(**self.look), []
        for start in range(0, len(factors), 8):
            part = factors.iloc[start : start + 8].assign(**self.factors)
            drawn, masks = render(part, resolution, device=device, look=look)
            drawn = from_bytes(to_bytes(drawn))  # as the data are
            images.append(self.finish(drawn, masks) if self.finish else drawn)
        return torch.cat(images)


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


def saturated(images: Tensor, masks: Tensor) -> Tensor:
    """Stronger, lighter colours."""
    grey = images.mean(1, keepdim=True)
    return (grey + 1.6 * (images - grey) + 0.06).clamp(-1, 1)


def washed(images: Tensor, masks: Tensor) -> Tensor:
    """Washes in few tones that run into each other and dry darker at their borders, on cream paper."""
    unit = (images + 1) / 2
    wash = gaussian_blur((gaussian_blur(unit, 5, 1.2) * 6).round() / 6, 3, 0.6)
    fine = (wash - gaussian_blur(unit, 9, 3.0)).mean(1, keepdim=True)
    wash = 0.30 + 0.70 * (1.5 * wash - 0.5 * wash.mean(1, keepdim=True)) + 0.35 * fine
    return (wash * unit.new_tensor([1.0, 0.98, 0.92])[:, None, None]).clamp(0, 1) * 2 - 1


#: name of the edit -> what it leads to
UNSEEN: dict[str, Unseen] = {
    "pixar": Unseen(
        "pixar character",
        {"eye_size": 1.6, "nose": -1.5, "age": 0.0, "mouth_open": 0.3, "glasses": 0.0},
        {"chin": 0.36, "thick_brow": 0.034, "mouth": 0.22},
        saturated,
    ),
    "neanderthal": Unseen(
        "neanderthal",
        {"nose": 1.9, "eye_size": -1.1, "curl": 0.75, "age": 0.6, "bald": 0.0, "glasses": 0.0},
        {
            "heavy_jaw": 0.22,
            "ridge": 1.0,
            "thick_brow": 0.05,
            "mouth": 0.33,
            "tint": (0.62, 0.42, 0.30, 0.45),
        },
    ),
    "elf": Unseen(
        "elf",
        {"skin": 0.0, "tan": 0.0, "beard": 0.0, "bald": 0.0, "hair_length": 0.25, "head_width": -1.8}
        | {"age": 0.0, "curl": 0.0, "eye_colour": 1.0},
        {"ear_tip": 0.60, "chin": 0.42, "tint": (0.74, 0.66, 0.72, 0.4)},
    ),
    "alien": Unseen(
        "alien",
        {"bald": 1.0, "hair_length": 0.0, "beard": 0.0, "eye_size": 1.3, "nose": -1.6, "age": 0.0, "tan": 0.0}
        | {"glasses": 0.0, "curl": 0.0, "gaze": 0.0},
        {"tint": (0.45, 0.72, 0.40, 0.95), "dark_eyes": 1.0, "chin": 0.55, "thick_brow": -1.0, "mouth": 0.13},
    ),
    "zombie": Unseen("zombie", {"age": 1.0, "glasses": 0.0}, {"ridge": 0.6}, zombie),
    "goblin": Unseen(
        "goblin",
        {"bald": 0.9, "nose": 2.2, "brow_tilt": 1.0, "beard": 0.0, "glasses": 0.0, "age": 0.8, "tan": 0.0},
        {"ear_tip": 0.5, "tint": (0.52, 0.56, 0.22, 0.9), "chin": 0.45, "mouth": 0.36},
    ),
    "sketch": Unseen("pencil sketch", finish=pencil_sketch, medium=True),
    "watercolour": Unseen("watercolour painting", finish=washed, medium=True),
}
#: Kept out of all tuning: what an edit reaches without it.  (The study's untuned edit)
UNTUNED = "goblin"
