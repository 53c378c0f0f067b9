"""Averages of f_t over images and over time: shifts that look at no h."""

from torch import Tensor

from .base import KINDS, Delta


class PerTimeDelta(Delta):
    """Δh_t^mean: one shift per time, the same for every image; between stored times the nearest one answers.

    Args:
        times: the stored times (K,).
        shifts: (K, C, H, W).
    Source: Asyrp Sec. 5.4, Fig. 10.
    """

    def __init__(self, times: list[int], shifts: Tensor, **about):
        super().__init__(**about)
        self.config = {"times": [int(t) for t in times], "channels": shifts.shape[1]}
        self.register_buffer("shifts", shifts)

    def forward(self, h: Tensor, temb: Tensor | None, t: int) -> Tensor:
        """Δh_t (1, C, H, W); see `Delta.forward`."""
        times = self.config["times"]
        nearest = min(range(len(times)), key=lambda k: abs(times[k] - t))
        return self.shifts[nearest][None]


class GlobalDelta(Delta):
    """Δh^global: one shift for every image and every time.

    Args:
        shift: (C, H, W).
    Source: Asyrp Sec. 5.4, Fig. 10.
    """

    def __init__(self, shift: Tensor, **about):
        super().__init__(**about)
        self.config = {"channels": shift.shape[0]}
        self.register_buffer("shift", shift)

    def forward(self, h: Tensor, temb: Tensor | None, t: int) -> Tensor:
        """Δh (1, C, H, W); see `Delta.forward`."""
        return self.shift[None]


KINDS.update(PerTimeDelta=PerTimeDelta, GlobalDelta=GlobalDelta)
