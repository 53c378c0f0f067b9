"""The f_t of the study `zilaeric/asyrp-extension`: h as tokens, in place of the paper's 1×1 convolutions.

Parts: a layer on either side (its *layout*), time, a norm, an activation.  There is no positional code and no
residual around f_t.  All facts are read from the study's code and counted there.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Literal, Self

import torch
from diffusers.models.unets.unet_2d_blocks import UNetMidBlock2DCrossAttn
from pydantic import Field
from torch import Tensor, nn

from .. import check
from ..check import Whole
from ..errors import WeightsError
from .base import Delta

Number = Annotated[Whole, Field(ge=1, le=65_536)]
_ACTIVATIONS = {"silu": nn.SiLU, "relu": nn.ReLU, "gelu": nn.GELU}


@check.settings
class StudySettings:
    """Which f_t of the study; the defaults are those of its ablations."""

    layout: Literal["conv", "p", "c", "pc", "cp"] = "pc"  # pixels, channels, or one after the other
    heads: Number = 1  # of the attention; no shape depends on it
    depth: Number = 1  # encoder layers in each encoder
    width: Number = 2048  # of the feed-forward part
    time: Literal["add", "mult", "adagn"] = "add"  # how the time embedding enters
    norm: Literal["group", "instance"] = "group"
    activation: Literal["silu", "relu", "gelu"] = "silu"
    groups: Number = 32
    last_norm: bool = True  # LayerNorm at the end of an encoder, which fixes the size of Δh; without: ours
    scale: bool = False  # a learnt factor on Δh, 1 at the start: ours


class Encoder(nn.Module):
    """Encoder layers over h (B, C, H, W) as H·W tokens of C numbers, "p", or as C tokens of H·W, "c".

    Post-norm, ReLU, no dropout, Xavier-uniform matrices, as `nn.Transformer` has them.
    """

    def __init__(self, tokens: str, h_shape: Sequence[int], settings: StudySettings):
        super().__init__()
        channels, height, width = h_shape
        self.pixels, size = tokens == "p", channels if tokens == "p" else height * width
        if size % settings.heads:
            raise WeightsError(
                f"{settings.heads} heads do not divide tokens of {size} numbers; choose a divisor."
            )
        layer = nn.TransformerEncoderLayer(size, settings.heads, settings.width, 0.0, batch_first=True)
        last = nn.LayerNorm(size) if settings.last_norm else None
        self.encoder = nn.TransformerEncoder(layer, settings.depth, last, enable_nested_tensor=False)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, h: Tensor) -> Tensor:
        """(B, C, H, W) -> the same."""
        tokens = h.flatten(2)
        seen = self.encoder(tokens.mT).mT if self.pixels else self.encoder(tokens)
        return seen.reshape(h.shape)


class AdaGroupNorm(nn.Module):
    """Group norm whose gain 1 + s and bias b are a linear function of the time embedding."""

    def __init__(self, channels: int, temb_dim: int, groups: int):
        super().__init__()
        self.norm, self.linear = (
            nn.GroupNorm(groups, channels, 1e-5, False),
            nn.Linear(temb_dim, 2 * channels),
        )

    def forward(self, h: Tensor, temb: Tensor) -> Tensor:
        """(B, C, H, W) and (B, E) -> (B, C, H, W)."""
        s, b = self.linear(temb)[:, :, None, None].chunk(2, dim=1)
        return self.norm(h) * (1 + s) + b


class StudyDelta(Delta):
    """f_t of the study: layer, time, norm, activation, layer; without time also without norm and activation.

    Its head count is part of its weights, so that those of another count are refused.  With "adagn"
    `temb_proj` and `norm2` are there and unused, as in the study: its counts of parameters include them.
    """

    def __init__(
        self,
        h_shape: Sequence[int],
        temb_dim: int,
        *,
        name: str = "",
        t_edit: int | None = None,
        train_steps: int = 40,
        unet_digest: str | None = None,
        **settings,
    ):
        super().__init__(name, t_edit, train_steps, unet_digest)
        self.settings = StudySettings(**settings)
        self.config = {"h_shape": list(h_shape), "temb_dim": temb_dim, **asdict(self.settings)}
        channels, groups = h_shape[0], self.settings.groups
        self.in_layer, self.out_layer = self._layer(h_shape), self._layer(h_shape)
        self.temb_proj = nn.Linear(temb_dim, channels)
        if self.settings.norm == "group":
            self.norm2 = nn.GroupNorm(groups, channels, 1e-6)
        else:
            self.norm2 = nn.InstanceNorm2d(channels, 1e-6, affine=True)
        if self.settings.time == "adagn":
            self.ada = AdaGroupNorm(channels, temb_dim, groups)
        self.activation = _ACTIVATIONS[self.settings.activation]()
        if self.settings.scale:
            self.scale = nn.Parameter(torch.ones(()))

    def _layer(self, h_shape: Sequence[int]) -> nn.Module:
        if self.settings.layout == "conv":
            return nn.Conv2d(h_shape[0], h_shape[0], 1)
        return nn.Sequential(*(Encoder(tokens, h_shape, self.settings) for tokens in self.settings.layout))

    def forward(self, h: Tensor, temb: Tensor | None, t: int) -> Tensor:
        """Δh_t (B, C, H, W); see `Delta.forward`."""
        z = self.in_layer(h)
        if temb is not None:
            if self.settings.time == "adagn":
                z = self.ada(z, temb)
            else:
                shift = self.temb_proj(nn.functional.silu(temb))[:, :, None, None]
                z = self.norm2(z + shift if self.settings.time == "add" else z * shift)
            z = self.activation(z)
        shift = self.out_layer(z)
        return shift * self.scale if self.settings.scale else shift

    def get_extra_state(self) -> Tensor:
        """The head count, in the state dict."""
        return torch.tensor(self.settings.heads)

    def set_extra_state(self, state: Tensor) -> None:
        """WeightsError: of weights with another head count, which no shape would show."""
        if int(state) != self.settings.heads:
            raise WeightsError(
                f"These weights have {int(state)} heads; expected {self.settings.heads}; shapes agree, but "
                "Δh would be another; build f_t with their count."
            )

    @property
    def channels(self) -> int:
        """C of the h-space it shifts."""
        return self.config["h_shape"][0]

    @classmethod
    def build(cls, h_shape: Sequence[int], temb_dim: int, **options) -> Self:
        """See `Delta.build`; options: of `StudySettings`."""
        return cls(h_shape, temb_dim, **options)


class MidBlockDelta(Delta):
    """f_t as diffusers' middle block with cross-attention: residual block, transformer, residual block.

    It gets no context, so that it attends to itself twice; all its parts are residual, so Δh begins near h.
    """

    def __init__(self, channels: int, temb_dim: int, groups: int = 32, **about):
        super().__init__(**about)
        self.config = {"channels": channels, "temb_dim": temb_dim, "groups": groups}
        size = {"cross_attention_dim": channels, "resnet_groups": groups}
        self.block = UNetMidBlock2DCrossAttn(channels, temb_dim, **size)

    def forward(self, h: Tensor, temb: Tensor | None, t: int) -> Tensor:
        """Δh_t (B, C, H, W); see `Delta.forward`."""
        return self.block(h, temb)

    @classmethod
    def build(cls, h_shape: Sequence[int], temb_dim: int, **options) -> Self:
        """See `Delta.build`; one option, groups."""
        return cls(h_shape[0], temb_dim, **options)
