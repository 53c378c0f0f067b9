"""Building a `UNet2DModel`, also where the original families allow more than its arguments can say."""

# pyright: reportAttributeAccessIssue=false, reportOptionalCall=false, reportOptionalMemberAccess=false
# diffusers sets its attributes from the configuration

import os
from collections.abc import Mapping
from typing import Any

import torch
from diffusers import UNet2DModel
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import TimestepEmbedding
from diffusers.models.resnet import ResnetBlock2D
from torch import nn

from ..errors import WeightsError

#: Settings of `build_unet` that `UNet2DModel` does not know.
EXTRAS = ("sinusoid_channels", "entry_channels", "num_heads")
#: Largest side of images in pixels that is believed.
_LARGEST = 8192


def build_unet(config: Mapping[str, Any]) -> UNet2DModel:
    """A `UNet2DModel` with random weights, changed after its making where its arguments do not reach.
    Args:
        config: arguments of `UNet2DModel` and, only where the network needs them, sinusoid_channels (length
            of the sinusoids of t) and entry_channels (what `conv_in` gives), if they are not the width of the
            first level, and num_heads (of every layer; `attention_head_dim` fixes their width instead).
    What it was changed by is in its `config`, so that saving it and building it again is the identity.
    """
    extras = {key: config[key] for key in EXTRAS if config.get(key) is not None}
    unet = UNet2DModel(**{key: value for key, value in config.items() if key not in EXTRAS})
    if "sinusoid_channels" in extras:
        length = extras["sinusoid_channels"]
        unet.time_proj.num_channels = length
        unet.time_embedding = TimestepEmbedding(length, unet.time_embedding.linear_2.out_features)
    if "entry_channels" in extras:
        width = extras["entry_channels"]
        unet.conv_in = nn.Conv2d(unet.config.in_channels, width, 3, padding=1)
        first, last = unet.down_blocks[0].resnets, unet.up_blocks[-1].resnets
        first[0] = _like(first[0], width)
        last[-1] = _like(last[-1], last[-1].out_channels + width)  # its skip is what conv_in gave
    if "num_heads" in extras:
        for module in unet.modules():
            if isinstance(module, Attention):
                module.heads = module.sliceable_head_dim = extras["num_heads"]
                module.scale = (module.inner_dim / module.heads) ** -0.5
    if extras:
        unet.register_to_config(**extras)
    return unet


def plan_unet(config: Any, most: int, source: str | os.PathLike) -> None:
    """Build a network on no device, so that only what its file, of `most` numbers, can fill is ever
    allocated.
    Raises WeightsError: the `config` of `source` makes no network, or one over twice as large as the file.
    """
    try:
        if not isinstance(config, Mapping):
            raise TypeError(f"they are a {type(config).__name__}")
        size = config.get("sample_size")
        if size is not None and (type(size) is not int or not 0 < size <= _LARGEST):
            raise ValueError(f"sample_size is {str(size):.40}")
        widths, layers = config.get("block_out_channels", ()), config.get("layers_per_block", 2)
        if not isinstance(widths, (list, tuple)) or len(widths) > 16 or not layers <= 64:
            raise ValueError("more than 16 levels or 64 layers in each")  # would take hours even on no device
        heads = config.get("attention_head_dim", 8)
        if heads is not None and not heads > 0:
            raise ValueError(f"attention_head_dim is {heads}")
        with torch.device("meta"):
            size = sum(p.numel() for p in build_unet(config).parameters())
    except Exception as error:  # whatever diffusers and torch trip over
        text = f"The settings in {source} make no network ({' '.join(str(error).split())[:200]}); "
        raise WeightsError(text + "expected those of a UNet2DModel; fetch it again.") from error
    if size > 2 * most + 1000:  # a tensor that is missing or misshapen is better named one by one
        text = f"The settings in {source} make a network of {size:.3g} weights, its file has room for "
        raise WeightsError(f"{text}{most:.3g}; expected them to agree; fetch it again.")


def _like(block: ResnetBlock2D, in_channels: int) -> ResnetBlock2D:
    """The same residual block for another number of input channels."""
    return ResnetBlock2D(
        in_channels=in_channels,
        out_channels=block.out_channels,
        groups=block.norm1.num_groups,
        temb_channels=block.time_emb_proj.in_features,
        eps=block.norm1.eps,
        time_embedding_norm=block.time_embedding_norm,
    )
