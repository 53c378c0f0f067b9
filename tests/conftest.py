"""Small models that many tests share."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers import UNet2DModel
from safetensors.torch import load_file
from tiny_domain import tiny  # noqa: F401, a fixture for those that need a network
from toy_domain import toy  # noqa: F401, a fixture for many tests
from toys import ToyClip

from asyrp_lib.method.hspace import HSpaceUNet
from asyrp_lib.method.schedule import NoiseSchedule

GOLDEN = Path(__file__).parent / "golden"


def tiny_unet(seed: int = 0, **changes) -> UNet2DModel:
    """An untrained U-Net of two levels with an 8 x 8 bottleneck for 16-px pictures."""
    torch.manual_seed(seed)
    settings = {
        "sample_size": 16,
        "in_channels": 3,
        "out_channels": 3,
        "layers_per_block": 1,
        "block_out_channels": (32, 32),
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        "norm_num_groups": 8,
        "attention_head_dim": 16,
    }
    return UNet2DModel(**{**settings, **changes})


@pytest.fixture
def unet() -> HSpaceUNet:
    """A tiny frozen ε-predicting model with the linear schedule."""
    return HSpaceUNet(tiny_unet(), NoiseSchedule.linear())


@pytest.fixture
def golden():
    """Golden tensors and facts of one family: golden("ddpm") -> namespace(tensors, facts)."""

    def load(family: str) -> SimpleNamespace:
        return SimpleNamespace(
            tensors=load_file(GOLDEN / f"{family}_tiny.safetensors"),
            facts=json.loads((GOLDEN / f"{family}_tiny.json").read_text()),
        )

    return load


@pytest.fixture
def toy_clip() -> ToyClip:
    """A judge for 16-px pictures."""
    return ToyClip(16)


@pytest.fixture
def golden_unet(golden):
    """The golden network of a family through the public converter."""
    from asyrp_lib.backbones.convert import load_ddpm_checkpoint, load_openai_checkpoint

    convert = {"ddpm": load_ddpm_checkpoint, "iddpm": load_openai_checkpoint}

    def load(family: str) -> HSpaceUNet:
        g = golden(family)
        state = {
            name.removeprefix("weights."): tensor.float()
            for name, tensor in g.tensors.items()
            if name.startswith("weights.") and not name.startswith("weights.layer_")
        }
        return HSpaceUNet(convert[family](state, g.facts["config"]), NoiseSchedule.linear())

    return load


@pytest.fixture
def golden_delta(golden):
    """The golden f_t number `layer` of a family."""
    from asyrp_lib.deltas import ConvDelta, PreNormConvDelta
    from asyrp_lib.store.weights import load_strictly

    def load(family: str, layer: int = 0):
        prefix = f"weights.layer_{layer}."
        state = {
            name.removeprefix(prefix): tensor.float()
            for name, tensor in golden(family).tensors.items()
            if name.startswith(prefix)
        }
        delta = {"ddpm": ConvDelta, "iddpm": PreNormConvDelta}[family](64, 128)
        load_strictly(delta, state, "golden")
        return delta

    return load
