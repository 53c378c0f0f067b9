"""A domain: what an experiment needs and nothing else."""
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import pandas as pd
from torch import Tensor, nn

from ..asyrp import sample_noise
from ..clip import Clip
from ..delta import load_delta
from ..edits import Edit
from ..errors import OfflineError, UnknownNameError
from ..hspace import HSpaceUNet
from ..perceptual import PerceptualDistance


@dataclass
class Domain:
    """A frozen diffusion U-Net with its images, its judge, its measuring networks and its edits.

    Attributes:
        name: of the domain.
        unet: the frozen U-Net, cut at its bottleneck.
        image_source: (split, n, first) -> (n, 3, R, R) in [-1, 1].
        clip: the judge of the directional loss.
        edits: name -> Edit.
        distance: perceptual distance behind t_edit and t_boost.
        t_boost: quality boosting below this time.
        directions: folder of the trained f_t.
        oracle: reads factors from pictures, where the truth is known.
        segmenter: (B, 3, R, R) -> class numbers (B, R, R), where there is one.
        classes: names of the segmenter's classes.
        factor_source: (split, n, first) -> table of true factors, where they are known.
        curve: table of the perceptual distances along inversion behind t_edit: t, x_t, P_t.
    """

    name: str
    unet: HSpaceUNet
    image_source: Callable[[str, int, int], Tensor]
    clip: Clip
    edits: dict[str, Edit]
    distance: PerceptualDistance
    directions: Path
    t_boost: int = 0
    curve: pd.DataFrame | None = None
    oracle: nn.Module | None = None
    segmenter: nn.Module | None = None
    classes: tuple[str, ...] = ()
    factor_source: Callable[[str, int, int], pd.DataFrame] | None = None

    @property
    def resolution(self) -> int:
        """Side of the domain's pictures in pixels."""
        return self.unet.resolution

    def images(self, split: str = "test", n: int = 8, *, first: int = 0) -> Tensor:
        """Pictures `first` … `first + n − 1` of a split, (n, 3, R, R) in [-1, 1], on the domain's device."""
        return self.image_source(split, n, first).to(self.unet.device)

    def factors(self, split: str = "test", n: int = 8, *, first: int = 0) -> pd.DataFrame:
        """The true factors of the same pictures.

        Raises:
            OfflineError: the domain's truth is not known.
        """
        if self.factor_source is None:
            raise OfflineError(f"The domain {self.name!r} has no table of factors; only rendered domains know their truth; "
                               "use synthfaces.")
        return self.factor_source(split, n, first)

    def edit_named(self, name: str) -> Edit:
        """The edit of that name.

        Raises:
            UnknownNameError: lists the known ones.
        """
        if name not in self.edits:
            raise UnknownNameError(f"Unknown edit {name!r} in the domain {self.name!r}; known are {', '.join(self.edits)}.")
        return self.edits[name]

    def delta(self, name: str) -> nn.Module:
        """The trained f_t of an edit, on the domain's device.

        Raises:
            UnknownNameError: no such edit.
            WeightsError: not trained yet.
        """
        self.edit_named(name)
        return load_delta(self.direction_file(name)).to(self.unet.device)

    def direction_file(self, name: str) -> Path:
        """Where the f_t of an edit is kept."""
        return self.directions / f"{name.replace(' ', '_')}.safetensors"

    def seeded_noise(self, n: int, *, first: int = 0) -> Tensor:
        """x_T (n, 3, R, R) of standard normal noise, picture i from seed `first + i`."""
        return sample_noise(range(first, first + n), (3, self.resolution, self.resolution), self.unet.device)
