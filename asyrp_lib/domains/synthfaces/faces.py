"""Pools of rendered faces: the images, masks and factors that a split of `synthfaces` consists of."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ...errors import UnknownNameError
from ...progress import tqdm
from ...store.files import atomic_write
from ..codec import Codec
from .factors import SPLITS, sample_factors
from .render import render

#: Side of the world's images, and its edition (the first had 32 pixels and another look).
RESOLUTION, EDITION = 64, 2
#: The U-Net sees them as 12 channels of 32 x 32.
CODEC = Codec(2)
_open: list[bool] = []
#: Faces drawn at once: few enough for the processor's cache, so three times as fast as 64.
_CHUNK = 8


class Faces(NamedTuple):
    """n faces: images (n, 3, R, R) uint8, masks (n, R, R) uint8 and the factor table (n rows)."""

    images: Tensor
    masks: Tensor
    factors: pd.DataFrame


def render_split(
    split: str,
    n: int,
    resolution: int = RESOLUTION,
    *,
    first: int = 0,
    device: torch.device | str = "cpu",
    progress: bool = True,
) -> Faces:
    """Render faces `first` … `first + n − 1` of a split; each is the same whatever `first` and `n` are.
    `progress` shows a bar when more than a thousand are drawn.
    Raises UnknownNameError: a split that is none of `SPLITS`.
    """
    factors = split_factors(split, n, first)
    return render_factors(factors, resolution, device=device, progress=progress)


def render_factors(
    factors: pd.DataFrame,
    resolution: int = RESOLUTION,
    *,
    device: torch.device | str = "cpu",
    progress: bool = True,
) -> Faces:
    """Render the faces of a factor table; see `render_split`."""
    n = len(factors)
    images = torch.empty(n, 3, resolution, resolution, dtype=torch.uint8, device=device)
    masks = torch.empty(n, resolution, resolution, dtype=torch.uint8, device=device)
    with tqdm(total=n, desc="rendering", unit="face", disable=not progress or n <= 1000) as bar:
        for start in range(0, n, _CHUNK):
            part = slice(start, min(start + _CHUNK, n))
            drawn = render(factors.iloc[part], resolution, device=device)
            images[part] = to_bytes(drawn.images)
            masks[part] = drawn.masks
            bar.update(part.stop - part.start)
    return Faces(images, masks, factors)


@contextmanager
def unsealed() -> Iterator[None]:
    """Inside, the sealed faces may be read: by the final evaluation, and by nothing else."""
    _open.append(True)
    try:
        yield
    finally:
        _open.pop()


def split_factors(split: str, n: int, first: int = 0) -> pd.DataFrame:
    """The factors of faces `first` … `first + n − 1` of a split; UnknownNameError: none, or sealed."""
    if split == "sealed" and not _open:
        raise UnknownNameError(
            "The sealed faces are for the final evaluation alone (python -m asyrp_lib experiment final); "
            "use test, or choose settings on validation."
        )
    if split not in SPLITS:
        raise UnknownNameError(f"Unknown split {split!r}; the splits are {', '.join(SPLITS)}.")
    return sample_factors(first + n, SPLITS[split]).iloc[first:].reset_index(drop=True)


@cache
def world_digest() -> str:
    """Of factors and renderer, by the 256 faces that they draw: what a training on this world depends on."""
    faces = render_split("audit", 256)
    data = faces.images.numpy().tobytes() + faces.factors.to_numpy().tobytes()
    return hashlib.sha256(data).hexdigest()[:12]


def kept_images(
    split: str, n: int, resolution: int, folder: Path, *, device: torch.device | str = "cpu"
) -> Tensor:
    """The images of `render_split` as uint8, drawn once, kept under the world's digest, mapped from disk."""
    file = Path(folder) / f"{split}_{n}x{resolution}_{world_digest()}.npy"
    if not file.exists():
        with atomic_write(file) as temporary, open(temporary, "wb") as out:
            faces = render_split(split, n, resolution, device=device)
            np.save(out, faces.images.cpu().numpy())
    return torch.from_numpy(np.load(file, mmap_mode="c"))


def to_bytes(images: Tensor) -> Tensor:
    """Images in [-1, 1] as uint8 0 … 255, rounded, any shape."""
    return ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def from_bytes(images: Tensor) -> Tensor:
    """uint8 images 0 … 255 as float32 in [-1, 1], any shape."""
    return images.float() / 127.5 - 1
