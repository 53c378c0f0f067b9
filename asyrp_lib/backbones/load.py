"""One loader for every backbone: an official file, a file of this suite, a diffusers folder, a Hub id."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any

from .. import check
from ..errors import WeightsError
from ..method.hspace import HSpaceUNet
from ..method.schedule import NoiseSchedule
from .convert import load_official_unet
from .hub import hub_folder
from .native import read_json

#: Endings of checkpoint files; a path that ends so is no Hub id.
SUFFIXES = (".pt", ".pth", ".ckpt", ".safetensors")


def load_backbone(
    source: str | os.PathLike,
    *,
    family: str | None = None,
    class_label: int | None = None,
    revision: str | None = None,
    **settings: Any,
) -> HSpaceUNet:
    """A frozen diffusion network on the CPU; one of an official file has the linear schedule, the paper's.
    Args:
        source: an official `.pt`, `.ckpt` or `.pth` file; a `.safetensors` file of `HSpaceUNet.save`; a
            folder in diffusers format; or, if there is no such path, a Hub id ("google/ddpm-celebahq-256").
        family, settings: of an official file, see `load_official_unet`.
        class_label: of a class-conditional network (ImageNet), see `HSpaceUNet`; None: bind one later.
        revision: of a Hub repository.
    Raises:
        WeightsError: missing, damaged, of latents or of another architecture, or a tensor does not fit.
        OfflineError: a Hub id that is neither cached nor reachable.
        AsyrpError: a class label that the network does not know.
    """
    path = check.path(source, error=WeightsError)
    if path.is_file() and path.suffix != ".safetensors":
        unet = load_official_unet(path, family, **settings)
        return HSpaceUNet(unet, NoiseSchedule.linear(), class_label=class_label)
    on_hub = is_hub_id(source)
    if not path.exists() and not on_hub:
        text = f"No weights at {source}; expected an official checkpoint, a folder in diffusers format"
        raise WeightsError(f"{text}, or a Hub id such as google/ddpm-celebahq-256; check the path.")
    if told := [*(["family"] if family else []), *settings]:
        text = f"{source} brings its own configuration; expected no {', '.join(told)}"
        raise WeightsError(f"{text}: these are for official checkpoint files only; leave them out.")
    path = hub_folder(str(source), revision) if on_hub else path
    _refuse_latents(path)
    model = HSpaceUNet.from_pretrained(path)
    return model if class_label is None else model.for_class(class_label)


def is_hub_id(source: str | os.PathLike) -> bool:
    """Whether something is written like "owner/name" and is neither a path nor a checkpoint file's name."""
    path = Path(source)
    named = re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", str(source))
    return named is not None and path.suffix not in SUFFIXES and not path.exists()


def own_name(source: str | os.PathLike) -> str:
    """A name for one's own network that no other path or Hub id has: own_<last folder>_<6 hex digits>."""
    whole = str(source) if is_hub_id(source) else str(Path(source).resolve())
    last = re.sub(r"[^\w.-]", "_", Path(whole).name)
    return f"own_{last}_{hashlib.sha256(whole.encode()).hexdigest()[:6]}"


def _refuse_latents(path: Path) -> None:
    """Raise WeightsError for the folder of a latent pipeline, or the unet/ in it."""
    for folder in (path, path.parent) if path.name == "unet" else (path,):
        index = folder / "model_index.json"
        named = read_json(index) if index.is_file() else {}
        parts = {name for name in ("vae", "vqvae", "movq") if name in named or (folder / name).is_dir()}
        if parts:
            cure = "expected a U-Net that sees pixels, such as google/ddpm-celebahq-256; choose another."
            raise WeightsError(f"{path} is of a latent pipeline (its {sorted(parts)[0]} encodes); {cure}")
