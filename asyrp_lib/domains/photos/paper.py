"""The paper's own domains, and any folder in diffusers format: each part is loaded when it is first used."""

from pathlib import Path

import pandas as pd
import torch
from torch import nn

from ...backbones.load import load_backbone, own_name
from ...deltas import Delta, load_official_delta
from ...errors import OfflineError
from ...measure.lpips import perceptual_distance
from ...method.clip import load_open_clip
from ...method.hspace import HSpaceUNet
from ...method.train import TrainSettings
from ...store.paths import lasting_dir
from ...store.results import load_result, result_file
from ..domain import Domain, Later, t_edit_of
from .datasets import image_source
from .fetch import verify
from .published import published_curve
from .registry import PictureSet, Row, datasets_dir, row, weights_dir

#: The paper's own training of the conv f_t (Sec. 4, the study's Table 1): images one by one, SGD, once
#: through 1,000.
PAPER_TRAINING = TrainSettings(optimiser="sgd", lr=0.5, epochs=1, batch_size=1)
PAPER_IMAGES = 1000


def photo_domain(entry: Row, unet: HSpaceUNet, weights: Path, pictures: Path, directions: Path) -> Domain:
    """A Domain around a frozen U-Net of others, its files in `weights`, its f_t in `directions`.
    Editing one's own photo needs nothing but the U-Net and an f_t: CLIP, the perceptual distance and the
    curve say what is missing when they are first asked for.
    """

    def measured() -> dict | None:
        name, command = f"{entry.name}_curve", f"python -m asyrp_lib curve --domain {entry.name}"
        return load_result(name, command)["data"] if result_file(name).exists() else None

    def distance() -> nn.Module:
        """LPIPS if it is at hand, else our own; see `perceptual_distance`."""
        made, curve = perceptual_distance(unet), measured()
        made.scale = curve["scale"] if curve else made.scale
        return made

    def curve() -> pd.DataFrame | None:
        """The curve measured here if there is one, else the published one: t and P_t."""
        own = measured()
        return pd.DataFrame(own["curve"]) if own else published_curve(entry.curve) if entry.curve else None

    def official(name: str) -> Delta | None:
        file = entry.directions.get(name)
        if file is None:
            return None
        path = verify(file, weights, entry.name)
        try:
            t_edit = t_edit_of(domain, domain.edits[name])
        except OfflineError:  # without CLIP's cosine its interval is not known, and who edits has to give it
            t_edit = None
        return load_official_delta(path, name=name, t_edit=t_edit, train_steps=40)

    cure = f"where to get them says: python -m asyrp_lib fetch {entry.name}"
    how = {"only": entry.pictures.only, "held_out": entry.pictures.held_out}
    domain = Domain(
        entry.name,
        unet,
        image_source(pictures, unet.resolution, cure=cure if entry.network else "put some there", **how),
        clip=Later(lambda: load_open_clip().to(unet.device)),
        edits=entry.edits,
        distance=Later(distance),
        directions=directions,
        t_boost=Later(lambda: (measured() or {}).get("t_boost", entry.t_boost)),
        curve=Later(curve),
        delta_config={"kind": "ConvDelta" if entry.family in ("ddpm", "diffusers") else "PreNormConvDelta"},
        training=PAPER_TRAINING,
        train_images=PAPER_IMAGES,
        official=official,
        crops_photos=True,
    )
    return domain


def load_paper_domain(name: str, device: torch.device) -> Domain:
    """One of the paper's domains, from its fetched files; errors as for `row` and `verify`."""
    entry = row(name)
    weights = weights_dir(name)
    paths = [verify(file, weights, name) for file in entry.network]
    if entry.family == "diffusers":
        unet = load_backbone(weights)
    else:
        unet = load_backbone(paths[0], family=entry.family, **entry.config)
    places = weights, datasets_dir(entry.pictures.name), lasting_dir("directions") / name
    return photo_domain(entry, unet.to(device).to_precision(), *places)


def load_own(source: str, device: torch.device) -> Domain:
    """Any U-Net in diffusers format as a domain: a folder, or a Hub id such as google/ddpm-celebahq-256.
    A folder's images are those in `images/`, its f_t are kept in `directions/`; those of a Hub id lie where a
    domain's do.  It knows the edits that were trained on it (train wink --source face --target "winking
    face"), and is called own_<last name>_<digits>, so that two folders of one name are told apart.
    Raises WeightsError: there is no U-Net; OfflineError: a Hub id that is neither cached nor reachable.
    """
    unet = load_backbone(source)
    folder, name = Path(source), own_name(source)
    about = {"title": "a U-Net of your own", "paper": "", "licence": "yours", "family": "diffusers"}
    about |= {"network": (), "config": {}, "edits": {}, "pictures": PictureSet("images", "yours", ())}
    entry = Row(name, parameters=sum(p.numel() for p in unet.parameters()), **about)
    places = weights_dir(name), datasets_dir(name), lasting_dir("directions") / name
    if folder.is_dir():
        places = folder, folder / "images", folder / "directions"
    return photo_domain(entry, unet.to(device).to_precision(), *places)
