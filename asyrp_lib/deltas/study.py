"""The f_t of the study `zilaeric/asyrp-extension`: h as tokens, in place of the paper's 1×1 convolutions.

Parts: a layer on either side (its *layout*), temb, a norm, an activation.  There is no positional code and no
residual around f_t.  All facts are read from the study's code and counted there.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Literal, Self

import torch
from diffusers.models.normalization import AdaGroupNorm
from diffusers.models.unets.unet_2d_blocks import UNetMidBlock2DCrossAttn
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.func import functional_call

from .. import check
from ..check import Real64, Whole
from ..errors import ImageError, WeightsError
from .base import Delta
from .conv import _Conv

Count = Annotated[Whole, Field(ge=1, le=65_536)]
_ACTIVATIONS = {"silu": nn.SiLU, "relu": nn.ReLU, "gelu": nn.GELU}
#: Bytes that the settings take in the state dict: the same for all, so that every file has the same shapes.
_STATE = 512


@check.settings
class StudySettings:
    """Which f_t of the study; the defaults are those of its ablations."""

    layout: Literal["conv", "p", "c", "pc", "cp"] = "pc"  # pixels, channels, or one after the other
    heads: Count = 1  # of the attention; no shape depends on it
    depth: Annotated[Whole, Field(ge=1, le=64)] = 1  # encoder layers in each encoder
    feed_forward: Count = 2048  # its width
    temb: Literal["add", "mult", "adagn"] = "add"  # how the time embedding enters
    norm: Literal["group", "instance"] = "group"
    activation: Literal["silu", "relu", "gelu"] = "silu"
    groups: Count = 32
    #: A post-norm layer ends in a LayerNorm, and the encoder in another ("both"), which fix the size of Δh.
    #: Ours, in the last encoder before Δh: "layer" leaves out the encoder's, which hardly changes anything,
    #: "none" both, so that weights set the size.
    last_norm: Literal["both", "layer", "none"] = "both"
    #: Ours: Δh gets a learnt factor exp(gain · θ), 1 at the start; Adam moves log Δh by gain · lr a step, so
    #: that it learns so many times faster than a weight (SGD: gain² times).  0: no factor.
    gain: Annotated[Real64, Field(ge=0, le=10_000)] = 0.0

    @field_validator("norm")
    @classmethod
    def _norm_is_used(cls, norm: str, others) -> str:
        if norm == "instance" and others.data.get("temb") == "adagn":
            raise ValueError("temb 'adagn' has a group norm of its own, so the two would be one f_t")
        return norm


class _NoNorm(nn.Identity):
    """In place of a LayerNorm; the fused encoder compares `eps`, and then takes the plain way."""

    eps = None


class Encoder(nn.Module):
    """Encoder layers over h (B, C, H, W) as H·W tokens of C numbers, "p", or as C tokens of H·W, "c".

    Post-norm, ReLU, no dropout, Xavier-uniform matrices, as `nn.Transformer` has them.
    """

    def __init__(self, tokens: str, h_shape: Sequence[int], settings: StudySettings, last_norm: str):
        super().__init__()
        channels, height, width = h_shape
        self.pixels, size = tokens == "p", channels if tokens == "p" else height * width
        if size % settings.heads:
            raise WeightsError(
                f"{settings.heads} heads do not divide tokens of {size} numbers; choose a divisor."
            )
        layer = nn.TransformerEncoderLayer(size, settings.heads, settings.feed_forward, 0.0, batch_first=True)
        last = nn.LayerNorm(size) if last_norm == "both" else None
        self.encoder = nn.TransformerEncoder(layer, settings.depth, last, enable_nested_tensor=False)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
        if last_norm == "none":
            self.encoder.layers[-1].norm2 = _NoNorm()

    def forward(self, h: Tensor) -> Tensor:
        """(B, C, H, W) -> the same."""
        tokens = h.flatten(2)
        tokens = self.encoder(tokens.mT).mT if self.pixels else self.encoder(tokens)
        return tokens.reshape(h.shape)


class StudyDelta(Delta):
    """f_t of the study: layer, temb, norm, activation, layer; without temb also without norm and activation.

    All settings are part of its weights, so that those of other settings are refused: most of them change no
    shape.  With "adagn" `temb_proj` and `norm2` are there and unused, as in the study, whose counts of
    parameters include them.
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
        self.settings = s = StudySettings(**settings)
        self.config = {"h_shape": list(h_shape), "temb_dim": temb_dim, **asdict(s)}
        channels = h_shape[0]
        self.in_layer, self.out_layer = self._layer(h_shape, "both"), self._layer(h_shape, s.last_norm)
        self.temb_proj = nn.Linear(temb_dim, channels)
        if s.norm == "group":
            self.norm2 = nn.GroupNorm(s.groups, channels, 1e-6)
        else:
            self.norm2 = nn.InstanceNorm2d(channels, 1e-6, affine=True)
        if s.temb == "adagn":
            self.ada = AdaGroupNorm(temb_dim, channels, s.groups)
        self.activation = _ACTIVATIONS[s.activation]()
        if s.gain:
            self.log_gain = nn.Parameter(torch.zeros(()))

    def _layer(self, h_shape: Sequence[int], last_norm: str) -> nn.Module:
        s = self.settings
        if s.layout == "conv":
            return nn.Conv2d(h_shape[0], h_shape[0], 1)
        norms = ["both"] * (len(s.layout) - 1) + [last_norm]
        return nn.Sequential(*(Encoder(tokens, h_shape, s, last) for tokens, last in zip(s.layout, norms)))

    def forward(self, h: Tensor, temb: Tensor | None, t: int) -> Tensor:
        """Δh_t (B, C, H, W); see `Delta.forward`.  ImageError: h has another shape than it was built for."""
        if list(h.shape[1:]) != self.config["h_shape"]:
            raise ImageError(
                f"h has the shape {tuple(h.shape[1:])}; this f_t was built for {self.config['h_shape']}; "
                "use it in its own U-Net."
            )
        s, z = self.settings, self.in_layer(h)
        if temb is not None:
            if s.temb == "adagn":
                z = self.ada(z, temb)
            else:
                e = self.temb_proj(nn.functional.silu(temb))[:, :, None, None]
                z = self.norm2(z + e if s.temb == "add" else z * e)
            z = self.activation(z)
        dh = self.out_layer(z)
        return dh * (s.gain * self.log_gain).exp() if s.gain else dh

    def with_heads(self, heads: int) -> Self:
        """A copy whose weights are read with another number of heads, as the study did unawares; it says so
        in its name.  WeightsError: heads that do not divide the tokens.
        """
        about = self.about | {"name": f"{self.name} with {heads} heads".strip()}
        with torch.random.fork_rng(devices=[]):
            other = type(self)(**self.config | {"heads": heads}, **about).to(self.temb_proj.weight)
        other.load_state_dict(self.state_dict() | {"_extra_state": other.get_extra_state()})
        return other.requires_grad_(self.temb_proj.weight.requires_grad).train(self.training)

    def get_extra_state(self) -> Tensor:
        """All settings, in the state dict."""
        text = json.dumps(asdict(self.settings)).encode()
        return torch.tensor(list(text.ljust(_STATE)), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """WeightsError: of weights of other settings, which no shape would show."""
        try:
            theirs = json.loads(bytes(state.tolist()))
            differ = [key for key, value in asdict(self.settings).items() if theirs.get(key) != value]
        except (ValueError, AttributeError) as error:
            raise WeightsError(
                "These weights don't say of which settings they are; expected an f_t of the study; get "
                "them again."
            ) from error
        if differ:
            raise WeightsError(
                f"These weights have {', '.join(f'{key} {theirs.get(key)}' for key in differ)}; expected "
                f"{', '.join(f'{key} {self.config[key]}' for key in differ)}; Δh would be another, though "
                "shapes may agree; build f_t with their settings."
            )

    @property
    def channels(self) -> int:
        """C of the h-space it shifts."""
        return self.config["h_shape"][0]

    @classmethod
    def build(cls, h_shape: Sequence[int], temb_dim: int, **options) -> Self:
        """See `Delta.build`; options: of `StudySettings`."""
        return cls(h_shape, temb_dim, **options)

    @staticmethod
    def normal(**options) -> dict:
        """All settings of an f_t, also those left out: one f_t, one table.  A conv has no tokens, so that
        what says something of tokens is as the defaults are.  SettingsError: a setting that can't be used.
        """
        s = asdict(StudySettings(**options))
        plain = {key: asdict(StudySettings())[key] for key in ("heads", "depth", "feed_forward", "last_norm")}
        return s | plain if s["layout"] == "conv" else s


class MidBlockDelta(_Conv):
    """f_t as diffusers' middle block with cross-attention: residual block, transformer, residual block.

    It gets no context, so that it attends to itself twice; all its parts are residual, so Δh begins near h.
    """

    def __init__(self, channels: int, temb_dim: int, groups: int = 32, **about):
        super().__init__(channels, temb_dim, groups, **about)
        self.block = UNetMidBlock2DCrossAttn(
            channels,
            temb_dim,
            cross_attention_dim=channels,
            resnet_groups=groups,
            # what diffusers would choose, said here for later versions of it
            num_layers=1,
            transformer_layers_per_block=1,
            num_attention_heads=1,
            resnet_eps=1e-6,
            resnet_act_fn="swish",
            resnet_time_scale_shift="default",
            output_scale_factor=1.0,
            use_linear_projection=False,
        )

    def forward(self, h: Tensor, temb: Tensor | None, t: int) -> Tensor:
        """Δh_t (B, C, H, W); see `Delta.forward`."""
        if temb is not None:
            return self.block(h, temb)
        # diffusers' blocks want a temb: with a projection of zeros it adds nothing
        names = (name for name, _ in self.block.named_parameters() if ".time_emb_proj." in name)
        zeros = {name: torch.zeros_like(self.block.get_parameter(name)) for name in names}
        return functional_call(self.block, zeros, (h, h.new_zeros(len(h), self.config["temb_dim"])))

    @staticmethod
    def normal(groups: int = 32) -> dict:
        """See `StudyDelta.normal`."""
        return {"groups": groups}
