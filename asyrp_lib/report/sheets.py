"""Sheets of images: faces enlarged smoothly and numbered, the judge's score under each; strips, sweeps."""

import io
import os
import textwrap
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from ..errors import ImageError
from ..store.images import to_array
from .figures import GREY, STYLE, VERMILLION, signed, text_size, to_image, typeset, write

#: Pixels: of a sheet's width as far as faces of the smallest side allow, of a face's side, between faces.
WIDTH, SMALLEST, LARGEST, GAP = 1180, 128, 176, 4
#: Pixels to an inch, the sizes of labels and of scores in points, and pixels of a letter of a label.
DPI, LABEL, SCORE, LETTER = 100, 10.5, 10, 8.8
#: Bytes of the largest animation.
MOST_BYTES = 2_000_000

Row = Sequence[Tensor | None] | Tensor


def enlarged(image: Tensor, side: int) -> Image.Image:
    """An image (3, R, R) in [-1, 1], smoothly (Lanczos) at `side` pixels; values outside are clipped."""
    return Image.fromarray(to_array(image)).resize((side, side), Image.Resampling.LANCZOS)


def describe(edits: Mapping[str, float]) -> str:
    """Which strengths act, in words: "smiling +0.60, old −1.00; 2 edits: each × 1/√2"."""
    on = {name: strength for name, strength in edits.items() if strength}
    said = ", ".join(f"{name} {signed(strength, 2)}" for name, strength in on.items())
    return f"{said}; {len(on)} edits: each × 1/√{len(on)}" if len(on) > 1 else said or "reconstruction"


