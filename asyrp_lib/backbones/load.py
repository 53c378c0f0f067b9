"""One loader for every backbone: an official file, a file of this suite, a diffusers folder, a Hub id."""

import os
import re
from pathlib import Path
from typing import Any

from ..errors import WeightsError
from ..method.hspace import HSpaceUNet
from ..method.schedule import NoiseSchedule
from .convert import load_official_unet
from .hub import hub_folder

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
    """A frozen diffusion network, ready for the engine.

    Args:
        source: an official `.pt`, `.ckpt` or `.pth` file; a `.safetensors` file that `HSpaceUNet.save` wrote; a folder in
            diffusers format; or a Hub id such as "google/ddpm-celebahq-256", if there is no such path.
        family: of an official file, see `load_official_unet`.
        class_label: of a class-conditional network (ImageNet), see `HSpaceUNet`; None: bind one later.
        revision: of a Hub repository.
        settings: of an official file, see `load_official_unet`.
    Returns:
        The network on the CPU.  An official file brings no schedule: it gets the linear one, the paper's for all of them.
    Raises:
        WeightsError: missing, damaged, of an unknown architecture, or a tensor missing, extra or misshapen (named).
        OfflineError: a Hub id that is neither cached nor reachable.
        AsyrpError: a class label that the network does not know.
    """
    path = Path(source)
    if path.is_file() and path.suffix != ".safetensors":
        unet = load_official_unet(path, family, **settings)
        return HSpaceUNet(unet, NoiseSchedule.linear(), class_label=class_label)
    on_hub = is_hub_id(source)
    if not path.exists() and not on_hub:
        raise WeightsError(
            f"No weights at {source}; expected an official checkpoint, a folder in diffusers format, or a Hub id "
            "such as google/ddpm-celebahq-256; check the path."
        )
    told = [*(["family"] if family else []), *settings]
    if told:
        raise WeightsError(
            f"{source} brings its own configuration; expected no {', '.join(told)}: these are for official "
            "checkpoint files only; leave them out."
        )
    model = HSpaceUNet.from_pretrained(hub_folder(str(source), revision) if on_hub else path)
    return model if class_label is None else model.for_class(class_label)


def is_hub_id(source: str | os.PathLike) -> bool:
    """Whether something is written like "owner/name" and is no path that exists, nor the name of a checkpoint file."""
    path = Path(source)
    return bool(
        not path.exists()
        and path.suffix not in SUFFIXES
        and re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", str(source))
    )
