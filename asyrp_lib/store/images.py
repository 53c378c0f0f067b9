"""Pictures in and out: files, checks, and one clear sentence for what is no picture."""

import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from ..errors import ImageError
from .files import atomic_write


def read_image(path: str | os.PathLike, resolution: int, *, resize: bool = False) -> Tensor:
    """Read one picture.

    Args:
        path: a file that Pillow can read.
        resolution: side R in pixels that the model expects.
        resize: centre-crop to a square and resize (Lanczos) if the picture has another size.
    Returns:
        (1, 3, R, R) float32 in [-1, 1].
    Raises:
        ImageError: the file is missing, no picture, or of another size while `resize` is off.
    """
    path = Path(path)
    if not path.is_file():
        raise ImageError(f"No file at {path}; expected a picture; check the path.")
    picture = open_picture(path, str(path))
    if picture.size != (resolution, resolution) and not resize:
        raise ImageError(
            f"{path} is {picture.width} x {picture.height}, the model expects {resolution} x {resolution}; "
            "crop it yourself or ask for a centre crop and resize (--resize, or resize=True)."
        )
    return to_tensor(crop_square(picture, resolution))[None]


def open_picture(source: str | os.PathLike | BinaryIO, name: str) -> Image.Image:
    """An RGB picture, turned upright as its camera says.

    Args:
        source: a path or an open binary file.
        name: what to call it in an error.
    Raises:
        ImageError: it is no picture that Pillow can read.
    """
    try:
        with Image.open(source) as opened:
            return ImageOps.exif_transpose(opened).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(
            f"{name} is no picture that can be read ({type(error).__name__}); expected PNG, JPEG or another "
            "common format; convert it or choose another file."
        ) from error


def crop_square(picture: Image.Image, resolution: int) -> Image.Image:
    """The largest centred square, resized (Lanczos) to R x R; a picture of that size stays as it is."""
    if picture.size == (resolution, resolution):
        return picture
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side)).resize(
        (resolution,) * 2, Image.Resampling.LANCZOS
    )


def to_tensor(picture: Image.Image) -> Tensor:
    """An RGB picture -> (3, H, W) float32 in [-1, 1]."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 127.5 - 1


def write_image(path: str | os.PathLike, image: Tensor) -> None:
    """Write one picture (3, R, R) in [-1, 1] as PNG, atomically; values outside are clipped."""
    with atomic_write(path) as temporary:
        Image.fromarray(to_array(image)).save(temporary, format="PNG")


def to_array(image: Tensor) -> np.ndarray:
    """(3, R, R) in [-1, 1] -> (R, R, 3) uint8; values outside are clipped."""
    return ((image.detach().float().cpu().clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()


def check_images(images: Tensor, resolution: int, channels: int = 3) -> None:
    """Raise ImageError unless `images` is (B, channels, resolution, resolution) and finite."""
    if images.ndim != 4 or images.shape[1] != channels:
        raise ImageError(
            f"Got a tensor of shape {tuple(images.shape)}; expected pictures (B, {channels}, R, R); "
            "add the batch dimension or reorder the axes."
        )
    if images.shape[-2:] != (resolution, resolution):
        raise ImageError(
            f"Got pictures of {images.shape[-1]} x {images.shape[-2]}, the model expects {resolution} x "
            f"{resolution}; resize them, e.g. with torch.nn.functional.interpolate."
        )
    if not torch.isfinite(images).all():
        raise ImageError(
            "The pictures contain NaN or infinity; expected values in [-1, 1]; check how they were made."
        )
