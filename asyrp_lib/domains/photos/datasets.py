"""Picture sets as people have them: folders, zips and LSUN's databases, in one order, told apart into train and test.

Every picture is cropped to its largest centred square and resized (Lanczos) to the model's resolution.
"""

import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from ...errors import AsyrpError, ImageError, OfflineError
from ...store.images import crop_square, open_picture, to_tensor

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
#: What a split is called elsewhere, best first: several sets have a validation split and no test split.
_CALLED = {"train": ("train",), "test": ("test", "val")}


class PictureFolder:
    """The pictures of a folder (sub-folders included) or of one zip, in natural order of their paths.

    Args:
        path: the folder or the zip.
        only: part of the path below `path` that a picture must contain.
        held_out: see `split`.
    Raises:
        ImageError: no folder or readable zip, or no picture in it.
    """

    def __init__(self, path: Path, *, only: str = "", held_out: int = 500):
        self.path, self.held_out = path, held_out
        if path.is_dir():
            listed = [file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()]
        else:
            try:
                with zipfile.ZipFile(path) as archive:
                    listed = archive.namelist()
            except (OSError, zipfile.BadZipFile) as error:
                raise ImageError(
                    f"{path} is neither a folder nor a whole zip ({type(error).__name__}); expected pictures; check the "
                    "path or get the zip again."
                ) from error
        # files that a Mac adds begin with a dot or lie in __MACOSX
        self.names = sorted(
            (
                name
                for name in listed
                if name.lower().endswith(_SUFFIXES)
                and only in name
                and not re.search(r"(^|/)(\.|__MACOSX)", name)
            ),
            key=_natural,
        )
        if not self.names:
            which = f" with {only!r} in its path" if only else ""
            raise ImageError(
                f"There is no picture{which} in {path}; expected {', '.join(_SUFFIXES[:4])} or alike; check the path."
            )

    def split(self, split: str) -> list[str]:
        """The names of one split.

        If parts of the paths are called train, test or val, they decide; else an attribute list of the original beside the
        pictures (`train_attr_list.txt`, `val_attr_list.txt`, `test_attr_list.txt`: a file name first in each line) decides,
        and its order is kept; else the last `held_out` pictures are the test split, or the last fifth where that would leave less
        for training than for the test.

        Args:
            split: "train" or "test".
        Raises:
            ImageError: another name, or a list whose pictures are not there.
        """
        if split not in _CALLED:
            raise ImageError(f"There is no split {split!r}; expected 'train' or 'test'.")
        for called in _CALLED[split]:
            if below := [name for name in self.names if called in name.split("/")[:-1]]:
                return below
        for called in _CALLED[split]:
            if (listing := self.path / f"{called}_attr_list.txt").is_file():
                return self._listed(listing)
        test = self.held_out if len(self.names) > 2 * self.held_out else len(self.names) // 5
        return (
            self.names[: len(self.names) - test] if split == "train" else self.names[len(self.names) - test :]
        )

    def _listed(self, listing: Path) -> list[str]:
        by_file = {name.rpartition("/")[2]: name for name in self.names}
        wanted = [
            line.split()[0] for line in listing.read_text(encoding="utf-8").splitlines() if line.strip()
        ]
        there = [by_file[file] for file in wanted if file in by_file]
        if not there:
            raise ImageError(
                f"None of the {len(wanted)} pictures that {listing} lists is in {self.path}; expected the list of these "
                "pictures; remove it or bring the pictures."
            )
        return there

    def read(self, split: str, n: int, first: int, resolution: int) -> Tensor:
        """Pictures `first` … `first + n − 1` of a split, (n, 3, R, R) in [-1, 1].

        Raises:
            ImageError: the split is shorter, or one of them is no picture; the message names it.
        """
        names = self.split(split)
        _check_range(first, n, len(names), split, self.path)
        with self._opened() as source:
            return torch.stack(
                [
                    to_tensor(crop_square(open_picture(source(name), f"{self.path}/{name}"), resolution))
                    for name in names[first : first + n]
                ]
            )

    @contextmanager
    def _opened(self) -> Iterator[Callable]:
        """A function from a name to something `open_picture` reads; a zip is opened once for many pictures."""
        if self.path.is_dir():
            yield lambda name: self.path / name
            return
        try:
            with zipfile.ZipFile(self.path) as archive:
                yield lambda name: io.BytesIO(archive.read(name))
        except (OSError, zipfile.BadZipFile, zlib.error) as error:
            raise ImageError(
                f"{self.path} is damaged ({error}); expected a whole zip; get it again."
            ) from error


