"""Files that others publish: downloaded once, resumed where they were cut off, and the same bytes ever after.

A file grows as `<name>.part` under the folder's lock and takes its own name in one step when it is whole.
Its sha256 is compared with the published one if there is one; else it is recorded in `fetched.json` when it
first arrives, and every later load and fetch compares it.
"""

import hashlib
import json
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from ...errors import AsyrpError, FileError, OfflineError, UnknownNameError, WeightsError
from ...store.files import atomic_write, lock
from .download import download
from .registry import ALEXNET, ROWS, Remote, datasets_dir, row, weights_dir

RECORD = "fetched.json"
#: Seconds that a fetch waits for another one of the same domain.
_WAIT = 3600


def fetch(name: str) -> Iterator[str]:
    """Get the files of a domain (network and official f_t), or of "lpips"; what is there is only verified.
    Yields a line per file, as soon as it is done with: what was done; "by hand …" asks for a browser.
    Raises:
        UnknownNameError: no such domain.
        OfflineError: no network, HF_HUB_OFFLINE, or cut off; what came is kept and resumed.
        WeightsError: a file is not the one that was published or recorded.
        AsyrpError: the folder cannot be read or written.
    """
    if name == "lpips":
        files = [ALEXNET]
    elif name in ROWS:
        files = [*ROWS[name].network, *ROWS[name].directions.values()]
    else:
        known = ", ".join([*ROWS, "lpips"])
        raise UnknownNameError(f"Nothing to fetch is called {name!r}; known are {known}.")
    for file in files:
        yield fetch_file(file, weights_dir(name), name)


def fetch_file(file: Remote, folder: Path, domain: str) -> str:
    """Get one file, or say how; see `fetch`."""
    path = folder / file.name
    with _usable(folder):
        if not path.is_file() and not file.url:
            return f"by hand  {_by_hand(file, folder, domain)}"
        if not path.is_file():
            with lock(folder / RECORD, wait=_WAIT):
                if not path.is_file():  # nor has another process brought it while this one waited
                    _bring(file, path)
                    return f"fetched  {path}"
        verify(file, folder, domain)
        return f"there    {path}"


def _bring(file: Remote, path: Path) -> None:
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        text = f"{file.name} is not in {path.parent} and HF_HUB_OFFLINE forbids to fetch it"
        raise OfflineError(f"{text}; unset it, or bring the file from {file.url} to that folder.")
    part = download(file, path)
    try:
        _check_kind(file, part)
        sha256 = _check_hash(file, part, _digest(part), _recorded(file, path.parent))
    except WeightsError:
        part.unlink()
        raise
    _record(file, path.parent, sha256, part.stat().st_size)
    os.replace(part, path)


def verify(file: Remote, folder: Path, domain: str) -> Path:
    """The path of a file that is there and is the published or the recorded one; a new one is recorded.
    Raises OfflineError: it is not there; WeightsError: it is another file; AsyrpError: it cannot be read.
    """
    path = folder / file.name
    with _usable(folder):
        if not path.is_file():
            size = f" (about {file.megabytes:.0f} MB)" if file.megabytes else ""
            text = f"The domain {domain!r} needs {file.name}{size}, which is not in {folder}"
            raise OfflineError(f"{text}; get it with: python -m asyrp_lib fetch {domain}")
        recorded = _recorded(file, folder)
        if recorded is None:
            _check_kind(file, path)
        sha256 = _check_hash(file, path, _digest(path), recorded)
        if recorded is None:
            try:
                with lock(folder / RECORD, wait=10):
                    _record(file, folder, sha256, path.stat().st_size)
            except FileError as error:  # weights shared read-only are still weights
                text = f"The hash of {file.name} is not recorded, so that a change will not be seen"
                warnings.warn(f"{text}: {error}", stacklevel=2)
    return path


def check(file: Remote, path: Path) -> Path:
    """The path of a file that somebody else put there, if it has the published hash; else WeightsError."""
    with _usable(path.parent):
        _check_hash(file, path, _digest(path), None)
    return path


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    """Say in one sentence what the disk refuses."""
    try:
        yield
    except OSError as error:
        raise AsyrpError(
            f"{error.filename or folder} cannot be read or written ({error.strerror or error}); expected a "
            "folder of your own on a disk with room; mend it, or set $ASYRP_WEIGHTS to another."
        ) from error


def pictures_by_hand(name: str) -> list[str]:
    """How to get the images of a domain: one line a file, none if its folder has something in it already."""
    pictures = row(name).pictures
    folder = datasets_dir(pictures.name)
    if folder.is_dir() and any(folder.iterdir()):
        return []
    return [
        f"images ({pictures.licence}; for training and test:N, not for your own photos): get "
        f"{file.picks or file.name} from {' or '.join(file.pages)} into {folder}"
        for file in pictures.files
    ]


def _by_hand(file: Remote, folder: Path, domain: str) -> str:
    what = f"{file.picks or file.name}, about {file.megabytes:.0f} MB, needs a browser: get it from "
    what += f"{' or '.join(file.pages)}, put it into {folder} as {file.name}"
    return f"{what}, and run again: python -m asyrp_lib fetch {domain}"


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_hash(file: Remote, path: Path, sha256: str, recorded: str | None) -> str:
    for want, whose in ((file.sha256, "published"), (recorded or "", "recorded at its first use")):
        if not sha256.startswith(want):
            raise WeightsError(
                f"{path} has the sha256 {sha256[:16]}…, the one {whose} begins with {want[:16]}; it is "
                "damaged or another file: delete it and fetch it again; if you trust the new one, delete "
                f"its entry in {RECORD}, too."
            )
    return sha256


def _check_kind(file: Remote, path: Path) -> None:
    """Refuse what servers send in place of a file: a page of HTML, or something much too short."""
    with open(path, "rb") as opened:
        head = opened.read(256).lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html", b"<?xml")):
        text = f"{path} is a web page, not {file.name}; the link asks for a confirmation or is gone"
        raise WeightsError(f"{text}: delete it and fetch the file with a browser.")
    size = path.stat().st_size / 1e6
    if size < file.megabytes / 2:
        text = f"{path} has {size:.1f} MB, expected about {file.megabytes:.0f}; the download was cut off"
        raise WeightsError(f"{text}: delete it and fetch it again.")


def _recorded(file: Remote, folder: Path) -> str | None:
    entry = _read_record(folder).get(file.name)
    return None if entry is None else entry["sha256"]


def _read_record(folder: Path) -> dict:
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if not all(re.fullmatch("[0-9a-f]{64}", entry["sha256"]) for entry in record.values()):
            raise ValueError("an entry has no whole sha256")
        return record
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        text = f"{folder / RECORD} is damaged ({error}); expected the sha256 of the files beside it"
        raise WeightsError(f"{text}; delete it to record them anew.") from error


def _record(file: Remote, folder: Path, sha256: str, size: int) -> None:
    url, date = next(filter(None, (file.url, *file.pages)), ""), datetime.now(UTC).strftime("%Y-%m-%d")
    record = _read_record(folder)
    record[file.name] = {"sha256": sha256, "bytes": size, "url": url, "date": date}
    with atomic_write(folder / RECORD) as temporary:
        temporary.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