def sheet(
    rows: Sequence[Row],
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    *,
    faces: Sequence[int] = (),
    scores: Sequence[Sequence[float] | None] = (),
    title: str = "",
    under: str = "",
    side: int | None = None,
    digits: int = 1,
    plus: bool = True,
) -> Figure:
    """A contact sheet of rows of images (3, R, R) in [-1, 1]; None leaves a place empty.

    Args:
        faces: number of each column's face, above it.
        scores: for each row None or one number for each image, set under it; NaN: nothing.
        title: a line above all; under: one below, e.g. what the scores are.
        side: of an image in pixels; None: what fills `WIDTH`, from `SMALLEST` to `LARGEST`.
        digits: decimals of the scores.
        plus: whether scores above 0 have a sign, as shifts should, and errors should not.
    Raises:
        ImageError: rows, labels, faces or scores that do not fit each other.
    """
    n = _checked(rows, row_labels, column_labels, faces, scores)
    numbers = [None if row is None else np.asarray(row, dtype=float) for row in scores] or [None] * len(rows)
    names = [_wrapped(label, 18 * LETTER) for label in row_labels]
    left = round(max((text_size(typeset(name), LABEL, DPI)[0] + 12 for name in names), default=2))
    side = side or int(np.clip((WIDTH - left) // n - GAP, SMALLEST, LARGEST))
    width = left + n * (side + GAP) - GAP
    heads = [[f"face {face}"] for face in faces] or [[] for _ in range(n)]
    for head, label in zip(heads, column_labels):
        head.append(_wrapped(label, side))
    heads = ["\n".join(head) for head in heads]
    title, under = _wrapped(title, width - left), _wrapped(under, width - left)
    tall = lambda text, points: 1.1 * text_size(text, points, DPI)[1] if text else 0
    top = round(4 + tall(title, LABEL) + max(tall(head, LABEL) for head in heads))
    rises = [side + GAP + 20 * (row is not None and np.isfinite(row).any()) for row in numbers]
    tops = [top + sum(rises[:i]) for i in range(len(rows) + 1)]
    height = round(tops[-1] + tall(under, SCORE) - GAP * (not under))
    canvas = Image.new("RGB", (width, height), "white")
    with plt.rc_context(STYLE | {"figure.dpi": DPI, "figure.constrained_layout.use": False}):
        figure = plt.figure(figsize=(width / DPI, height / DPI))
        axes = figure.add_axes((0, 0, 1, 1))
        say = lambda x, y, text, size=LABEL, **how: axes.text(x, y, typeset(text), fontsize=size, **how)
        if title:
            say(left, 2, title, va="top", weight="bold")
        for k, head in enumerate(heads):
            say(left + k * (side + GAP) + side / 2, top - 4, head, ha="center", va="bottom")
        for y, name in zip(tops, names):
            say(left - 8, y + side / 2, name, ha="right", va="center")
        for y, row, values in zip(tops, rows, numbers):
            for k, image in enumerate(row):
                x = left + k * (side + GAP)
                if image is not None:
                    canvas.paste(enlarged(image, side), (x, y))
                if values is not None and np.isfinite(values[k]):
                    said = signed(values[k], digits).lstrip("" if plus else "+")
                    say(x + side / 2, y + side + 3, said, SCORE, ha="center", va="top")
        if under:
            say(left, tops[-1] + 2, under, SCORE, va="top", color=GREY)
        axes.imshow(canvas, extent=(0, width, height, 0), aspect="auto", interpolation="none")
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
    return figure


def _wrapped(text: str, width: float) -> str:
    """A label in lines of about `width` pixels."""
    lines = (textwrap.wrap(line, round(width / LETTER)) for line in text.split("\n"))
    return "\n".join("\n".join(line) for line in lines)


def _checked(rows, row_labels, column_labels, faces, scores) -> int:
    """The number of columns, or ImageError."""
    n = len(rows[0]) if len(rows) else 0
    if not n:
        raise ImageError("Got no images; expected one row of them at least; check how they were made.")
    for i, row in enumerate(rows):
        _same(f"images in row {i}", row, n)
        for image in row:
            if image is not None and (image.ndim != 3 or len(image) != 3):
                got = f"An image of row {i} has shape {tuple(image.shape)}"
                raise ImageError(f"{got}; expected (3, R, R); give rows of images.")
    for what, given, wanted in (
        ("row labels", row_labels, len(rows)),
        ("column labels", column_labels, n),
        ("face numbers", faces, n),
        ("rows of scores", scores, len(rows)),
        *((f"scores in row {i}", row, n) for i, row in enumerate(scores) if row is not None),
    ):
        if len(given):
            _same(what, given, wanted)
    return n


def _same(what: str, given, wanted: int) -> None:
    if len(given) != wanted:
        raise ImageError(f"Got {len(given)} {what}; expected {wanted}; give one each.")


def strip(
    rows: Sequence[Row],
    strengths: Sequence[float],
    row_labels: Sequence[str] = (),
    *,
    faces: Sequence[int] = (),
    **how,
) -> Figure:
    """A few faces at rising strengths: a row (len(strengths), 3, R, R) for each face or edit.

    `faces`: numbers of the rows' faces, in place of labels; `how`: scores, title, under, side; see `sheet`.
    """
    columns = [f"strength {s:+g}" if s else "reconstruction" for s in strengths]
    return sheet(rows, row_labels or [f"face {face}" for face in faces], columns, **how)


def before_after(images: Sequence[Tensor], edits: Mapping[str, float], **how) -> Figure:
    """Original, reconstruction and edit (3, R, R) side by side, 256 pixels each or more, with the strengths.

    `how`: faces, scores, under; see `sheet`.
    """
    labels, side = ("original", "reconstruction", "edited"), max(256, images[0].shape[-1])
    return sheet([images], (), labels, title=describe(edits), side=side, **how)


def sweep_gif(
    path: str | os.PathLike,
    frames: Sequence[Row],
    strengths: Sequence[float],
    *,
    scores: Sequence[Sequence[float] | None] = (),
    faces: Sequence[int] = (),
    title: str = "",
    milliseconds: int = 90,
) -> None:
    """Write a sweep of strengths there and back as an endless GIF of at most `MOST_BYTES`.

    From a row of images (faces, 3, R, R) and of scores for each strength; the sides give way to the size.
    Raises ImageError for what does not fit, or is too large even at the smallest side.
    """
    for what, given in (("rows of frames", frames), ("rows of scores", scores)):
        if len(given) or what == "rows of frames":
            _same(what, given, len(strengths))
    if len(strengths) < 2:
        raise ImageError(f"Got {len(strengths)} strengths; expected two or more that rise; give a sweep.")
    order = [*range(len(strengths)), *range(len(strengths) - 2, 0, -1)]
    pause = [milliseconds * (8 if k in (0, len(strengths) - 1) else 1) for k in order]
    widest = min(256, WIDTH // max(1, len(frames[0])) - GAP)
    for side in sorted({max(s, SMALLEST) for s in (widest, 192, 160, SMALLEST) if s <= widest}, reverse=True):
        drawn = []
        for k, row in enumerate(frames):
            figure = sheet(
                [row], faces=faces, scores=[scores[k]] if len(scores) else (), title=title, side=side,
                under=f"strength {strengths[k]:+.2f}",
            )  # fmt: skip
            _gauge(figure, strengths, k)
            drawn.append(to_image(figure))
            plt.close(figure)
        made = _gif([drawn[k] for k in order], pause)
        if len(made) <= MOST_BYTES:
            return write(path, made)
    size = f"{len(made) / 1e6:.1f} MB at {side} pixels a face"
    raise ImageError(f"The sweep takes {size}; expected {MOST_BYTES / 1e6:g}; give fewer faces or strengths.")


def _gauge(figure: Figure, strengths: Sequence[float], k: int) -> None:
    """Where a strength stands between the least and the largest, beside its number."""
    axes = figure.axes[0]
    (right, bottom), left = (axes.get_xlim()[1] - 12, axes.get_ylim()[0]), 136
    at = lambda s: left + (right - left) * (s - strengths[0]) / (strengths[-1] - strengths[0])
    axes.plot([left, right], [bottom - 12] * 2, color="0.75", lw=2, solid_capstyle="round")
    if strengths[0] < 0 < strengths[-1]:
        axes.plot([at(0)] * 2, [bottom - 17, bottom - 7], color="0.6", lw=1)
    axes.plot(at(strengths[k]), bottom - 12, "o", ms=8, color=VERMILLION)


def _gif(images: list[Image.Image], pause: list[int]) -> bytes:
    """Frames as one GIF, all with the same colours, so that what rests costs nothing."""
    some = [np.asarray(image)[::2, ::2] for image in images[:: max(1, len(images) // 8)]]
    mosaic = Image.fromarray(np.concatenate(some))
    near = mosaic.width * mosaic.height // 100  # of its pixels may still change their colour
    colours = mosaic.quantize(255, Image.Quantize.MEDIANCUT, kmeans=near, dither=Image.Dither.NONE)
    few = [image.quantize(palette=colours, dither=Image.Dither.NONE) for image in images]
    stream = io.BytesIO()
    few[0].save(
        stream, "GIF", save_all=True, append_images=few[1:], duration=pause, loop=0, optimize=True, disposal=1
    )
    return stream.getvalue()
