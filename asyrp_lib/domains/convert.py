"""Official checkpoints as `UNet2DModel`s: the DDPM family (SDEdit's files) and OpenAI's (iDDPM, P2, ADM).

For every parameter of the diffusers model a few substitutions give its official name, so that a missing,
extra or misshapen tensor is named as its authors named it.  The two families differ in more than names:
padding, sine order, GroupNorm ε and the order of q, k, v; each a setting below, held by the golden numbers.
"""
import re
from typing import Any, Callable, Mapping

import torch
from diffusers import UNet2DModel
from torch import Tensor

from ..errors import WeightsError

#: Leaves that only the official DDPM code names differently.
_DDPM = [(r"time_embedding\.linear_1", "temb.dense.0"), (r"time_embedding\.linear_2", "temb.dense.1"),
         (r"conv_norm_out", "norm_out"), (r"mid_block\.resnets\.0", "mid.block_1"),
         (r"mid_block\.resnets\.1", "mid.block_2"), (r"mid_block\.attentions\.0", "mid.attn_1"),
         (r"(down|up)_blocks\.(\d+)", r"\1.\2"), (r"resnets\.", "block."), (r"attentions\.", "attn."),
         (r"(down|up)samplers\.0", r"\1sample"), (r"time_emb_proj", "temb_proj"),
         (r"conv_shortcut", "nin_shortcut"), (r"group_norm", "norm"), (r"to_out\.0", "proj_out"),
         (r"to_([qkv])", r"\1")]

#: The same for OpenAI's code, after the blocks have been numbered.
_OPENAI = [(r"time_embedding\.linear_1", "time_embed.0"), (r"time_embedding\.linear_2", "time_embed.2"),
           (r"class_embedding", "label_emb"), (r"conv_in", "input_blocks.0.0"), (r"conv_norm_out", "out.0"),
           (r"conv_out", "out.2"), (r"mid_block\.resnets\.0", "middle_block.0"),
           (r"mid_block\.resnets\.1", "middle_block.2"), (r"mid_block\.attentions\.0", "middle_block.1"),
           (r"norm1", "in_layers.0"), (r"conv1", "in_layers.2"), (r"time_emb_proj", "emb_layers.1"),
           (r"norm2", "out_layers.0"), (r"conv2", "out_layers.3"), (r"conv_shortcut", "skip_connection"),
           (r"group_norm", "norm"), (r"to_out\.0", "proj_out"), (r"to_[qkv]", "qkv")]


