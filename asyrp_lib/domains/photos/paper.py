"""The paper's own domains, and any folder in diffusers format, as Domains: each part is loaded when it is first used."""

import json
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from ...backbones.load import load_backbone
from ...deltas import load_delta, load_official_delta
from ...errors import GridError, OfflineError, WeightsError
from ...measure.lpips import perceptual_distance
from ...method.clip import Clip, load_open_clip
from ...method.hspace import HSpaceUNet
from ...store.paths import data_dir
from ...store.weights import read_weights
from ..domain import Domain, t_edit_of
from ..edits import Edit
from .datasets import image_source
from .fetch import verify
from .published import published_curve
from .registry import PictureSet, Row, datasets_dir, row, weights_dir


class PaperDomain(Domain):
    """A Domain around a frozen U-Net of others, so that editing one's own photo needs nothing but the U-Net and an f_t.

    CLIP, the perceptual distance and the pictures are looked for when they are first asked for, and say then what is missing.

    Args:
        entry: its row.
        unet: the frozen U-Net, on its device.
        weights: the folder of its files.
        pictures: the folder or zip of its pictures.
        directions: the folder of the f_t trained here.
    """

    crops_photos = True

    def __init__(self, entry: Row, unet: HSpaceUNet, weights: Path, pictures: Path, directions: Path):
        # Domain's own __init__ would want all parts now
        self.name, self.unet, self.directions = entry.name, unet, directions
        self.edits = entry.edits | {
            name: own for name, own in edits_trained_in(directions).items() if name not in entry.edits
        }
        self.entry, self.weights = entry, weights
        cure = (
            f"where to get them says: python -m asyrp_lib fetch {entry.name}"
            if entry.network
            else "put some there"
        )
        self.image_source = image_source(
            pictures, unet.resolution, only=entry.pictures.only, held_out=entry.pictures.held_out, cure=cure
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.resolution} px)"  # the inherited one would load every part

    @cached_property
    def clip(self) -> Clip:
        """OpenAI's ViT-B/32, with which the paper trains, on the U-Net's device.

        Raises:
            OfflineError: its weights are neither cached nor reachable.
        """
        return load_open_clip().to(self.unet.device)

    @cached_property
    def distance(self) -> nn.Module:
        """LPIPS if it is at hand, else our own; see `perceptual_distance`."""
        distance = perceptual_distance(self.unet)
        if self._measured:
            distance.scale = self._measured["scale"]
        return distance

    @cached_property
    def curve(self) -> pd.DataFrame:
        """The curve measured here if there is one, else the published one: t and P_t.

        Raises:
            GridError: neither is there.
        """
        if self._measured:
            return pd.DataFrame(self._measured["curve"])
        if not self.entry.curve:
            raise GridError(
                f"The domain {self.name!r} has no published perceptual curve; expected one to read t_edit off; give t_edit "
                f"(--t-edit), or measure one: python -m asyrp_lib curve --domain {self.name}"
            )
        return published_curve(self.entry.curve)

    @cached_property
    def t_boost(self) -> int:
        """Where quality boosting starts by the same curve, 0 without one."""
        return self._measured["t_boost"] if self._measured else self.entry.t_boost

    @cached_property
    def _measured(self) -> dict | None:
        file = data_dir() / "results" / f"{self.name}_curve.json"
        return json.loads(file.read_text(encoding="utf-8"))["data"] if file.exists() else None

    def delta(self, name: str) -> nn.Module:
        """The f_t of an edit: the one trained here if there is one, else the official one, on the domain's device.

        Raises:
            UnknownNameError: no such edit.
            OfflineError: the official one is not fetched yet.
            WeightsError: there is none, or it is not the published one.
        """
        if self.direction_file(
            name
        ).exists():  # also of an edit that is in no table: "train wink --target 'winking face'"
            return load_delta(self.direction_file(name)).to(self.unet.device)
        edit, official = self.edit_named(name), self.entry.directions.get(name)
        if official is None:
            raise WeightsError(
                f"There is no trained f_t for {name!r} in {self.directions}, and none was published for {self.name!r}; train "
                f"it: python -m asyrp_lib train {name!r} --domain {self.name}"
            )
        path = verify(official, self.weights, self.name)
        try:
            t_edit = t_edit_of(self, edit)
        except OfflineError:  # without CLIP's cosine its interval is not known, and who edits has to give it
            t_edit = None
        return load_official_delta(path, name=name, t_edit=t_edit, train_steps=40).to(self.unet.device)


def edits_trained_in(folder: Path) -> dict[str, Edit]:
    """The edits whose f_t lie in a folder, by the texts that `train` wrote into their files.

    A file without texts is passed over, and one under another name than its edit's: "smiling from noise" is no edit of its own.
    """
    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        with suppress(WeightsError):  # a damaged one is named when it is asked for
            card, about = (read_weights(file)[1].get(key, {}) for key in ("card", "about"))
            name = about.get("name", "")
            if file.stem == name.replace(" ", "_") and {"source", "target"} <= card.keys():
                found[name] = Edit(name, card["source"], card["target"], t_edit=about["t_edit"])
    return found


def load_paper_domain(name: str, device: torch.device) -> PaperDomain:
    """One of the paper's domains, from its fetched files.

    Raises:
        UnknownNameError: no such domain.
        OfflineError: the network is not here; the sentence ends with the command that gets it.
        WeightsError: a file is damaged, or not the one that was published or recorded.
    """
    entry = row(name)
    weights = weights_dir(name)
    paths = [verify(file, weights, name) for file in entry.network]
    official = entry.family != "diffusers"
    unet = (
        load_backbone(paths[0], family=entry.family, **entry.config) if official else load_backbone(weights)
    )
    return PaperDomain(
        entry, unet.to(device), weights, datasets_dir(entry.pictures.name), data_dir() / "directions" / name
    )


def load_own(source: str, device: torch.device) -> PaperDomain:
    """Any U-Net in diffusers format as a domain: a folder, or a Hub id such as google/ddpm-celebahq-256.

    A folder's pictures are those in `images/`, its f_t are kept in `directions/`; those of a Hub id lie where a domain's do.
    It knows the edits that were trained on it (train wink --source face --target "winking face").  It is called own_<last name>.

    Raises:
        WeightsError: there is no U-Net.
        OfflineError: a Hub id that is neither cached nor reachable.
    """
    unet = load_backbone(source)
    folder, name = Path(source), f"own_{Path(source).resolve().name}"
    entry = Row(
        name,
        title="a U-Net of your own",
        paper="",
        licence="yours",
        network=(),
        family="diffusers",
        config={},
        parameters=sum(p.numel() for p in unet.parameters()),
        pictures=PictureSet("images", "yours", ()),
        edits={},
    )
    if folder.is_dir():
        return PaperDomain(entry, unet.to(device), folder, folder / "images", folder / "directions")
    return PaperDomain(
        entry, unet.to(device), weights_dir(name), datasets_dir(name), data_dir() / "directions" / name
    )
