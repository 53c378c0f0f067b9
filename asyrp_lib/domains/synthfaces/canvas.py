"""Signed distances and a canvas that they are painted on; masks are painted with the image, so both agree.

Coordinates: x to the right, y down, both in [-1, 1]; tensors (B, R, R) of a batch of images, on any device.
"""

from typing import NamedTuple

import torch
from torch import Tensor

#: Classes of the segmentation mask, in the order of their numbers.
CLASSES = ("background", "hair", "skin", "brows, eyes, glasses", "mouth", "clothes")
BACKGROUND, HAIR, SKIN, EYES, MOUTH, CLOTHES = range(6)


class Look(NamedTuple):
    """How far the factors move what is drawn, in half sides.  Every one is to be seen at 64 pixels."""

    head_width: float = 0.10  # of the head's half-width
    jaw: float = 0.13  # what gender presentation does to it, as to the next five
    brow: float = 0.020
    lip: float = 0.026
    lip_colour: float = 0.42
    lash: float = 0.012
    cheek: float = 0.5
    eye: tuple[float, float, float] = (0.150, 0.100, 0.088)  # half-width, half-height, radius of the iris
    eye_size: float = 0.34  # share by which it grows, as the next
    nose: float = 0.55
    shade: float = 1.8  # how strongly the nose is modelled
    nose_length: float = 0.055  # way of its tip
    gaze: float = 0.085  # way of the iris
    opening: float = 0.150  # height of the open mouth
    yaw: float = 0.13  # way of the features as the head turns
    # what no human face has; see `unseen`
    tint: tuple[float, float, float, float] = (0, 0, 0, 0)  # colour of the skin and its share
    chin: float = 0.22  # how far the head narrows towards it
    heavy_jaw: float = 0.0  # how much less, whatever the gender
    ear_tip: float = 0.0  # length of a pointed ear's
    ridge: float = 0.0  # shadow and height of the bone above the eyes
    thick_brow: float = 0.028  # half the thickness of the brows; below 0 there are none
    dark_eyes: float = 0.0  # share of black in the eyes
    mouth: float = 0.27  # its half-width


class Canvas:
    """A colour and a soft segmentation under one painter's algorithm."""

    def __init__(self, x: Tensor, y: Tensor, batch: int, soft: float, look: Look):
        self.x, self.y, self.soft, self.look = x, y, soft, look
        self.labelled = True  # whether `classes` are kept
        self.colour = x.new_zeros(batch, 3, *x.shape[-2:])
        self.classes = x.new_zeros(batch, len(CLASSES), *x.shape[-2:])

    def cover(self, sdf: Tensor, soft: float = 1.0) -> Tensor:
        """Coverage in [0, 1] of a shape given by its signed distance."""
        return torch.sigmoid(-sdf / (self.soft * soft))

    def paint(self, alpha: Tensor, colour: Tensor, label: int | None) -> None:
        """Lay `colour` over the image with opacity `alpha`; `label` None leaves the segmentation alone."""
        self.colour = torch.lerp(self.colour, colour.expand_as(self.colour), alpha[:, None])
        if self.labelled and label is not None:
            self.classes = self.classes * (1 - alpha)[:, None]
            self.classes[:, label] += alpha


def ellipse(x: Tensor, y: Tensor, rx, ry) -> Tensor:
    """Approximate signed distance to an axis-aligned ellipse at the origin."""
    k = torch.sqrt((x / rx) ** 2 + (y / ry) ** 2 + 1e-9)
    return (k - 1) * torch.minimum(torch.as_tensor(rx), torch.as_tensor(ry))


def stroke(x: Tensor, y: Tensor, half_width, thickness, height) -> Tensor:
    """Signed distance to a thick curve y = height(x) over |x| <= half_width."""
    return torch.maximum((y - height).abs() - thickness, x.abs() - half_width)


def palette(stops: list[tuple[float, float, float]], position: Tensor) -> Tensor:
    """Colours (B, 3, 1, 1) along a list of colours, `position` (B,1,1) in [0, 1]."""
    table = position.new_tensor(stops)
    scaled = position.flatten() * (len(stops) - 1)
    low = scaled.floor().long().clamp(0, len(stops) - 2)
    return torch.lerp(table[low], table[low + 1], (scaled - low)[:, None])[:, :, None, None]


def hue(h: Tensor, light: Tensor, saturation: float) -> Tensor:
    """Muted colours (B, 3, 1, 1) of a cyclic hue."""
    phase = torch.tensor([0.0, 1 / 3, 2 / 3], device=h.device)
    wave = torch.cos(2 * torch.pi * (h.flatten()[:, None] - phase))
    return (light.flatten()[:, None] + saturation * wave)[:, :, None, None].clamp(0, 1)


def rgb(like: Tensor, *colour: float) -> Tensor:
    """One colour (1, 3, 1, 1), where `like` is."""
    return like.new_tensor(colour)[None, :, None, None]
