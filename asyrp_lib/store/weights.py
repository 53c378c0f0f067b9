"""Weights on disk: safetensors with their configuration in the metadata, and strict, plainly worded loading.

data/SHA256SUMS lists what is shipped; `read_weights` holds those files to it.  To list a new file, in data/:
`sha256sum {weights,directions}/synthfaces*/*.safetensors > SHA256SUMS`.
"""

import hashlib
import json
import os
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from .. import check
from ..errors import WeightsError
from .files import atomic_write, lock
from .paths import data_dir


def digest(*tensors: Tensor) -> str:
    """sha256 over the bytes, types and shapes of tensors."""
    sha = hashlib.sha256()
    for tensor in tensors:
        sha.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        sha.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return sha.hexdigest()


def module_digest(module: nn.Module) -> str:
    """sha256 over the names, types, shapes and bytes of a module's state, as it is now."""
    state = module.state_dict()
    return hashlib.sha256(f"{list(state)}{digest(*state.values())}".encode()).hexdigest()


def save_weights(
    path: Path | str, state: dict[str, Tensor], config: dict, *, dtype: torch.dtype | None = None, mode=0o666
) -> None:
    """Write tensors and their configuration to one safetensors file, atomically; a listed file's sum follows.

    Args:
        state: names and tensors; floating-point tensors are stored as `dtype` if one is given.
        config: entries that JSON can express; each becomes one entry of the file's metadata.
        mode: permissions, less the umask.
    Raises:
        WeightsError: a tensor is not finite, in `dtype` if not before.  FileError: it can't be written.
    """
    tensors = {
        name: (t.to(dtype) if dtype and t.is_floating_point() else t).detach().cpu().contiguous()
        for name, t in state.items()
    }
    _check_finite(tensors, f"the weights for {path}")
    metadata = {key: json.dumps(value) for key, value in config.items()}
    name = _name_in_data(path)
    listed = name in _sums()
    with lock(_list(), wait=60) if listed else nullcontext():
        with atomic_write(path, mode=mode) as temporary:
            save_file(tensors, temporary, metadata=metadata)
            if listed:  # both sums hold until the file is replaced: a kill leaves nothing that won't load
                new = _sha256(temporary)
                _write_list({**_sums(), name: [*_sums()[name], new]})
        if listed:
            _write_list({**_sums(), name: [new]})


def read_weights(path: str | os.PathLike) -> tuple[dict[str, Tensor], dict]:
    """Read what `save_weights` wrote: (names and tensors on the CPU, configuration), floats as float32.

    Raises WeightsError if it is missing, damaged, no safetensors file, not finite, or not what was shipped.
    """
    state, config = read_tensors(path)
    state = {name: t.float() if t.is_floating_point() else t for name, t in state.items()}
    _check_finite(state, path)
    return state, config


def read_tensors(path: str | os.PathLike) -> tuple[dict[str, Tensor], dict]:
    """`read_weights` with the types as they are stored, and whatever the numbers."""
    path = check.path(path, error=WeightsError)
    if not path.is_file():
        raise WeightsError(f"No weights at {path}; expected a safetensors file; make it or check the path.")
    try:
        shipped = _sums().get(_name_in_data(path))
        if shipped and _sha256(path) not in shipped:
            wanted = f"expected the sha256 in {_list()}; restore it, or make it again, which keeps that list"
            raise WeightsError(f"{path} is not what was shipped; {wanted}.")
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            config = {key: json.loads(value) for key, value in metadata.items() if key != "format"}
            return {name: file.get_tensor(name) for name in file.keys()}, config  # noqa: SIM118 (no dict)
    except (SafetensorError, OSError, ValueError, TypeError, RuntimeError) as error:
        why = " ".join(str(error).split())[:200]  # also: too deep, too large
        what = f"is damaged or no safetensors file of this suite ({why})"
        raise WeightsError(f"{path} {what}; expected a complete file; fetch or make it again.") from error


def load_strictly(module: nn.Module, state: dict[str, Tensor], source: str | os.PathLike) -> None:
    """Load a state dict whose names and shapes must be exactly the module's.

    Raises WeightsError, which names the first that does not fit; the module then stays as it was.
    """
    want, have = ({n: tuple(t.shape) for n, t in s.items()} for s in (module.state_dict(), state))
    for name in want | have:
        if name not in have:
            fault = f" lacks the tensor {name!r}; expected weights of {type(module).__name__}"
        elif name not in want:
            fault = f" has a tensor {name!r} that {type(module).__name__} does not have"
        elif have[name] != want[name]:
            fault = f": tensor {name!r} has shape {have[name]}, expected {want[name]}"
        else:
            continue
        raise WeightsError(f"{source}{fault}; load a checkpoint of this architecture.")
    module.load_state_dict(state)


def _check_finite(state: dict[str, Tensor], source: str | os.PathLike) -> None:
    for name, tensor in state.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor.reshape(-1)).all():
            wanted = "expected finite numbers; make it anew"
            raise WeightsError(f"The tensor {name!r} of {source} has NaN or infinity; {wanted}.")


def _list() -> Path:
    return data_dir() / "SHA256SUMS"


def _name_in_data(path: str | os.PathLike) -> str | None:
    """A path as the list has it, e.g. weights/synthfaces/ddpm.safetensors; None outside data/."""
    path, data = Path(path).resolve(), data_dir().resolve()
    return path.relative_to(data).as_posix() if path.is_relative_to(data) else None


def _sums() -> dict[str | None, list[str]]:
    """The list: name -> its sha256, two of them while it is being replaced."""
    sums: dict[str | None, list[str]] = {}
    for line in _list().read_text(errors="replace").splitlines() if _list().is_file() else ():
        sha256, _, name = line.partition("  ")
        sums.setdefault(name, []).append(sha256)
    return sums


def _write_list(sums: dict[str | None, list[str]]) -> None:
    lines = [f"{sha256}  {name}\n" for name in sorted(filter(None, sums)) for sha256 in sums[name]]
    with atomic_write(_list()) as temporary:
        temporary.write_text("".join(lines))


def _sha256(path: Path) -> str:
    stat = path.stat()
    return _sha256_of(path.resolve(), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=256)  # read once as long as time and size stay the same
def _sha256_of(path: Path, _time: int, _size: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
