"""`synthfaces`: the embedded domain, a small world whose truth is known."""

import json
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from ...measure.perceptual import PerceptualDistance
from ...method.clip import load_clip
from ...method.hspace import HSpaceUNet
from ...store.paths import data_dir
from ..domain import Domain
from .edits import EDITS, UNSEEN
from .faces import from_bytes, render_split
from .factors import SPLITS, sample_factors
from .networks import load_oracle, load_segmenter
from .render import CLASSES
from .styles import STYLES

#: Files of the shipped networks under `data/weights/synthfaces/`.
NETWORKS = ("ddpm", "clip", "segmenter", "oracle")


def weights_file(network: str) -> Path:
    """Where a shipped network of `NETWORKS` is kept."""
    return data_dir() / "weights" / "synthfaces" / f"{network}.safetensors"


def load_synthfaces(device: torch.device) -> Domain:
    """The embedded domain with its four shipped networks.

    Raises:
        WeightsError: a shipped file is missing or damaged.
    """
    unet = HSpaceUNet.from_pretrained(weights_file("ddpm")).to(device)
    clip = load_clip(weights_file("clip")).to(device)
    segmenter = load_segmenter(weights_file("segmenter")).to(device)
    oracle = load_oracle(weights_file("oracle")).to(device)
    resolution = unet.resolution

    def images(split: str, n: int, first: int) -> Tensor:
        return from_bytes(render_split(split, first + n, resolution, device=device).images[first:])

    def factors(split: str, n: int, first: int) -> pd.DataFrame:
        return sample_factors(first + n, SPLITS[split]).iloc[first:].reset_index(drop=True)

    def targets(edit: str, split: str, n: int, first: int) -> Tensor:
        faces = render_split(split, first + n, resolution, device=device)
        return STYLES[UNSEEN[edit]](from_bytes(faces.images[first:]), faces.masks[first:])

    domain = Domain(
        "synthfaces",
        unet,
        images,
        clip,
        EDITS,
        PerceptualDistance(segmenter.features),
        directions=data_dir() / "directions" / "synthfaces",
        oracle=oracle,
        segmenter=segmenter.segment,
        classes=CLASSES,
        factor_source=factors,
        target_source=targets,
    )
    curve = data_dir() / "results" / "synthfaces_curve.json"
    if curve.exists():
        stored = json.loads(curve.read_text())["data"]
        domain.curve, domain.t_boost = pd.DataFrame(stored["curve"]), stored["t_boost"]
        domain.distance.scale = stored["scale"]
    return domain
