"""`synthfaces`: the embedded domain, a small world whose truth is known."""

from functools import cache
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from ...device import pick_memory_format
from ...errors import DomainError
from ...measure.perceptual import PerceptualDistance
from ...method.clip import load_clip
from ...method.hspace import HSpaceUNet
from ...store.paths import data_dir
from ...store.results import load_result, result_file
from ...store.weights import read_weights
from ..codec import Codec
from ..domain import Domain, Later
from .canvas import CLASSES
from .edits import EDITS, UNSEEN
from .faces import Faces, from_bytes, render_split, split_factors
from .networks import load_oracle, load_segmenter
from .styles import STYLES

#: Files of the shipped networks under `data/weights/synthfaces/`.
NETWORKS = ("ddpm", "clip", "segmenter", "oracle")


def weights_file(network: str) -> Path:
    """Where a shipped network of `NETWORKS` is kept."""
    return data_dir() / "weights" / "synthfaces" / f"{network}.safetensors"


def load_synthfaces(device: torch.device) -> Domain:
    """The embedded domain, judges once asked for; WeightsError: a shipped file is missing or damaged."""
    file = weights_file("ddpm")
    unet, card = HSpaceUNet.from_pretrained(file).to(device).to_precision(), read_weights(file)[1]["card"]
    layout = pick_memory_format(device)
    codec, edition = Codec(card.get("codec", 1)), card.get("edition", 1)
    resolution = unet.resolution * codec.factor

    def faces(split: str, n: int, first: int) -> Faces:
        return render_split(split, n, resolution, first=first, edition=edition, device=device)

    def targets(edit: str, split: str, n: int, first: int) -> Tensor:
        if edit not in UNSEEN:
            raise DomainError(f"{edit!r} is no unseen edit of synthfaces; known are {', '.join(UNSEEN)}.")
        drawn = faces(split, n, first)
        return STYLES[UNSEEN[edit]](from_bytes(drawn.images), drawn.masks)

    def measured() -> dict:
        name = "synthfaces_curve"
        return load_result(name, "python -m asyrp_lib curve")["data"] if result_file(name).exists() else {}

    segmenter = cache(lambda: load_segmenter(weights_file("segmenter")).to(device))
    return Domain(
        "synthfaces",
        unet,
        lambda split, n, first: from_bytes(faces(split, n, first).images),
        clip=Later(lambda: load_clip(weights_file("clip")).to(device).to(memory_format=layout)),
        edits=EDITS,
        distance=Later(lambda: PerceptualDistance(segmenter().features, measured().get("scale", 1.0))),
        directions=data_dir() / "directions" / "synthfaces",
        t_boost=Later(lambda: measured().get("t_boost", 0)),
        curve=Later(lambda: pd.DataFrame(measured()["curve"]) if measured() else None),
        codec=codec,
        oracle=Later(lambda: load_oracle(weights_file("oracle")).to(device)),
        segmenter=Later(lambda: segmenter().segment),
        classes=CLASSES,
        factor_source=lambda split, n, first: split_factors(split, n, first),
        target_source=targets,
    )
