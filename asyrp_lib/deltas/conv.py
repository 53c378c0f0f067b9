"""The convolutional f_t of the paper and of the official code, and the official files of both."""

import os
from collections.abc import Sequence
from statistics import mode
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import check
from ..errors import WeightsError
from ..store.files import atomic_write
from ..store.weights import load_strictly
from .base import Delta

#: Groups of every GroupNorm in the delta blocks of the official code; its files do not say.
OFFICIAL_GROUPS = 32


class _Conv(Delta):
    """What both conv f_t share: their sizes."""

    def __init__(self, channels: int, temb_dim: int, groups: int = 32, **about):
        super().__init__(**about)
        self.config = {"channels": channels, "temb_dim": temb_dim, "groups": groups}

    @classmethod
    def build(cls, h_shape: Sequence[int], temb_dim: int, **options) -> Self:
        """See `Delta.build`; one option, groups: of the normalisation, a divisor of C."""
        groups = options.get("groups", 32)
        options["groups"] = check.whole("groups", groups, 1, h_shape[0], error=WeightsError)
        return cls(h_shape[0], temb_dim, **options)


class ConvDelta(_Conv):
    """f_t of the paper for the DDPM family: 1x1 conv, plus the time, GroupNorm, SiLU, 1x1 conv.

    For C = `channels`, a multiple of `groups`, and E = `temb_dim`.  The parameters are named as in the
    official checkpoints.  The last convolution starts at zero, so that training starts at Δh = 0, from the
    unedited image (the original starts it at random).  (Asyrp Sec. 3.2, Fig. 2; 788,992 parameters for 512)
    """

    def __init__(self, channels: int, temb_dim: int, groups: int = 32, **about):
        super().__init__(channels, temb_dim, groups, **about)
        self.conv1 = nn.Conv2d(channels, channels, 1)
        self.temb_proj = nn.Linear(temb_dim, channels)
        self.norm2 = nn.GroupNorm(groups, channels, eps=1e-6)
        self.conv2 = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, h: Tensor, temb: Tensor | None, t: int) -> Tensor:
        """Δh_t (B, C, H, W); see `Delta.forward`."""
        h = self.conv1(h)
        if temb is not None:
            h = h + self.temb_proj(F.silu(temb))[:, :, None, None]
        return self.conv2(F.silu(self.norm2(h)))


class PreNormConvDelta(_Conv):
    """f_t of the official code for the iDDPM and ADM families: GroupNorm and SiLU before the first conv, too.

    Arguments as for `ConvDelta`.  (Official checkpoints of AFHQ-dog and MetFaces; 790,016 parameters for 512)
    """

    def __init__(self, channels: int, temb_dim: int, groups: int = 32, **about):
        super().__init__(channels, temb_dim, groups, **about)
        self.in_layers = nn.Sequential(
            nn.GroupNorm(groups, channels), nn.SiLU(), nn.Conv2d(channels, channels, 1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(temb_dim, channels))
        # the numbers of the official checkpoints leave one place for a dropout
        self.out_layers = nn.Sequential(
            nn.GroupNorm(groups, channels), nn.SiLU(), nn.Identity(), nn.Conv2d(channels, channels, 1)
        )
        nn.init.zeros_(self.out_layers[3].weight)
        nn.init.zeros_(self.out_layers[3].bias)

    def forward(self, h: Tensor, temb: Tensor | None, t: int) -> Tensor:
        """Δh_t (B, C, H, W); see `Delta.forward`."""
        h = self.in_layers(h)
        if temb is not None:
            h = h + self.emb_layers(temb)[:, :, None, None]
        return self.out_layers(h)


def load_official_delta(path: str | os.PathLike, **about) -> Delta:
    """Read an f_t of the official repository (`.pth`, entry "0"; any family), frozen, on the CPU.

    `about`: `name`, `t_edit`, `train_steps`, which the file does not say.  WeightsError: missing, damaged, of
    no known layout, or with a tensor missing, extra or misshapen (named).
    """
    try:
        entries = torch.load(path, map_location="cpu", weights_only=True)
        state = dict(entries["0"])
        sizes = [tensor.shape[0] for tensor in state.values() if tensor.ndim]
    except Exception as error:  # pickle, zip, key and OS errors alike mean: not such a file
        raise WeightsError(
            f"{path} is no official f_t checkpoint ({type(error).__name__}); expected a .pth; fetch it again."
        ) from error
    if "1" in entries:
        raise WeightsError(
            f"{path} holds several delta blocks; expected one, the entry '0'; save each to a file of its own."
        )
    layouts = {
        ConvDelta: ("conv1.", "temb_proj.", "norm2.", "conv2."),
        PreNormConvDelta: ("in_layers.", "emb_layers.", "out_layers."),
    }
    found = {kind: sum(name.startswith(parts) for name in state) for kind, parts in layouts.items()}
    kind = max(found, key=lambda kind: found[kind])
    channels = mode(sizes or [0])  # one wrong tensor does not decide
    if not found[kind] or channels % OFFICIAL_GROUPS or channels > 8192:
        raise WeightsError(
            f"{path} has the tensors {', '.join(list(state)[:3])}, …; expected a delta block of the DDPM, "
            "iDDPM or ADM family; check the file."
        )
    time = state.get("temb_proj.weight" if kind is ConvDelta else "emb_layers.1.weight")
    delta = kind(channels, time.shape[-1] if time is not None and time.ndim else channels, **about)
    load_strictly(delta, state, path)
    return delta.eval().requires_grad_(False)


def export_official_delta(path: str | os.PathLike, delta: Delta) -> None:
    """Write a conv f_t as the official repository keeps it, a `.pth` of {"0": state}; else WeightsError.

    The official code tests with such a file; to go on training it would also want its optimiser's state.
    Name, t_edit and S_train have no place in the format: the original takes them from file names and options.
    """
    if not isinstance(delta, (ConvDelta, PreNormConvDelta)) or delta.config["groups"] != OFFICIAL_GROUPS:
        raise WeightsError(
            f"A {type(delta).__name__}{delta.config} has no official format; expected a ConvDelta or a "
            f"PreNormConvDelta with {OFFICIAL_GROUPS} groups; keep it with save_delta."
        )
    state = {name: tensor.detach().cpu().clone() for name, tensor in delta.state_dict().items()}
    with atomic_write(path) as temporary:
        torch.save({"0": state}, temporary)
