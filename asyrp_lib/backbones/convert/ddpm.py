"""The DDPM family: CelebA-HQ, LSUN church and bedroom, as SDEdit and the original work use them.

It differs from what diffusers builds by default in padding, sine order, GroupNorm ε and attention heads;
each is a setting below, held by the golden numbers.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from diffusers import UNet2DModel
from torch import Tensor

from .strict import fill, read_config, substitute

#: Settings of the paper's networks.
DDPM = dict(image_size=256, ch=128, ch_mult=(1, 1, 2, 2, 4, 4), num_res_blocks=2, attn_resolutions=(16,))
#: Leaves that only the official code names differently.
_NAMES = [
    (r"time_embedding\.linear_1", "temb.dense.0"),
    (r"time_embedding\.linear_2", "temb.dense.1"),
    (r"conv_norm_out", "norm_out"),
    (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"mid_block\.attentions\.0", "mid.attn_1"),
    (r"(down|up)_blocks\.(\d+)", r"\1.\2"),
    (r"resnets\.", "block."),
    (r"attentions\.", "attn."),
    (r"(down|up)samplers\.0", r"\1sample"),
    (r"time_emb_proj", "temb_proj"),
    (r"conv_shortcut", "nin_shortcut"),
    (r"group_norm", "norm"),
    (r"to_out\.0", "proj_out"),
    (r"to_([qkv])", r"\1"),
]


@dataclass(frozen=True)
class DDPMConfig:
    """Settings of an official network, named as in the original's configuration files."""

    image_size: int  # side of the images in pixels
    ch: int  # base width
    ch_mult: tuple[int, ...]  # width of each level from the finest, as a multiple of `ch`
    num_res_blocks: int  # per level
    attn_resolutions: tuple[int, ...]  # sides in pixels at which the network attends
    in_channels: int = 3  # of the images
    out_ch: int = 3  # of ε
    norm_num_groups: int = 32  # of every GroupNorm; 32 in every published file


def load_ddpm_checkpoint(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> UNet2DModel:
    """A network of the DDPM family from an official state dict; settings as in `DDPMConfig`, errors as in
    `fill`.
    (Ho et al. 2020, appendix B)
    """
    levels = len(read_config(DDPMConfig, config).ch_mult)
    official = lambda name: ddpm_name(name, levels)
    return fill(ddpm_arguments(config), state, official, take=lambda name, tensor: tensor)


def ddpm_arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `build_unet` that reproduce an official configuration, see `DDPMConfig`."""
    c = read_config(DDPMConfig, config)
    attention = [c.image_size // 2**i in c.attn_resolutions for i in range(len(c.ch_mult))]
    arguments = dict(
        sample_size=c.image_size,
        in_channels=c.in_channels,
        out_channels=c.out_ch,
        layers_per_block=c.num_res_blocks,
        block_out_channels=tuple(c.ch * m for m in c.ch_mult),
        down_block_types=tuple("AttnDownBlock2D" if a else "DownBlock2D" for a in attention),
        up_block_types=tuple("AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attention)),
        attention_head_dim=None,
        norm_num_groups=c.norm_num_groups,
        norm_eps=1e-6,
        flip_sin_to_cos=False,
        freq_shift=1,
        downsample_padding=0,  # the original pads right and bottom only
    )
    if c.ch_mult[0] != 1:  # time and the first convolution keep the base width
        arguments.update(time_embedding_dim=4 * c.ch, sinusoid_channels=c.ch, entry_channels=c.ch)
    return arguments


def ddpm_name(name: str, levels: int) -> str:
    """Official name of a `UNet2DModel` parameter; the original numbers up blocks from the finest level."""
    name = re.sub(r"(?<=up_blocks\.)\d+", lambda m: str(levels - 1 - int(m[0])), name)
    return substitute(name, _NAMES)
