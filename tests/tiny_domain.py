"""8-px images behind a real U-Net of two small levels: what needs a network that can be cut."""

from pathlib import Path

import pytest
import torch
from diffusers import UNet2DModel
from toys import ToyClip, randn, randomised

from asyrp_lib.deltas import ConvDelta
from asyrp_lib.domains.domain import Domain
from asyrp_lib.domains.edits import Edit
from asyrp_lib.method.hspace import HSpaceUNet
from asyrp_lib.method.schedule import NoiseSchedule
from asyrp_lib.method.train import TrainSettings


class TinyDomain(Domain):
    """Its f_t are random, with an interval of four times, so that a training takes a moment."""

    def delta(self, name: str, seed: int = 0) -> ConvDelta:
        """That of an edit; whatever its name."""
        delta = ConvDelta(8, self.unet.temb_dim, groups=4, name=name, t_edit=900)
        return randomised(delta, seed).eval().requires_grad_(False)


@pytest.fixture
def tiny(monkeypatch) -> TinyDomain:
    """`build_tiny` without a cache."""
    monkeypatch.setenv("ASYRP_CACHE", "off")
    return build_tiny()


def build_tiny(name: str = "tiny") -> TinyDomain:
    """One in-domain edit, an unseen one whose target is a darker image, no oracle and no segmenter."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = UNet2DModel(
            sample_size=8,
            layers_per_block=1,
            block_out_channels=(4, 8),
            norm_num_groups=4,
            down_block_types=("DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D"),
            attention_head_dim=4,
        )

    def images(split: str, n: int, first: int) -> torch.Tensor:
        return 0.3 * randn(first + n, 3, 8, 8, seed=len(split))[first:]

    return TinyDomain(
        name,
        HSpaceUNet(net, NoiseSchedule.linear().shifted(2**14)),  # an image shows even at t = 999
        images,
        ToyClip(8),
        {
            "warm": Edit("warm", "face", "warm face"),
            "dark": Edit("dark", "face", "dark face", in_domain=False),
        },
        lambda a, b: (a - b).square().mean((1, 2, 3)),
        Path("nowhere"),
        delta_config={"kind": "ConvDelta", "groups": 4},
        training=TrainSettings(batch_size=2),
        train_images=2,
        target_source=lambda edit, split, n, first: images(split, n, first) - 0.5,
    )
