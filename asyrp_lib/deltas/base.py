"""Δh_t: what all kinds of it share, how several add up, and how one is built, kept and shared.

All are called as delta(h, temb, t) -> Δh and know where they may act: `t_edit`, the start of their interval,
`train_steps`, the length S_train of their time grid, and the U-Net they were trained for.
"""

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

import torch
from huggingface_hub import ModelHubMixin, hf_hub_download
from torch import Tensor, nn

from .. import check
from ..errors import OfflineError, UnknownNameError, WeightsError
from ..store.weights import load_strictly, read_weights, save_weights

#: Name of the file in a folder or Hub repository that `save_pretrained` or `push_to_hub` wrote.
HUB_FILE = "delta.safetensors"


class Delta(nn.Module, ModelHubMixin, library_name="asyrp_lib", tags=["asyrp", "h-space"]):
    """Base of everything that answers a Δh_t; `save_pretrained`, `from_pretrained`, `push_to_hub` share it.

    The editing interval is t >= `t_edit`; None: not known, to be given to `edit`.  With S steps at test time
    Δh is multiplied by `train_steps` / S.  `unet_digest`: of the U-Net it was trained for
    (`HSpaceUNet.digest`); None: not known, fits wherever sizes do.  `config`: arguments to build it again.
    """

    kinds: ClassVar[dict[str, type["Delta"]]] = {}
    config: dict

    def __init__(
        self, name: str = "", t_edit: int | None = None, train_steps: int = 40, unet_digest: str | None = None
    ):
        super().__init__()
        self.name, self.t_edit, self.train_steps, self.unet_digest = name, t_edit, train_steps, unet_digest

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        Delta.kinds[cls.__name__] = cls

    def forward(self, h: Tensor, temb: Tensor | None, t: int) -> Tensor:
        """Δh_t, (B, C, H, W) or broadcastable to it, for the bottleneck h (B, C, H, W) at time t.

        `temb`: (B, E), output of the time MLP; None leaves the time out of f_t.
        """
        raise TypeError(f"{type(self).__name__} does not say what its Δh is.")

    @classmethod
    def build(cls, h_shape: Sequence[int], temb_dim: int, **options) -> Self:
        """An untrained one for an h-space (C, H, W) and a time embedding of length E."""
        raise WeightsError(f"A {cls.__name__} is not trained; expected an f_t; choose another kind.")

    @classmethod
    def restore(cls, config: dict, state: dict[str, Tensor], source, **about) -> Self:
        """The one that a file holds."""
        delta = cls(**config, **about)
        load_strictly(delta, state, source)
        return delta

    @property
    def channels(self) -> int:
        """C of the h-space it shifts."""
        return self.config["channels"]

    @property
    def about(self) -> dict:
        """name, t_edit, train_steps and unet_digest."""
        return {key: getattr(self, key) for key in ("name", "t_edit", "train_steps", "unet_digest")}

    def bind(self, unet) -> Self:
        """Let this Δh act in another U-Net than the one it was trained for; whether it edits is not known."""
        warnings.warn(f"The edit {self.name!r} is used in a U-Net it was not trained for.", stacklevel=2)
        self.unet_digest = unet.digest()
        return self

    def _save_pretrained(self, save_directory: Path) -> None:
        save_delta(Path(save_directory) / HUB_FILE, self, {})

    @classmethod
    def from_pretrained(cls, name: str | os.PathLike, **how) -> "Delta":
        """What `save_pretrained` or `push_to_hub` kept, in a folder or the Hub repository of that id.

        `how`: revision, token, local_files_only, …; see `huggingface_hub.hf_hub_download`.  OfflineError:
        neither there nor reachable; WeightsError: damaged, or no Δh.
        """
        if Path(name).is_dir():
            return load_delta(Path(name) / HUB_FILE)
        try:
            return load_delta(hf_hub_download(str(name), HUB_FILE, **how))
        except (OSError, ValueError) as error:
            raise OfflineError(
                f"No f_t could be got from {str(name)!r} ({type(error).__name__}); expected a folder or Hub "
                f"repository with {HUB_FILE}; check the name and the network."
            ) from error


def build_delta(config: Mapping, h_shape: Sequence[int], temb_dim: int, **about) -> Delta:
    """An untrained f_t from {"kind": "ConvDelta", …options of its `build`}, for h_shape (C, H, W) and E.

    `about`: see `Delta`.  UnknownNameError: no such kind, or no such option of it.
    """
    check.kind("configuration of Δh", config, Mapping, '{"kind": "ConvDelta"}')
    options = dict(config)
    kind = options.pop("kind", "ConvDelta")
    if not isinstance(kind, str) or kind not in Delta.kinds:
        raise UnknownNameError(f"Unknown kind of Δh {kind!r}; known are {', '.join(Delta.kinds)}.")
    try:
        return Delta.kinds[kind].build(h_shape, temb_dim, **options, **about)
    except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        raise UnknownNameError(f"A {kind} cannot be built from {options} ({error}); check them.") from error


def combine(
    edits: Mapping[Delta, float | Tensor],
    h: Tensor,
    temb: Tensor,
    t: int,
    steps: int,
    *,
    t_edit: int | None = None,
) -> Tensor | None:
    """The shift (B, C, H, W) of several edits at t: Σ_i s_i (S_train,i / S) Δh^i / √n; None: none is active.

    Here n counts, for each image, the edits whose strength is not 0: one edit alone is not made weaker by
    others that are offered and not used.

    Args:
        edits: Δh -> strength s_i, one number for all images or one per image (B,).
        t_edit: start of the editing interval of all; None: each edit's own, where it knows it.
    Source: Asyrp Sec. 5.2 (several attributes) and appendix (rescaling to other numbers of steps).
    """
    table = {d: torch.as_tensor(s, dtype=torch.float64).expand(len(h)) for d, s in edits.items()}
    n = sum(((s != 0).double() for s in table.values()), torch.zeros(()))
    total = None
    for delta, strength in table.items():
        start = delta.t_edit if t_edit is None else t_edit
        if (start is None or t >= start) and bool(strength.any()):
            scale = strength * (delta.train_steps / steps) / n.clamp(min=1) ** 0.5
            shift = scale.reshape(-1, 1, 1, 1).to(h) * delta(h, temb, t)
            total = shift if total is None else total + shift
    return total


def save_delta(path: str | os.PathLike, delta: Delta, card: dict) -> None:
    """Write a Δh with kind, configuration, U-Net and card (settings, provenance) to a safetensors file."""
    kind = {"delta": type(delta).__name__, "config": delta.config, "about": delta.about}
    save_weights(path, delta.state_dict(), {**kind, "card": card})


def load_delta(path: str | os.PathLike) -> Delta:
    """Read what `save_delta` wrote, frozen, on the CPU; WeightsError: missing, damaged, or no Δh."""
    state, meta = read_weights(path)
    kind, config, about = meta.get("delta"), meta.get("config"), meta.get("about", {})
    known = isinstance(kind, str) and kind in Delta.kinds
    if not known or not isinstance(config, dict) or not isinstance(about, dict):
        raise WeightsError(f"{path} holds no Δh; expected a file written by save_delta; check the path.")
    try:
        delta = Delta.kinds[kind].restore(config, state, path, **about)
    except (TypeError, ValueError, KeyError, RuntimeError, MemoryError) as error:
        raise WeightsError(
            f"{path} describes a {kind} that cannot be built ({error}); expected a file written by "
            "save_delta; get it again."
        ) from error
    return delta.eval().requires_grad_(False)
