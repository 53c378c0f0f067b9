"""One file over HTTP, resumed where it was cut off, and never glued together from two versions.

pooch, the usual library for this, begins an interrupted half gigabyte again from zero.
"""

import http.client
import os
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path

from ...errors import OfflineError
from ...progress import tqdm
from .registry import Remote

#: Requests for one file before it is left for the next run.
ATTEMPTS = 5
_BLOCK = 1 << 20
_TIMEOUT = 60
_FAILURES = (OSError, http.client.HTTPException, ValueError)  # URLError is an OSError
#: What may stand for a file's content when a half is resumed (RFC 9110, 8.8.1): weak ETags may not.
_STRONG = r'"[!#-~]*"'


def download(file: Remote, path: Path) -> Path:
    """Bring `<path>.part` to its full length, from where it is, and answer its path.
    Raises OfflineError: out of reach, cut off too often, or nothing would tell the whole from a part.
    """
    part, tag = (path.with_name(path.name + ending) for ending in (".part", ".part.etag"))
    trouble = "the connection closed early"
    for _ in range(ATTEMPTS):
        began = part.exists()
        try:
            if _receive(file, part, tag):
                tag.unlink(missing_ok=True)
                return part
        except urllib.error.HTTPError as error:
            trouble = f"the server answers {error.code} {error.reason}"
            break
        except _Trouble as error:
            trouble = str(error)
            if not began and not part.exists():
                break  # nothing ever came: no network, most likely
    kept = "nothing has come yet"
    if part.exists() and _resumable(file, tag) is not None:
        kept = f"{part.stat().st_size / 1e6:.1f} MB are kept and the next run goes on from there"
    elif part.exists():
        part.unlink()
        kept = "nothing was kept, since the server does not say which version of the file it sends"
    pages = " or ".join(file.pages)
    also = f", or get it with a browser from {pages} into {path.parent}" if pages else ""
    text = f"{file.name} could not be fetched from {file.url} ({trouble}); {kept}"
    raise OfflineError(f"{text}; run again with a network{also}.")


class _Trouble(Exception):
    """The network or the server fails."""


def _resumable(file: Remote, tag: Path) -> str | None:
    """What tells a half from another file's: a strong ETag; "": the published hash; None: nothing."""
    etag = tag.read_text(encoding="latin-1") if tag.exists() else ""
    return etag if re.fullmatch(_STRONG, etag) else "" if file.sha256 else None


def _receive(file: Remote, part: Path, tag: Path) -> bool:
    """One request, from the end of `part` on; whether the file is whole after it."""
    etag = _resumable(file, tag)
    here = part.stat().st_size if part.exists() and etag is not None else 0
    headers = {"User-Agent": "asyrp-lib"} | ({"Range": f"bytes={here}-"} if here else {})
    headers |= {"If-Range": etag} if here and etag else {}
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
    except _FAILURES as error:
        raise _Trouble(getattr(error, "reason", None) or error or type(error).__name__) from error
    with response:
        start, total = _extent(file, response)
        present = response.headers.get("ETag", "")
        if start not in (0, here) or start and etag and present and present != etag:
            part.unlink(missing_ok=True)  # so that the next request asks for the whole
            raise _Trouble("the server sent another part than was asked for")
        if not start:
            part.unlink(missing_ok=True)  # before its tag: a kill must not leave an old half with a new tag
            tag.write_text(present, encoding="latin-1")
        how = {"unit": "B", "unit_scale": True, "file": sys.stderr}
        bar = tqdm(total=total, initial=start, desc=file.name, **how)
        with bar, open(part, "ab" if start else "wb") as out:
            while block := _block(response):
                out.write(block)
                bar.update(len(block))
            out.flush()
            os.fsync(out.fileno())
    if total is not None and part.stat().st_size > total:
        part.unlink()
        return False
    return total is None or part.stat().st_size == total


def _block(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(_BLOCK)
    except _FAILURES as error:
        raise _Trouble(error or type(error).__name__) from error


def _extent(file: Remote, response: http.client.HTTPResponse) -> tuple[int, int | None]:
    """Where the answer begins in the file, and its length (None: known by its end, or proved by its hash)."""
    length = response.headers.get("Content-Length")
    if length is not None and not re.fullmatch(r"\d{1,15}", length.strip()):
        raise _Trouble(f"the server says the length {length[:20]!r}")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise _Trouble("the server sends it packed")
    start = 0
    if response.status == 206:
        span = response.headers.get("Content-Range") or ""
        found = re.fullmatch(r"bytes (\d{1,15})-\d+/(\d{1,15}|\*)", span)
        start = int(found[1]) if found else -1
        if found and found[2] != "*":
            return start, int(found[2])
    if length is None and not response.chunked and not file.sha256:
        raise OfflineError(
            f"The server of {file.url} does not say how long {file.name} is, so that a part could pass for "
            "the whole; expected a Content-Length; get it with a browser."
        )
    return start, None if length is None else start + int(length)
