"""A domain: what an experiment needs and nothing else."""

# pyright: reportAssignmentType=false, reportGeneralTypeIssues=false
# a _Part stands where the value itself will be

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from importlib import import_module
from itertools import count, takewhile
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from torch import Tensor, nn

from .. import check
from ..deltas import Delta, load_delta
from ..errors import DomainError, OfflineError, UnknownNameError, WeightsError
from ..measure.perceptual import PerceptualDistance
from ..method.clip import Clip
from ..method.hspace import HSpaceUNet
from ..method.interval import t_edit_from_curve
from ..method.noise import sample_noise
from ..method.train import TrainSettings
from ..store.images import read_image, to_tensor
from ..store.paths import runs_dir
from ..store.weights import read_weights
from .codec import Codec
from .edits import Edit


class Later(NamedTuple):
    """A part of a domain that is made when it is first asked for; what cannot be made says so then."""

    make: Callable[[], Any]


class _Part:
    """A field of `Domain` that takes a value or a `Later`."""

    def __init__(self, *default):
        self.default = default

    def __set_name__(self, owner, name: str):
        self.name = name

    def __get__(self, domain, owner=None):
        if domain is None:
            if not self.default:
                raise AttributeError(self.name)  # a dataclass takes this for: no default
            return self.default[0]
        value = domain.__dict__[self.name]
        if isinstance(value, Later):
            value = domain.__dict__[self.name] = value.make()
        return value

    def __set__(self, domain, value):
        domain.__dict__[self.name] = value