def load_ddpm_checkpoint(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> UNet2DModel:
    """A network of the DDPM family (CelebA-HQ, LSUN church and bedroom).

    Args:
        state: official state dict.
        config: image_size, ch, ch_mult, num_res_blocks, attn_resolutions; otherwise the defaults of the
            original code (three channels in and out, one attention head).
    Raises:
        WeightsError: a missing, extra or misshapen tensor, by its official name.
    Source: Ho et al. 2020, appendix B.
    """
    return _fill(UNet2DModel(**ddpm_arguments(config)), state,
                 lambda name: ddpm_name(name, len(config["ch_mult"])), lambda name, tensor, heads: tensor)


def load_openai_checkpoint(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> UNet2DModel:
    """A network of the iDDPM, P2 or ADM family (AFHQ, FFHQ, MetFaces, ImageNet).

    Args:
        state: official state dict.
        config: image_size, num_channels, channel_mult, num_res_blocks, attention_ds (downsampling factors
            with attention), num_head_channels, out_channels (6 with learned variance), num_classes if any.
    Raises:
        WeightsError: a missing, extra or misshapen tensor, by its official name.
    Source: Dhariwal & Nichol 2021, appendix; Choi et al. 2022 (P2).
    """
    attention = [2**i in config["attention_ds"] for i in range(len(config["channel_mult"]))]
    return _fill(UNet2DModel(**openai_arguments(config)), state,
                 lambda name: openai_name(name, config["num_res_blocks"], attention), _take_qkv)


def ddpm_arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    """`UNet2DModel` arguments that reproduce an official DDPM configuration, see `load_ddpm_checkpoint`."""
    sides = [config["image_size"] // 2**i for i in range(len(config["ch_mult"]))]
    attention = [side in config["attn_resolutions"] for side in sides]
    return dict(
        sample_size=config["image_size"], in_channels=3, out_channels=3,
        layers_per_block=config["num_res_blocks"],
        block_out_channels=tuple(config["ch"] * m for m in config["ch_mult"]),
        down_block_types=tuple("AttnDownBlock2D" if a else "DownBlock2D" for a in attention),
        up_block_types=tuple("AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attention)),
        attention_head_dim=None, norm_eps=1e-6, flip_sin_to_cos=False, freq_shift=1,
        downsample_padding=0)  # the original pads right and bottom only


def openai_arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    """`UNet2DModel` arguments that reproduce an official configuration, see `load_openai_checkpoint`."""
    attention = [2**i in config["attention_ds"] for i in range(len(config["channel_mult"]))]
    return dict(
        sample_size=config["image_size"], in_channels=3, out_channels=config["out_channels"],
        layers_per_block=config["num_res_blocks"], num_class_embeds=config.get("num_classes"),
        block_out_channels=tuple(config["num_channels"] * m for m in config["channel_mult"]),
        down_block_types=tuple("AttnDownBlock2D" if a else "ResnetDownsampleBlock2D" for a in attention),
        up_block_types=tuple("AttnUpBlock2D" if a else "ResnetUpsampleBlock2D" for a in reversed(attention)),
        attention_head_dim=config["num_head_channels"], resnet_time_scale_shift="scale_shift", norm_eps=1e-5,
        downsample_type="resnet", upsample_type="resnet",
        attn_norm_num_groups=32)  # otherwise the mid block silently has no attention norm


def ddpm_name(name: str, levels: int) -> str:
    """Official name of a `UNet2DModel` parameter of the DDPM family, which numbers up blocks from the end."""
    name = re.sub(r"(?<=up_blocks\.)\d+", lambda m: str(levels - 1 - int(m[0])), name)
    return _substitute(name, _DDPM)


def openai_name(name: str, layers: int, attention: list[bool]) -> str:
    """Official name of a `UNet2DModel` parameter of the OpenAI family, which numbers blocks straight through.

    Args:
        name: diffusers name.
        layers: num_res_blocks.
        attention: whether each level, from the finest, has attention.
    """
    def number(match: re.Match) -> str:
        way, level, part, index = match[1], int(match[2]), match[3], int(match[4])
        side = "input" if way == "down" else "output"
        if way == "down":
            # each level: its resnets, then a downsampler; block 0 is conv_in
            block, place = 1 + level * (layers + 1) + (layers if part == "downsamplers" else index), 0
        else:
            # each level: one resnet more, the upsampler sharing the last block
            block, place = level * (layers + 1) + (layers if part == "upsamplers" else index), 0
            if part == "upsamplers":
                place = 2 if attention[len(attention) - 1 - level] else 1
        return f"{side}_blocks.{block}.{1 if part == 'attentions' else place}"

    return _substitute(re.sub(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)", number, name), _OPENAI)


def _substitute(name: str, rules: list[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        whole = pattern if pattern[-1] == "." else rf"(?<![a-z_]){pattern}(?![a-z\d_])"
        name = re.sub(whole, replacement, name)
    return name


def _take_qkv(name: str, tensor: Tensor, heads: int) -> Tensor:
    """q, k or v of a fused tensor (3C, ...) in the legacy order: heads first, then q, k, v in each."""
    part = re.search(r"to_([qkv])\.", name)
    if part is None:
        return tensor
    return tensor.reshape(heads, 3, -1, *tensor.shape[1:])[:, "qkv".index(part[1])].flatten(0, 1)


def _fill(unet: UNet2DModel, state: Mapping[str, Tensor], official: Callable[[str], str],
          take: Callable[[str, Tensor, int], Tensor]) -> UNet2DModel:
    """Give every parameter its official tensor; nothing may be missing, left over, or of another shape."""
    want = unet.state_dict()
    names = {name: official(name) for name in want}
    for source in names.values():
        if source not in state:
            raise WeightsError(f"The checkpoint lacks the tensor {source!r}; expected an official checkpoint "
                               "of this configuration; check both.")
    for source in sorted(set(state) - set(names.values())):
        raise WeightsError(f"The checkpoint has a tensor {source!r} that this configuration does not have; "
                           "expected an official checkpoint of this configuration; check both.")
    filled = {}
    for name, source in names.items():
        tensor, shape = state[source], want[name].shape
        fused = source.rpartition(".")[0].endswith("qkv")
        size = [shape[0] * 3 if fused else shape[0], *shape[1:]]
        # 1x1 convolutions of attention are linear layers here
        if list(tensor.shape[:len(size)]) != size or tensor.numel() != (3 if fused else 1) * shape.numel():
            raise WeightsError(f"The tensor {source!r} has shape {tuple(tensor.shape)}, expected "
                               f"{tuple(size)} up to trailing ones; the configuration belongs to another "
                               "checkpoint.")
        heads = shape[0] // (unet.config.attention_head_dim or shape[0])
        filled[name] = take(name, tensor, heads).reshape(shape).to(torch.float32)
    unet.load_state_dict(filled)
    return unet
