"""Reading a network in diffusers format, and telling whether it is one that has an h-space."""

import json
from pathlib import Path

from diffusers import UNet2DModel
from safetensors import SafetensorError

from ..errors import WeightsError
from .build import EXTRAS


def read_folder(path: Path) -> tuple[UNet2DModel, dict]:
    """The U-Net of a folder and its scheduler's configuration, {} where there is none.

    The folder is a pipeline's (unet/, scheduler/), that unet/, or one that holds config.json and, where it is
    not the linear schedule with ε-prediction, scheduler_config.json.

    Raises:
        WeightsError: no such network, or a tensor missing, extra or misshapen (named).
    """
    root = path / "unet" if (path / "unet").is_dir() else path
    beside = [path, path.parent] if path.name == "unet" else [path]
    places = [
        f / name for f in beside for name in ("scheduler/scheduler_config.json", "scheduler_config.json")
    ]
    try:
        net, report = UNet2DModel.from_pretrained(
            root, local_files_only=True, output_loading_info=True, low_cpu_mem_usage=False
        )  # True would need accelerate
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, EOFError, SafetensorError) as error:
        raise WeightsError(
            f"{root} is no folder with a diffusers UNet2DModel ({' '.join(str(error).split())[:200]}); "
            "expected config.json and its weights; check the path."
        ) from error
    for kind in ("missing", "unexpected", "mismatched"):  # diffusers only warns of some of these
        if report[f"{kind}_keys"]:
            raise WeightsError(
                f"The weights in {root} have the {kind} tensor {str(list(report[f'{kind}_keys'])[0])!r}; "
                "expected exactly those of config.json; fetch the folder again."
            )
    if set(EXTRAS) & set(net.config):  # diffusers has ignored them and built another network
        raise WeightsError(
            f"The network in {root} has settings that a diffusers folder cannot express; expected none of "
            f"{', '.join(EXTRAS)}; keep it with HSpaceUNet.save instead."
        )
    scheduler = next((place for place in places if place.exists()), None)
    return net, json.loads(scheduler.read_text()) if scheduler else {}


def check_architecture(net: UNet2DModel) -> None:
    """Nothing if the network can be cut at its bottleneck as DDPM and ADM can; else a `WeightsError`."""
    config = net.config
    ours = config.in_channels, 2 * config.in_channels
    for wrong, sentence in (
        (net.mid_block is None, "has no mid block and so no h-space; expected one"),
        (
            config.time_embedding_type == "fourier" or any(hasattr(b, "skip_conv") for b in net.down_blocks),
            "is one of a score SDE (Fourier time or image skips); expected a DDPM, iDDPM or ADM network",
        ),
        (
            config.sample_size is None,
            "does not say its resolution; expected sample_size in its configuration",
        ),
        (
            config.out_channels not in ours,
            f"gives {config.out_channels} channels for {ours[0]}; expected as many, or twice as many with a "
            "learned variance",
        ),
        (
            config.class_embed_type is not None,
            f"embeds classes by {config.class_embed_type!r}; expected a table with one row per class",
        ),
    ):
        if wrong:
            raise WeightsError(f"The U-Net {sentence}; mend its config.json or choose another checkpoint.")
