"""The diffusion model of `synthfaces`: a U-Net trained on v, through a codec and a schedule of its own."""

import json

import torch
from diffusers import UNet2DModel
from torch import Tensor, nn

from ....method.hspace import HSpaceUNet
from ....method.schedule import NoiseSchedule
from ....store.weights import read_weights
from ...codec import Codec
from ..faces import CODEC, EDITION, RESOLUTION, from_bytes, kept_images, world_digest
from .loop import Job, train_network

#: Per level; h-space has 256 x 8 x 8.
CHANNELS = (64, 128, 256)


def world_schedule() -> NoiseSchedule:
    """The linear schedule with its signal-to-noise ratio times 16: times mean what they mean at 256 pixels.
    (Hoogeboom et al. 2023, "simple diffusion", Eq. 4)
    """
    return NoiseSchedule.linear().shifted((256 / RESOLUTION) ** 2)


def build_unet() -> UNet2DModel:
    """The untrained U-Net, 10.9 million parameters."""
    plain, channels = len(CHANNELS) - 1, 3 * CODEC.factor**2
    return UNet2DModel(
        sample_size=RESOLUTION // CODEC.factor,
        in_channels=channels,
        out_channels=channels,
        layers_per_block=1,
        block_out_channels=CHANNELS,
        down_block_types=("DownBlock2D",) * plain + ("AttnDownBlock2D",),
        up_block_types=("AttnUpBlock2D",) + ("UpBlock2D",) * plain,
        attention_head_dim=32,
    )


def v_loss(schedule: NoiseSchedule, images: Tensor, codec: Codec = CODEC):
    """The mean squared error on v = √ᾱ_t ε − √(1−ᾱ_t) x_0 at uniform t, as `loss_of` for `train_network`.
    `images`: (N, 3, R, R) uint8; the U-Net sees them through `codec`. (Salimans & Ho 2022, appendix D)
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


def pretrain_ddpm(job: Job) -> dict:
    """Train the DDPM and write it, half precision with configuration and card, at every checkpoint.
    Without a state it goes on from the shipped weights of this world, so that it can be trained further
    anywhere.  The images are kept beside the job's folder.
    """
    from .. import weights_file

    start, schedule = weights_file("ddpm"), world_schedule()
    images = kept_images("train", job.faces, RESOLUTION, job.pool, device=job.device)
    torch.manual_seed(job.budget.seed)
    unet, before = build_unet(), None
    about = {"edition": EDITION, "codec": CODEC.factor, "data": "synthfaces train split"}
    if start.exists() and not (job.folder / "state.pt").exists():
        earlier, card = HSpaceUNet.from_pretrained(start), read_weights(start)[1]["card"]
        now = HSpaceUNet(build_unet(), schedule).unet_config
        same_net = earlier.unet_config == json.loads(json.dumps(now))  # a file has lists for tuples
        if same_net and (card.get("edition"), card.get("world")) == (EDITION, world_digest()):
            unet.load_state_dict(earlier.net.state_dict())
            before = {key: card[key] for key in ("steps", "images", "seconds", "loss")}

    def on_save(average: nn.Module, info: dict) -> None:
        card = {**info, **job.identity("ddpm", **about)}
        HSpaceUNet(average, schedule, "v_prediction").save(job.export, card, dtype=torch.float16)

    average, info = train_network(
        unet.to(job.device, memory_format=torch.channels_last),
        v_loss(schedule, images, CODEC),
        job.faces,
        job.budget,
        job.folder,
        identity=job.identity("ddpm", **about),
        before=before,
        on_save=on_save,
    )
    on_save(average, info)  # also when the last run was killed between its state and its export
    return info
