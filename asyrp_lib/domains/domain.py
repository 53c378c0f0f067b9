"""A domain: what an experiment needs and nothing else."""

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pandas as pd
from torch import Tensor, nn

from ..deltas import load_delta
from ..errors import DomainError, OfflineError, UnknownNameError, WeightsError
from ..measure.perceptual import PerceptualDistance
from ..method.clip import Clip
from ..method.hspace import HSpaceUNet
from ..method.interval import t_edit_from_curve
from ..method.process import sample_noise
from ..store.images import read_image, to_tensor
from .edits import Edit


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
        crops_photos: whether own pictures of another size are cropped and resized without asking.
        target_source: (unseen edit, split, n, first) -> what its text means, drawn on the same pictures, where that is known.
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
    crops_photos: bool = False
    target_source: Callable[[str, str, int, int], Tensor] | None = None

    @property
    def resolution(self) -> int:
        """Side of the domain's pictures in pixels."""
        return self.unet.resolution

    def images(self, split: str = "test", n: int = 8, *, first: int = 0) -> Tensor:
        """Pictures `first` … `first + n − 1` of a split, (n, 3, R, R) in [-1, 1], on the domain's device."""
        return self.image_source(split, n, first).to(self.unet.device)

    def photo(self, path: str | os.PathLike, *, resize: bool | None = None, align: bool = False) -> Tensor:
        """One's own picture as the model expects it, (1, 3, R, R) in [-1, 1].

        Args:
            path: a file that Pillow can read.
            resize: centre-crop and resize a picture of another size; None: as `crops_photos` says.
            align: find the face and crop around it as CelebA-HQ did; wants the optional packages of `align`.
        Raises:
            ImageError: no picture, of another size while `resize` is off, or no face in it.
            AsyrpError: the packages for `align` are not installed.
        """
        if align:
            from .photos.align import align_face

            return to_tensor(align_face(path, self.resolution))[None]
        return read_image(path, self.resolution, resize=self.crops_photos if resize is None else resize)

    def edit_photo(self, path: str | os.PathLike, edits, **settings) -> Tensor:
        """Deprecated: use `asyrp_lib.edit_photo(domain, path, edits)`."""
        warnings.warn(
            "domain.edit_photo is now asyrp_lib.edit_photo(domain, ...)", DeprecationWarning, stacklevel=2
        )
        api = import_module("asyrp_lib.api")  # by name: the house has no arrow upwards
        return api.edit_photo(self, path, edits, **settings)

    def targets(self, edit: str, split: str = "test", n: int = 8, *, first: int = 0) -> Tensor:
        """The same pictures as an unseen edit's text would have them, (n, 3, R, R) in [-1, 1], on the domain's device.

        Raises:
            DomainError: the domain cannot draw them.
        """
        if self.target_source is None:
            raise DomainError(
                f"The domain {self.name!r} cannot draw {edit!r}; only rendered domains know what a text means; "
                "use synthfaces."
            )
        return self.target_source(edit, split, n, first).to(self.unet.device)

    def factors(self, split: str = "test", n: int = 8, *, first: int = 0) -> pd.DataFrame:
        """The true factors of the same pictures.

        Raises:
            DomainError: the domain's truth is not known.
        """
        if self.factor_source is None:
            raise DomainError(
                f"The domain {self.name!r} has no table of factors; only rendered domains know their truth; "
                "use synthfaces."
            )
        return self.factor_source(split, n, first)

    def edit_named(self, name: str) -> Edit:
        """The edit of that name.

        Raises:
            UnknownNameError: lists the known ones.
        """
        if name not in self.edits:
            raise UnknownNameError(
                f"Unknown edit {name!r} in the domain {self.name!r}; known are {', '.join(self.edits)}."
            )
        return self.edits[name]

    def delta(self, name: str) -> nn.Module:
        """The trained f_t of an edit, on the domain's device.

        Raises:
            UnknownNameError: no such edit.
            WeightsError: not trained yet.
        """
        self.edit_named(name)
        return load_delta(self.direction_file(name)).to(self.unet.device)

    def trained(self, names: Iterable[str], most: int | None = None) -> dict[str, nn.Module]:
        """The f_t of those edits among the names that have one, trained here or published: name -> f_t.

        Args:
            names: of edits, best first.
            most: how many are enough; None: all.
        Raises:
            DomainError: none has; names the command that trains one.
        """
        names, found = list(names), {}
        for name in names:
            if len(found) == most:
                break
            with suppress(UnknownNameError, WeightsError, OfflineError):
                found[name] = self.delta(name)
        if not found:
            raise DomainError(
                f"The domain {self.name!r} has no f_t of {', '.join(names) or 'any such edit'}; expected at least one; "
                f"train it: python -m asyrp_lib train <edit> --domain {self.name}"
            )
        return found

    def trained_like(self, wished: Sequence[str]) -> dict[str, nn.Module]:
        """As many f_t as wished, in any domain: those wished, and for those that it lacks the next of its table, in-domain edits first.

        Args:
            wished: names of edits; a church does not smile, but it can turn gothic.
        Returns:
            name -> f_t, fewer if the domain has no more.
        Raises:
            DomainError: the domain has none at all.
        """
        table = sorted(self.edits, key=lambda name: not self.edits[name].in_domain)
        return self.trained(dict.fromkeys([*wished, *table]), len(wished))

    def direction_file(self, name: str) -> Path:
        """Where the f_t of an edit is kept."""
        return self.directions / f"{name.replace(' ', '_')}.safetensors"

    def seeded_noise(self, n: int, *, first: int = 0) -> Tensor:
        """x_T (n, 3, R, R) of standard normal noise, picture i from seed `first + i`."""
        return sample_noise(range(first, first + n), (3, self.resolution, self.resolution), self.unet.device)


def t_edit_of(domain: Domain, edit: Edit) -> int:
    """Start of an edit's interval: its own if fixed, else from the domain's perceptual curve and the prompts' cosine.

    Source: Asyrp Sec. 4: smallest t with LPIPS(x_0, P_t) >= 0.33 cos(E_T(source), E_T(target)).
    """
    if edit.t_edit is not None:
        return edit.t_edit
    cosine = domain.clip.prompt_cosine(edit.source, edit.target)
    return t_edit_from_curve(domain.curve["t"].tolist(), domain.curve["P_t"].tolist(), cosine)
