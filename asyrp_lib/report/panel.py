"""The slider panel: strengths of several edits of one image, instant after one precompute.

The asymmetric reverse process runs once for every point of a coarse grid of strengths; a slider move shows a
point, or the blend of its neighbours in the grid.  Nothing is generated while dragging.
"""

import html
import io
import os
from collections.abc import Mapping, Sequence
from itertools import pairwise, product
from math import isfinite
from numbers import Real
from pathlib import Path

import ipywidgets as widgets
import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from .. import check
from ..api import edit
from ..errors import GridError, ImageError
from ..store.images import as_noise
from . import figures, page, sheets

#: Strengths that are precomputed for every edit.
STRENGTHS = (-1.0, -0.5, 0.0, 0.5, 1.0)
#: More images than these are refused: at 32 px on one core they are some fifteen minutes.
MOST_IMAGES = 1000


def precompute(
    domain,
    x_T: Tensor,
    deltas: Mapping[str, nn.Module],
    strengths: Sequence[float] = STRENGTHS,
    *,
    steps: int = 40,
    progress: bool = True,
) -> Tensor:
    """Edits of one image at every point of the grid of strengths.

    From its inversion x_T, label -> f_t, and strengths that rise, 0 among them, to images
    (len(strengths),) * len(deltas) + (3, R, R) on the CPU, clipped to [-1, 1].  GridError: two labels of one
    f_t, whose strengths `edit` would not tell apart.
    """
    if len({*deltas.values()}) < len(deltas):
        labels = ", ".join(deltas)
        raise GridError(f"Two of the labels {labels} are of one f_t; expected one for each; leave one out.")
    points = torch.tensor(list(product(strengths, repeat=len(deltas))), dtype=x_T.dtype, device=x_T.device)
    images = edit(
        domain,
        x_T.expand(len(points), -1, -1, -1),
        dict(zip(deltas.values(), points.unbind(1))),  # one strength per edit and image
        steps=steps,
        batch_size=min(25, domain.unet.batch_size),
        progress=progress,
    )
    return images.cpu().clamp(-1, 1).reshape(*(len(strengths),) * len(deltas), *images.shape[1:])


def blend(grid: Tensor, strengths: Sequence[float], point: Sequence[float]) -> Tensor:
    """The image (3, R, R) at one strength per edit: multilinear in the grid, clamped to it."""
    for value in point:
        value = min(max(value, strengths[0]), strengths[-1])
        low = max(k for k, s in enumerate(strengths[:-1]) if s <= value)
        weight = (value - strengths[low]) / (strengths[low + 1] - strengths[low])
        grid = torch.lerp(grid[low], grid[low + 1], weight)
    return grid


def to_png(image: Tensor, side: int = 320) -> bytes:
    """PNG bytes of an image (3, R, R) in [-1, 1], smoothly enlarged to `side` pixels."""
    stream = io.BytesIO()
    sheets.enlarged(image, side).save(stream, "PNG")
    return stream.getvalue()


