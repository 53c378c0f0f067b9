"""Pools of rendered faces: the images, masks and factors that a split of `synthfaces` consists of."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ...errors import UnknownNameError
from ...progress import tqdm
from ...store.files import atomic_write
from ...store.images import from_bytes as from_bytes, to_bytes
from ...store.paths import data_dir
from ...store.weights import digest, read_tensors, save_weights
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
#: By how much thumbnails (grey levels) and factors of one world may differ from machine to machine.
_ROUNDING = 1, 1e-4


class Faces(NamedTuple):
    """n faces: images (n, 3, R, R) uint8, masks (n, R, R) uint8 and the factor table (n rows)."""

    images: Tensor
    masks: Tensor
    factors: pd.DataFrame


def render_split(
    split: str, n: int, resolution: int = RESOLUTION, *, first: int = 0, device: torch.device | str = "cpu"
) -> Faces:
    """Render faces `first` … `first + n − 1` of a split; each is the same whatever `first` and `n` are.
    Raises UnknownNameError: a split that is none of `SPLITS`.
    """
    return render_factors(split_factors(split, n, first), resolution, device=device)


def render_factors(
    factors: pd.DataFrame, resolution: int = RESOLUTION, *, device: torch.device | str = "cpu"
) -> Faces:
    """Render the faces of a factor table, under a bar if they are more than a thousand."""
    n = len(factors)
    images = torch.empty(n, 3, resolution, resolution, dtype=torch.uint8, device=device)
    masks = torch.empty(n, resolution, resolution, dtype=torch.uint8, device=device)
    with tqdm(total=n, desc="rendering", unit="face", disable=n <= 1000) as bar:
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
    """Of factors and renderer, by the 256 faces that they draw: what a training on this world depends on.

    Processors round differently, and a sum of bits would call each another world: one that draws what is
    stored in `world.safetensors`, to a grey level of a thumbnail, has the digest that stands there.
    """
    faces, known = _audit(), {}
    if _world_file().exists():  # else this world is being made
        known, about = read_tensors(_world_file())
    if known and all(
        known[name].shape == part.shape and (known[name].float() - part.float()).abs().max() <= most
        for (name, part), most in zip(faces.items(), _ROUNDING)
    ):
        return about["digest"]
    return digest(*faces.values())[:12]


def keep_world() -> None:
    """Write `world.safetensors`, when a world is done and before networks are trained on it."""
    faces = _audit()
    save_weights(_world_file(), faces, {"digest": digest(*faces.values())[:12]})


def _audit() -> dict[str, Tensor]:
    """Thumbnails (256, 3, 16, 16) uint8, and factors, of the faces by which a world is known."""
    faces = render_split("audit", 256)
    images = avg_pool2d(faces.images.float(), faces.images.shape[-1] // 16).round().to(torch.uint8)
    return {"thumbnails": images, "factors": torch.tensor(faces.factors.to_numpy(np.float32))}


def _world_file() -> Path:
    return data_dir() / "weights" / "synthfaces" / "world.safetensors"


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
