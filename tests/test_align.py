"""Faces of own photos: eyes and mouth land where CelebA-HQ has them, however the face stands in the photo."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from asyrp_lib.domains.photos import align
from asyrp_lib.domains.photos.align import align_face, crop_face
from asyrp_lib.errors import AsyrpError, ImageError

#: A face 40 px between the eyes, upright, as (eyes, mouth), around the origin; y points down.
EYES, MOUTH = np.array([[-20.0, 0], [20, 0]]), np.array([[-15.0, 45], [15, 45]])


def turned(points: np.ndarray, degrees: float, scale: float, centre: tuple[float, float]) -> np.ndarray:
    a = np.deg2rad(degrees)
    return points * scale @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) + centre


def photo(degrees=0.0, scale=1.0, centre=(200, 150), size=(420, 330)):
    """A grey photo with red eyes and a blue mouth, and where they are."""
    picture = Image.new("RGB", size, (128, 128, 128))
    eyes, mouth = turned(EYES, degrees, scale, centre), turned(MOUTH, degrees, scale, centre)
    draw = ImageDraw.Draw(picture)
    for points, colour in ((eyes, (255, 0, 0)), (mouth, (0, 0, 255))):
        for x, y in points:
            draw.ellipse((x - 5 * scale, y - 5 * scale, x + 5 * scale, y + 5 * scale), fill=colour)
    return picture, eyes, mouth


def middle(picture: Image.Image, channel: int) -> np.ndarray:
    """The mean position of a colour, (x, y), as a part of the side."""
    pixels = np.array(picture).astype(int)
    ys, xs = np.where(pixels[..., channel] - pixels[..., 1] > 60)
    return (np.array([xs.mean(), ys.mean()]) + 0.5) / picture.width


@pytest.mark.parametrize(
    "degrees, scale, centre",
    [
        (0, 1, (200, 150)),
        (30, 1, (200, 150)),
        (-75, 0.6, (120, 200)),
        (180, 1, (210, 160)),
        (10, 4, (200, 100)),
        (0, 1, (30, 40)),
    ],
)
def test_eyes_and_mouth_land_in_the_same_place_upright(degrees, scale, centre):
    size = (1200, 1200) if scale == 4 else (420, 330)
    centre = (600, 500) if scale == 4 else centre
    picture, eyes, mouth = photo(degrees, scale, centre, size)
    face = crop_face(picture, eyes, mouth, 128)
    assert face.size == (128, 128)
    # 3.6 x 45 = 162 > 4 x 40: the mouth sets the side; the centre lies a tenth of the way from eyes to mouth
    assert np.allclose(middle(face, 0), [0.5, 0.5 - 4.5 / 162], atol=0.01)
    assert np.allclose(middle(face, 2), [0.5, 0.5 + 40.5 / 162], atol=0.01)


def test_what_lies_outside_the_photo_repeats_its_edge():
    picture, eyes, mouth = photo(centre=(20, 10))
    assert (np.array(crop_face(picture, eyes, mouth, 64))[0] == 128).all()


def test_the_largest_face_is_taken_and_none_is_one_sentence(tmp_path, monkeypatch):
    picture, eyes, mouth = photo(degrees=20)
    picture.save(tmp_path / "photo.png")
    points = np.zeros((68, 2))
    points[36:42], points[42:48], points[48], points[54] = eyes[0], eyes[1], mouth[0], mouth[1]
    asked = []

    def predictor(path):
        def shape(pixels, face):
            asked.append(face.area())
            return SimpleNamespace(parts=lambda: [SimpleNamespace(x=x, y=y) for x, y in points])

        return shape

    found = [SimpleNamespace(area=lambda a=a: a) for a in (3, 9, 5)]
    monkeypatch.setitem(
        sys.modules,
        "dlib",
        SimpleNamespace(
            get_frontal_face_detector=lambda: lambda pixels, times: found, shape_predictor=predictor
        ),
    )
    monkeypatch.setitem(
        sys.modules, "face_recognition_models", SimpleNamespace(pose_predictor_model_location=lambda: "model")
    )
    assert np.allclose(middle(align_face(tmp_path / "photo.png", 128), 0), [0.5, 0.5 - 4.5 / 162], atol=0.01)
    assert asked == [9]
    found.clear()
    with pytest.raises(ImageError, match="No face was found in .*photo.png"):
        align_face(tmp_path / "photo.png", 128)


def test_without_the_packages_one_sentence_says_how_to_get_them(tmp_path, monkeypatch):
    photo()[0].save(tmp_path / "photo.png")
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(AsyrpError, match=r"pip install -e '\.\[align\]'"):
        align_face(tmp_path / "photo.png", 64)


def test_a_face_that_becomes_mush_is_warned_of(tmp_path, monkeypatch):
    picture, eyes, mouth = photo()  # its square is 162 px
    picture.save(tmp_path / "photo.png")
    monkeypatch.setattr(align, "find_face", lambda *_: (eyes, mouth))
    with pytest.warns(UserWarning, match="The face in .* is reduced from 162 to 32 pixels"):
        align_face(tmp_path / "photo.png", 32)
