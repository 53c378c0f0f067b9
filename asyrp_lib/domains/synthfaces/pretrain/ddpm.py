"""The diffusion models of `synthfaces`: U-Nets trained on v, through a codec and a schedule made for the
resolution."""

from pathlib import Path
from typing import NamedTuple

import torch
from diffusers import UNet2DModel
from torch import Tensor, nn

from ....method.hspace import HSpaceUNet
from ....method.schedule import NoiseSchedule
from ....store.weights import read_weights
from ...codec import Codec
from ..faces import from_bytes, kept_images
from .loop import Budget, train_network


class Recipe(NamedTuple):
    """What differs between resolutions: edition of the world, codec, channels per level, factor on the
    signal-to-noise ratio."""

    edition: int
    codec: Codec
    channels: tuple[int, ...]
    snr: float = 1.0


#: resolution -> recipe; h-space has 8 x 8 positions in both.  At 64 px times mean what they mean at 256.
RECIPES = {32: Recipe(1, Codec(1), (32, 64, 128)), 64: Recipe(2, Codec(2), (64, 128, 256), (256 / 64) ** 2)}


def build_unet(resolution: int) -> UNet2DModel:
    """The untrained U-Net of a resolution of `RECIPES`: 2.7 or 10.9 million parameters."""
    recipe = RECIPES[resolution]
    plain, channels = len(recipe.channels) - 1, 3 * recipe.codec.factor**2
    return UNet2DModel(
        sample_size=resolution // recipe.codec.factor,
        in_channels=channels,
        out_channels=channels,
        layers_per_block=1,
        block_out_channels=recipe.channels,
        down_block_types=("DownBlock2D",) * plain + ("AttnDownBlock2D",),
        up_block_types=("AttnUpBlock2D",) + ("UpBlock2D",) * plain,
        attention_head_dim=32,
    )


def v_loss(schedule: NoiseSchedule, images: Tensor, codec: Codec = Codec()):
    """The plain mean squared error on v = √ᾱ_t ε − √(1−ᾱ_t) x_0 at uniform t (Salimans & Ho 2022, appendix
    D).

    Args:
        schedule: noise schedule.
        images: all training images (N, 3, R, R) uint8.
        codec: between them and what the U-Net sees.
    Returns:
        loss_of(model, indices, generator) for `train_network`.
    """

    def loss_of(model: nn.Module, index: Tensor, generator: torch.Generator) -> Tensor:
        x0 = codec.encode(from_bytes(images[index.to(images.device)].to(index.device)))
        noise = torch.randn(x0.shape, generator=generator).to(x0.device)
        t = torch.randint(0, len(schedule), (len(index),), generator=generator)
        a = schedule.alpha_bar_at(t, x0)
        x_t, v = a.sqrt() * x0 + (1 - a).sqrt() * noise, a.sqrt() * noise - (1 - a).sqrt() * x0
        x_t = x_t.contiguous(memory_format=torch.channels_last)
        return (model(x_t, t.to(x0.device), return_dict=False)[0].float() - v).square().mean()

    return loss_of


def pretrain_ddpm(
    resolution: int,
    budget: Budget,
    folder: Path,
    export: Path,
    *,
    start: Path,
    faces: int = 60_000,
    device: torch.device,
) -> dict:
    """Train the DDPM and write `export` (half precision, its configuration in the metadata) at every
    checkpoint.

    Without a state in `folder` it goes on from the weights in `start`, if they are of this recipe, so that a
    committed
    network can be trained further anywhere.

    Args:
        resolution: a key of `RECIPES`.
        budget: images, batch, rate.
        folder: run folder with the resumable state; the images are kept beside it.
        export: weights file of the moving average, replaced atomically.
        start: weights to go on from.
        faces: size of the rendered training pool.
        device: where to render and train.
    Returns:
        Steps, images, seconds and the smoothed loss.
    """
    recipe = RECIPES[resolution]
    schedule = NoiseSchedule.linear().shifted(recipe.snr)
    images = kept_images(
        "train", faces, resolution, folder.parent / "pool", edition=recipe.edition, device=device
    )
    torch.manual_seed(budget.seed)
    unet, before = build_unet(resolution), None
    about = {
        "edition": recipe.edition,
        "codec": recipe.codec.factor,
        "faces": faces,
        "data": "synthfaces train split",
    }
    if start.exists() and not (folder / "state.pt").exists():
        earlier, card = HSpaceUNet.from_pretrained(start), read_weights(start)[1]["card"]
        if earlier.unet_config == HSpaceUNet(build_unet(resolution), schedule).unet_config:
            unet.load_state_dict(earlier.net.state_dict())
            before = {key: card[key] for key in ("steps", "images", "seconds", "loss")}
    unet = unet.to(device, memory_format=torch.channels_last)

    def on_save(average: nn.Module, info: dict) -> None:
        HSpaceUNet(average, schedule, "v_prediction").save(export, {**info, **about}, dtype=torch.float16)

    average, info = train_network(
        unet,
        v_loss(schedule, images, recipe.codec),
        faces,
        budget,
        folder,
        identity={"network": "ddpm", "resolution": resolution, **about},
        before=before,
        on_save=on_save,
    )
    on_save(average, info)  # also when the last run was killed between its state and its export
    return info
