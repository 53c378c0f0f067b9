"""Results of pure functions of tensors, kept on disk by content: same pictures, weights and settings, same file."""

import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

from torch import Tensor, nn

from ..errors import WeightsError
from .paths import cache_dir
from .weights import read_weights, save_weights

_ENGINE = ("schedule.py", "hspace.py", "process.py")


@cache
def _engine_digest() -> str:
    """Digest of the code behind cached results, so that a change of the method never meets an old result."""
    here = Path(__file__).parents[1] / "method"
    return hashlib.sha256(b"".join((here / name).read_bytes() for name in _ENGINE)).hexdigest()


def digest(*tensors: Tensor) -> str:
    """sha256 over the bytes, types and shapes of tensors."""
    sha = hashlib.sha256()
    for tensor in tensors:
        sha.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        sha.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()


def module_digest(module: nn.Module) -> str:
    """sha256 over the state of a module as it is now."""
    return digest(*module.state_dict().values())


def cached(
    name: str, inputs: Tensor, module: nn.Module, settings: dict, compute: Callable[[], Tensor]
) -> Tensor:
    """The tensor that `compute` gives, from disk if it was computed before.

    Args:
        name: of the function; part of the key and of the file's name.
        inputs: what it is computed from.
        module: whose weights it depends on.
        settings: everything else it depends on, expressible in JSON.
        compute: called on a miss.
    Returns:
        The tensor, on the device of `inputs`.
    """
    if not hasattr(module, "_digest"):  # frozen modules: their weights do not change
        module._digest = digest(*module.state_dict().values())
    text = json.dumps(
        [name, module._digest, digest(inputs), _engine_digest(), str(inputs.device.type), settings]
    )
    path = cache_dir() / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:24]}.safetensors"
    try:
        return read_weights(path)[0]["value"].to(inputs.device)
    except WeightsError:  # missing or damaged: both are mended by computing again
        value = compute()
        save_weights(path, {"value": value}, {"name": name, "settings": settings})
        return value
