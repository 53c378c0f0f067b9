"""Small models and a few helpers that the engine's tests share."""

import os
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DModel
from torch import nn

from asyrp_lib.backbones.convert import ddpm_arguments, openai_arguments
from asyrp_lib.method.hspace import Encoded, HSpaceUNet
from asyrp_lib.method.schedule import NoiseSchedule

GOLDEN = Path(__file__).parent / "golden"

#: what each family needs; h is 64 x 8 x 8 in all of them
FAMILIES = {
    "ddpm": ddpm_arguments(
        {"image_size": 16, "ch": 32, "ch_mult": [1, 2], "num_res_blocks": 1, "attn_resolutions": [8]}
    ),
    "iddpm": openai_arguments(
        {
            "image_size": 16,
            "num_channels": 32,
            "channel_mult": [1, 2],
            "num_res_blocks": 1,
            "attention_ds": [2],
            "num_head_channels": 16,
            "out_channels": 6,
        }
    ),
    "embedded": dict(
        sample_size=16,
        in_channels=3,
        out_channels=3,
        layers_per_block=1,
        block_out_channels=(32, 64),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=32,
    ),
}


def tiny_unet(family: str = "ddpm", **changes) -> UNet2DModel:
    """A U-Net with seeded random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return UNet2DModel(**{**FAMILIES[family], **changes}).eval()


def tiny_model(family: str = "ddpm", prediction_type: str = "epsilon") -> HSpaceUNet:
    return HSpaceUNet(tiny_unet(family), NoiseSchedule.linear(), prediction_type)


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def randomised(module: nn.Module, seed: int = 0, scale: float = 0.3) -> nn.Module:
    """The module with all parameters random, zero-initialised ones included."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return module


class IdealGaussian(nn.Module):
    """The exact ε of images whose pixels are independent N(mean, spread²), in the form of an HSpaceUNet."""

    channels, resolution, h_channels, batch_size, unet_config = 3, 4, 3, 512, {}

    def __init__(self, mean: float = 0.3, spread: float = 0.4):
        super().__init__()
        self.schedule, self.mean, self.spread = NoiseSchedule.linear(), mean, spread

    device = torch.device("cpu")
    h_shape, temb_dim = (3, 4, 4), 1

    def digest(self):
        return f"ideal {self.mean} {self.spread}"

    def encode(self, x, t):
        return Encoded(torch.zeros_like(x), (), x.mean((1, 2, 3))[:, None], x, t)

    def decode(self, z, h=None):
        a = self.schedule.alpha_bar(z.t)
        eps = (1 - a) ** 0.5 * (z.x - a**0.5 * self.mean) / (a * self.spread**2 + 1 - a)
        return eps if h is None else eps + h

    def decode_pair(self, z, h_edit):
        return self.decode(z), self.decode(z, h_edit)

    def forward(self, x, t):
        return self.decode(self.encode(x, t))


def relative_error(got: torch.Tensor, want: torch.Tensor) -> float:
    """max |got − want| / max |want|."""
    assert got.shape == want.shape
    return ((got - want).abs().max() / want.abs().max()).item()


def official_folder(variable: str, name: str) -> Path:
    """A folder of other people's files, from the environment or beside the repository; skips without it."""
    folder = Path(os.environ.get(variable) or Path(__file__).parents[2] / "shared" / name)
    if not folder.is_dir():
        pytest.skip(f"the official files are not there: set ${variable} to their folder")
    return folder


class ToyClip(torch.nn.Module):
    """A judge with the interface of `method.clip.Clip`: fixed random projections instead of towers."""

    def __init__(self, resolution: int, dim: int = 16):
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.register_buffer("mean", torch.zeros(3, 1, 1))
        self.register_buffer("weight", torch.randn(3 * resolution**2, dim, generator=generator))
        self.register_buffer(
            "target", torch.nn.functional.normalize(torch.randn(dim, generator=generator), dim=0)
        )

    def encode_images(self, images):
        return images.flatten(1) @ self.weight

    def text_direction(self, source, target):
        return self.target

    def prompt_cosine(self, source, target):
        return 0.8
