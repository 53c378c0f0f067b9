"""Files that others publish: downloaded once, resumed where they were cut off, and the same bytes ever after.

A file grows as `<name>.part` and takes its own name in one step when it is whole.  Its sha256 is compared with the
published one where there is one; otherwise it is recorded in `fetched.json` beside the file when it first arrives
("trust on first use"), and from then on every load and every fetch compares it.
pooch, the usual library for this, begins an interrupted file again from zero; half a gigabyte over a bad line is worth
these lines over urllib.
"""

import hashlib
import http.client
import json
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from ...errors import OfflineError, UnknownNameError, WeightsError
from ...progress import tqdm
from ...store.files import atomic_write
from .registry import ALEXNET, ROWS, Remote, datasets_dir, row, weights_dir

RECORD = "fetched.json"
#: Times that a download which was cut off goes on before it is left for the next run.
ATTEMPTS = 5
_BLOCK = 1 << 20
_TIMEOUT = 60


def fetch(name: str, *, progress: bool = True) -> Iterator[str]:
    """Get the files of a domain (network and official f_t), or of "lpips"; what is there is verified, not fetched again.

    Args:
        name: of a domain of `ROWS`, or "lpips".
        progress: show progress bars with the time that is left.
    Yields:
        What was done or is left to do, a line as soon as its file is done with; those that begin with "by hand" ask for a browser.
    Raises:
        UnknownNameError: no such domain.
        OfflineError: no network, HF_HUB_OFFLINE, or a download that was cut off; what came is kept and resumed.
        WeightsError: a file is not the one that was published or recorded.
    """
    if name == "lpips":
        files = [ALEXNET]
    elif name in ROWS:
        entry = row(name)
        files = [*entry.network, *entry.directions.values()]
    else:
        raise UnknownNameError(
            f"Nothing to fetch is called {name!r}; known are {', '.join([*ROWS, 'lpips'])}."
        )
    for file in files:
        yield fetch_file(file, weights_dir(name), name, progress=progress)


def fetch_file(file: Remote, folder: Path, domain: str, *, progress: bool = True) -> str:
    """Get one file, or say how; see `fetch`."""
    path = folder / file.name
    if path.is_file():
        verify(file, folder, domain)
        return f"there    {path}"
    if not file.url:
        return f"by hand  {_by_hand(file, folder, domain)}"
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        raise OfflineError(
            f"{file.name} is not in {folder} and HF_HUB_OFFLINE forbids to fetch it; unset it, or bring the file from "
            f"{file.url} to that folder."
        )
    part = _download(file, path, progress)
    try:
        _check_kind(file, part)
        sha256 = _check_hash(file, part, _digest(part), _recorded(file, folder))
    except WeightsError:
        part.unlink()
        raise
    _record(file, folder, sha256, part.stat().st_size)
    os.replace(part, path)
    return f"fetched  {path}"


def verify(file: Remote, folder: Path, domain: str) -> Path:
    """The path of a file that is there and is the published or the recorded one; a new one is recorded.

    Raises:
        OfflineError: it is not there; the sentence ends with the command that gets it.
        WeightsError: it is another file than the published or the recorded one.
    """
    path = folder / file.name
    if not path.is_file():
        size = f" (about {file.megabytes:.0f} MB)" if file.megabytes else ""
        raise OfflineError(
            f"The domain {domain!r} needs {file.name}{size}, which is not in {folder}; get it with: "
            f"python -m asyrp_lib fetch {domain}"
        )
    recorded = _recorded(file, folder)
    if recorded is None:
        _check_kind(file, path)
    sha256 = _check_hash(file, path, _digest(path), recorded)
    if recorded is None:
        _record(file, folder, sha256, path.stat().st_size)
    return path


def check(file: Remote, path: Path) -> Path:
    """The path of a file that somebody else put there, if it has the published hash.

    Raises:
        WeightsError: it has not.
    """
    _check_hash(file, path, _digest(path), None)
    return path


def pictures_by_hand(name: str) -> list[str]:
    """How to get the pictures of a domain: one line a file, none if its folder has something in it already."""
    pictures = row(name).pictures
    folder = datasets_dir(pictures.name)
    if folder.is_dir() and any(folder.iterdir()):
        return []
    return [
        f"pictures ({pictures.licence}; for training and test:N, not for your own photos): get "
        f"{file.picks or file.name} from {' or '.join(file.pages)} into {folder}"
        for file in pictures.files
    ]


def _by_hand(file: Remote, folder: Path, domain: str) -> str:
    return (
        f"{file.picks or file.name}, about {file.megabytes:.0f} MB, needs a browser: get it from {' or '.join(file.pages)}, "
        f"put it into {folder} as {file.name}, and run again: python -m asyrp_lib fetch {domain}"
    )