class Panel:
    """Sliders beside an image: ends a cell to be shown, and is a sheet of images where no kernel runs.

    Args:
        x_T: (1, C, R', R'), the image's inversion.
        edits: names of the domain's edits, or label -> f_t; one slider each.
        strengths: the grid that is precomputed, ascending, 0 among them.
    Attributes:
        sliders: label -> FloatSlider; `panel.sliders["smiling"].value = 0.7` moves one from code.
        picture, caption: the widgets with the edit and with the strengths that it shows.
        grid: the precomputed images.
    Raises:
        GridError: strengths without 0 or not ascending, no edit, two labels of one f_t, or too many images.
        ImageError: `x_T` of more than one image.
    """

    def __init__(
        self,
        domain,
        x_T: Tensor,
        edits: Sequence[str] | Mapping[str, nn.Module],
        strengths: Sequence[float] = STRENGTHS,
        *,
        steps: int = 40,
        progress: bool = True,
    ):
        check.kind("edits", edits, (str, Sequence, Mapping), '["smiling"]')
        check.kind("strengths", strengths, (Sequence, range), "[-1, 0, 1]")
        names = [edits] if isinstance(edits, str) else list(edits)
        for strength in strengths:
            check.kind("strength", strength, Real, "1.0")
        self.strengths = tuple(map(float, strengths))
        x_T = as_noise(x_T, (domain.unet.channels,) + (domain.unet.resolution,) * 2)
        _check(x_T, names, self.strengths)
        deltas = edits if isinstance(edits, Mapping) else {name: domain.delta(name) for name in names}
        self.grid = precompute(domain, x_T, deltas, self.strengths, steps=steps, progress=progress)
        self.sliders = {
            name: widgets.FloatSlider(
                value=0.0,
                min=self.strengths[0],
                max=self.strengths[-1],
                step=0.05,
                readout_format=".2f",
                description=name,
                style={"description_width": f"{max(map(len, names)) + 1}ch"},  # as wide as the longest label
                layout=widgets.Layout(width="auto"),
            )
            for name in names
        }
        wide = widgets.Layout(width="100%")
        self.view = widgets.Image(format="png", layout=wide)
        self.caption = widgets.HTML()
        unedited = widgets.Image(value=to_png(self.image()), format="png", layout=wide)
        reset = widgets.Button(description="reset", icon="undo")
        reset.on_click(lambda _: self.reset())
        for slider in self.sliders.values():
            slider.observe(self._draw, names="value")
        controls = widgets.VBox(
            [*self.sliders.values(), self.caption, reset],
            layout=widgets.Layout(flex="1 1 280px", max_width="560px"),
        )
        # side by side down to 300 pixels
        narrow = widgets.Layout(flex="1 1 150px", max_width="320px", padding="0 6px 0 0")
        images = [
            widgets.VBox([widgets.Label(label), image], layout=narrow)
            for label, image in (("reconstruction", unedited), ("edit", self.view))
        ]
        self.box = widgets.HBox([*images, controls], layout=widgets.Layout(flex_flow="row wrap"))
        self._draw()

    def image(self) -> Tensor:
        """The image (3, R, R) at the sliders' present strengths."""
        return blend(self.grid, self.strengths, [slider.value for slider in self.sliders.values()])

    def reset(self) -> None:
        """Put every slider to 0."""
        for slider in self.sliders.values():
            slider.value = 0.0

    def sheet(self) -> Figure:
        """One row for each edit, alone, one column for each strength: what can be seen without a kernel."""
        at = {s: k for k, s in enumerate(self.strengths)}
        rows = [
            [self.grid[tuple(at[s if name == row else 0.0] for name in self.sliders)] for s in self.strengths]
            for row in self.sliders
        ]
        return sheets.strip(rows, self.strengths, list(self.sliders))

    def to_html(self, path: str | os.PathLike, *, title: str = "", replace: bool = False) -> Path:
        """Write the panel as one HTML file, which needs neither Python nor a network; returns its path.

        `title`: empty: the names of the edits.  The image itself is in the file: mind whom you give it.
        Raises FileError: no .html, can't be written, is there already (unless `replace`), or over 8 MB.
        """
        title = title or f"Sliders: {', '.join(self.sliders)}"
        made = self.grid[..., 0, 0, 0].numel()
        said = f"{made} images of the asymmetric reverse process; between them the page blends."
        body = page.sliders(self.grid, self.strengths, list(self.sliders), caption=said)
        return page.write(path, title, f"<h1>{html.escape(title)}</h1>\n{body}", replace=replace)

    def _repr_png_(self) -> bytes:
        """The sheet as PNG."""
        sheet = self.sheet()
        try:
            return figures.png(sheet)
        finally:
            plt.close(sheet)

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        """The widget, and beside it the sheet for whatever shows no widgets."""
        text = f"Panel({', '.join(self.sliders)})"
        return (self.box._repr_mimebundle_() or {}) | {"text/plain": text, "image/png": self._repr_png_()}

    def _draw(self, _=None) -> None:
        self.view.value = to_png(self.image())
        said = sheets.describe({name: slider.value for name, slider in self.sliders.items()})
        self.caption.value = html.escape(said)


def _check(x_T: Tensor, names: list[str], strengths: tuple[float, ...]) -> None:
    if len(x_T) != 1:
        raise ImageError(f"Got {len(x_T)} images; expected one; give x_T[:1].")
    ascending = all(low < high for low, high in pairwise(strengths)) and all(map(isfinite, strengths))
    if len(strengths) < 2 or not ascending or 0 not in strengths:
        raise GridError(f"The strengths are {strengths}; expected two or more that rise; put 0 among them.")
    points = len(strengths) ** len(names)
    if not names or points > MOST_IMAGES:
        raise GridError(
            f"{len(names)} edits at {len(strengths)} strengths are {points} images; expected an edit or "
            f"more, and at most {MOST_IMAGES} images; take fewer edits or strengths."
        )