@dataclass(repr=False)
class Domain:
    """A frozen diffusion U-Net with its images, its judge, its measuring networks and its edits.
    What is marked * may be a `Later`; `target_source` takes (edit, split, n, first).
    """

    name: str
    unet: HSpaceUNet  # the frozen U-Net, cut at its bottleneck
    image_source: Callable[[str, int, int], Tensor]  # (split, n, first) -> (n, 3, R, R) in [-1, 1]
    clip: Clip = _Part()  # * the judge of the directional loss
    edits: dict[str, Edit] = field()  # by name; those that were trained in `directions` join them
    distance: PerceptualDistance = _Part()  # * perceptual distance behind t_edit and t_boost
    directions: Path = field()  # folder of the trained f_t
    t_boost: int = _Part(0)  # * quality boosting below this time
    curve: pd.DataFrame | None = _Part(None)  # * the distances along inversion behind t_edit: t, x_t, P_t
    codec: Codec = Codec()  # between images and what the U-Net sees
    delta_config: dict = field(default_factory=lambda: {"kind": "ConvDelta"})  # see `deltas.build_delta`
    training: TrainSettings = TrainSettings()
    train_images: int = 32  # how many a training takes
    second_clip: Clip | None = _Part(None)  # * another, which no loss of an edit sees: it judges S_dir
    oracle: nn.Module | None = _Part(None)  # * reads factors from images, where the truth is known
    segmenter: Callable[[Tensor], Tensor] | None = _Part(None)  # * (B, 3, R, R) -> class numbers (B, R, R)
    classes: tuple[str, ...] = ()  # names of the segmenter's
    tied: dict[str, tuple[str, ...]] = field(default_factory=dict)  # factor -> those that it moves itself
    draw: Callable[[pd.DataFrame], Tensor] | None = None  # images (n, 3, R, R) of a table of factors
    fit: Callable[..., Any] | None = None  # (images) -> factors, renders, residual, see `synthfaces.fit`
    factor_source: Callable[[str, int, int], pd.DataFrame] | None = None  # table of true factors, where known
    target_source: Callable[[str, str, int, int], Tensor] | None = None  # what an edit means, drawn
    official: Callable[[str], Delta | None] = lambda name: None  # noqa: E731  # published f_t by name
    corrections: int = 0  # of each step of an inversion; see `api.invert`
    made_with: Callable[[], dict[str, str]] = dict  # digests of what else judges: segmenter, curve, world
    final_split: str = "test"  # of the final evaluation
    unsealed: Callable[[], AbstractContextManager] = nullcontext  # inside, that split may be read
    crops_photos: bool = False  # whether own images of another size are cropped and resized without asking

    def __post_init__(self):
        self.edits = edits_trained_in(self.directions) | self.edits

    def __repr__(self) -> str:
        return f"Domain({self.name!r}, {self.resolution} px)"

    @property
    def resolution(self) -> int:
        """Side R of the domain's images in pixels."""
        return self.unet.resolution * self.codec.factor

    def images(self, split: str = "test", n: int = 8, *, first: int = 0) -> Tensor:
        """Images `first` … `first + n − 1` of a split, (n, 3, R, R) in [-1, 1], on the domain's device."""
        return self.image_source(split, *check.span(n, first)).to(self.unet.device)

    def photo(self, path: str | os.PathLike, *, resize: bool | None = None, align: bool = False) -> Tensor:
        """One's own image file as the model expects it, (1, 3, R, R) in [-1, 1].
        Args:
            resize: centre-crop and resize an image of another size; None: as `crops_photos` says.
            align: find the face and crop around it as CelebA-HQ did; wants the optional packages of `align`.
        Raises ImageError: no image, of another size while `resize` is off, or no face in it; AsyrpError: the
        packages for `align` are not installed.
        """
        if align:
            from .photos.align import align_face

            return to_tensor(align_face(path, self.resolution))[None]
        return read_image(path, self.resolution, resize=self.crops_photos if resize is None else resize)

    def edit_photo(self, path: str | os.PathLike, edits, **settings) -> Tensor:
        """Deprecated: use `asyrp_lib.edit_photo(domain, path, edits)`."""
        text = "domain.edit_photo is now asyrp_lib.edit_photo(domain, ...)"
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        api = import_module("asyrp_lib.api")  # by name: the house has no arrow upwards
        return api.edit_photo(self, path, edits, **settings)

    def targets(self, edit: str, split: str = "test", n: int = 8, *, first: int = 0) -> Tensor:
        """The same images as an edit's text would have them; DomainError: it cannot draw them."""
        if self.target_source is None:
            text = f"The domain {self.name!r} cannot draw {edit!r}"
            raise DomainError(f"{text}; only rendered domains know what a text means; use synthfaces.")
        return self.target_source(edit, split, *check.span(n, first)).to(self.unet.device)

    def factors(self, split: str = "test", n: int = 8, *, first: int = 0) -> pd.DataFrame:
        """The true factors of the same images; DomainError: the domain's truth is not known."""
        if self.factor_source is None:
            text = f"The domain {self.name!r} has no table of factors"
            raise DomainError(f"{text}; only rendered domains know their truth; use synthfaces.")
        return self.factor_source(split, *check.span(n, first))

    def edit_named(self, name: str) -> Edit:
        """The edit of that name; UnknownNameError lists the known ones."""
        if not isinstance(name, str) or name not in self.edits:
            text = f"Unknown edit {name!r} in the domain {self.name!r}"
            raise UnknownNameError(f"{text}; known are {', '.join(self.edits)}.")
        return self.edits[name]

    def delta(self, name: str, seed: int = 0) -> Delta:
        """The f_t of an edit on the domain's device: the one trained here, else the published one.
        `seed`: that of the training; published ones are 0.
        Raises UnknownNameError: no such edit; OfflineError: the published one is not fetched yet;
        WeightsError: there is none, or it is damaged or another.
        """
        if self.direction_file(name, seed).exists():  # also of an edit that is in no table
            return load_delta(self.direction_file(name, seed)).to(self.unet.device)
        self.edit_named(name)
        delta = None if seed else self.official(name)
        if delta is None:
            option = f" --seed {seed}" if seed else ""
            raise WeightsError(
                f"There is no trained f_t for {name!r} in {self.direction_file(name, seed).parent}, and none "
                f"was published for {self.name!r}; train it: python -m asyrp_lib train {name!r} --domain "
                f"{self.name}{option}"
            )
        return delta.to(self.unet.device)

    def seeds(self, name: str) -> tuple[int, ...]:
        """The seeds from which f_t of an edit were trained here, up to the first that is missing; (0,) at
        least.
        """
        return tuple(takewhile(lambda seed: not seed or self.direction_file(name, seed).exists(), count()))

    def trained(self, names: Iterable[str]) -> dict[str, Delta]:
        """name -> f_t of all these edits; raises where one is unknown, missing or damaged, see `delta`."""
        return {name: self.delta(name) for name in names}

    def trained_like(self, wished: Sequence[str]) -> dict[str, Delta]:
        """As many f_t as wished, name -> f_t: those wished, and for those that the domain lacks the next of
        its table, in-domain edits first (a church does not smile, but it can turn gothic); fewer if it has no
        more.
        Raises DomainError: it has none at all.  A damaged file raises, too: it is not the same as none.
        """
        table = sorted(self.edits, key=lambda name: not self.edits[name].in_domain)
        deltas: dict[str, Delta] = {}
        for name in dict.fromkeys([*wished, *table]):
            if len(deltas) == len(wished):
                break
            here = name in self.edits and self.direction_file(name).exists()
            with suppress(*(() if here else (UnknownNameError, WeightsError, OfflineError))):
                deltas[name] = self.delta(name)
        if not deltas:
            text = f"The domain {self.name!r} has no f_t of {', '.join(wished) or 'any such edit'}"
            cure = f"train it: python -m asyrp_lib train <edit> --domain {self.name}"
            raise DomainError(f"{text}; expected at least one; {cure}")
        return deltas

    def direction_file(self, name: str, seed: int = 0) -> Path:
        """Where the f_t of an edit is kept: what is shipped has seed 0, others are one's own."""
        file = f"{check.edit_name(name).replace(' ', '_')}.safetensors"
        own = runs_dir() / "directions" / self.name / f"seed{seed}"
        return (own if seed else self.directions) / file

    def seeded_noise(self, n: int, *, first: int = 0) -> Tensor:
        """x_T (n, C, R', R') of standard normal noise as the U-Net sees it, image i from seed `first + i`."""
        n, first = check.span(n, first)
        shape = (self.unet.channels, self.unet.resolution, self.unet.resolution)
        return sample_noise(range(first, first + n), shape, self.unet.device)


