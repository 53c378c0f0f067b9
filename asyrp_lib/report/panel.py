"""The slider panel: strengths of several edits on one picture, instant after one precompute.

The asymmetric reverse process is run once for every point of a coarse grid of strengths; a slider move shows the picture
of the nearest point, or the blend of the two nearest along the moved slider.  Nothing is generated while dragging.
"""

import io
from collections.abc import Mapping, Sequence
from itertools import product

import ipywidgets as widgets
import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from ..api import edit
from ..store.images import to_array

#: Strengths that are precomputed for every edit.
STRENGTHS = (-1.0, -0.5, 0.0, 0.5, 1.0)


def precompute(
    domain,
    x_T: Tensor,
    deltas: Mapping[str, nn.Module],
    strengths: Sequence[float] = STRENGTHS,
    *,
    steps: int = 40,
    batch_size: int | None = None,
    progress: bool = True,
) -> Tensor:
    """Edits of one picture at every point of the grid of strengths.

    Args:
        domain: a Domain.
        x_T: (1, 3, R, R), the picture's inversion.
        deltas: name -> f_t.
        strengths: values per edit, ascending, 0 among them.
        steps: S.
        batch_size: pictures per pass; None: 25, or `HSpaceUNet.batch_size` if that is less.
        progress: show a progress bar over the points.
    Returns:
        (len(strengths),) * len(deltas) + (3, R, R) float32 on the CPU, clipped to [-1, 1].
    """
    points = torch.tensor(list(product(strengths, repeat=len(deltas))), dtype=x_T.dtype, device=x_T.device)
    pictures = []
    for part in tqdm(
        points.split(batch_size or min(25, domain.unet.batch_size)),
        desc="precomputing the panel",
        unit="batch",
        disable=not progress,
    ):
        mixed = dict(zip(deltas.values(), part.unbind(1)))  # one strength per edit and picture
        pictures.append(edit(domain, x_T.expand(len(part), -1, -1, -1), mixed, steps=steps, progress=False))
    grid = torch.cat(pictures).cpu().clamp(-1, 1)
    return grid.reshape(*(len(strengths),) * len(deltas), *x_T.shape[1:])


def blend(grid: Tensor, strengths: Sequence[float], point: Sequence[float]) -> Tensor:
    """Multilinear interpolation of the precomputed pictures.

    Args:
        grid: from `precompute`.
        strengths: the values the grid was computed at.
        point: one strength per edit; clamped to the grid.
    Returns:
        (3, R, R).
    """
    for value in point:
        value = min(max(value, strengths[0]), strengths[-1])
        low = max(k for k, s in enumerate(strengths[:-1]) if s <= value)
        weight = (value - strengths[low]) / (strengths[low + 1] - strengths[low])
        grid = torch.lerp(grid[low], grid[low + 1], weight)
    return grid


def to_png(image: Tensor, side: int = 320) -> bytes:
    """PNG bytes of a picture (3, R, R) in [-1, 1], enlarged to `side` pixels."""
    stream = io.BytesIO()
    Image.fromarray(to_array(image)).resize((side, side), Image.Resampling.BICUBIC).save(stream, "PNG")
    return stream.getvalue()


class Panel:
    """Sliders beside a picture; `panel.sliders["smiling"].value = 0.7` moves one from code.

    Args:
        domain: a Domain.
        x_T: (1, 3, R, R), the picture's inversion.
        deltas: name -> f_t, one slider each, two or three of them.
        strengths: the grid that is precomputed.
        steps: S.
        progress: show a progress bar while precomputing.

    Attributes:
        sliders: name -> FloatSlider.
        picture: the Image widget with the edit.
        grid: the precomputed pictures.
    """

    def __init__(
        self,
        domain,
        x_T: Tensor,
        deltas: Mapping[str, nn.Module],
        strengths: Sequence[float] = STRENGTHS,
        *,
        steps: int = 40,
        progress: bool = True,
    ):
        self.strengths = tuple(strengths)
        self.grid = precompute(domain, x_T, deltas, self.strengths, steps=steps, progress=progress)
        self.sliders = {
            name: widgets.FloatSlider(
                value=0.0, min=self.strengths[0], max=self.strengths[-1], step=0.05, description=name
            )
            for name in deltas
        }
        self.picture = widgets.Image(format="png", width=320, height=320)
        unedited = widgets.Image(value=to_png(self.image()), format="png", width=320, height=320)
        reset = widgets.Button(description="reset", icon="undo")
        reset.on_click(lambda _: self.reset())
        for slider in self.sliders.values():
            slider.observe(self._draw, names="value")
        self.box = widgets.HBox(
            [
                widgets.VBox([widgets.Label("reconstruction"), unedited]),
                widgets.VBox([widgets.Label("edit"), self.picture]),
                widgets.VBox([*self.sliders.values(), reset]),
            ]
        )
        self._draw()

    def image(self) -> Tensor:
        """The picture (3, R, R) at the sliders' present strengths."""
        return blend(self.grid, self.strengths, [slider.value for slider in self.sliders.values()])

    def reset(self) -> None:
        """Put every slider to 0."""
        for slider in self.sliders.values():
            slider.value = 0.0

    def show(self) -> widgets.HBox:
        """The widget, for the last line of a cell."""
        return self.box

    def _draw(self, _=None) -> None:
        self.picture.value = to_png(self.image())
