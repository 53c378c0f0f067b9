"""A frozen diffusion U-Net cut at its bottleneck: everything the method needs to know about a backbone.

`encode` runs down to h, the output of the mid block; `decode` runs up again and answers ε.  Whatever differs
between backbones (learned variance, v-prediction, precision) ends here.  Source: Asyrp Sec. 3.2, Fig. 2.
"""

import copy
import hashlib
import inspect
import json
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from diffusers import UNet2DModel
from torch import Tensor, nn

from .. import check
from ..backbones.native import check_architecture, read_network
from ..device import pick_memory_format, pick_precision
from ..errors import AsyrpError, WeightsError
from ..store.weights import digest, module_digest, save_weights
from .schedule import NoiseSchedule


class Encoded(NamedTuple):
    """What the encoder leaves for the decoder."""

    h: Tensor  # (B, C_h, H, W), the bottleneck; the h-space of the paper
    skips: tuple[Tensor, ...]  # the encoder's activations in the precision of the network, in their order
    emb: Tensor  # (B, E), output of the two-layer time MLP
    x: Tensor  # (B, C, R, R), x_t itself, because v-prediction needs it to give ε
    t: int | Tensor  # one for all or (B,) int64


#: Pixels per pass.  CPU: 16 images of 32 px; one core, 1, 4, 8, 16, 64, 128: 46, 68, 65, 66, 62, 56 images/s.
#: GPU: 8 of 256 px, for the memory of a consumer's; its speed is not measured.
CPU_PIXELS, GPU_PIXELS = 2**14, 2**19
#: Decoder's parameters × images × pixels above which a CPU decodes a pair as two batches; a GPU never does.
#: One core, ms two/one: 32 px 29/22 (work 1.6e9), 8 of them 143/144, 128 px 1224/1341, 256 px 12205/13515.
PAIR_WORK = 4e9


