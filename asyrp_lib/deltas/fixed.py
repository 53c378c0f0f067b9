"""Averages of f_t over images and over time: shifts that look at no h."""

from typing import Self

from torch import Tensor

from ..errors import WeightsError
from .base import Delta


class PerTimeDelta(Delta):
    """Δh_t^mean: shifts (K, C, H, W) at K times, the same for every image; in between the nearest time
    answers. (Asyrp Sec. 5.4, Fig. 10)"""

    shifts: Tensor

    def __init__(self, times: list[int], shifts: Tensor, **about):
        super().__init__(**about)
        self.config = {"times": [int(t) for t in times], "channels": shifts.shape[1]}
        self.register_buffer("shifts", shifts)

    @classmethod
    def restore(cls, config: dict, state: dict[str, Tensor], source, **about) -> Self:
        """The one that a file holds."""
        shifts = _only(state, "shifts", 4, source)
        if len(config["times"]) != len(shifts):
            raise WeightsError(
                f"{source} has {len(config['times'])} times for {len(shifts)} shifts; check the file."
            )
        return cls(config["times"], shifts, **about)

    def forward(self, h: Tensor, temb: Tensor | None, t: int) -> Tensor:
        """Δh_t (1, C, H, W); see `Delta.forward`."""
        times = self.config["times"]
        return self.shifts[min(range(len(times)), key=lambda k: abs(times[k] - t))][None]


class GlobalDelta(Delta):
    """Δh^global: one shift (C, H, W) for every image and every time (Asyrp Sec. 5.4, Fig. 10)."""

    shift: Tensor

    def __init__(self, shift: Tensor, **about):
        super().__init__(**about)
        self.config = {"channels": shift.shape[0]}
        self.register_buffer("shift", shift)

    @classmethod
    def restore(cls, config: dict, state: dict[str, Tensor], source, **about) -> Self:
        """The one that a file holds."""
        return cls(_only(state, "shift", 3, source), **about)

    def forward(self, h: Tensor, temb: Tensor | None, t: int) -> Tensor:
        """Δh (1, C, H, W); see `Delta.forward`."""
        return self.shift[None]


def _only(state: dict[str, Tensor], name: str, rank: int, source) -> Tensor:
    if set(state) != {name} or state[name].ndim != rank:
        raise WeightsError(
            f"{source} has the tensors {sorted(state)}, expected {name!r} of rank {rank}; check the file."
        )
    return state[name]
