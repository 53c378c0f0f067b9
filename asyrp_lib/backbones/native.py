"""Networks of this suite's files and of diffusers' folders: read, checked against their bytes, built.

A configuration is somebody else's text: no number in it is believed before the weights beside it bear it out.
"""

# pyright: reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# diffusers sets its attributes from the configuration

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers import UNet2DModel
from torch import Tensor

from .. import check
from ..errors import WeightsError
from ..store.weights import load_strictly, read_weights
from .build import EXTRAS, build_unet, plan_unet

#: Longest noise schedule; published ones have 1000 steps, some 4000.
_LONGEST = 100_000
_NO_FOLDER = "is no folder with a diffusers UNet2DModel{}; expected config.json and its weights; check it."


class Network(NamedTuple):
    """A U-Net on the CPU, its noise schedule as diffusers has it ({}: linear), what it predicts, class."""

    unet: UNet2DModel
    scheduler: Mapping[str, Any]
    prediction_type: str
    class_label: int | None


def read_network(path: str | os.PathLike) -> Network:
    """A file that `HSpaceUNet.save` wrote, or a folder in diffusers format.
    A folder is a pipeline's (unet/, scheduler/), that unet/ itself, or one that holds config.json and, where
    it is not the linear schedule with ε-prediction, scheduler_config.json.
    Raises WeightsError: missing, damaged, contradicting itself, or another architecture; names the first
    wrong tensor.
    """
    path = check.path(path, error=WeightsError)
    return _read_folder(path) if path.is_dir() else _read_file(path)


def _read_file(path: Path) -> Network:
    state, config = read_weights(path)
    if not {"unet", "betas", "prediction_type"} <= config.keys():
        raise WeightsError(f"{path} holds no U-Net configuration; expected HSpaceUNet.save's; check it.")
    plan_unet(config["unet"], sum(tensor.numel() for tensor in state.values()), path)
    scheduler = _checked_scheduler({"trained_betas": config["betas"]}, path)
    if config["betas"] is None:
        raise WeightsError(f"{path} has no noise schedule; expected its betas; fetch it again.")
    label = config.get("class_label")
    if label is not None and type(label) is not int:
        text = f"{path} has the class label {str(label):.40}"
        raise WeightsError(f"{text}; expected a whole number or none; mend it.")
    unet = build_unet(config["unet"])
    load_strictly(unet, state, path)
    return Network(unet, scheduler, str(config["prediction_type"]), label)


def _read_folder(path: Path) -> Network:
    root = path / "unet" if (path / "unet").is_dir() else path
    if not (root / "config.json").is_file():
        raise WeightsError(f"{root} {_NO_FOLDER.format('')}")
    config = read_json(root / "config.json")
    if config.get("_class_name", "UNet2DModel") != "UNet2DModel":
        kind = f"{config['_class_name']!s:.60}"
        raise WeightsError(f"{root} holds a {kind}; expected a UNet2DModel, without texts; choose another.")
    if set(EXTRAS) & set(config):  # diffusers would ignore them and build another network
        text = f"The network in {root} has settings that a diffusers folder cannot express; expected none of "
        raise WeightsError(f"{text}{', '.join(EXTRAS)}; keep it with HSpaceUNet.save instead.")
    own = {key: value for key, value in config.items() if key[:1] != "_"}
    files = [file for file in root.iterdir() if file.suffix in (".safetensors", ".bin")]
    plan_unet(own, sum(file.stat().st_size for file in files), root)  # no weight is kept in less than a byte
    beside = [path, path.parent] if path.name == "unet" else [path]
    places = [folder / sub / "scheduler_config.json" for folder in beside for sub in ("scheduler", "")]
    scheduler = _checked_scheduler(next((read_json(file) for file in places if file.exists()), {}), path)
    try:
        unet, report = UNet2DModel.from_pretrained(
            root, local_files_only=True, output_loading_info=True, low_cpu_mem_usage=False
        )  # True would need accelerate
    except Exception as error:  # diffusers, torch and safetensors have a kind of error each
        reason = f" ({' '.join(str(error).split())[:200]})"
        raise WeightsError(f"{root} {_NO_FOLDER.format(reason)}") from error
    for kind in ("missing", "unexpected", "mismatched"):  # diffusers only warns of some of these
        if report[f"{kind}_keys"]:
            text = f"The weights in {root} have the {kind} tensor {str(list(report[f'{kind}_keys'])[0])!r}"
            raise WeightsError(f"{text}; expected exactly those of config.json; fetch the folder again.")
    check_tensors(unet.state_dict(), root)
    return Network(unet, scheduler, str(scheduler.get("prediction_type", "epsilon")), None)


def read_json(path: Path) -> dict:
    """The object in a JSON file; raises WeightsError: missing, damaged, or anything but one object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError(f"a {type(found).__name__}")
        return found
    except (OSError, ValueError, RecursionError) as error:
        text = f"{path} is missing or damaged ({getattr(error, 'strerror', None) or error}); "
        raise WeightsError(text + "expected one JSON object; fetch it again.") from error


def check_tensors(state: Mapping[str, Tensor], source: str | os.PathLike) -> None:
    """Raise WeightsError for the first tensor that is larger than the bytes behind it, or not finite."""
    for name, tensor in state.items():
        size, strided = tensor.numel() * tensor.element_size(), tensor.layout == torch.strided
        whole = strided and (tensor.is_meta or size <= tensor.untyped_storage().nbytes())
        if not whole or not tensor.is_meta and not bool(torch.isfinite(tensor).all()):
            fault = "not finite" if whole else "larger than its data"
            text = f"{source}: the tensor {name!r} is {fault}; expected plain numbers; fetch it again."
            raise WeightsError(text)


def _checked_scheduler(config: dict, source: Path) -> dict:
    """A scheduler's configuration whose numbers can be computed with."""

    def number(value: Any) -> bool:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e6

    betas, length = config.get("trained_betas"), config.get("num_train_timesteps", 1000)
    if betas is not None:
        right = isinstance(betas, list) and 0 < len(betas) <= _LONGEST and all(map(number, betas))
    else:
        ends = [config.get("beta_start", 0.1), config.get("beta_end", 0.1)]
        right = isinstance(length, int) and 0 < length <= _LONGEST
        right = right and all(number(end) and end >= 0 for end in ends)
    if not right:
        text = f"The noise schedule of {source} is none; expected 1 to {_LONGEST} steps and numbers for β"
        raise WeightsError(f"{text}; fetch it again, or mend its configuration.")
    return config


def check_architecture(net: UNet2DModel) -> None:
    """Nothing if the network can be cut at its bottleneck as DDPM and ADM can; else a `WeightsError`."""
    config, skips = net.config, any(hasattr(block, "skip_conv") for block in net.down_blocks)
    fault = ""
    if net.mid_block is None:
        fault = "has no mid block and so no h-space; expected one"
    elif config.time_embedding_type == "fourier" or skips:
        fault = "is one of a score SDE (Fourier time or image skips); expected a DDPM, iDDPM or ADM network"
    elif config.sample_size is None:
        fault = "does not say its resolution; expected sample_size in its configuration"
    elif config.out_channels not in (config.in_channels, 2 * config.in_channels):
        fault = (
            f"gives {config.out_channels} channels for {config.in_channels}; expected once or twice as many"
        )
    elif config.class_embed_type is not None:
        fault = f"embeds classes by {config.class_embed_type!r}; expected a table with one row per class"
    if fault:
        raise WeightsError(f"The U-Net {fault}; mend its config.json or choose another checkpoint.")
