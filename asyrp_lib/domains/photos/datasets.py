"""Sets of images as people have them: folders, zips and LSUN's databases, in one order, split in two.

Every image is cropped to its largest centred square and resized (Lanczos) to the model's resolution.
"""

import io
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ... import check
from ...errors import AsyrpError, ImageError, OfflineError
from ...store.images import crop_square, open_image, to_tensor

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
#: What a split is called elsewhere, best first: several sets have a validation split and no test split.
_CALLED = {"train": ("train",), "test": ("test", "val")}
#: Bytes of the largest image that is unpacked from a zip: 64 million pixels without compression.
_LARGEST = 200_000_000


class ImageFolder:
    """The images of a folder (sub-folders included) or of one zip, in natural order of their paths.
    `only`: part of the path that an image must contain; `held_out`: see `split`.
    Raises ImageError: no folder or readable zip, or no image in it.
    """

    def __init__(self, path: Path, *, only: str = "", held_out: int = 500):
        self.path, self.held_out = path, held_out
        if path.is_dir():
            listed = [file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()]
        else:
            with _zip(path) as archive:
                listed = archive.namelist()
        # files that a Mac adds begin with a dot or lie in __MACOSX
        listed = [name for name in listed if only in name and not re.search(r"(^|/)(\.|__MACOSX)", name)]
        self.names = sorted((n for n in listed if n.lower().endswith(_SUFFIXES)), key=_natural)
        if not self.names:
            which = f"There is no image{f' with {only!r} in its path' if only else ''} in {path}"
            raise ImageError(f"{which}; expected {', '.join(_SUFFIXES[:4])} or alike; check the path.")

    def split(self, split: str) -> list[str]:
        """The names of the split "train" or "test".
        Parts of the paths called train, test or val decide; else an attribute list of the original beside the
        images (`train_attr_list.txt`, `val_…`, `test_…`: a file name first in each line), in its order; else
        the last `held_out` images are for the test, or the last fifth if that left less for training.
        Raises ImageError: another name, or a list whose images are not there.
        """
        check.span(1, 0, split)
        for called in _CALLED[split]:
            if below := [name for name in self.names if called in name.split("/")[:-1]]:
                return below
        for called in _CALLED[split]:
            if (listing := self.path / f"{called}_attr_list.txt").is_file():
                return self._listed(listing)
        n = len(self.names)
        n -= self.held_out if n > 2 * self.held_out else n // 5
        return self.names[:n] if split == "train" else self.names[n:]

    def _listed(self, listing: Path) -> list[str]:
        by_file = {name.rpartition("/")[2]: name for name in self.names}
        try:
            lines = listing.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise ImageError(f"{listing} is no text in UTF-8; expected file names; save it so.") from error
        wanted = [line.split()[0] for line in lines if line.strip()]
        there = [by_file[file] for file in wanted if file in by_file]
        if not there:
            text = f"None of the {len(wanted)} images that {listing} lists is in {self.path}; "
            raise ImageError(text + "expected the list of these images; remove it or bring the images.")
        return there

    def read(self, split: str, n: int, first: int, resolution: int) -> Tensor:
        """Images `first` … `first + n − 1` of a split, (n, 3, R, R) in [-1, 1].
        Raises ImageError: the split is shorter, or one of them is no image (named).
        """
        n, first = check.span(n, first, split)
        names = self.split(split)
        _check_length(first + n, len(names), split, self.path)
        with self._opened() as source:
            return _stack(((source(n), f"{self.path}/{n}") for n in names[first : first + n]), resolution)

    @contextmanager
    def _opened(self) -> Iterator[Callable]:
        """A function from a name to something `open_image` reads; a zip is opened once for many images."""
        if self.path.is_dir():
            yield lambda name: self.path / name
            return
        with _zip(self.path) as archive:
            yield lambda name: io.BytesIO(self._unpacked(archive, name))

    def _unpacked(self, archive: zipfile.ZipFile, name: str) -> bytes:
        """One file of the zip, at most `_LARGEST` bytes, whatever its header says."""
        try:
            content = b""
            if archive.getinfo(name).file_size <= _LARGEST:
                with archive.open(name) as entry:
                    content = entry.read(_LARGEST + 1)
        except Exception as error:  # damaged, encrypted, or packed in a way that zipfile does not know
            raise ImageError(
                f"{self.path} is damaged or cannot be unpacked at {name} ({error}); expected a whole zip "
                "without a password; get it again or unpack it into a folder."
            ) from error
        if not 0 < len(content) <= _LARGEST:
            what = f"{self.path}/{name} has no bytes or more than {_LARGEST // 10**6} million"
            raise ImageError(f"{what}; expected an image; leave it out of the zip.")
        return content


