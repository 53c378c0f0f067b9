"""The perceptual distance of the paper's domains: LPIPS where it is at hand, else U-Net features."""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from ..domains.photos.fetch import check, verify
from ..domains.photos.registry import ALEXNET, weights_dir
from ..errors import WeightsError
from ..method.hspace import HSpaceUNet
from .perceptual import PerceptualDistance

_MISSING = (
    "LPIPS is not at hand ({}); measured instead is our own distance on the U-Net's features, which `curve` "
    "scales so that x_T is as far from x_0 as LPIPS finds it; for the paper's own: pip install -e '.[lpips]' "
    "and python -m asyrp_lib fetch lpips"
)


class LpipsDistance(nn.Module):
    """LPIPS with AlexNet, as the original uses it, from the package `lpips` and torchvision's file.

    ImportError: no such package; WeightsError: the file is no AlexNet.  (Zhang et al. 2018; Asyrp Sec. 4)
    """

    #: For the same use as `PerceptualDistance.scale`.
    scale = 1.0

    def __init__(self, alexnet: Path):
        super().__init__()
        import lpips

        # with pnet_rand the package does not download AlexNet behind our back; its trained linear layers
        # come with it
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # it asks torchvision in an old way
            self.model = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
        try:
            state = torch.load(alexnet, map_location="cpu", weights_only=True)
            # the package cuts AlexNet's features into slices and keeps their numbers: slice2.3 is features.3
            self.model.net.load_state_dict(
                {name: state["features." + name.partition(".")[2]] for name in self.model.net.state_dict()}
            )
        except Exception as error:  # pickle, zip, key and shape errors alike mean: not such a file
            raise WeightsError(
                f"{alexnet} is damaged or no AlexNet of torchvision ({type(error).__name__}); delete it and "
                "get it with: python -m asyrp_lib fetch lpips"
            ) from error
        self.eval().requires_grad_(False)

    @torch.inference_mode()
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Distances (B,) between images a and b, both (B, 3, R, R) in [-1, 1]."""
        return self.model(a, b).flatten()

    def calibrated(self, x_0: Tensor, x_T: Tensor) -> "LpipsDistance":
        """Itself: this is the scale that others are calibrated to."""
        return self


def unet_features(unet: HSpaceUNet, images: Tensor) -> list[Tensor]:
    """The encoder's last activations (B, C, H, W) at each resolution, on clean images (B, 3, R, R)."""
    levels = {skip.shape[-1]: skip for skip in unet.encode(images, 0).skips}
    return list(levels.values())


def perceptual_distance(unet: HSpaceUNet) -> nn.Module:
    """LPIPS on the U-Net's device if package and AlexNet are at hand, else our own distance with a warning.
    WeightsError: AlexNet's file is not the published one, or no AlexNet."""
    # torch's own cache, too: who has ever used LPIPS has the file there
    ours, torchs = weights_dir("lpips"), Path(torch.hub.get_dir()) / "checkpoints" / ALEXNET.name
    missing = "AlexNet's weights are not here"
    if (ours / ALEXNET.name).is_file() or torchs.is_file():
        try:
            there = (ours / ALEXNET.name).is_file()
            alexnet = verify(ALEXNET, ours, "lpips") if there else check(ALEXNET, torchs)
            return LpipsDistance(alexnet).to(unet.device)
        except ImportError:
            missing = "the package lpips is not installed"
    warnings.warn(_MISSING.format(missing), stacklevel=2)
    return PerceptualDistance(lambda images: unet_features(unet, images), batch_size=unet.batch_size)
