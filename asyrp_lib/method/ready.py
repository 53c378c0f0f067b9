"""Edits made ready for a U-Net: checked, on its device, in eval mode."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations

import torch
from torch import nn

from ..errors import AsyrpError, GridError, WeightsError
from .hspace import HSpaceUNet


def check_edits(unet: HSpaceUNet, edits: Sequence[nn.Module], t_edit: int | None) -> None:
    """Each fits the U-Net, knows its interval, and none is there twice; then all go to its device."""
    digest = unet.digest() if any(delta.unet_digest for delta in edits) else ""
    for delta in edits:
        if t_edit is None and delta.t_edit is None:
            raise GridError(
                f"The edit {delta.name!r} does not know its editing interval; expected one; pass t_edit=."
            )
        if delta.channels != unet.h_channels:
            raise WeightsError(
                f"The edit {delta.name!r} shifts {delta.channels} channels, but h-space has "
                f"{unet.h_channels}; use an edit that was made for this network."
            )
        if delta.unet_digest not in (None, digest):
            raise WeightsError(
                f"The edit {delta.name!r} was trained for another U-Net ({delta.unet_digest[:12]}, here "
                f"{digest[:12]}); use one made for this network, or allow it with delta.bind(unet)."
            )
        delta.to(unet.device)
    for one, other in combinations(edits, 2):
        a, b = one.state_dict(), other.state_dict()
        if a and a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a):
            raise AsyrpError(
                f"The edits {one.name!r} and {other.name!r} are the same Δh twice; expected each once; "
                "add up their strengths instead."
            )


@contextmanager
def evaluating(edits: Iterable[nn.Module]) -> Iterator[None]:
    """Put edits into eval mode (no dropout), and back into the mode they were in: they may be in training."""
    modes = {delta: delta.training for delta in edits}
    try:
        for delta in modes:
            delta.eval()
        yield
    finally:
        for delta, mode in modes.items():
            delta.train(mode)