def _download(file: Remote, path: Path, progress: bool) -> Path:
    """Bring `<path>.part` to its full length, from where it is."""
    part = path.with_name(path.name + ".part")
    tag = path.with_name(
        path.name + ".part.etag"
    )  # a file that changed meanwhile must not be glued to the old half
    path.parent.mkdir(parents=True, exist_ok=True)
    trouble = "the connection closed early"
    for _ in range(ATTEMPTS):
        try:
            if _receive(file, part, tag, progress):
                tag.unlink(missing_ok=True)
                return part
        except urllib.error.HTTPError as error:
            trouble = f"the server answers {error.code} {error.reason}"
            break
        except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
            trouble = f"{getattr(error, 'reason', None) or error or type(error).__name__}"
            if not part.exists():
                break  # nothing ever came: no network, most likely
    here = part.stat().st_size if part.exists() else 0
    kept = (
        f"{here / 1e6:.1f} MB are kept and the next run goes on from there"
        if here
        else "nothing has come yet"
    )
    also = (
        f", or get it with a browser from {' or '.join(file.pages)} into {path.parent}" if file.pages else ""
    )
    raise OfflineError(
        f"{file.name} could not be fetched from {file.url} ({trouble}); {kept}; run again with a network{also}."
    )


def _receive(file: Remote, part: Path, tag: Path, progress: bool) -> bool:
    """One request, from the end of `part` on; whether the file is whole after it."""
    here = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "asyrp-lib"}
    if here:
        headers["Range"] = f"bytes={here}-"
        if tag.exists():
            headers["If-Range"] = tag.read_text()
    try:
        response = urllib.request.urlopen(urllib.request.Request(file.url, headers=headers), timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not here:
            raise
        # nothing lies beyond what we have: it is whole, or longer than the file and so none of it
        if (error.headers.get("Content-Range") or "").rpartition("/")[2] == str(here):
            return True
        part.unlink()
        return False
    with response:
        resumed = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range") or "")
        if response.status == 206 and (resumed is None or int(resumed[1]) != here):
            raise http.client.HTTPException("the server sent another part than was asked for")
        if response.status != 206:  # it ignores ranges, or the file has changed: from the beginning
            here = 0
        length = response.headers.get("Content-Length")
        total = here + int(length) if length else None
        if response.headers.get("ETag", "").startswith('"'):  # weak ones may not be used for ranges
            tag.write_text(response.headers["ETag"])
        else:
            tag.unlink(missing_ok=True)
        with (
            open(part, "ab" if here else "wb") as out,
            tqdm(
                total=total,
                initial=here,
                desc=file.name,
                unit="B",
                unit_scale=True,
                file=sys.stderr,
                disable=not progress,
            ) as bar,
        ):
            while block := response.read(_BLOCK):
                out.write(block)
                bar.update(len(block))
            out.flush()
            os.fsync(out.fileno())
    return total is None or part.stat().st_size == total


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_hash(file: Remote, path: Path, sha256: str, recorded: str | None) -> str:
    for want, whose in ((file.sha256, "published"), (recorded or "", "recorded at its first use")):
        if not sha256.startswith(want):
            raise WeightsError(
                f"{path} has the sha256 {sha256[:16]}…, the one {whose} begins with {want[:16]}; it is damaged or "
                f"another file: delete it and fetch it again; if you trust the new one, delete its entry in {RECORD}, too."
            )
    return sha256


def _check_kind(file: Remote, path: Path) -> None:
    """Refuse what servers send in place of a file: a page of HTML, or something much too short."""
    with open(path, "rb") as opened:
        head = opened.read(256).lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html", b"<?xml")):
        raise WeightsError(
            f"{path} is a web page, not {file.name}; the link asks for a confirmation or is gone: delete it and fetch the "
            "file with a browser."
        )
    if path.stat().st_size < file.megabytes * 1e6 / 2:
        raise WeightsError(
            f"{path} has {path.stat().st_size / 1e6:.1f} MB, expected about {file.megabytes:.0f}; the download was cut "
            "off: delete it and fetch it again."
        )


def _recorded(file: Remote, folder: Path) -> str | None:
    return _read_record(folder).get(file.name, {}).get("sha256")


def _read_record(folder: Path) -> dict:
    try:
        return json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise WeightsError(
            f"{folder / RECORD} is damaged ({error}); expected the sha256 of the files beside it; delete it to record "
            "them anew."
        ) from error


def _record(file: Remote, folder: Path, sha256: str, size: int) -> None:
    record = _read_record(folder)
    record[file.name] = {
        "sha256": sha256,
        "bytes": size,
        "url": file.url or file.pages[0],
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }
    with atomic_write(folder / RECORD) as temporary:
        temporary.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
