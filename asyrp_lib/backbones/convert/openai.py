"""OpenAI's family: iDDPM and P2 (AFHQ-dog, FFHQ, MetFaces, CelebA-HQ) and ADM (ImageNet).

q, k and v lie in one tensor, in one of two orders; resampling is a residual block or a convolution; a class
label may be embedded.  Each is a setting below, held by golden numbers or by an independent network in the
tests.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from diffusers import UNet2DModel
from torch import Tensor

from ...errors import WeightsError
from .strict import fill, read_config, substitute

_SHARED = dict(image_size=256, channel_mult=(1, 1, 2, 2, 4, 4), num_head_channels=64)
#: Settings of the paper's networks: those of iDDPM and P2, and of ADM.
P2 = _SHARED | dict(num_channels=128, num_res_blocks=1, attention_ds=(16,))
ADM = _SHARED | dict(num_channels=256, num_res_blocks=2, attention_ds=(8, 16, 32))
#: Leaves that only the official code names differently, after the blocks have been numbered.
_NAMES = [
    (r"time_embedding\.linear_1", "time_embed.0"),
    (r"time_embedding\.linear_2", "time_embed.2"),
    (r"class_embedding", "label_emb"),
    (r"conv_in", "input_blocks.0.0"),
    (r"conv_norm_out", "out.0"),
    (r"conv_out", "out.2"),
    (r"mid_block\.resnets\.0", "middle_block.0"),
    (r"mid_block\.resnets\.1", "middle_block.2"),
    (r"mid_block\.attentions\.0", "middle_block.1"),
    (r"norm1", "in_layers.0"),
    (r"conv1", "in_layers.2"),
    (r"time_emb_proj", "emb_layers.1"),
    (r"norm2", "out_layers.0"),
    (r"conv2", "out_layers.3"),
    (r"conv_shortcut", "skip_connection"),
    (r"group_norm", "norm"),
    (r"to_out\.0", "proj_out"),
    (r"to_[qkv]", "qkv"),
]


@dataclass(frozen=True)
class OpenAIConfig:
    """Settings of an official network; the defaults are those of every file the paper uses."""

    image_size: int  # side of the images in pixels
    num_channels: int  # base width
    channel_mult: tuple[float, ...]  # width of each level from the finest, as a multiple or fraction of it
    num_res_blocks: int  # per level
    attention_ds: tuple[int, ...]  # downsampling factors at which it attends, e.g. (8, 16, 32)
    num_head_channels: int | None = None  # width of a head; None or -1: `num_heads` counts, at every level
    num_heads: int = 1
    use_new_attention_order: bool = False  # q, k, v are split before the heads, not after
    resblock_updown: bool = True  # levels are joined by residual blocks, not by convolutions
    use_scale_shift_norm: bool = True  # time scales and shifts the normalised activations, not added before
    in_channels: int = 3  # of the images
    out_channels: int = 6  # as many for ε alone, twice as many with a learned variance
    num_classes: int | None = None  # of a class-conditional network
    norm_num_groups: int = 32  # of every GroupNorm; 32 in every published file

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level."""
        return tuple(int(m * self.num_channels) for m in self.channel_mult)

    @property
    def attention(self) -> list[bool]:
        """Whether each level has attention; the mid block always has."""
        return [2**i in self.attention_ds for i in range(len(self.channel_mult))]

    def heads(self, width: int) -> int:
        """Attention heads of a layer `width` channels wide; WeightsError: it is no multiple of them."""
        if (each := self.num_head_channels) is None or each == -1:
            unit, count, what = self.num_heads, self.num_heads, "heads"
        else:
            unit, count, what = each, width // each, "channels per head"
        if width % unit:
            text = f"Attention {width} channels wide has no whole number of {what} with {unit}"
            raise WeightsError(f"{text}; expected a divisor; check num_head_channels and num_heads.")
        return count


def load_openai_checkpoint(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> UNet2DModel:
    """A network of iDDPM, P2 or ADM from an official state dict; settings as in `OpenAIConfig`, errors as in
    `fill`.
    (Dhariwal & Nichol 2021, appendix; Choi et al. 2022 for P2)
    """
    c = read_config(OpenAIConfig, config)

    def take(name: str, tensor: Tensor) -> Tensor:
        part = re.search(r"to_([qkv])\.", name)
        if part is None:
            return tensor
        heads = 1 if c.use_new_attention_order else c.heads(tensor.shape[0] // 3)
        # (3C, ...) is heads first, then q, k, v in each; in the new order it is as if there were one head
        return tensor.reshape(heads, 3, -1, *tensor.shape[1:])[:, "qkv".index(part[1])].flatten(0, 1).clone()

    official = lambda name: openai_name(name, c.num_res_blocks, c.attention)
    return fill(openai_arguments(config), state, official, take)


def openai_arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `build_unet` that reproduce an official configuration, see `OpenAIConfig`."""
    c = read_config(OpenAIConfig, config)
    resample, down, up = (
        ("resnet", "ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D")
        if c.resblock_updown
        else ("conv", "DownBlock2D", "UpBlock2D")
    )
    attending = {c.widths[-1], *(width for width, a in zip(c.widths, c.attention) if a)}
    head_widths = {width // c.heads(width) for width in attending}
    arguments = dict(
        sample_size=c.image_size,
        in_channels=c.in_channels,
        out_channels=c.out_channels,
        layers_per_block=c.num_res_blocks,
        num_class_embeds=c.num_classes,
        block_out_channels=c.widths,
        down_block_types=tuple("AttnDownBlock2D" if a else down for a in c.attention),
        up_block_types=tuple("AttnUpBlock2D" if a else up for a in reversed(c.attention)),
        attention_head_dim=head_widths.pop() if len(head_widths) == 1 else None,
        resnet_time_scale_shift="scale_shift" if c.use_scale_shift_norm else "default",
        norm_eps=1e-5,
        downsample_type=resample,
        upsample_type=resample,
        norm_num_groups=c.norm_num_groups,
        attn_norm_num_groups=c.norm_num_groups,  # otherwise the mid block silently has no attention norm
    )
    if arguments["attention_head_dim"] is None:
        arguments["num_heads"] = c.num_heads
    if c.widths[0] != c.num_channels:  # time keeps the base width
        arguments.update(time_embedding_dim=4 * c.num_channels, sinusoid_channels=c.num_channels)
    return arguments


def openai_name(name: str, layers: int, attention: list[bool]) -> str:
    """Official name of a `UNet2DModel` parameter; the original numbers blocks straight through.
    `layers`: num_res_blocks; `attention`: whether each level, from the finest, has attention.
    """

    def number(match: re.Match) -> str:
        way, level, part, index, rest = match[1], int(match[2]), match[3], int(match[4]), match[5] or ""
        # each level: its resnets (one more on the way up), then a downsampler; block 0 is conv_in
        before = level * (layers + 1) + (layers if part in ("downsamplers", "upsamplers") else index)
        if way == "down":
            block, place = f"input_blocks.{1 + before}", int(part == "attentions")
        else:  # the upsampler shares the last block of its level
            places = {"resnets": 0, "attentions": 1, "upsamplers": 1 + attention[-1 - level]}
            block, place = f"output_blocks.{before}", places[part]
        return f"{block}.{place}" + (".op" if part == "downsamplers" and rest else rest)

    return substitute(re.sub(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)(\.conv(?=\.))?", number, name), _NAMES)
