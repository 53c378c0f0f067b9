"""Δh_t: the networks f_t that predict it, and its averages over images and over time.

All of them are called as delta(h, temb, t) -> Δh and know two numbers of their training: `t_edit`, the start of their
editing interval, and `train_steps`, the length S_train of their time grid.
"""

import os

import torch
from torch import Tensor, nn

from ..errors import WeightsError
from ..store.weights import load_strictly, read_weights, save_weights


class Delta(nn.Module):
    """Base of everything that answers a Δh_t.

    Attributes:
        name: of the edit.
        t_edit: the editing interval is t >= t_edit; None: not known, it must be given to `edit`.
        train_steps: S_train; with S steps at test time Δh is multiplied by S_train / S.
    """

    def __init__(self, name: str = "", t_edit: int | None = None, train_steps: int = 40):
        super().__init__()
        self.name, self.t_edit, self.train_steps = name, t_edit, train_steps

    def forward(self, h: Tensor, temb: Tensor | None, t: int) -> Tensor:
        """Δh_t.

        Args:
            h: (B, C, H, W), the bottleneck.
            temb: (B, E), output of the time MLP; None leaves the time out of f_t.
            t: the time.
        Returns:
            (B, C, H, W) or broadcastable to it.
        """
        raise TypeError(f"{type(self).__name__} does not say what its Δh is.")

    @property
    def channels(self) -> int:
        """C of the h-space it shifts."""
        return self.config["channels"]


#: The kinds of Δh that a file may hold, by the name in it; each enters itself where it is defined.
KINDS: dict[str, type[Delta]] = {}


def combine(edits: dict[Delta, float | Tensor], h: Tensor, temb: Tensor, t: int, steps: int) -> Tensor:
    """The shift of several edits at one time: Σ_i s_i (S_train,i / S) Δh^i / √n.

    Args:
        edits: Δh -> strength s_i, one number for all images or one per image (B,).
        h, temb, t: see `Delta.forward`.
        steps: S, length of the present time grid.
    Returns:
        (B, C, H, W).
    Source: Asyrp Sec. 5.2 (several attributes) and appendix (rescaling to other numbers of steps).
    """
    total = torch.zeros_like(h)
    for delta, strength in edits.items():
        scale = torch.as_tensor(strength) * (delta.train_steps / steps / len(edits) ** 0.5)
        if (
            scale.any()
        ):  # an edit at 0 is not computed, but counts in n: pushing one slider must not rescale the others
            total = total + scale.reshape(-1, 1, 1, 1).to(h) * delta(h, temb, t)
    return total


def save_delta(path: str | os.PathLike, delta: Delta, card: dict) -> None:
    """Write a Δh with its kind, configuration and card (settings, provenance) to a safetensors file, atomically."""
    save_weights(
        path,
        delta.state_dict(),
        {
            "delta": type(delta).__name__,
            "config": delta.config,
            "card": card,
            "about": {"name": delta.name, "t_edit": delta.t_edit, "train_steps": delta.train_steps},
        },
    )


def load_delta(path: str | os.PathLike) -> Delta:
    """Read what `save_delta` wrote, frozen, on the CPU.

    Raises:
        WeightsError: missing, damaged, or no Δh.
    """
    state, config = read_weights(path)
    kind, about = config.get("delta"), config.get("about", {})
    buffers = {"PerTimeDelta": {"shifts"}, "GlobalDelta": {"shift"}}
    if kind in buffers and set(state) != buffers[kind]:
        raise WeightsError(
            f"{path} has the tensors {sorted(state)}, expected {sorted(buffers[kind])} of a {kind}; check the file."
        )
    if kind in ("ConvDelta", "PreNormConvDelta"):
        delta = KINDS[kind](**config["config"], **about)
        load_strictly(delta, state, path)
    elif kind == "PerTimeDelta":
        delta = KINDS[kind](config["config"]["times"], state["shifts"], **about)
    elif kind == "GlobalDelta":
        delta = KINDS[kind](state["shift"], **about)
    else:
        raise WeightsError(f"{path} holds no Δh; expected a file written by save_delta; check the path.")
    return delta.eval().requires_grad_(False)
