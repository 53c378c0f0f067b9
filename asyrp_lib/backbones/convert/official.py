"""An official checkpoint file as a network: the family and its settings are found in the weights."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DModel
from torch import Tensor

from ...errors import WeightsError
from ..native import check_tensors
from .ddpm import load_ddpm_checkpoint
from .infer import infer_ddpm, infer_openai
from .openai import load_openai_checkpoint

_OPENAI = ("time_embed.", "input_blocks.", "middle_block.", "output_blocks.")
#: family -> (beginnings of its tensors' names, settings from weights, converter)
FAMILIES = {
    "ddpm": (("temb.", "down.", "mid.", "up."), infer_ddpm, load_ddpm_checkpoint),
    "openai": (_OPENAI, infer_openai, load_openai_checkpoint),
}


def load_official_unet(path: str | os.PathLike, family: str | None = None, **settings: Any) -> UNet2DModel:
    """The network of an official `.pt`, `.ckpt` or `.pth` file, float32, on the CPU; nothing in the file is
    executed.
    Args:
        family: "ddpm" (SDEdit's CelebA-HQ, LSUN church and bedroom) or "openai" (iDDPM, P2, ADM); None finds
            it.
        settings: fields of `DDPMConfig` or `OpenAIConfig`; they win over what the weights show.  The paper's
            files need none; others image_size, and in OpenAI's family num_head_channels or num_heads.
    Raises WeightsError: missing, damaged, no state dict of a known family, a tensor that does not fit
    (named), or a setting that only the caller can know.
    """
    return convert_state(official_state(path), family, **settings)


def convert_state(state: Mapping[str, Tensor], family: str | None = None, **settings: Any) -> UNet2DModel:
    """The network of an official state dict already read, see `load_official_unet`."""
    if family not in (None, *FAMILIES):
        raise WeightsError(f"Unknown family {family!r}; expected one of {', '.join(FAMILIES)}; choose one.")
    found = {name: sum(key.startswith(heads) for key in state) for name, (heads, _, _) in FAMILIES.items()}
    family = family or max(found, key=lambda name: found[name])
    if not found[family]:
        raise WeightsError(
            f"The file has the tensors {', '.join(list(state)[:3])}, …; expected a network of the {family} "
            "family, or of another known one, with the names its authors gave; check the file."
        )
    _, infer, convert = FAMILIES[family]
    try:
        return convert(state, infer(state, settings))
    except (TypeError, ValueError, ArithmeticError, LookupError) as error:  # of settings of another kind
        text = f"The settings and the {family} checkpoint make no network ({error}); "
        raise WeightsError(text + "expected those of its authors; check both.") from error


def official_state(path: str | os.PathLike) -> dict[str, Tensor]:
    """The state dict in an official file; WeightsError: missing, damaged, or not only names and tensors."""
    if not Path(path).is_file():
        text = f"No weights at {path}; expected an official .pt, .ckpt or .pth file"
        raise WeightsError(f"{text}; check the path or fetch it.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and OS errors alike mean: not such a file
        text = f"{path} is damaged or no file of tensors ({type(error).__name__}); "
        raise WeightsError(text + "expected an official checkpoint; fetch it again.") from error
    named = state.items() if isinstance(state, Mapping) else ()
    if not named or not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in named):
        inside = ", ".join(str(key) for key, _ in list(named)[:3]) or type(state).__name__
        raise WeightsError(
            f"{path} holds more or less than one state dict ({inside}); expected names and tensors only; "
            "save the network's own state dict with torch.save."
        )
    check_tensors(state, path)
    return dict(state)
