"""The border for images: what is accepted is read right, everything else is refused in one sentence."""

import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from asyrp_lib import check
from asyrp_lib.errors import AsyrpError, ImageError
from asyrp_lib.store.images import as_images, as_noise, read_image, write_image

GREYS = np.linspace(0, 1, 64).reshape(8, 8)  # what each of these files shows


def sentence(caught) -> bool:
    return "\n" not in str(caught.value) and "; " in str(caught.value)


def saved(folder, image: Image.Image, name="image.png", **settings):
    image.save(folder / name, **settings)
    return folder / name


# --- files ---


@pytest.mark.parametrize(
    "name, pixels",
    [("grey16.png", (GREYS * 65535).astype(np.uint16)), ("grey16.tif", (GREYS * 65535).astype(np.uint16))],
)
def test_16_bit_grey_keeps_its_greys(tmp_path, name, pixels):
    x = read_image(saved(tmp_path, Image.fromarray(pixels), name), 8)
    assert (x - torch.tensor(2 * GREYS - 1)).abs().max() < 0.005


@pytest.mark.parametrize("pixels", [GREYS.astype(np.float32), (GREYS * 255).astype(np.int32)])
def test_numbers_of_unknown_range_are_refused(tmp_path, pixels):
    with pytest.raises(ImageError, match="unknown range; expected 8 or 16 bits") as caught:
        read_image(saved(tmp_path, Image.fromarray(pixels), "numbers.tif"), 8)
    assert sentence(caught)


def test_transparency_lies_on_white(tmp_path):
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 4, 8))
    want = torch.ones(8, 8)
    want[:, :4] = -1
    palette = image.convert("L").convert("P")
    palette.putdata([0, 1] * 32)
    for i, transparent in enumerate((image, image.convert("LA"))):
        assert (read_image(saved(tmp_path, transparent, f"{i}.png"), 8) == want).all()
    x = read_image(saved(tmp_path, palette, "palette.png", transparency=1), 8)
    assert (x[..., 1::2] == 1).all()


@pytest.mark.parametrize("mode, name", [("CMYK", "a.jpg"), ("P", "a.png"), ("1", "a.png"), ("L", "a.png")])
def test_other_modes_show_the_same_image(tmp_path, mode, name):
    image = Image.new("L", (8, 8), 0)
    image.paste(255, (0, 0, 8, 4))
    x = read_image(saved(tmp_path, image.convert("RGB").convert(mode), name), 8)
    assert (x[0, :, :4] > 0.95).all() and (x[0, :, 4:] < -0.95).all()


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is that large, and ends there."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))]
    return b"\x89PNG\r\n\x1a\n" + chunks[0] + b"\0\0\0\0IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


@pytest.mark.parametrize("side", [8_001, 13_000, 60_000])
def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path, side):
    (tmp_path / "large.png").write_bytes(png_header(side, side))
    with warnings.catch_warnings(), pytest.raises(ImageError, match="at most 64 million") as caught:
        warnings.simplefilter("error")
        read_image(tmp_path / "large.png", 8, resize=True)
    assert sentence(caught)


@pytest.mark.parametrize(
    "content",
    [b"", b"no image", b"\x89PNG\r\n\x1a\n" + b"\0" * 50, png_header(8, 8), b"GIF89a\x08", b"II*\0"],
)
def test_files_that_are_no_image_are_one_sentence(tmp_path, content):
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(ImageError, match="no image that can be read") as caught:
        read_image(tmp_path / "x.png", 8)
    assert sentence(caught)


@pytest.mark.parametrize("path", ["/", "n" * 300 + ".png", "a\0b", 3, None, "/dev/null/x.png"], ids=repr)
def test_odd_paths_are_one_sentence_to_read_and_to_write(path):
    with pytest.raises(ImageError) as caught:
        read_image(path, 8)
    assert sentence(caught)
    with pytest.raises(AsyrpError, match="Cannot write|no usable path") as caught:
        write_image(path, torch.zeros(3, 8, 8))
    assert sentence(caught)