class LsunImages:
    """LSUN's databases in a folder, in the order of their keys; AsyrpError: the package lmdb is not there."""

    def __init__(self, path: Path, category: str):
        try:
            import lmdb
        except ImportError as error:
            text = "LSUN's databases need the package lmdb, which is not installed; run: "
            raise AsyrpError(text + "pip install -e '.[lsun]'") from error
        self.path, self.category, self._lmdb = path, category, lmdb

    def read(self, split: str, n: int, first: int, resolution: int) -> Tensor:
        """Images `first` … `first + n − 1` of a split, (n, 3, R, R) in [-1, 1]; the test split is LSUN's val.
        Raises ImageError: no such split or database, it is shorter, or an entry is no image.
        """
        n, first = check.span(n, first, split)
        folder = self.path / f"{self.category}_{'val' if split == 'test' else split}_lmdb"
        if not (folder / "data.mdb").is_file():
            text = f"There is no database for the split {split!r} at {folder}; expected data.mdb in it"
            raise ImageError(f"{text}; get {folder.name}.zip and unzip it there.")
        how = {"readonly": True, "lock": False, "readahead": False, "max_readers": 1}
        try:
            with self._lmdb.open(str(folder), **how) as env, env.begin() as entries:
                _check_length(first + n, env.stat()["entries"], split, folder)
                with entries.cursor() as cursor:
                    found = list(islice(cursor.iternext(), first, first + n))
        except self._lmdb.Error as error:
            text = f"{folder} is no whole LMDB ({error}); expected LSUN's database; get it again."
            raise ImageError(text) from error
        named = ((io.BytesIO(c), f"{folder}: entry {key.decode(errors='replace')}") for key, c in found)
        return _stack(named, resolution)


@cache
def open_images(path: Path, only: str = "", held_out: int = 500) -> ImageFolder | LsunImages:
    """The images at a path, listed once: a zip, a folder (or the one zip in it), or LSUN's databases."""
    if path.is_dir():
        inside = [sub for sub in path.iterdir() if not sub.name.startswith(".")]
        databases = filter(None, (re.fullmatch(r"(.+)_(?:train|val)_lmdb", sub.name) for sub in inside))
        if categories := sorted(found[1] for found in databases):
            return LsunImages(path, categories[0])
        if any(sub.name.endswith("_lmdb.zip") for sub in inside):
            raise ImageError(f"LSUN's databases in {path} are still zipped; expected folders; unzip them.")
        zips = [sub for sub in inside if sub.suffix == ".zip"]
        if len(zips) == 1 and not any(sub.is_dir() for sub in inside):
            path = zips[0]
    return ImageFolder(path, only=only, held_out=held_out)


def image_source(
    path: Path, resolution: int, *, only: str = "", held_out: int = 500, cure: str = ""
) -> Callable[[str, int, int], Tensor]:
    """A Domain's `image_source` that opens its images when first asked; `cure` is what to do without any."""

    def images(split: str, n: int, first: int) -> Tensor:
        check.span(n, first, split)
        try:
            if not path.exists():
                text = f"There are no images at {path}; expected a folder or a zip of them; {cure}"
                raise OfflineError(text)
            return open_images(path, only, held_out).read(split, n, first, resolution)
        except OSError as error:
            text = f"The images at {path} cannot be read ({error.strerror or error}); expected a folder or "
            raise ImageError(text + "a zip of them that you may read; check it.") from error

    return images


def _zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except Exception as error:  # of a damaged directory zipfile raises whatever it trips over
        text = f"{path} is neither a folder nor a whole zip ({type(error).__name__}); expected images; "
        raise ImageError(text + "check the path or get the zip again.") from error


def _stack(images: Iterable[tuple[Any, str]], resolution: int) -> Tensor:
    """Images, each as something `open_image` reads and its name in errors, as one tensor."""
    return torch.stack([to_tensor(crop_square(open_image(*image), resolution)) for image in images])


def _check_length(wanted: int, there: int, split: str, path: Path) -> None:
    if wanted > there:
        text = f"Asked for image {wanted - 1} of {split!r}, there are {there} in {path}"
        raise ImageError(f"{text}; ask for fewer or bring more.")


def _natural(name: str) -> list:
    """Sort key that puts 2.jpg before 10.jpg."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name)]
