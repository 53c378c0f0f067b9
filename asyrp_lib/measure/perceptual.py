"""A perceptual distance in LPIPS's form, on the features of any network."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class PerceptualDistance(nn.Module):
    """LPIPS's formula without its learned weights: squared differences of unit-length features, averaged over
    positions, summed over levels, times a scale.

    Real LPIPS needs a download; this one needs a network that knows the domain: `features` is images (B, 3,
    R, R) in [-1, 1] -> list of activations (B, C, H, W).  Its scale can be set by `calibrated`, after which
    the paper's thresholds (0.33, 1.2) keep their meaning.  (Zhang et al. 2018, Eq. 1; Asyrp Sec. 4)
    """

    #: LPIPS between an image and its inversion x_T: the mean over the five published curves (1.34 … 1.51).
    NOISE_DISTANCE = 1.415

    def __init__(self, features: Callable[[Tensor], list[Tensor]], scale: float = 1.0, batch_size: int = 512):
        super().__init__()
        self.features, self.scale, self.batch_size = features, scale, batch_size

    @torch.inference_mode()
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Distances (B,) between images a and b, both (B, 3, R, R) in [-1, 1]."""
        return self.scale * torch.cat(
            [self._sum(*parts) for parts in zip(a.split(self.batch_size), b.split(self.batch_size))]
        )

    def _sum(self, a: Tensor, b: Tensor) -> Tensor:
        """The unscaled distances of one batch."""
        total = torch.zeros(len(a), device=a.device)
        for fa, fb in zip(self.features(a), self.features(b)):
            fa, fb = (f / (f.norm(dim=1, keepdim=True) + 1e-10) for f in (fa, fb))
            total = total + (fa - fb).square().sum(1).mean((1, 2))
        return total

    def calibrated(self, x_0: Tensor, x_T: Tensor) -> "PerceptualDistance":
        """The same with the scale that puts x_T, inversions of images x_0, both (B, 3, R, R), as far from
        them as LPIPS finds it at the end of the published curves."""
        scale = self.scale * self.NOISE_DISTANCE / float(self(x_0, x_T).mean())
        return type(self)(self.features, scale, self.batch_size)
