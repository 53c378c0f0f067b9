"""Writing files: the old one or the new one and never half of one, one writer, and a sentence if it fails."""

import errno
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from socket import gethostname

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from ..errors import FileError

#: Asked once: to ask is to set it, for a moment and for all threads.
os.umask(_UMASK := os.umask(0o077))
_CURES = {
    errno.ENOSPC: "free some space or choose another disk",
    errno.EFBIG: "choose a disk that holds larger files",
    errno.EISDIR: "give the name of a file",
    errno.ENAMETOOLONG: "choose a shorter name",
}


@contextmanager
def os_errors(path: str | os.PathLike) -> Iterator[None]:
    """Turn an OSError of the block, or what safetensors and torch.save make of one, into a FileError."""
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        native = re.search(r"os error (\d+)|inline_container", str(error))
        if native is None and not isinstance(error, OSError):
            raise
        # torch tells no code; mostly the disk is full
        code = getattr(error, "errno", None) or (native and int(native[1] or errno.ENOSPC))
        name, why = str(path), os.strerror(code) if code else error
        cure = _CURES.get(code or 0, "choose a folder that is yours to write to")
        wanted = f"expected a file in a folder that can be written to, with room for it; {cure}"
        raise FileError(f"Cannot write {name[:120]}{'…' * (len(name) > 120)} ({why}); {wanted}.") from error


@contextmanager
def atomic_write(path: str | os.PathLike, *, mode: int = 0o666) -> Iterator[Path]:
    """Give a temporary path beside `path`; a block without an error puts it in place in one step.

    Otherwise it is removed, and `path` stays as it was.  Folders are made; `mode` is less the umask.
    Raises FileError where it can't be written.
    """
    with os_errors(path):
        temporary = _temporary(Path(path))
        try:
            yield temporary
            with open(temporary, "rb") as written:
                os.fsync(written.fileno())
            temporary.chmod(mode & ~_UMASK)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def check_writable(path: str | os.PathLike) -> None:
    """Raise FileError if `atomic_write` would; for before long work.  Makes the folder, leaves no file."""
    with os_errors(path):
        _temporary(Path(path)).unlink()


@contextmanager
def lock(path: str | os.PathLike, *, wait: float = 0) -> Iterator[None]:
    """Be the only process or thread that writes `path`, a folder or a file that need not be there yet.

    The lock is a file beside it, `.<name>.lock`, and is released when its process ends, however it ends.
    Raises FileError where another one holds it (says which) for `wait` seconds, or it can't be written.
    """
    path = Path(path).absolute()
    place, holder = _lock_files(path)
    with os_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(place, timeout=wait)
        try:
            held.acquire()
        except Timeout as error:
            by = holder.read_text(errors="replace")[:200] if holder.is_file() else "another process"
            raise FileError(
                f"{path} is in use by {by}; expected one writer; wait until it is done."
            ) from error
    try:
        with os_errors(holder):
            who = f"process {os.getpid()} on {gethostname()}"
            holder.write_text(f"{who} since {datetime.now():%d %b %H:%M:%S}")
        yield
    finally:
        with suppress(OSError):
            holder.unlink()
        held.release()


def locked(path: str | os.PathLike) -> bool:
    """Whether somebody holds `lock(path)` at this moment."""
    if not _lock_files(path)[1].is_file():  # not tried without need: trying it holds it for a moment
        return False
    try:
        with lock(path):  # what a killed process left behind goes
            return False
    except FileError as error:
        return isinstance(error.__cause__, Timeout)  # else it can't be written: who tries will say so


def _lock_files(path: str | os.PathLike) -> tuple[Path, Path]:
    """The lock beside `path`, and who holds it: a file of its own, for some versions empty the lock when they
    try it.
    """
    path = Path(path).absolute()
    return path.parent / f".{path.name}.lock", path.parent / f".{path.name}.lock.by"


def _temporary(path: Path) -> Path:
    """An empty file beside `path`, which must be a file or nothing: os.replace would replace /dev/null."""
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "")
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind):
            raise OSError(errno.EISDIR if stat.S_ISDIR(kind) else errno.EINVAL, "")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".tmp")
    os.close(handle)
    return Path(name)
