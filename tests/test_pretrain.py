"""Pretraining: what a shipped network may be trained on from."""

import numpy as np
import pytest
import torch
from diffusers import UNet2DModel

from asyrp_lib.domains import synthfaces
from asyrp_lib.domains.synthfaces.faces import EDITION, split_factors, world_digest
from asyrp_lib.domains.synthfaces.pretrain import clip, ddpm
from asyrp_lib.domains.synthfaces.pretrain.clip import FAMILY, families
from asyrp_lib.domains.synthfaces.pretrain.loop import Budget, Job
from asyrp_lib.method.hspace import HSpaceUNet


def small() -> UNet2DModel:
    blocks = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    how = {"layers_per_block": 1, "block_out_channels": (8, 8), "norm_num_groups": 4, **blocks}
    return UNet2DModel(sample_size=32, in_channels=12, out_channels=12, **how)


@pytest.mark.parametrize(("world", "images"), [(None, 100), ("another", 0)])
def test_the_ddpm_goes_on_from_shipped_weights_of_the_same_world_only(tmp_path, monkeypatch, world, images):
    monkeypatch.setattr(ddpm, "build_unet", small)
    shipped = tmp_path / "ddpm.safetensors"
    monkeypatch.setattr(synthfaces, "weights_file", lambda name: shipped)
    counters = {"steps": 5, "images": 100, "seconds": 1.0, "loss": 0.5}
    card = counters | {"edition": EDITION, "world": world or world_digest()}
    HSpaceUNet(small(), ddpm.world_schedule(), "v_prediction").save(shipped, card, dtype=torch.float16)
    budget = Budget(images=images + 2, batch=2, lr=1e-4)
    job = Job(budget, tmp_path / "run", tmp_path / "out.safetensors", 4, torch.device("cpu"))
    info = ddpm.pretrain_ddpm(job)
    assert (info["steps"], info["images"]) == ((6, 102) if images else (1, 2))


def test_the_faces_of_a_family_differ_in_few_factors_and_families_in_most():
    factors = split_factors("second_clip", 400)
    table = families(factors, np.random.default_rng(0)).to_numpy().reshape(-1, FAMILY, factors.shape[1])
    apart = lambda a, b: float((a != b).mean())
    assert 0.05 < apart(table[:, :1], table[:, 1:]) < 0.25
    assert apart(table[:-1, 0], table[1:, 0]) > 0.6
    assert (table[:, 0] == factors.to_numpy()[::FAMILY]).all(), "the first of each is a face of the split"


class Begun(Exception):
    """The training was about to begin."""


@pytest.mark.parametrize(
    ("second", "constant", "other"),
    [
        (False, "NAMING", 1.0),
        (False, "BLURS", (0.5,)),
        (True, "WORDS", 2.0),
        (True, "SHARP", (0.5,)),
        (True, "OWN", 0.4),
        (True, "FAMILY", 4),
    ],
)
def test_a_clip_does_not_go_on_under_another_recipe(tmp_path, monkeypatch, second, constant, other):
    identities = []

    def begin(*_, identity, **__):
        identities.append(identity)
        raise Begun

    monkeypatch.setattr(clip, "train_network", begin)
    job = Job(
        Budget(images=8, batch=8, seed=21), tmp_path, tmp_path / "out.safetensors", 8, torch.device("cpu")
    )
    for _ in range(2):
        with pytest.raises(Begun):
            clip.pretrain_clip(job, second=second)
    monkeypatch.setattr(clip, constant, other)
    with pytest.raises(Begun):
        clip.pretrain_clip(job, second=second)
    first, again, changed = identities
    assert first == again != changed
