"""Images in and out: files and tensors, and one clear sentence for what is none."""

import os
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from .. import check
from ..errors import ImageError
from .files import atomic_write

#: Pixels of the largest image that is decoded.
MAX_PIXELS = 64_000_000
#: Largest |value| of images (about [-1, 1]) and of x_T (about N(0, 1)); 0 … 255 and overflows lie beyond.
_IMAGE_BOUND, _NOISE_BOUND = 10.0, 1000.0
_GREY_16 = ("I;16", "I;16L", "I;16B", "I;16N")


def read_image(path: str | os.PathLike, resolution: int, *, resize: bool = False) -> Tensor:
    """Read one image, (1, 3, R, R) float32 in [-1, 1]; see `open_image` for what is accepted.

    Args:
        resolution: R in pixels.
        resize: centre-crop to a square and resize (Lanczos); warns if the side shrinks below a quarter.
    Raises:
        ImageError: the file is missing, no image, or of another size while `resize` is off.
    """
    check.whole("resolution", resolution, 1, 8000, error=ImageError)
    if not check.path(path, error=ImageError).is_file():
        raise ImageError(f"No file at {path}; expected an image; check the path.")
    image = open_image(path, str(path))
    if image.size == (resolution, resolution):
        return to_tensor(image)[None]
    if not resize:
        sizes = f"{image.width} x {image.height}, the model expects {resolution} x {resolution}"
        raise ImageError(f"{path} is {sizes}; crop it, or ask for that (--resize, or resize=True).")
    warn_if_tiny(str(path), min(image.size), resolution)
    return to_tensor(crop_square(image, resolution))[None]


def warn_if_tiny(name: str, side: float, resolution: int) -> None:
    """Warn if a square of `side` pixels is reduced to R by more than four times."""
    if side > 4 * resolution:
        what = f"{name} is reduced from {side:.0f} to {resolution} pixels a side"
        warnings.warn(f"{what}; crop it closely first, or choose a domain of larger images.", stacklevel=3)


def open_image(source: str | os.PathLike | BinaryIO | Image.Image, name: str) -> Image.Image:
    """An RGB image, upright as its camera says; 16 bits become 8, CMYK RGB; transparency lies on white.

    Raises ImageError, where it is called `name`: no image that Pillow can read, over `MAX_PIXELS`, or of
    numbers whose range is not known.
    """
    too_large = f"{name} has too many pixels; expected at most {MAX_PIXELS // 10**6} million; reduce it."
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own bound is lower
            image = nullcontext(source) if isinstance(source, Image.Image) else Image.open(source)
        with image as opened:
            if opened.width * opened.height > MAX_PIXELS:  # only the header has been read so far
                raise ImageError(too_large)
            return _to_rgb(ImageOps.exif_transpose(opened), name)
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(too_large) from error
    except Exception as error:  # each of Pillow's decoders has its own kinds of error
        what = f"{name} is no image that can be read ({type(error).__name__})"
        raise ImageError(f"{what}; expected a common format such as PNG; convert it.") from error


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode in ("F", "I"):
        has = f"{name} holds 32-bit numbers (mode {image.mode}) of unknown range"
        raise ImageError(f"{has}; expected 8 or 16 bits per channel; scale it to 0 … 255, save it as PNG.")
    if image.mode in _GREY_16:  # Pillow would clip at 255
        image = Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def crop_square(image: Image.Image, resolution: int) -> Image.Image:
    """The largest centred square, resized (Lanczos) to R x R; an image of that size stays as it is."""
    if image.size == (resolution, resolution):
        return image
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return square.resize((resolution, resolution), Image.Resampling.LANCZOS)


def to_tensor(image: Image.Image) -> Tensor:
    """An RGB image -> (3, H, W) float32 in [-1, 1]."""
    return from_bytes(torch.from_numpy(np.array(image)).permute(2, 0, 1))


