"""The render fit, a judge without a network: which factors would draw this image, and how nearly?

The answer lies inside the factors' ranges, whatever the image; the residual says how far it is from any face
of this world (64 pixels).  Each face is fitted by itself, so its batch does not matter.

Descent is Gauss-Newton's with Levenberg's damping: a dozen steps where Adam takes a hundred, and no rate to
choose.  Its slopes are differences of renders, which need no graph.  Where slopes mislead (hues and texture
return after one turn, the nose's shadow changes sides with the light, long hair appears at once) values are
tried instead.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from ... import check
from ...errors import ImageError, UnknownNameError
from ...progress import tqdm
from ...store.images import as_images
from .factors import CYCLIC, FACTORS
from .render import draw

_NAMES = list(FACTORS)
_LOW, _HIGH = torch.tensor([ends[:2] for ends in FACTORS.values()], dtype=torch.float32).T
_WIDTH = _HIGH - _LOW
_BOUNDED = torch.tensor([name not in CYCLIC for name in FACTORS])
#: Damping that is tried at each step, as shares of the curvature.
_DAMPING = (1e-5, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


class Fit(NamedTuple):
    """Of n images: factors (n rows, all of `FACTORS`), their renders (n, 3, 64, 64) in [-1, 1], and residual
    (n,), the mean absolute difference in [0, 2]; a face of the world itself leaves 0.002, its rounding.
    """

    factors: pd.DataFrame
    images: Tensor
    residual: Tensor


@torch.no_grad()
def fit_factors(images: Tensor, start: pd.DataFrame, *, steps: int = 3, progress: bool = True) -> Fit:
    """The factors whose render is nearest to each image, by the squares of the differences.
    Args:
        images: (n, 3, 64, 64) in [-1, 1], on the device where they are to be fitted.
        start: n rows to begin from, in the data's units, cut to the ranges: a factor table, or an oracle's
            reading times its `std` plus its `mean`.  `CYCLIC` may be missing.
        steps: at most so many in each of the four descents, from coarse to fine.
    `glasses` is how much of them is seen, anywhere in 0 … 1.  What an image does not show stays about where
    it began.
    Raises ImageError: no such images, or a start with other rows, columns missing, or NaN; UnknownNameError:
    a column that is no factor.
    """
    images = as_images(images, 64)
    check.whole("steps", steps, 0, 1000, error=ImageError)
    begin, found = _points(start, len(images)).to(images.device), []
    for image, point in zip(tqdm(images, desc="fitting", unit="face", disable=not progress), begin):
        small = F.avg_pool2d(image, 2)
        point = _descend(_search(point, small, CYCLIC), small, steps)
        point = _descend(_search(point, small, _NAMES[::-1]), small, steps)  # out of a local minimum
        found.append(_descend(_descend(point, image, steps), image, steps, supersample=2))
    points = torch.stack(found)
    fitted = torch.cat([_draw(part, 64, 2) for part in points.split(8)])
    table = (_LOW + _WIDTH * points.cpu()).numpy()
    return Fit(pd.DataFrame(table, columns=_NAMES), fitted, (fitted - images).abs().mean((1, 2, 3)))


def _points(start: pd.DataFrame, n: int) -> Tensor:
    """Rows of a factor table as points (n, F) of the unit cube, where the descent lives."""
    check.kind("start", start, pd.DataFrame, "a factor table")
    for name in set(start.columns) - set(FACTORS):
        raise UnknownNameError(f"Unknown factor {name!r}; the factors are {', '.join(FACTORS)}.")
    start = start.assign(**{name: 0.5 for name in CYCLIC if name not in start})
    table = torch.tensor(start.reindex(columns=_NAMES).to_numpy(np.float32))
    if len(table) != n or not torch.isfinite(table).all():
        wanted = f"expected {n}, with all factors but {', '.join(CYCLIC)}, and no NaN"
        raise ImageError(f"The start has {len(table)} rows for {n} images; {wanted}; complete it.")
    return ((table - _LOW) / _WIDTH).clamp(0, 1)


def _draw(points: Tensor, resolution: int, supersample: int = 1) -> Tensor:
    """Renders (n, 3, R, R) in [-1, 1] of points (n, F)."""
    table = _LOW.to(points) + _WIDTH.to(points) * points
    return draw(table, resolution, supersample=supersample, masks=False).images


def _errors(points: Tensor, image: Tensor, supersample: int = 1) -> Tensor:
    """Differences (n, 3 R²) of renders and an image (3, R, R)."""
    return (_draw(points, image.shape[-1], supersample) - image).flatten(1).double()


def _search(point: Tensor, image: Tensor, names) -> Tensor:
    """The point (F,) with one factor after another at the best of six values, or where it is."""
    for name in names:
        places = torch.arange(6) / (6 if name in CYCLIC else 5)
        tried = point.repeat(7, 1)
        tried[1:, _NAMES.index(name)] = places.to(point)
        point = tried[_errors(tried, image).square().sum(1).argmin()]
    return point


def _descend(point: Tensor, image: Tensor, steps: int, supersample: int = 1) -> Tensor:
    """At most `steps` damped Gauss-Newton steps inside the unit cube; the error never grows."""
    bounded = _BOUNDED.to(point.device)
    damping = torch.tensor(_DAMPING, dtype=torch.float64, device=point.device)[:, None]
    error = _errors(point[None], image, supersample)[0]
    for _ in range(steps):
        way = torch.where(point > 0.5, -0.01, 0.01)  # inwards
        drawn = _errors(torch.cat([point[None], point + way.diag()]), image)  # slopes need no supersampling
        slopes = (drawn[1:] - drawn[0]) / way[:, None]
        downhill = slopes @ error
        free = ~(bounded & (((point <= 0) & (downhill > 0)) | ((point >= 1) & (downhill < 0))))
        slopes, downhill = slopes * free[:, None], downhill * free
        square = slopes @ slopes.T
        floor = damping * square.diagonal() + 1e-3  # so what shows nothing rests
        damped = square + torch.diag_embed(floor)
        change = torch.linalg.solve(damped, downhill.expand(len(damping), -1)[..., None])[..., 0]
        tried = point - change.float()
        tried = torch.where(bounded, tried.clamp(0, 1), tried % 1)
        errors = _errors(tried, image, supersample)
        sums = errors.square().sum(1)
        best, before = sums.argmin(), error.square().sum()
        if sums[best] < before:
            point, error = tried[best], errors[best]
        if sums[best] > 0.999 * before:
            break
    return point
