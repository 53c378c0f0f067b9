"""Another image's h as an edit: interpolation between two images, and mixing: one's h in the other.

Both are the asymmetric process with Δh_t = slerp(h_t, h_t^guide, share) − h_t: it enters P_t, never D_t.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ..deltas import Delta
from ..errors import GridError, ImageError
from .hspace import HSpaceUNet
from .process import Step, by_batches, interval_pairs


class GuideDelta(Delta):
    """Δh_t that leads h towards a guide's h, for one guide and any number of images.

    `guide` is t -> h_t of the guide (1, C, H, W), from `h_trajectory`, for every t of the grid in the
    interval; `share` 0 leaves h as it is, 1 replaces it; `train_steps`: of the guide's trajectory.
    Source: Asyrp appendix (interpolation and mixing in h-space).
    """

    def __init__(self, guide: Mapping[int, Tensor], share: float, **about):
        super().__init__(**about)
        self.guide, self.share = dict(guide), share

    @property
    def channels(self) -> int:
        """C of the h-space it shifts."""
        return next(iter(self.guide.values())).shape[1]

    def forward(self, h: Tensor, temb: Tensor | None, t: int) -> Tensor:
        """Δh_t (B, C, H, W); see `Delta.forward`.  GridError: the guide was not recorded at this t."""
        if t not in self.guide:
            raise GridError(
                f"The guide has no h at t = {t}; expected the times {min(self.guide)} … {max(self.guide)} "
                "of its own grid; use the same steps, and a t_edit that is no lower."
            )
        return slerp(h, self.guide[t].to(h), self.share) - h


def slerp(a: Tensor, b: Tensor, share: float) -> Tensor:
    """From a (share 0) to b (share 1) along the arc, both (B, …); the norm goes linearly (Shoemake 1985)."""
    a, b = torch.broadcast_tensors(a, b)
    norm = lambda x: x.flatten(1).norm(dim=1).reshape(-1, *[1] * (x.ndim - 1)).clamp(min=1e-12)
    unit_a, unit_b = a / norm(a), b / norm(b)
    cosine = (unit_a * unit_b).flatten(1).sum(1).clamp(-1, 1).reshape(norm(a).shape)
    angle = cosine.acos().clamp(min=1e-4)  # below it the arc is a straight line
    arc = (((1 - share) * angle).sin() * unit_a + (share * angle).sin() * unit_b) / angle.sin()
    return arc * ((1 - share) * norm(a) + share * norm(b))


def h_trajectory(
    unet: HSpaceUNet, x_T: Tensor, *, steps: int = 40, t_edit: int = 0, progress: bool = True
) -> dict[int, Tensor]:
    """t -> h_t (1, C_h, H, W) on the CPU, for t >= t_edit, of one image x_T along its generation.

    GridError: no step in the interval; ImageError: not exactly one image (1, C, R, R).
    """
    if len(x_T) != 1:
        raise ImageError(
            f"A guide is one image, got {len(x_T)}; expected x_T (1, C, R, R); pass them one by one."
        )
    seen = {}

    def keep(now: Step) -> None:
        seen[now.t] = now.h.cpu()

    pairs = interval_pairs(steps, t_edit, len(unet.schedule))
    by_batches(unet, x_T, pairs, progress=progress, callback=keep, title="the guide's h")
    return {t: h.clone() for t, h in seen.items()}


def guided(
    unet: HSpaceUNet, x_T: Tensor, share: float = 1.0, *, steps: int = 40, t_edit: int = 0, progress=True
) -> GuideDelta:
    """The edit that leads h towards this image's: `edit(domain, x_T, {guided(unet, x, 0.5): 1.0})`.

    `share`: for interpolation a value between 0 and 1, for mixing 1.  See `h_trajectory`.
    """
    guide = h_trajectory(unet, x_T, steps=steps, t_edit=t_edit, progress=progress)
    return GuideDelta(guide, share, name="guide", t_edit=t_edit, train_steps=steps)
