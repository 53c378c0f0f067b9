"""The same frozen U-Net cut at another place than its bottleneck, or run symmetrically: controls of Asyrp.

Source: Asyrp Sec. 3.1 (Theorem 1, asymmetry) and Sec. 3.2 (why h and no other layer).
"""

import hashlib

import torch
from torch import Tensor, nn

from ..errors import UnknownNameError
from .hspace import Encoded, HSpaceUNet


def places(unet: HSpaceUNet) -> list[str]:
    """Where a U-Net can be cut, from its bottleneck to its answer.

    "h"; "skip k": the k-th activation that the encoder hands across, that of the first convolution is 0;
    "up k": the output of the decoder's k-th block; "ε".
    """
    skips = 1 + sum(len(block.resnets) + len(block.downsamplers or ()) for block in unet.net.down_blocks)
    ups = [f"up {k}" for k in range(len(unet.net.up_blocks))]
    return ["h", *(f"skip {k}" for k in range(skips)), *ups, "ε"]


class Cut(HSpaceUNet):
    """An `HSpaceUNet` whose h is the activation at a place of `places`, so that all else works unchanged.

    A skip is shifted on its way across only: the encoder below it and h stay as they are.  At "ε" a shift is
    a Δε in P_t.  The network's weights are shared.  UnknownNameError: no such place.
    """

    def __init__(self, unet: HSpaceUNet, place: str):
        super().__init__(unet.net, unet.schedule, unet.prediction_type)
        self.class_label, self._exact, self.place = unet.class_label, unet._exact, place
        if place not in (known := places(unet)):
            raise UnknownNameError(f"The U-Net has no place {place!r}; known are {', '.join(known)}.")
        kind, _, number = place.partition(" ")
        self.skip = int(number) if kind == "skip" else None
        before = {"up": int(number or 0) + 1, "ε": len(self.net.up_blocks)}
        self.blocks = before.get(kind, 0)  # of the decoder, below the cut
        blank = torch.zeros(1, self.channels, self.resolution, self.resolution, device=self.device)
        with torch.no_grad():
            _, *self._shape = self.encode(blank, 0).h.shape

    @property
    def h_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the activation at the cut."""
        channels, height, width = self._shape
        return channels, height, width

    @property
    def h_channels(self) -> int:
        """Channels C of the activation at the cut."""
        return self._shape[0]

    def encode(self, x: Tensor, t: int | Tensor) -> Encoded:
        """Run up to the cut; h is float32 there as it is in h-space.  See `HSpaceUNet.encode`."""
        z = super().encode(x, t)
        if self.skip is not None:  # the bottleneck goes on as if it were the last skip
            return z._replace(h=z.skips[self.skip].to(x.dtype), skips=(*z.skips, z.h))
        up, skips = self._climb(z.h, z, self.net.up_blocks[: self.blocks])
        return z._replace(h=self._answer(up, z) if self.place == "ε" else up.to(x.dtype), skips=skips)

    def decode(self, z: Encoded, h: Tensor | None = None) -> Tensor:
        """ε (B, C, R, R) from the activation at the cut on, z.h or another.  See `HSpaceUNet.decode`."""
        h = z.h if h is None else h
        if self.place == "ε":
            return h
        if self.skip is not None:
            *skips, bottleneck = z.skips
            skips[self.skip] = h.to(self.dtype)
            return super().decode(z._replace(h=bottleneck, skips=tuple(skips)))
        up, _ = self._climb(h, z, self.net.up_blocks[self.blocks :])
        return self._answer(up, z)

    def digest(self) -> str:
        """As `HSpaceUNet.digest`, another at every place but "h": an f_t belongs to its place."""
        whole = super().digest()
        return whole if self.place == "h" else hashlib.sha256(f"{whole} {self.place}".encode()).hexdigest()

    def _twin(self, *of) -> "Cut":
        return Cut(super()._twin(*of), self.place)


class Symmetric(nn.Module):
    """A U-Net whose ε̃ goes into P_t and D_t alike, also in training; all else is the U-Net's own.

    The process that Theorem 1 of the paper says hardly edits.
    """

    def __init__(self, unet: HSpaceUNet):
        super().__init__()
        self.inner = unet

    def __getattr__(self, name: str):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("inner"), name)

    def decode_pair(self, z: Encoded, h_edit: Tensor) -> tuple[Tensor, Tensor]:
        """ε̃ for D_t, without gradients, and ε̃ for P_t; see `HSpaceUNet.decode_pair`."""
        eps = self.inner.decode(z, h_edit)
        return eps.detach(), eps
