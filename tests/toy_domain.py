"""4-px Gaussian images with a known ε whose edits add a colour: experiments' arithmetic in milliseconds."""

from copy import copy
from pathlib import Path

import pandas as pd
import pytest
import torch
from toys import IdealGaussian, ToyClip, randn

from asyrp_lib.deltas import GlobalDelta
from asyrp_lib.domains.domain import Domain
from asyrp_lib.domains.edits import Edit
from asyrp_lib.errors import WeightsError

COLOURS = {"red": 0, "green": 1, "blue": 2}


class ToyDomain(Domain):
    """`Domain` whose f_t is made on the spot: ε falls in one channel, and the image ends 0.5 brighter."""

    def delta(self, name: str, seed: int = 0) -> GlobalDelta:
        """The shift of an edit, a little larger from seed to seed; grey has none."""
        if name not in COLOURS:
            raise WeightsError(f"no f_t of {name}")
        shift = torch.zeros(3, 4, 4)
        shift[COLOURS[name]] = -0.04 * (1 + 0.01 * seed)
        return GlobalDelta(shift, name=name, t_edit=200, train_steps=40)

    def seeds(self, name: str) -> tuple[int, ...]:
        """Three of each, fewer where a test says so."""
        return tuple(range(self.seed_count))

    seed_count = 3


class ToyOracle(torch.nn.Module):
    """Reads the mean of each colour, between walls at −1 and 2."""

    def read(self, images: torch.Tensor) -> pd.DataFrame:
        """(N, 3)."""
        return pd.DataFrame(images.mean((2, 3)).double().numpy(), columns=list(COLOURS))

    def walls(self) -> dict[str, tuple[float, float]]:
        """The same for all."""
        return dict.fromkeys(COLOURS, (-1.0, 2.0))


def brighter(images: torch.Tensor, name: str, by: float = 0.5) -> torch.Tensor:
    """The pictures with one channel brightened."""
    images = images.clone()
    images[:, COLOURS[name]] += by
    return images


def ones_for_h(unet: IdealGaussian, monkeypatch) -> None:
    """Let the toy's h be 1 everywhere instead of 0, with ε = ε(x) + Δh still."""
    encode, decode = unet.encode, unet.decode
    monkeypatch.setattr(unet, "encode", lambda x, t: encode(x, t)._replace(h=torch.ones_like(x)))
    monkeypatch.setattr(unet, "decode", lambda z, h=None: decode(z, None if h is None else h - 1))


def toy_cut(unet: IdealGaussian, place: str) -> IdealGaussian:
    """The toy's `Cut` at "ε": it has no blocks to cut between, but knows its ε."""
    cut = copy(unet)
    cut.encode = lambda x, t: unet.encode(x, t)._replace(h=unet(x, t))
    cut.decode = lambda z, h=None: z.h if h is None else h
    return cut


@pytest.fixture
def toy(monkeypatch, tmp_path) -> ToyDomain:
    """`build_toy` with a cache of its own."""
    monkeypatch.setenv("ASYRP_CACHE", str(tmp_path))
    return build_toy()


def build_toy() -> ToyDomain:
    """One in-domain edit with a factor, green; two unseen ones; grey, without f_t; a colour oracle."""
    unet = IdealGaussian()
    unet.prediction_type = "epsilon"

    def images(split: str, n: int, first: int) -> torch.Tensor:
        return 0.3 + 0.2 * randn(first + n, 3, 4, 4, seed=len(split))[first:]

    edits = [
        Edit("green", "face", "green face", factor="green"),
        Edit("grey", "face", "grey face", factor="green"),
        *(Edit(name, "face", f"{name} face", in_domain=False) for name in ("red", "blue")),
    ]
    return ToyDomain(
        "toy",
        unet,
        images,
        ToyClip(4),
        {edit.name: edit for edit in edits},
        lambda a, b: (a - b).square().mean((1, 2, 3)),
        Path("nowhere"),
        t_boost=300,
        oracle=ToyOracle(),
        segmenter=lambda x: (x.mean(1) > 0.3).long(),
        classes=("dark", "bright"),
        target_source=lambda edit, split, n, first: brighter(images(split, n, first), edit),
    )
