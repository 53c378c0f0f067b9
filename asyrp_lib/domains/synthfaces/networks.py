"""The two measuring networks of `synthfaces`: the oracle (which factors?) and the segmenter (what is
where?)."""

import os

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...store.weights import load_strictly, read_weights, save_weights
from .factors import FACTORS
from .render import CLASSES

#: What the oracle reads: all factors but the cyclic hues and the phase of the strands.
ORACLE_FACTORS = tuple(name for name in FACTORS if name not in ("background", "clothes", "texture"))


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1),
        nn.GroupNorm(8, outputs),
        nn.SiLU(),
        nn.Conv2d(outputs, outputs, 3, 1, 1),
        nn.GroupNorm(8, outputs),
        nn.SiLU(),
    )


class Oracle(nn.Module):
    """Reads the factors of a face from its picture.

    It judges edits, so it shares nothing with what makes them: its own split, its own seeds, its own
    augmentation, and
    it is part of no loss.

    Args:
        resolution: side of the pictures it was trained on.
        width: channels of the first level.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, resolution: int, width: int = 32):
        super().__init__()
        self.config = {"resolution": resolution, "width": width}
        levels = [width, 2 * width, 3 * width, 4 * width]
        self.body = nn.Sequential(
            _block(3, levels[0]), *[_block(a, b, 2) for a, b in zip(levels, levels[1:])]
        )
        cells = (resolution // 8) ** 2
        self.head = nn.Sequential(
            nn.Conv2d(levels[-1], 32, 1),
            nn.Flatten(),
            nn.Linear(32 * cells, 256),
            nn.SiLU(),
            nn.Linear(256, len(ORACLE_FACTORS)),
        )
        # mean and standard deviation of each factor over the data set, so that outputs are in standard
        # deviations
        self.register_buffer("mean", torch.zeros(len(ORACLE_FACTORS)))
        self.register_buffer("std", torch.ones(len(ORACLE_FACTORS)))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, R, R) in [-1, 1] -> standardised factors (B, F), F = len(ORACLE_FACTORS)."""
        return self.head(self.body(images))

    @torch.inference_mode()
    def read(self, images: Tensor, *, batch_size: int = 256) -> pd.DataFrame:
        """The factors of pictures in data-set standard deviations from the data-set mean.

        Args:
            images: (N, 3, R, R) in [-1, 1].
            batch_size: pictures per pass.
        Returns:
            DataFrame (N, F), columns `ORACLE_FACTORS`.
        """
        scores = torch.cat([self(part.to(self.mean.device)) for part in images.split(batch_size)])
        return pd.DataFrame(scores.float().cpu().numpy(), columns=list(ORACLE_FACTORS))


class Segmenter(nn.Module):
    """Says for every pixel which part of the face it shows; a small U-Net.

    Args:
        width: channels of the first level.
    """

    def __init__(self, width: int = 24):
        super().__init__()
        self.config = {"width": width}
        self.down = nn.ModuleList(
            [_block(3, width), _block(width, 2 * width, 2), _block(2 * width, 4 * width, 2)]
        )
        self.up = nn.ModuleList([_block(6 * width, 2 * width), _block(3 * width, width)])
        self.out = nn.Conv2d(width, len(CLASSES), 1)

    def features(self, images: Tensor) -> list[Tensor]:
        """Activations of the three levels: (B, w, R, R), (B, 2w, R/2, R/2), (B, 4w, R/4, R/4)."""
        levels = []
        for block in self.down:
            images = block(images)
            levels.append(images)
        return levels

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, R, R) in [-1, 1] -> class scores (B, len(CLASSES), R, R)."""
        *skips, x = self.features(images)
        for block, skip in zip(self.up, reversed(skips)):
            x = block(torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), skip], 1))
        return self.out(x)

    @torch.inference_mode()
    def segment(self, images: Tensor) -> Tensor:
        """Class numbers (B, R, R) int64 of pictures (B, 3, R, R) in [-1, 1]."""
        return self(images.to(self.out.weight.device)).argmax(1)


def save_network(network: Oracle | Segmenter, path: str | os.PathLike, card: dict) -> None:
    """Write a measuring network with its configuration and card (scores, provenance) in half precision."""
    save_weights(
        path,
        network.state_dict(),
        {"network": type(network).__name__, "config": network.config, "card": card},
        dtype=torch.float16,
    )


def load_oracle(path: str | os.PathLike) -> Oracle:
    """Load an oracle, frozen, on the CPU.

    Raises:
        WeightsError: the file is missing, damaged, or of another network.
    """
    state, config = read_weights(path)
    oracle = Oracle(**config.get("config", {"resolution": 32}))
    load_strictly(oracle, state, path)
    return oracle.eval().requires_grad_(False)


def load_segmenter(path: str | os.PathLike) -> Segmenter:
    """Load a segmenter, frozen, on the CPU.

    Raises:
        WeightsError: the file is missing, damaged, or of another network.
    """
    state, config = read_weights(path)
    segmenter = Segmenter(width=config.get("config", {}).get("width", 24))
    load_strictly(segmenter, state, path)
    return segmenter.eval().requires_grad_(False)