@pytest.mark.parametrize(
    "image",
    [
        torch.zeros(1, 3, 8, 8),
        torch.zeros(8, 8),
        torch.full((3, 8, 8), torch.nan),
        torch.zeros(3, 0, 0),
        None,
    ],
    ids=lambda x: str(getattr(x, "shape", x)),
)
def test_only_one_finite_image_is_written(tmp_path, image):
    with pytest.raises(ImageError) as caught:
        write_image(tmp_path / "x.png", image)
    assert sentence(caught) and not list(tmp_path.iterdir())


def test_an_image_that_becomes_mush_is_warned_of_and_others_are_not(tmp_path):
    path = saved(tmp_path, Image.new("RGB", (400, 200)))
    with pytest.warns(UserWarning, match="reduced from 200 to 32 pixels .* choose a domain of larger images"):
        read_image(path, 32, resize=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_image(path, 50, resize=True)


# --- tensors ---


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_floating_point_tensors_become_float32(dtype):
    x = torch.rand(2, 3, 8, 8).mul(2).sub(1).to(dtype)
    assert torch.equal(as_images(x, 8), x.float()) and as_images(x, 8).dtype == torch.float32
    assert torch.equal(as_noise(5 * x, (3, 8, 8)), (5 * x).float())


def test_arrays_and_pil_images_are_images_too(tmp_path):
    array = np.random.default_rng(0).uniform(-1, 1, (2, 3, 8, 8))
    for given in (array, array.astype(">f4"), array[::-1], array.astype(np.float16)):
        assert np.allclose(as_images(given, 8).numpy(), given, atol=1e-3)
    image = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    want = read_image(saved(tmp_path, image), 8)
    assert torch.equal(as_images(image, 8), want)
    assert torch.equal(as_images([image, want, want.numpy()], 8), want.repeat(3, 1, 1, 1))


X = torch.zeros(2, 3, 8, 8)


@pytest.mark.parametrize(
    "value, says",
    [
        (X[0], "add the batch dimension"),
        (X[:, :1], "add the batch dimension or reorder"),
        (X.movedim(1, 3), "reorder the axes"),
        (X[..., :4], "resize them"),
        (X.int(), "floating-point"),
        (X.bool(), "floating-point"),
        (X.to(torch.complex64), "floating-point"),
        (X.to_sparse(), "floating-point"),
        (X[:0], "a batch of 0"),
        (X + torch.nan, "NaN or infinity"),
        (X - torch.inf, "NaN or infinity"),
        (X + 255, r"x / 127\.5 - 1"),
        (np.zeros((2, 3, 8, 8), np.uint8), "floating-point"),
        (np.zeros((2, 3, 8, 8), object), "floating-point"),
        (np.full((2, 3, 8, 8), 1e300), "NaN or infinity"),
        (Image.new("RGB", (9, 8)), "resize them"),
        (Image.new("F", (8, 8)), "unknown range"),
        ([], "floating-point"),
        ([X, "x"], "floating-point"),
        ("test:0", "floating-point"),
        (None, "floating-point"),
        (3.0, "floating-point"),
    ],
    ids=lambda v: type(v).__name__,
)
def test_what_are_no_images_is_one_sentence(value, says):
    with pytest.raises(ImageError, match=says) as caught:
        as_images(value, 8)
    assert sentence(caught)


@pytest.mark.parametrize("value", [X + 1e30, X + torch.nan, X.int(), X[0], X[:, :, :4], X[:0], "x", None])
def test_what_is_no_noise_is_one_sentence(value):
    with pytest.raises(ImageError) as caught:
        as_noise(value, (3, 8, 8))
    assert sentence(caught)


def test_noise_may_have_any_shape_that_is_asked_for():
    assert as_noise(torch.randn(4, 12, 5, 7), (12, 5, 7)).shape == (4, 12, 5, 7)


@pytest.mark.parametrize(
    "split, n, first",
    [("test", 2, -1), ("test", 0, 0), ("test", -3, 0), ("test", 1.5, 0), ("test", 1, "0"), ("audit", 1, 0)]
    + [("test", True, 0), ("test", None, 0), (None, 1, 0), ("test", float("nan"), 0)],
)
def test_a_span_of_images_that_cannot_be_is_one_sentence(split, n, first):
    with pytest.raises(ImageError) as caught:
        check.span(n, first, split)
    assert sentence(caught)


def test_a_span_of_images_is_given_back_as_ints():
    n, first = check.span(np.int64(3), 4, "train")
    assert (n, first) == (3, 4) and type(n) is int
