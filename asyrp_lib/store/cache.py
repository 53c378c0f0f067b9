"""Results of pure functions of tensors on disk, by content: same images, weights, code, settings: same file.

They lie in `tensors/` of `cache_dir()`, for their owner's eyes only, since images can be recovered from them.
$ASYRP_CACHE names another folder, or is `off`; $ASYRP_CACHE_LIMIT is the size in MB, 2000 if unset.
"""

import hashlib
import json
import os
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import diffusers
import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.utils.parametrize import is_parametrized

from ..errors import AsyrpError, WeightsError
from .paths import cache_dir
from .weights import digest, module_digest, read_tensors, save_weights

_METHOD = ("method/schedule", "method/hspace", "method/cut", "method/noise", "method/process")
_ENGINE = (*_METHOD, "deltas/base", "deltas/conv", "deltas/fixed", "backbones/build", "domains/codec", "api")
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def _code_digest() -> str:
    """Of the code behind results, so that a change of the method never meets an old one."""
    root = Path(__file__).parents[1]
    return hashlib.sha256(b"".join((root / f"{name}.py").read_bytes() for name in _ENGINE)).hexdigest()


_CODE = _code_digest()


def cached(
    name: str, inputs: Tensor, module: nn.Module, settings: dict, compute: Callable[[], Tensor], *, use=True
) -> Tensor:
    """The tensor that `compute` gives, on the device of `inputs`; from disk if it was computed before.

    A module that its state and structure do not describe (hooks, parametrizations, replaced methods, dropout
    in training) is always computed.  A cache that can't be read or written costs a warning, no result.

    Args:
        name: of the function; begins the file's name.
        inputs, module, settings: all that it depends on, settings expressible in JSON.
        use: False to compute in any case and keep nothing.
    """
    path = entry(name, inputs, module, settings) if use else None
    if path is None:
        return compute()
    value = _read(path)
    if value is None:
        value = compute()
        try:
            _write(path, value)
        except (AsyrpError, OSError) as error:
            reason = getattr(error.__cause__ or error, "strerror", None) or "it can't be written to"
            _warn(f"Results are not kept in {path.parents[1]}: {reason}.")
    return value.to(inputs.device)


def entry(name: str, inputs: Tensor, module: nn.Module, settings: dict, ending=".safetensors") -> Path | None:
    """The file of a result, see `cached`; None where no file can stand for it."""
    root = cache_dir()
    if root is None or not _is_plain(module) or _code_digest() != _CODE:  # edited after the import
        return None
    kind = inputs.device.type
    low = str(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else None
    run = [name, settings, kind, low, torch.get_float32_matmul_precision(), digest(inputs)]
    net = [str(module), [str(type(getattr(part, "processor", None))) for part in module.modules()]]
    code = [_CODE, torch.__version__, diffusers.__version__]
    key = json.dumps([run, net, module_digest(module), code])
    return root / "tensors" / f"{name}-{hashlib.sha256(key.encode()).hexdigest()}{ending}"


def _is_plain(module: nn.Module) -> bool:
    hooked = any(getattr(torch_module, f"_global{hooks}") for hooks in _HOOKS)
    return not hooked and not any(
        any(getattr(part, hooks) for hooks in _HOOKS)
        or is_parametrized(part)
        or any(callable(getattr(type(part), attribute, None)) for attribute in vars(part))
        or (part.training and isinstance(part, (_DropoutNd, _NormBase)))
        for part in module.modules()
    )


def _read(path: Path) -> Tensor | None:
    """An entry; None where there is none or it is not as it was written."""
    with suppress(WeightsError, KeyError, OSError):
        entry, about = read_tensors(path)
        value = entry["value"]
        if about["digest"] == digest(value) and torch.isfinite(value).all():
            with suppress(OSError):
                os.utime(path)  # just used: the last to leave
            return value
    return None


def _write(path: Path, value: Tensor) -> None:
    """Keep a finite entry within the limit; the least recently used others leave for it."""
    if value.nbytes > limit() or not torch.isfinite(value).all():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    save_weights(path, {"value": value}, {"digest": digest(value)}, mode=0o600)
    make_room(path.parent)


def make_room(folder: Path) -> None:
    """Remove the least recently used entries of `tensors/` beyond the limit."""
    entries, most = [], limit()
    for file in folder.iterdir():
        with suppress(OSError):  # another process may have removed it
            stat = file.stat()
            if file.suffix in (".safetensors", ".npy"):
                entries.append((stat.st_mtime_ns, stat.st_size, file))
            elif stat.st_mtime < time.time() - 3600:  # a killed write left it
                file.unlink()
    total = 0
    for _, size, file in sorted(entries, reverse=True):  # the newest first
        if (total := total + size) > most:
            file.unlink(missing_ok=True)


def limit() -> float:
    """Bytes that the entries may have together."""
    asked = os.environ.get("ASYRP_CACHE_LIMIT") or "2000"
    with suppress(ValueError):
        if (megabytes := float(asked)) >= 0:
            return megabytes * 1e6
    _warn(f"ASYRP_CACHE_LIMIT is {asked!r}; expected a number of megabytes; the limit stays at 2000.")
    return 2e9


@cache
def _warn(text: str) -> None:
    """Warn once of each thing."""
    warnings.warn(text, stacklevel=3)
