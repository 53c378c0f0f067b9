"""The renderer of `synthfaces`: shaded portraits from a factor table, in plain torch.

Everything is a signed distance to a shape (negative inside), turned into a soft coverage and composited back
to front; the same coverages composite the segmentation, so image and mask cannot disagree.
"""

from typing import NamedTuple

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import UnknownNameError
from . import parts
from .canvas import Canvas, Look
from .factors import FACTORS

#: Half the side of what the frame shows: below 1 the face is cropped closer, so that small images show it.
_ZOOM = 0.90
_LOOK = Look()


class Rendered(NamedTuple):
    """Images (B, 3, R, R) float32 in [-1, 1] and masks (B, R, R) uint8, numbers of `CLASSES`."""

    images: Tensor
    masks: Tensor


def render(
    factors: pd.DataFrame, resolution: int, *, device: torch.device | str = "cpu", look: Look = _LOOK
) -> Rendered:
    """Draw one portrait of side `resolution` per row of a factor table, at twice it and averaged down.
    Args:
        factors: table with every column of `FACTORS`; values outside a factor's range are drawn as they come.
        look: how far the factors show.
    Raises UnknownNameError: a column that is no factor.
    """
    for name in set(factors.columns) - set(FACTORS):
        raise UnknownNameError(f"Unknown factor {name!r}; the factors are {', '.join(FACTORS)}.")
    table = torch.tensor(factors[list(FACTORS)].to_numpy(), dtype=torch.float32, device=device)
    return draw(table, resolution, look=look)


def draw(
    table: Tensor, resolution: int, *, supersample: int = 2, look: Look = _LOOK, masks: bool = True
) -> Rendered:
    """As `render`, from a table (B, len(FACTORS)) in the order of `FACTORS`, on its device; the images have
    gradients to it.  Without `masks`, which take half of the time, these are all 0.
    """
    device = table.device
    f = {name: table[:, i, None, None] for i, name in enumerate(FACTORS)}
    size = resolution * supersample
    axis = ((torch.arange(size, device=device, dtype=torch.float32) + 0.5) / size * 2 - 1) * _ZOOM
    y, x = torch.meshgrid(axis + 0.05, axis, indexing="ij")
    canvas = Canvas(x[None], y[None], len(table), soft=0.9 / resolution, look=look)
    canvas.labelled = masks
    head = parts.head_shape(canvas, f)
    for paint in parts.BACK_TO_FRONT:
        paint(canvas, f, head)
    images = F.avg_pool2d(canvas.colour.clamp(0, 1), supersample) * 2 - 1
    classes = F.avg_pool2d(canvas.classes, supersample).argmax(1).to(torch.uint8)
    return Rendered(images, classes)
