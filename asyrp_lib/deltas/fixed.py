"""Shifts that look at no h: averages of f_t over images and over time, and those learned as they are."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

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
        return self.shifts[_nearest(self.config["times"], t)][None]


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


class FreeDelta(Delta):
    """Δh_t optimised as it is, without a network: (C, H, W) of its own at each of K times, the same for every
    image; in between the nearest time answers.

    It is learned in `units`, one number per time: Δh_t = unit_t θ_t, and θ starts at 0.  Each time is a
    parameter of its own, so that an optimiser's step at one leaves the others alone.  (Asyrp Sec. 3.2)
    """

    def __init__(self, times: list[int], units: list[float], shape: Sequence[int], **about):
        super().__init__(**about)
        self.config = {"times": list(map(int, times)), "units": list(units), "shape": list(shape)}
        self.theta = nn.ParameterList(torch.zeros(*shape) for _ in zip(times, units, strict=True))

    @classmethod
    def build(cls, h_shape: Sequence[int], temb_dim: int, **options) -> Self:
        """See `Delta.build`; two options, times and units, as many of both."""
        return cls(shape=h_shape, **options)

    @property
    def channels(self) -> int:
        """C of the h-space it shifts."""
        return self.config["shape"][0]

    def forward(self, h: Tensor, temb: Tensor | None, t: int) -> Tensor:
        """Δh_t (1, C, H, W); see `Delta.forward`."""
        k = _nearest(self.config["times"], t)
        return self.config["units"][k] * self.theta[k][None]


def _nearest(times: Sequence[int], t: int) -> int:
    """Which of the times is nearest to t."""
    return min(range(len(times)), key=lambda k: abs(times[k] - t))


def _only(state: dict[str, Tensor], name: str, rank: int, source) -> Tensor:
    if set(state) != {name} or state[name].ndim != rank:
        raise WeightsError(
            f"{source} has the tensors {sorted(state)}, expected {name!r} of rank {rank}; check the file."
        )
    return state[name]
