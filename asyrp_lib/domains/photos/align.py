"""Faces cropped as CelebA-HQ's were: eyes and mouth where its networks expect them.

The landmarks are dlib's 68 points, as in the original (facenet-pytorch pins a torch of 2024; mediapipe comes
without its models).  The 68-point model was trained on iBUG 300-W, whose authors allow research only.
"""

import os

import numpy as np
from PIL import Image

from ...errors import AsyrpError, ImageError
from ...store.images import open_image, warn_if_tiny

#: A face is looked for in an image of at most this side; dlib finds faces from about 80 / 1200 of it on.
_SEARCH_SIDE = 1200


def align_face(path: str | os.PathLike, resolution: int) -> Image.Image:
    """The largest face of an image file, upright and cropped as in CelebA-HQ, RGB, R x R; see `find_face`."""
    image = open_image(path, str(path))
    eyes, mouth = find_face(image, str(path))
    warn_if_tiny(f"The face in {path}", _square(eyes, mouth)[2], resolution)
    return crop_face(image, eyes, mouth, resolution)


def find_face(image: Image.Image, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Eyes (2, 2) and corners of the mouth (2, 2) of the largest face of an RGB image, called `name` in
    errors.
    In pixels, left and right in the image, each as (x, y).
    Raises AsyrpError: the optional packages are not installed; ImageError: no face.
    """
    try:
        import dlib  # pyright: ignore[reportMissingImports]
        import face_recognition_models as models  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        text = "Face alignment needs dlib and its landmark model, which are not installed; run: "
        raise AsyrpError(text + "pip install -e '.[align]'") from error
    scale = min(1.0, _SEARCH_SIDE / max(image.size))
    small = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    pixels = np.array(small)
    faces = dlib.get_frontal_face_detector()(pixels, 1)
    if not faces:
        text = f"No face was found in {name}; expected one seen from the front; "
        raise ImageError(text + "crop it yourself and leave --align out.")
    landmarks = dlib.shape_predictor(models.pose_predictor_model_location())
    shape = landmarks(pixels, max(faces, key=lambda face: face.area()))
    points = np.array([(point.x, point.y) for point in shape.parts()]) / scale
    # iBUG's numbering: 36-41 and 42-47 are the eyes, 48 and 54 the corners of the mouth
    return np.stack([points[36:42].mean(0), points[42:48].mean(0)]), points[[48, 54]]


def crop_face(image: Image.Image, eyes: np.ndarray, mouth: np.ndarray, resolution: int) -> Image.Image:
    """The oriented square that CelebA-HQ cuts around a face, RGB, R x R; outside the image its edge repeats.
    (Karras et al. 2018, arXiv 1710.10196, appendix C)
    """
    centre, x, side = _square(eyes, mouth)
    y = np.array([-x[1], x[0]])
    corners = np.stack([centre - x - y, centre - x + y, centre + x + y, centre + x - y])

    # shrink first: the oriented crop below interpolates, but does not average
    if (factor := int(side // (2 * resolution))) > 1:
        image, corners = image.reduce(factor), corners / factor
    low, high = np.floor(corners.min(0)).astype(int) - 2, np.ceil(corners.max(0)).astype(int) + 2
    before, after = np.maximum(-low, 0), np.maximum(high - image.size, 0)
    padded = np.pad(np.array(image), ((before[1], after[1]), (before[0], after[0]), (0, 0)), mode="edge")
    quad = (corners + before).flatten().tolist()
    how = Image.Transform.QUAD, quad, Image.Resampling.BICUBIC
    large = Image.fromarray(padded).transform((2 * resolution,) * 2, *how)
    return large.resize((resolution,) * 2, Image.Resampling.LANCZOS)


def _square(eyes: np.ndarray, mouth: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Of the face's square in pixels: centre (2,), half of the upper side as a vector (2,), side."""
    across, down = eyes[1] - eyes[0], mouth.mean(0) - eyes.mean(0)
    side = max(4.0 * np.linalg.norm(across), 3.6 * np.linalg.norm(down))
    x = across + np.array([down[1], -down[0]])  # the eyes' direction, and the mouth's turned by a right angle
    x *= side / 2 / np.linalg.norm(x)
    return eyes.mean(0) + 0.1 * down, x, float(side)