def write_image(path: str | os.PathLike, image: Tensor) -> None:
    """Write one image (3, H, W) in [-1, 1] as PNG, atomically; values outside are clipped.

    Raises ImageError for another shape, NaN or infinity, FileError where it cannot be written.
    """
    if not torch.is_tensor(image) or image.ndim != 3 or len(image) != 3 or not image.numel():
        raise ImageError(f"Got {_kind(image)}; expected one image (3, H, W); choose one of a batch with [0].")
    if not torch.isfinite(image).all():
        raise ImageError("The image has NaN or infinity; expected values in [-1, 1]; lower the strength.")
    try:
        with atomic_write(path) as temporary:
            Image.fromarray(to_array(image)).save(temporary, format="PNG")
    except (TypeError, ValueError) as error:
        raise ImageError(f"{path!r:.200} is no usable path ({error}); expected a PNG file's.") from error


def to_array(image: Tensor) -> np.ndarray:
    """(3, H, W) in [-1, 1] -> (H, W, 3) uint8; values outside are clipped."""
    return to_bytes(image.detach().float().cpu()).permute(1, 2, 0).numpy()


def to_bytes(images: Tensor) -> Tensor:
    """Images in [-1, 1] as uint8 0 … 255, rounded, values outside clipped, any shape."""
    return ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def from_bytes(images: Tensor) -> Tensor:
    """uint8 images 0 … 255 as float32 in [-1, 1], any shape."""
    return images.float() / 127.5 - 1


def as_images(value: Any, resolution: int) -> Tensor:
    """Floating-point tensor or array (B, 3, R, R), PIL image, or list of these -> float32, on its device.

    Raises ImageError for another type, shape or size, none at all, NaN, infinity, or values beyond ±10.
    """
    if isinstance(value, (list, tuple)) and value:
        return torch.cat([as_images(one, resolution) for one in value])
    if isinstance(value, Image.Image):
        value = to_tensor(open_image(value, "The image"))[None]
    return _checked(value, (3, resolution, resolution), _IMAGE_BOUND, "images in [-1, 1]")


def as_noise(value: Any, shape: Sequence[int]) -> Tensor:
    """What a caller gave as x_T, a floating-point tensor or array (B, *shape) -> float32, on its device.

    Raises ImageError for another type or shape, none at all, NaN, infinity, or values beyond ±1000.
    """
    return _checked(value, tuple(shape), _NOISE_BOUND, "x_T of about unit variance")


def _kind(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return f"a {type(value).__name__}" + ("" if shape is None else f" of shape {tuple(shape)}")


def _checked(x: Any, shape: tuple[int, ...], bound: float, what: str) -> Tensor:
    """A floating-point tensor or array (B, *shape) within ±bound as float32."""
    want = f"expected {what}, shape (B, {', '.join(map(str, shape))})"
    got = f"Got {_kind(x)}"
    if isinstance(x, np.ndarray) and x.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what float32 cannot hold is refused below
            x = torch.from_numpy(np.array(x, np.float32))
    if not (torch.is_tensor(x) and x.is_floating_point() and x.layout == torch.strided) or x.is_meta:
        dtype = f" of {x.dtype}" if hasattr(x, "dtype") else ""
        raise ImageError(f"{got}{dtype}; {want}; give a floating-point tensor or array, or a PIL image.")
    if x.ndim != 1 + len(shape) or x.shape[1] != shape[0]:
        raise ImageError(f"{got}; {want}; add the batch dimension or reorder the axes.")
    if tuple(x.shape[1:]) != shape:
        raise ImageError(f"{got}; {want}; resize them, e.g. with torch.nn.functional.interpolate.")
    if not len(x):
        raise ImageError(f"Got no images (a batch of 0); {want}; give one at least.")
    x = x.detach().float()
    if not torch.isfinite(x).all():
        raise ImageError(f"The values contain NaN or infinity; {want}; check how they were made.")
    if (most := float(x.abs().max())) > bound:
        raise ImageError(f"The values reach ±{most:.4g}; {want}; scale them, e.g. x / 127.5 - 1 for 0 … 255.")
    return x