def edits_trained_in(folder: Path) -> dict[str, Edit]:
    """The edits whose f_t lie in a folder, by the texts that training wrote into their files.
    Passed over are a file without texts, one under another name than its edit's ("smiling from noise" is no
    edit of its own), and a damaged one: it is named when it is asked for.
    """
    edits = {}
    for file in sorted(Path(folder).glob("*.safetensors")):
        with suppress(WeightsError, UnknownNameError, TypeError, KeyError, AttributeError):
            card, about = (read_weights(file)[1][key] for key in ("card", "about"))
            name, texts = about["name"], (card["source"], card["target"])
            if file.stem == name.replace(" ", "_"):
                edits[name] = Edit(name, *texts, t_edit=about["t_edit"])
    return edits


def t_edit_of(domain: Domain, edit: Edit) -> int:
    """Start of an edit's interval: its own if fixed, else from the domain's perceptual curve and its texts.
    Asyrp Sec. 4: the smallest t with LPIPS(x_0, P_t) >= 0.33 cos(E_T(source), E_T(target)).
    """
    if edit.t_edit is not None:
        return edit.t_edit
    if domain.curve is None:
        text = f"The domain {domain.name!r} has no perceptual curve to read t_edit off; give t_edit"
        cure = f"(--t-edit), or measure one: python -m asyrp_lib curve --domain {domain.name}"
        raise DomainError(f"{text} {cure}")
    cosine = domain.clip.prompt_cosine(edit.source, edit.target)
    return t_edit_from_curve(domain.curve["t"].tolist(), domain.curve["P_t"].tolist(), cosine)
