"""Weights on disk: safetensors with their configuration in the metadata, and strict, plainly worded loading."""

import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import WeightsError
from .files import atomic_write


def save_weights(
    path: str | os.PathLike, state: dict[str, Tensor], config: dict, *, dtype: torch.dtype | None = None
) -> None:
    """Write tensors and their configuration to one safetensors file, atomically.

    Args:
        path: the file.
        state: names and tensors; floating-point tensors are stored as `dtype` if one is given.
        config: entries that JSON can express; each becomes one entry of the file's metadata.
        dtype: e.g. torch.float16 to halve the file.
    """
    tensors = {
        name: (t.to(dtype) if dtype and t.is_floating_point() else t).detach().cpu().contiguous()
        for name, t in state.items()
    }
    with atomic_write(path) as temporary:
        save_file(tensors, temporary, metadata={key: json.dumps(value) for key, value in config.items()})


def read_weights(path: str | os.PathLike) -> tuple[dict[str, Tensor], dict]:
    """Read what `save_weights` wrote; floating-point tensors come back as float32.

    Args:
        path: a safetensors file.
    Returns:
        (names and tensors on the CPU, configuration).
    Raises:
        WeightsError: the file is missing, truncated, or no safetensors file.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(
            f"No weights at {path}; expected a safetensors file; check the path or make the file first."
        )
    try:
        with safe_open(path, framework="pt") as file:
            config = {
                key: json.loads(value) for key, value in (file.metadata() or {}).items() if key != "format"
            }
            state = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise WeightsError(
            f"{path} is damaged or no safetensors file of this suite ({error}); expected a complete file; "
            "fetch or make it again."
        ) from error
    return {name: t.float() if t.is_floating_point() else t for name, t in state.items()}, config


def load_strictly(module: nn.Module, state: dict[str, Tensor], source: str | os.PathLike) -> None:
    """Load a state dict whose names and shapes must be exactly the module's.

    Raises:
        WeightsError: names the first missing, unexpected or misshapen tensor; the module stays as it was.
    """
    want = module.state_dict()
    for name in want:
        if name not in state:
            raise WeightsError(
                f"{source} lacks the tensor {name!r}; expected weights of {type(module).__name__}; "
                "load a checkpoint of this architecture."
            )
    for name, tensor in state.items():
        if name not in want:
            raise WeightsError(
                f"{source} has a tensor {name!r} that {type(module).__name__} does not have; "
                "load a checkpoint of this architecture."
            )
        if tensor.shape != want[name].shape:
            raise WeightsError(
                f"{source}: tensor {name!r} has shape {tuple(tensor.shape)}, expected "
                f"{tuple(want[name].shape)}; load a checkpoint of this architecture."
            )
    module.load_state_dict(state)
