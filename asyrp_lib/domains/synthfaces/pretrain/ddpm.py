"""The diffusion model of `synthfaces`: a small DDPM U-Net trained on v with the paper's linear schedule."""
from pathlib import Path

import torch
from diffusers import UNet2DModel
from torch import Tensor, nn

from ....method.hspace import HSpaceUNet
from ....method.schedule import NoiseSchedule
from ....store.weights import read_weights
from ..faces import from_bytes, render_split
from .loop import Budget, train_network

#: resolution -> channels per level; the bottleneck is 8 x 8 in both
CHANNELS = {32: (32, 64, 128), 64: (32, 64, 128, 256)}


def build_unet(resolution: int) -> UNet2DModel:
    """The U-Net for 32 or 64 pixels; its h-space has 8 x 8 positions and 128 or 256 channels."""
    channels = CHANNELS[resolution]
    plain = len(channels) - 1
    return UNet2DModel(
        sample_size=resolution, in_channels=3, out_channels=3, layers_per_block=1, block_out_channels=channels,
        down_block_types=("DownBlock2D",) * plain + ("AttnDownBlock2D",),
        up_block_types=("AttnUpBlock2D",) + ("UpBlock2D",) * plain, attention_head_dim=32)


def v_loss(schedule: NoiseSchedule, images: Tensor):
    """The plain mean squared error on v = √ᾱ_t ε − √(1−ᾱ_t) x_0 at uniform t (Salimans & Ho 2022, appendix D).

    Args:
        schedule: noise schedule.
        images: all training pictures (N, 3, R, R) uint8.
    Returns:
        loss_of(model, indices, generator) for `train_network`.
    """
    alphas = schedule.alphas_cumprod.to(images.device, torch.float32)

    def loss_of(model: nn.Module, index: Tensor, generator: torch.Generator) -> Tensor:
        x0 = from_bytes(images[index])
        noise = torch.randn(x0.shape, generator=generator).to(x0.device)
        t = torch.randint(0, len(schedule), (len(index),), generator=generator).to(x0.device)
        a = alphas[t][:, None, None, None]
        x_t, v = a.sqrt() * x0 + (1 - a).sqrt() * noise, a.sqrt() * noise - (1 - a).sqrt() * x0
        x_t = x_t.contiguous(memory_format=torch.channels_last)
        return (model(x_t, t, return_dict=False)[0].float() - v).square().mean()

    return loss_of


def pretrain_ddpm(resolution: int, budget: Budget, folder: Path, export: Path, *, faces: int = 60_000,
                  device: torch.device) -> dict:
    """Train the DDPM and write `export` (safetensors with its configs in the metadata) at every checkpoint.

    Without a state in `folder` it goes on from the weights in `export`, if they are of this resolution, so that the shipped
    network can be trained further anywhere; delete or move them to begin anew.

    Args:
        resolution: 32 or 64.
        budget: time, batch, rate.
        folder: run folder with the resumable state.
        export: weights file of the moving average, replaced atomically.
        faces: size of the rendered training pool.
        device: where to render and train.
    Returns:
        Steps, images, seconds and the smoothed loss.
    """
    schedule = NoiseSchedule.linear()
    images = render_split("train", faces, resolution, device=device).images
    torch.manual_seed(budget.seed)
    unet, before = build_unet(resolution), None
    if export.exists() and not (folder / "state.pt").exists():
        shipped = HSpaceUNet.from_pretrained(export)
        if shipped.resolution == resolution:
            unet.load_state_dict(shipped.unet.state_dict())
            before = {key: read_weights(export)[1]["card"][key] for key in ("steps", "images", "seconds", "loss")}
    unet = unet.to(device, memory_format=torch.channels_last)

    def on_save(average: nn.Module, info: dict) -> None:
        model = HSpaceUNet(average, schedule, "v_prediction")
        model.save(export, {**info, "faces": faces, "data": "synthfaces train split"})

    _, info = train_network(unet, v_loss(schedule, images), faces, budget, folder, before=before, on_save=on_save)
    return info