class LsunPictures:
    """LSUN's databases, `<category>_train_lmdb` and `<category>_val_lmdb`, in the order of their keys.

    Args:
        path: the folder that holds the two.
        category: e.g. church_outdoor.
    Raises:
        AsyrpError: the optional package lmdb is not installed.
    """

    def __init__(self, path: Path, category: str):
        try:
            import lmdb
        except ImportError as error:
            raise AsyrpError(
                "LSUN's databases need the package lmdb, which is not installed; run: pip install -e '.[lsun]'"
            ) from error
        self.path, self.category, self._lmdb = path, category, lmdb

    def read(self, split: str, n: int, first: int, resolution: int) -> Tensor:
        """Pictures `first` … `first + n − 1` of a split, (n, 3, R, R) in [-1, 1]; the test split is LSUN's val.

        Raises:
            ImageError: no such split or database, it is shorter, or an entry is no picture.
        """
        called = {"train": "train", "test": "val"}.get(split, split)
        folder = self.path / f"{self.category}_{called}_lmdb"
        if not (folder / "data.mdb").is_file():
            raise ImageError(
                f"There is no database for the split {split!r} at {folder}; expected data.mdb in it; get "
                f"{folder.name}.zip and unzip it there."
            )
        try:
            with (
                self._lmdb.open(
                    str(folder), readonly=True, lock=False, readahead=False, max_readers=1
                ) as env,
                env.begin() as entries,
            ):
                _check_range(first, n, env.stat()["entries"], split, folder)
                with entries.cursor() as cursor:
                    found = list(islice(cursor.iternext(), first, first + n))
        except self._lmdb.Error as error:
            raise ImageError(
                f"{folder} is no whole LMDB ({error}); expected LSUN's database; get it again."
            ) from error
        return torch.stack(
            [
                to_tensor(
                    crop_square(
                        open_picture(io.BytesIO(content), f"{folder}: entry {key.decode(errors='replace')}"),
                        resolution,
                    )
                )
                for key, content in found
            ]
        )


@cache
def open_pictures(path: Path, only: str = "", held_out: int = 500) -> PictureFolder | LsunPictures:
    """The pictures at a path: LSUN's databases, one zip, or a folder of pictures; listed once.

    Args:
        path: a zip, or a folder; a folder with nothing but one zip of pictures stands for that zip.
        only: see `PictureFolder`.
        held_out: see `PictureFolder.split`.
    Raises:
        ImageError: there is nothing of the kind.
    """
    if path.is_dir():
        categories = sorted(
            {
                found[1]
                for sub in path.iterdir()
                if (found := re.fullmatch(r"(.+)_(?:train|val)_lmdb", sub.name))
            }
        )
        if categories:
            return LsunPictures(path, categories[0])
        inside = [sub for sub in path.iterdir() if not sub.name.startswith(".")]
        if any(sub.name.endswith("_lmdb.zip") for sub in inside):
            raise ImageError(
                f"LSUN's databases in {path} are still zipped; expected folders; unzip them there."
            )
        if len(zips := [sub for sub in inside if sub.suffix == ".zip"]) == 1 and not any(
            sub.is_dir() for sub in inside
        ):
            path = zips[0]
    return PictureFolder(path, only=only, held_out=held_out)


def image_source(
    path: Path, resolution: int, *, only: str = "", held_out: int = 500, cure: str = ""
) -> Callable[[str, int, int], Tensor]:
    """A Domain's `image_source` that looks for its pictures when the first are asked for.

    Args:
        path: see `open_pictures`.
        resolution: R.
        only, held_out: see `PictureFolder`.
        cure: what to do if there is nothing at `path`.
    Returns:
        (split, n, first) -> (n, 3, R, R) in [-1, 1]; raises OfflineError if there is nothing at `path`.
    """

    def images(split: str, n: int, first: int) -> Tensor:
        if not path.exists():
            raise OfflineError(f"There are no pictures at {path}; expected a folder or a zip of them; {cure}")
        return open_pictures(path, only, held_out).read(split, n, first, resolution)

    return images


def _check_range(first: int, n: int, there: int, split: str, path: Path) -> None:
    if first < 0 or n < 1 or first + n > there:
        raise ImageError(
            f"Asked for pictures {first} to {first + n - 1} of {split!r}, there are {there} in {path}; ask for fewer or bring "
            "more."
        )


def _natural(name: str) -> list:
    """Sort key that puts 2.jpg before 10.jpg."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name)]
