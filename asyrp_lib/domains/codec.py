"""Between images and what the U-Net sees: CLIP, distances and scores see images, the walk sees `encode`'s."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Codec:
    """Space to depth: every `factor` x `factor` block of pixels becomes one position of 3 · factor² channels.
    Exact and orthogonal, so that DDIM, P_t, D_t and Gaussian noise mean the same on both sides: a 64-px image
    is 12 channels of 32 x 32; 1 leaves images alone.  A codec that is a network offers the same two methods.
    """

    factor: int = 1

    def encode(self, images: Tensor) -> Tensor:
        """(B, C, R, R) -> (B, C factor², R / factor, R / factor)."""
        return F.pixel_unshuffle(images, self.factor)

    def decode(self, x: Tensor) -> Tensor:
        """The inverse of `encode`; differentiable."""
        return F.pixel_shuffle(x, self.factor)
