"""Rows of every experiment with the names of synthfaces, from a stand-in of 8 px: the form of the results.

`python tests/rehearsal.py` writes them to data/results, for work on notebooks and claims while the networks
are being trained.  They say nothing about the truth and are never committed.
"""

import os
import sys
import time
from pathlib import Path

import pandas as pd
import torch
from tiny_domain import TinyDomain, build_tiny
from toys import randn, randomised

from asyrp_lib import experiments
from asyrp_lib.deltas import ConvDelta
from asyrp_lib.domains.synthfaces.edits import EDITS
from asyrp_lib.domains.synthfaces.faces import split_factors
from asyrp_lib.domains.synthfaces.factors import TIES
from asyrp_lib.domains.synthfaces.networks import ORACLE_FACTORS

#: What keeps an experiment short.
SMALL = {
    "settings": {"n": 4, "images": 2, "epochs": 1, "candidates": (1.0, 3.0)},
    "world": {"n": 12, "n_samples": 40},
    "inversion": {"long_grid": 200},
    "final": {"n": 40},
    "asymmetry": {"n": 10, "search": 3},
    "homogeneity": {"epochs": 3},
    "places": {"n": 6, "images": 2, "epochs": 1},
    "reach": {"n": 4},
    "heads": {"heads": (2, 4), "delta": {"layout": "pc", "groups": 4}, "images": 2, "epochs": 1},
    "reference": {"f_t": {"conv": {}}, "batch_size": 2, "images": 2, "epochs": 1},
    "boosting": {"n": 30},
    "intervals": {"n": 10, "n_trained": 4, "grids": (20, 100), "long_grid": 200},
}


class Rehearsal(TinyDomain):
    """Five random f_t of every edit."""

    def seeds(self, name: str) -> tuple[int, ...]:
        """As many as the real thing."""
        return tuple(range(5))

    def delta(self, name: str, seed: int = 0) -> ConvDelta:
        """Another for each edit and seed."""
        delta = ConvDelta(8, self.unet.temb_dim, groups=4, name=name, t_edit=600)
        number = 100 * sorted(EDITS).index(name) + seed if name in EDITS else 9000 + seed
        return randomised(delta, number, 0.5).eval().requires_grad_(False)

    def direction_file(self, name: str, seed: int = 0) -> Path:
        """Some file that is there."""
        return Path(__file__)


class RandomOracle(torch.nn.Module):
    """Reads every factor off a random projection."""

    def __init__(self):
        super().__init__()
        self.register_buffer("weight", randn(3 * 64, len(ORACLE_FACTORS), seed=9) / 8)

    def read(self, images: torch.Tensor) -> pd.DataFrame:
        """(N, factors)."""
        return pd.DataFrame((images.flatten(1) @ self.weight).double().numpy(), columns=list(ORACLE_FACTORS))

    def disagreement(self, images: torch.Tensor) -> pd.DataFrame:
        """Of some size."""
        return self.read(images).abs() / 10

    def walls(self) -> dict[str, tuple[float, float]]:
        """The same for all."""
        return dict.fromkeys(ORACLE_FACTORS, (-1.7, 1.7))


def build_rehearsal() -> Rehearsal:
    """The stand-in, under the name of synthfaces."""
    domain = build_tiny()
    domain.__class__ = Rehearsal
    domain.name, domain.edits, domain.tied, domain.t_boost = "synthfaces", dict(EDITS), TIES, 200
    domain.oracle, domain.classes = RandomOracle(), ("dark", "bright")
    domain.factor_source = split_factors
    domain.segmenter = lambda images: (images.mean(1) > 0).long()
    t = range(0, 1000, 10)
    domain.curve = pd.DataFrame({"t": t, "x_t": [k / 500 for k in t], "P_t": [k / 1500 for k in t]})
    return domain


if __name__ == "__main__":
    os.environ["ASYRP_CACHE"] = "off"
    domain = build_rehearsal()
    late = ("robustness",)  # it reads what homogeneity stored
    early = [name for name in experiments.EXPERIMENTS if name not in {*late} | experiments.PEOPLE]
    for name in sys.argv[1:] or [*early, *late]:
        started = time.monotonic()
        file = experiments.store(domain, name, progress=False, replace=True, **SMALL.get(name, {}))
        print(f"{file.name}: {time.monotonic() - started:.0f} s", flush=True)
