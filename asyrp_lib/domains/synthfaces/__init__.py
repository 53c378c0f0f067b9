"""`synthfaces`: the embedded domain, a small world whose truth is known."""

import hashlib
import json
from functools import cache
from pathlib import Path
from warnings import warn

import pandas as pd
import torch
from torch import Tensor

from ...device import pick_memory_format
from ...errors import DomainError
from ...measure.perceptual import PerceptualDistance
from ...method.clip import load_clip
from ...method.hspace import HSpaceUNet
from ...method.train import TrainSettings
from ...store.paths import data_dir
from ...store.results import load_result, result_file
from ...store.weights import module_digest
from ..domain import Domain, Later
from .canvas import CLASSES
from .edits import EDITS, aimed_at
from .faces import CODEC, from_bytes, render_factors, render_split, split_factors, unsealed, world_digest
from .factors import TIES
from .fit import Fit, fit_factors
from .networks import Oracles, load_oracle, load_segmenter
from .unseen import UNSEEN

#: Files of the shipped networks under `data/weights/synthfaces/`.
ORACLES = ("oracle", "oracle_2", "oracle_3")
NETWORKS = ("ddpm", "clip", "second_clip", "segmenter", *ORACLES)


def weights_file(network: str) -> Path:
    """Where a shipped network of `NETWORKS` is kept."""
    return data_dir() / "weights" / "synthfaces" / f"{network}.safetensors"


def load_synthfaces(device: torch.device) -> Domain:
    """The embedded domain, judges once asked for; WeightsError: a shipped file is missing or damaged."""
    unet = HSpaceUNet.from_pretrained(weights_file("ddpm")).to(device).to_precision()
    layout = pick_memory_format(device)

    def images(split: str, n: int, first: int) -> Tensor:
        return from_bytes(render_split(split, n, first=first, device=device).images)

    def draw(factors: pd.DataFrame) -> Tensor:
        return from_bytes(render_factors(factors, device=device).images)

    def targets(edit: str, split: str, n: int, first: int) -> Tensor:
        factors = split_factors(split, n, first)
        if edit in UNSEEN:
            return UNSEEN[edit].draw(factors, device=device)
        if edit not in EDITS:
            known = ", ".join([*EDITS, *UNSEEN])
            raise DomainError(f"synthfaces cannot draw {edit!r}; expected one of its own edits: {known}.")
        return draw(aimed_at(EDITS[edit], factors))

    def measured() -> dict:
        name = "synthfaces_curve"
        if not result_file(name).exists():
            return {}
        found = load_result(name, "python -m asyrp_lib curve")
        if found["provenance"]["digests"].get("unet") != unet.digest():
            warn(
                "The stored curve is of another U-Net and not used; make it again: python -m asyrp_lib curve "
                "--replace",
                stacklevel=2,
            )
            return {}
        return found["data"]

    def fit(images: Tensor, *, progress: bool = True) -> Fit:
        return fit_factors(images, oracles().guess(images), progress=progress)

    def made_with() -> dict[str, str]:
        curve = hashlib.sha256(json.dumps(measured(), sort_keys=True).encode()).hexdigest()[:16]
        return {"segmenter": module_digest(segmenter()), "curve": curve, "world": world_digest()}

    def clip(network: str) -> Later:
        return Later(lambda: load_clip(weights_file(network)).to(device).to(memory_format=layout))

    oracles = cache(lambda: Oracles([load_oracle(weights_file(name)) for name in ORACLES]).to(device))
    segmenter = cache(lambda: load_segmenter(weights_file("segmenter")).to(device))
    return Domain(
        "synthfaces",
        unet,
        images,
        clip=clip("clip"),
        edits=EDITS,
        distance=Later(lambda: PerceptualDistance(segmenter().features, measured().get("scale", 1.0))),
        directions=data_dir() / "directions" / "synthfaces",
        training=TrainSettings(epochs=2),
        train_images=16,
        t_boost=Later(lambda: measured().get("t_boost", 0)),
        curve=Later(lambda: pd.DataFrame(measured()["curve"]) if measured() else None),
        codec=CODEC,
        second_clip=clip("second_clip"),
        oracle=Later(oracles),
        segmenter=Later(lambda: segmenter().segment),
        classes=CLASSES,
        tied=TIES,
        draw=draw,
        fit=fit,
        factor_source=split_factors,
        target_source=targets,
        corrections=1,
        made_with=made_with,
        final_split="sealed",
        unsealed=unsealed,
    )
