"""A panel, or a text with panels, as one HTML file: its sliders work without Python and without a network.

The frames are the points of the panel's grid; between them the page blends as `panel.blend` does.
"""

import base64
import html
import io
import json
import os
from collections.abc import Sequence
from itertools import pairwise
from math import ceil
from pathlib import Path

from PIL import Image
from torch import Tensor

from .. import check
from ..errors import FileError
from ..store.files import atomic_write
from ..store.images import to_array

#: Bytes of the largest page, and of what it shows pixels of a side at least.
MOST_BYTES, SIDE = 8_000_000, 320
#: How frames are stored: exactly, or, where that is too large, nearly.
FORMATS: tuple[tuple[str, dict], ...] = (
    ("PNG", {"optimize": True}),
    ("JPEG", {"quality": 92, "subsampling": 0}),  # not optimised: Pillow's buffer is too small for noise
)
#: The most that a slider moves in one step.
STEP = 0.05


def data_uri(image: Image.Image, kind: str = "PNG", **options) -> str:
    """An image as what `src` takes; `options` of Pillow's writer."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"


def stops(strengths: Sequence[float]) -> list[float]:
    """Where a slider can stand: every strength of the grid, and between them steps of at most `STEP`."""
    found = [strengths[0]]
    for low, high in pairwise(strengths):
        n = ceil((high - low) / STEP - 1e-9)
        found += [round(low + (high - low) * k / n, 6) for k in range(1, n)] + [high]
    return found


def sliders(
    grid: Tensor, strengths: Sequence[float], names: Sequence[str], *, caption: str = "", most=MOST_BYTES
) -> str:
    """The part of a page that shows a panel.

    Args:
        grid: (len(strengths),) * len(names) + (3, R, R) in [-1, 1], as of `panel.precompute`.
        caption: a line below it.
        most: bytes; frames are JPEG where PNG, which is exact, would take more.
    Raises FileError: more than `most` even so.
    """
    images = [Image.fromarray(to_array(image)) for image in grid.reshape(-1, *grid.shape[-3:])]
    side, places = max(SIDE, images[0].width), stops(strengths)
    content, said = {"names": list(names), "strengths": list(strengths), "stops": places}, ""
    for kind, options in FORMATS:
        frames = [data_uri(image, kind, **options) for image in images]
        said = json.dumps(content | {"frames": frames}).replace("<", "\\u003c")  # no name may end the script
        if len(said) <= most:
            break
    else:
        raise FileError(
            f"{len(images)} frames of {images[0].width} pixels take {len(said) / 1e6:.1f} MB; expected at "
            f"most {most / 1e6:g} MB in one page; take fewer edits or strengths."
        )
    canvas = lambda alt: (
        f'<canvas width="{side}" height="{side}" role="img" data-alt="{alt}" aria-label="{alt}"></canvas>'
    )
    row = lambda name: (
        f'<label><span>{html.escape(name)}</span><input type="range" min="0" max="{len(places) - 1}" '
        f'value="{places.index(0)}"><output></output></label>'
    )
    return "\n".join(
        [
            '<figure class="panel">',
            f'<div class="images"><div>{canvas("image that comes back without an edit")}reconstruction</div>',
            f"<div>{canvas('edited image')}edit</div></div>",
            *map(row, names),
            '<p class="said" role="status"></p><button type="button">reset</button>',
            f"<figcaption>{html.escape(caption)}</figcaption>" * bool(caption),
            "<noscript>The sliders need JavaScript; open this page in a browser.</noscript>",
            f'<script type="application/json">{said}</script>',
            "</figure>",
        ]
    )


def write(path: str | os.PathLike, title: str, body: str, *, replace: bool = False) -> Path:
    """Write a page of HTML, in one step; returns its path.

    Raises FileError: a path that is not .html or can't be written, a file that is there already, unless
    `replace`, or more than `MOST_BYTES`.
    """
    path = check.path(path, error=FileError)
    if path.suffix != ".html":
        raise FileError(f"{path} is no name of a page; expected one that ends in .html; give one.")
    if path.exists() and not replace:
        raise FileError(f"{path} is there already; expected a new name; give one, or replace=True.")
    page = Path(__file__).with_suffix(".html").read_text("utf-8")
    head, rest = page.split("{{body}}")
    made = f"{head.replace('{{title}}', html.escape(title))}{body}{rest}".encode()
    if len(made) > MOST_BYTES:
        has = f"The page would have {len(made) / 1e6:.1f} MB"
        raise FileError(f"{has}; expected at most {MOST_BYTES / 1e6:g}; show fewer or smaller images.")
    with atomic_write(path) as temporary:
        temporary.write_bytes(made)
    return path
