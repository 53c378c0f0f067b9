"""Pools of rendered faces: the images, masks and factors that a split of `synthfaces` consists of."""
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from ...errors import UnknownNameError
from .factors import SPLITS, sample_factors
from .render import render


class Faces(NamedTuple):
    """n faces: images (n, 3, R, R) uint8, masks (n, R, R) uint8 and the factor table (n rows)."""

    images: Tensor
    masks: Tensor
    factors: pd.DataFrame


def render_split(split: str, n: int, resolution: int, *, device: torch.device | str = "cpu", progress: bool = True
                 ) -> Faces:
    """Render the first `n` faces of a split; face i is the same for every `n`.

    Args:
        split: "train", "test", "oracle" or "audit" (`SPLITS`).
        n: number of faces.
        resolution: side in pixels.
        device: where to render and keep the pictures.
        progress: show a progress bar when more than a thousand faces are drawn.
    Raises:
        UnknownNameError: no such split.
    """
    if split not in SPLITS:
        raise UnknownNameError(f"Unknown split {split!r}; the splits are {', '.join(SPLITS)}.")
    factors = sample_factors(n, SPLITS[split])
    images = torch.empty(n, 3, resolution, resolution, dtype=torch.uint8, device=device)
    masks = torch.empty(n, resolution, resolution, dtype=torch.uint8, device=device)
    with tqdm(total=n, desc=f"rendering {split}", unit="face", disable=not progress or n <= 1000) as bar:
        for start in range(0, n, 64):
            part = slice(start, min(start + 64, n))
            drawn = render(factors.iloc[part], resolution, device=device)
            images[part] = to_bytes(drawn.images)
            masks[part] = drawn.masks
            bar.update(part.stop - part.start)
    return Faces(images, masks, factors)


def to_bytes(images: Tensor) -> Tensor:
    """Pictures in [-1, 1] as uint8 0 … 255, rounded, any shape."""
    return ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def from_bytes(images: Tensor) -> Tensor:
    """uint8 pictures 0 … 255 as float32 in [-1, 1], any shape."""
    return images.float() / 127.5 - 1
