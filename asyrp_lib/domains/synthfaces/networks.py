"""The measuring networks of `synthfaces`: the oracle (which factors?) and the segmenter (what is where?)."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...store.weights import load_strictly, read_weights, save_weights
from .canvas import CLASSES
from .factors import CYCLIC, FACTORS

#: What the oracle reads.
ORACLE_FACTORS = tuple(name for name in FACTORS if name not in CYCLIC)


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    first = nn.Conv2d(inputs, outputs, 3, stride, 1), nn.GroupNorm(8, outputs), nn.SiLU()
    second = nn.Conv2d(outputs, outputs, 3, 1, 1), nn.GroupNorm(8, outputs), nn.SiLU()
    return nn.Sequential(*first, *second)


class _Residual(nn.Module):
    """x + f(x), f two convolutions."""

    def __init__(self, width: int):
        super().__init__()
        self.inner = _block(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


def _strided(width: int) -> tuple[nn.Sequential, int]:
    levels = [width, 2 * width, 3 * width, 4 * width]
    return nn.Sequential(_block(3, width), *[_block(a, b, 2) for a, b in zip(levels, levels[1:])]), levels[-1]


def _patches(width: int) -> tuple[nn.Sequential, int]:
    first, last = nn.Conv2d(3, 2 * width, 4, 4), nn.Conv2d(2 * width, 4 * width, 2, 2)
    fine, coarse = ([_Residual(k * width) for _ in range(3)] for k in (2, 4))
    return nn.Sequential(first, *fine, last, *coarse), 4 * width


#: name -> body of an oracle, (B, 3, R, R) -> (B, k, R/8, R/8), and k: overlapping strides, or patches of
#: 4 x 4 pixels and residual blocks.  Oracles of two kinds do not err alike.
BODIES = {"strided": _strided, "patches": _patches}


class Oracle(nn.Module):
    """Reads the factors of a face from an image of side `resolution`; `width`: of the thinnest level.
    It judges edits, so it shares nothing with what makes them: split, seeds, augmentation, no loss.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, resolution: int, width: int = 32, body: str = "strided"):
        super().__init__()
        self.config = {"resolution": resolution, "width": width, "body": body}
        self.body, last = BODIES[body](width)
        cells, factors = (resolution // 8) ** 2, len(ORACLE_FACTORS)
        flat = nn.Conv2d(last, 32, 1), nn.Flatten()
        self.head = nn.Sequential(*flat, nn.Linear(32 * cells, 256), nn.SiLU(), nn.Linear(256, factors))
        # of each factor over the data set, so that outputs are in standard deviations
        self.register_buffer("mean", torch.zeros(factors))
        self.register_buffer("std", torch.ones(factors))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, R, R) in [-1, 1] -> standardised factors (B, F), F = len(ORACLE_FACTORS)."""
        return self.head(self.body(images))

    @torch.inference_mode()
    def read(self, images: Tensor) -> pd.DataFrame:
        """The factors of images (N, 3, R, R) in [-1, 1], standardised over the data set, one row each."""
        scores = torch.cat([self(part.to(self.mean.device)) for part in images.split(256)])
        return pd.DataFrame(scores.float().cpu().numpy(), columns=list(ORACLE_FACTORS))


class Oracles(nn.Module):
    """Several oracles as one judge: their mean is the reading, their disagreement its error bar."""

    def __init__(self, members: Sequence[Oracle]):
        super().__init__()
        self.members: Any = nn.ModuleList(members)  # typed as modules of no kind

    def readings(self, images: Tensor) -> list[pd.DataFrame]:
        """`Oracle.read` of each."""
        return [oracle.read(images) for oracle in self.members]

    def read(self, images: Tensor) -> pd.DataFrame:
        """The factors of images (N, 3, R, R) in [-1, 1], standardised over the data set, one row each."""
        first, *others = self.readings(images)
        return sum(others, first) / len(self.members)

    def guess(self, images: Tensor) -> pd.DataFrame:
        """The factors of images as `FACTORS` counts them, not standardised: where a fit may begin."""
        counted: list[pd.DataFrame] = [
            oracle.read(images) * oracle.std.cpu().numpy() + oracle.mean.cpu().numpy()
            for oracle in self.members
        ]
        return sum(counted[1:], counted[0]) / len(counted)

    def walls(self) -> dict[str, tuple[float, float]]:
        """factor -> lowest and highest value it can have, as `read` would say it."""
        mean, std = (
            torch.stack([getattr(oracle, name) for oracle in self.members]).mean(0)
            for name in ("mean", "std")
        )
        ends = [(FACTORS[name][:2], float(m), float(s)) for name, m, s in zip(ORACLE_FACTORS, mean, std)]
        return {name: ((a - m) / s, (b - m) / s) for name, ((a, b), m, s) in zip(ORACLE_FACTORS, ends)}

    def disagreement(self, images: Tensor) -> pd.DataFrame:
        """Standard deviation of the readings between the oracles (N, factors), in those of the data."""
        stack = np.stack([table.to_numpy() for table in self.readings(images)])
        return pd.DataFrame(stack.std(0, ddof=1), columns=list(ORACLE_FACTORS))


class Segmenter(nn.Module):
    """Says for every pixel which part of the face it shows; a small U-Net, `width` channels at first."""

    def __init__(self, width: int = 24):
        super().__init__()
        self.config = {"width": width}
        down = _block(3, width), _block(width, 2 * width, 2), _block(2 * width, 4 * width, 2)
        self.down = nn.ModuleList(down)
        self.up = nn.ModuleList([_block(6 * width, 2 * width), _block(3 * width, width)])
        self.out = nn.Conv2d(width, len(CLASSES), 1)

    def features(self, images: Tensor) -> list[Tensor]:
        """Activations of the three levels: (B, w, R, R), (B, 2w, R/2, R/2), (B, 4w, R/4, R/4)."""
        levels = []
        for block in self.down:
            levels.append(images := block(images))
        return levels

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, R, R) in [-1, 1] -> class scores (B, len(CLASSES), R, R)."""
        *skips, x = self.features(images)
        for block, skip in zip(self.up, reversed(skips)):
            x = block(torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), skip], 1))
        return self.out(x)

    @torch.inference_mode()
    def segment(self, images: Tensor) -> Tensor:
        """Class numbers (B, R, R) int64 of images (B, 3, R, R) in [-1, 1]."""
        return self(images.to(self.out.weight.device)).argmax(1)


def save_network(network: Oracle | Segmenter, path: str | os.PathLike, card: dict) -> None:
    """Write a measuring network with its configuration and card (scores, provenance) in half precision."""
    about = {"network": type(network).__name__, "config": network.config, "card": card}
    save_weights(path, network.state_dict(), about, dtype=torch.float16)


def load_oracle(path: str | os.PathLike) -> Oracle:
    """Load an oracle, frozen, on the CPU; WeightsError: missing, damaged, or of another network."""
    state, config = read_weights(path)
    oracle = Oracle(**config.get("config", {"resolution": 32}))
    load_strictly(oracle, state, path)
    return oracle.eval().requires_grad_(False)


def load_segmenter(path: str | os.PathLike) -> Segmenter:
    """Load a segmenter, frozen, on the CPU; WeightsError: missing, damaged, or of another network."""
    state, config = read_weights(path)
    segmenter = Segmenter(width=config.get("config", {}).get("width", 24))
    load_strictly(segmenter, state, path)
    return segmenter.eval().requires_grad_(False)
