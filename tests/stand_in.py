"""celeba_hq at small size: a network of its six levels, official f_t, images and a judge, all random.

Everything goes through the domain's own row and loader, so that a researcher's first run is not the first.
"""

from dataclasses import replace
from pathlib import Path

import torch
from diffusers import UNet2DModel
from PIL import Image
from toys import ToyClip, randomised

from asyrp_lib import api
from asyrp_lib.backbones.convert import DDPM, DDPMConfig, ddpm_arguments, ddpm_name
from asyrp_lib.deltas import ConvDelta
from asyrp_lib.domains.photos import paper
from asyrp_lib.domains.photos.registry import ROWS, Remote
from asyrp_lib.experiments.trial import Trial

#: As the paper's, but for sizes: h is 32 x 4 x 4, time 16.
SMALL = DDPM | {"image_size": 128, "ch": 4, "ch_mult": (1, 1, 2, 2, 8, 8), "num_res_blocks": 1}
SMALL |= {"attn_resolutions": (8,), "norm_num_groups": 4}
#: Test images, as far as the study's figures need them; training images.
IMAGES = {"test": 100, "train": 80}
#: Steps of inversion and generation where nobody says another number.
STEPS = 4


def furnish(home: Path, put) -> None:
    """Bring a stand-in of celeba_hq to a folder; `put` has the methods of pytest's monkeypatch."""
    weights, images = home / "weights" / "celeba_hq", home / "datasets" / "celeba_hq"
    weights.mkdir(parents=True)
    torch.save(official_network(), weights / "network.ckpt")
    row, f_t = ROWS["celeba_hq"], {}
    for number, name in enumerate(row.directions):
        state = randomised(ConvDelta(32, 16), number, 0.5).state_dict()
        torch.save({"0": state}, weights / f"{number}.pth")
        f_t[name] = Remote(f"{number}.pth", "https://example.org")
    network = (Remote("network.ckpt", "https://example.org"),)
    put.setitem(ROWS, "celeba_hq", replace(row, config=SMALL, network=network, directions=f_t))
    for split, n in IMAGES.items():
        (images / split).mkdir(parents=True)
        for i in range(n):
            noise = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(i + n))
            pixels = (128 + 30 * noise).clamp(0, 255).byte().permute(1, 2, 0).numpy()
            Image.fromarray(pixels).resize((128, 128)).save(images / split / f"{i}.png")
    put.setenv("ASYRP_WEIGHTS", str(home / "weights"))
    put.setenv("ASYRP_DATASETS", str(home / "datasets"))
    put.setenv("ASYRP_CACHE", str(home / "cache"))
    put.setattr(paper, "load_open_clip", lambda: ToyClip(128))
    for function in (api.invert, api.generate, api.edit):
        put.setitem(function.__kwdefaults__, "steps", STEPS)
    put.setattr(Trial.__init__, "__defaults__", (STEPS, *(Trial.__init__.__defaults__ or ())[1:]))


def official_network() -> dict[str, torch.Tensor]:
    """Random weights under the names that the official file has."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        unet = UNet2DModel(**ddpm_arguments(SMALL))
    levels = len(DDPMConfig(**SMALL).ch_mult)
    unet.conv_out.weight.data *= 1e-3  # a small ε, so that images stay images
    return {ddpm_name(name, levels): tensor for name, tensor in unet.state_dict().items()}