class HSpaceUNet(nn.Module):
    """A frozen `UNet2DModel` with its noise schedule, as encoder and decoder around h-space.

    x_t, h, Δh_t and ε are float32 whatever the network computes in; see `to_precision`.

    Args:
        net: any diffusers UNet2DModel; put in eval mode, its parameters are frozen.
        prediction_type: what the network's output means: "epsilon" or "v_prediction".
        class_label: of a class-conditional network: the class of every image; see `for_class`.
    Raises:
        WeightsError: an unknown prediction type, or a U-Net that `check_architecture` refuses.
        AsyrpError: a label that the network does not know.
    """

    class_label: Tensor | None

    def __init__(
        self,
        net: UNet2DModel,
        schedule: NoiseSchedule,
        prediction_type: str = "epsilon",
        class_label: int | None = None,
    ):
        super().__init__()
        if not isinstance(prediction_type, str) or prediction_type not in ("epsilon", "v_prediction"):
            raise WeightsError(
                f"The model predicts {prediction_type!r}; expected 'epsilon' or 'v_prediction'; convert it."
            )
        check_architecture(net)
        self.net: Any = net.eval().requires_grad_(False)  # diffusers types its parts as optional
        self.schedule, self.prediction_type = schedule, prediction_type
        label = None if class_label is None else self._known(class_label)
        self.register_buffer("class_label", label)  # part of the state: results of two classes must differ
        self._exact: dict[str, str] = {}  # digest of rounded weights -> of those they were rounded from

    @property
    def unet(self) -> UNet2DModel:
        """Old name of `net`; deprecated."""
        return self.net

    @property
    def resolution(self) -> int:
        """Side R of the images in pixels."""
        return self.net.config.sample_size

    @property
    def channels(self) -> int:
        """Channels C of the images."""
        return self.net.config.in_channels

    @property
    def h_channels(self) -> int:
        """Channels C_h of h-space."""
        return self.net.config.block_out_channels[-1]

    @property
    def h_shape(self) -> tuple[int, int, int]:
        """(C_h, H, W) of h-space; a level without a downsampler keeps its size."""
        side = self.resolution // 2 ** sum(bool(block.downsamplers) for block in self.net.down_blocks)
        return self.h_channels, side, side

    @property
    def temb_dim(self) -> int:
        """Length E of the time embedding."""
        return self.net.time_embedding.linear_2.out_features

    @property
    def unet_config(self) -> dict:
        """Arguments of `build_unet` that make this U-Net; some (attention heads) no tensor shows."""
        return {key: value for key, value in self.net.config.items() if not key.startswith("_")}

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.net.conv_in.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the blocks."""
        return next(self.net.mid_block.parameters()).dtype

    @property
    def precision(self) -> str:
        """Of the blocks: "fp32" or "bf16"."""
        return "bf16" if self.dtype == torch.bfloat16 else "fp32"

    @property
    def memory_format(self) -> torch.memory_format:
        """Of the weights of the convolutions; the activations follow it."""
        nhwc = self.net.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
        return torch.channels_last if nhwc else torch.contiguous_format

    @property
    def batch_size(self) -> int:
        """Images per pass where nobody says otherwise; see `CPU_PIXELS` and `GPU_PIXELS`."""
        return max(1, (CPU_PIXELS if self.device.type == "cpu" else GPU_PIXELS) // self.resolution**2)

    def to_precision(self, precision: str | None = None) -> "HSpaceUNet":
        """The network for the device it is on; itself if nothing changes, else a copy.

        In "bf16" the blocks are bfloat16; time MLP, first and last convolution, whose rounding shows most and
        whose work is least, stay float32.  `precision`: "fp32" or "bf16"; None: as `device.pick_precision`
        says. AsyrpError: another one, or "fp32" of rounded weights.
        """
        precision = pick_precision(self.device, sum(p.numel() for p in self.net.parameters()), precision)
        net = self.net.to(memory_format=pick_memory_format(self.device))
        if precision == self.precision:
            return self
        if precision == "fp32":
            raise AsyrpError("The weights are rounded to bf16; expected fp32 ones; load them again in fp32.")
        net = copy.deepcopy(net)
        for part in (net.down_blocks, net.mid_block, net.up_blocks):
            part.to(torch.bfloat16)
        return self._twin(net, self.class_label, {module_digest(net): module_digest(self.net)})

    def encode(self, x: Tensor, t: int | Tensor) -> Encoded:
        """Run the U-Net down to its bottleneck, from x_t (B, C, R, R) and t, one or (B,) int64.

        AsyrpError: a class-conditional model without a label.
        """
        net, n = self.net, len(x)
        times = t.to(x.device).expand(n) if torch.is_tensor(t) else torch.full((n,), t, device=x.device)
        emb = net.time_embedding(net.time_proj(times).to(net.time_embedding.linear_1.weight.dtype))
        if self.class_label is not None:
            emb = emb + net.class_embedding(self.class_label.to(x.device).expand(n)).to(emb.dtype)
        elif net.class_embedding is not None:
            raise AsyrpError(
                f"The network is conditional on one of {net.class_embedding.num_embeddings} classes and got "
                "none; expected a label; bind one with for_class(label)."
            )
        centred = 2 * x - 1.0 if net.config.center_input_sample else x
        h, e = net.conv_in(centred.to(net.conv_in.weight.dtype)).to(self.dtype), emb.to(self.dtype)
        skips = (h,)
        for block in net.down_blocks:
            h, new = block(hidden_states=h, temb=e)
            skips += new
        return Encoded(net.mid_block(h, e).to(x.dtype), skips, emb.to(x.dtype), x, t)

    def for_class(self, label: int) -> "HSpaceUNet":
        """The same network, weights shared, with every image of one class; AsyrpError: no such."""
        return self._twin(self.net, self._known(label).to(self.device), self._exact)

    def _twin(self, net: UNet2DModel, label: Tensor | None, exact: dict[str, str]) -> "HSpaceUNet":
        twin = HSpaceUNet(net, self.schedule, self.prediction_type)
        twin.class_label, twin._exact = label, exact
        return twin

    def _known(self, label: int) -> Tensor:
        """A label that the network knows, ()."""
        if self.net.class_embedding is None:
            raise AsyrpError("A class label was given to a network that is not class-conditional; give none.")
        most = self.net.class_embedding.num_embeddings - 1
        return torch.tensor(check.whole("The class label", label, 0, most, error=AsyrpError))

    def decode(self, z: Encoded, h: Tensor | None = None) -> Tensor:
        """ε (B, C, R, R): run the U-Net up from z.h, or from another bottleneck such as h = z.h + Δh_t."""
        up, _ = self._climb(z.h if h is None else h, z, self.net.up_blocks)
        return self._answer(up, z)

    def _climb(
        self, up: Tensor, z: Encoded, blocks: Sequence[nn.Module]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """What some of the decoder's blocks make of an activation, and the skips that are left of z's."""
        up, skips, emb = up.to(self.dtype), z.skips, z.emb.to(self.dtype)
        for block in blocks:
            n = len(block.resnets)
            up, skips = block(up, skips[-n:], emb), skips[:-n]
        return up, skips

    def _answer(self, up: Tensor, z: Encoded) -> Tensor:
        """ε of what the last block gave."""
        net = self.net
        up = net.conv_act(net.conv_norm_out(up.to(net.conv_norm_out.weight.dtype)))
        output = net.conv_out(up)[:, : self.channels]  # the rest is a learned variance
        return self._to_eps(output.to(z.x.dtype), z)  # under autocast the network answers in half precision

    def decode_pair(self, z: Encoded, h_edit: Tensor) -> tuple[Tensor, Tensor]:
        """ε of z.h and ε̃ of `h_edit`, both (B, C, R, R); as one batch where it pays, see `PAIR_WORK`.

        Where `h_edit` needs gradients only ε̃ has them.
        """
        if h_edit.requires_grad:  # one decoder pass is differentiated, not both
            eps_edit = self.decode(z, h_edit)
            with torch.no_grad():
                return self.decode(z), eps_edit
        work = sum(p.numel() for p in self.net.up_blocks.parameters()) * len(z.x) * self.resolution**2
        if self.device.type == "cpu" and work > PAIR_WORK:
            return self.decode(z), self.decode(z, h_edit)
        twice = lambda v: torch.cat([v, v]) if torch.is_tensor(v) else v
        both = Encoded(*(tuple(map(twice, v)) if isinstance(v, tuple) else twice(v) for v in z))
        eps, eps_edit = self.decode(both, torch.cat([z.h, h_edit])).chunk(2)
        return eps, eps_edit

    def forward(self, x: Tensor, t: int | Tensor) -> Tensor:
        """ε(x_t) (B, C, R, R): decode(encode(x, t))."""
        return self.decode(self.encode(x, t))

    def _to_eps(self, output: Tensor, z: Encoded) -> Tensor:
        """ε = √ᾱ_t v + √(1−ᾱ_t) x_t for v-prediction (Salimans & Ho 2022, appendix D)."""
        if self.prediction_type == "epsilon":
            return output
        if not torch.is_tensor(z.t):  # a number: no GPU to wait for
            a = self.schedule.alpha_bar(z.t)
            return a**0.5 * output + (1 - a) ** 0.5 * z.x
        # in float64: 1 − ᾱ_0 loses digits in float32
        a = self.schedule.alpha_bar_at(z.t, self.schedule.alphas_cumprod)
        return a.sqrt().to(output) * output + (1 - a).sqrt().to(output) * z.x

    def digest(self) -> str:
        """sha256 of weights and all settings, in every precision the same: what an f_t is bound to."""
        label = None if self.class_label is None else int(self.class_label)
        usual = inspect.signature(UNet2DModel.__init__).parameters
        config = {  # without the defaults: later versions of diffusers have more of them
            k: v
            for k, v in self.unet_config.items()
            if (tuple(v) if isinstance(v, list) else v) != getattr(usual.get(k), "default", None)
        }
        about = json.dumps([config, self.prediction_type, label], sort_keys=True, default=str)
        weights = module_digest(self.net)
        parts = about, self._exact.get(weights, weights), digest(self.schedule.alphas_cumprod)
        return hashlib.sha256("".join(parts).encode()).hexdigest()

    def save(self, path: str | os.PathLike, card: dict, *, dtype: torch.dtype | None = None) -> None:
        """Write weights (as `dtype`, if one is given), configurations and a card to one file, atomically."""
        now = self.schedule.alphas_cumprod
        before = torch.cat([torch.ones(1, dtype=torch.float64), now[:-1]])
        config = {
            "unet": self.unet_config,
            "prediction_type": self.prediction_type,
            "class_label": None if self.class_label is None else int(self.class_label),
            "betas": (1 - now / before).tolist(),
            "card": card,
        }
        save_weights(path, self.net.state_dict(), config, dtype=dtype)

    @classmethod
    def from_pretrained(cls, path: str | os.PathLike) -> "HSpaceUNet":
        """A file that `save` wrote, or a diffusers folder, in fp32 on the CPU; see `read_network`."""
        net, scheduler, prediction_type, class_label = read_network(path)
        return cls(net, NoiseSchedule.from_config(dict(scheduler)), prediction_type, class_label)
