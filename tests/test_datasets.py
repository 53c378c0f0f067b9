"""Image sets: each kind is read in one order, split as the original does, and what is no image is named."""

import io
import zipfile

import lmdb
import numpy as np
import pytest
import torch
from PIL import Image

from asyrp_lib.domains.photos import datasets
from asyrp_lib.domains.photos.datasets import ImageFolder, LsunImages, image_source, open_images
from asyrp_lib.errors import AsyrpError, ImageError, OfflineError
from asyrp_lib.store.images import read_image


def picture(shade: int, size=(12, 8), form: str = "PNG") -> bytes:
    """A grey picture whose middle square has one shade and whose margins have another."""
    pixels = np.full((size[1], size[0], 3), 255, np.uint8)
    side = min(size)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    pixels[top : top + side, left : left + side] = shade
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **({"lossless": True} if form == "WEBP" else {}))
    return stream.getvalue()


def fill(folder, shades: dict[str, int]):
    for name, shade in shades.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(shade))
    return folder


def shades(x: torch.Tensor) -> list[int]:
    """The shade of each picture, which must be uniform: the margins were cropped away."""
    values = ((x + 1) * 127.5).round()
    assert (values == values[:, :1, :1, :1]).all()
    return values[:, 0, 0, 0].int().tolist()


def test_a_folder_is_read_in_natural_order_cropped_and_resized(tmp_path):
    fill(tmp_path, {"10.png": 10, "2.png": 2, "1.jpg.png": 1, "sub/3.png": 3})
    (tmp_path / "notes.txt").write_text("not a picture, and nobody said so")
    (tmp_path / ".hidden.png").write_text("what a Mac leaves behind")
    set_ = ImageFolder(tmp_path, held_out=1)
    x = set_.read("train", 3, 0, 4)
    assert x.shape == (3, 3, 4, 4) and x.dtype == torch.float32 and shades(x) == [1, 2, 10]
    assert shades(set_.read("test", 1, 0, 4)) == [3]
    assert shades(set_.read("train", 1, 2, 4)) == [10], "the third alone is the third of three"


def test_the_last_pictures_are_held_out_but_never_most_of_them(tmp_path):
    fill(tmp_path, {f"{i}.png": i for i in range(20)})
    assert len(ImageFolder(tmp_path, held_out=5).split("test")) == 5
    assert ImageFolder(tmp_path, held_out=5).split("test")[0] == "15.png"
    assert len(ImageFolder(tmp_path, held_out=500).split("test")) == 4
    both = [*ImageFolder(tmp_path).split("train"), *ImageFolder(tmp_path).split("test")]
    assert both == [f"{i}.png" for i in range(20)]


def test_folders_called_train_and_val_are_the_splits(tmp_path):
    fill(
        tmp_path,
        {
            "raw_images/train/images/0.png": 1,
            "raw_images/val/images/1.png": 2,
            "raw_images/test/images/2.png": 3,
        },
    )
    assert shades(ImageFolder(tmp_path).read("test", 1, 0, 4)) == [3]
    (tmp_path / "raw_images/test/images/2.png").unlink()
    assert shades(ImageFolder(tmp_path).read("test", 1, 0, 4)) == [2], (
        "without a test split, val is the test split"
    )
    assert shades(ImageFolder(tmp_path).read("train", 1, 0, 4)) == [1]


def test_attribute_lists_of_the_original_are_the_splits_in_their_order(tmp_path):
    fill(tmp_path, {f"{i}.png": i for i in range(5)})
    (tmp_path / "train_attr_list.txt").write_text(
        "3.png 0 0 4 3 \n1.png 5 0 0 1 2 \nmissing.png 0 0 0 0 0 \n"
    )
    (tmp_path / "val_attr_list.txt").write_text("4.png 0 0 0 0 1 \n")
    assert shades(ImageFolder(tmp_path).read("train", 2, 0, 4)) == [3, 1]
    assert shades(ImageFolder(tmp_path).read("test", 1, 0, 4)) == [4]
    (tmp_path / "val_attr_list.txt").write_text("elsewhere.png 0\n")
    with pytest.raises(ImageError, match="None of the 1 images"):
        ImageFolder(tmp_path).split("test")


def test_a_zip_of_the_study_is_read_without_unpacking_and_only_the_dogs(tmp_path):
    with zipfile.ZipFile(tmp_path / "afhq_raw.zip", "w") as archive:
        for i, animal in enumerate(("cat", "dog", "dog", "wild")):
            archive.writestr(f"raw_images/train/images/flickr_{animal}_{i}.png", picture(i))
        archive.writestr("raw_images/test/images/flickr_dog_9.png", picture(9))
        archive.writestr("__MACOSX/raw_images/train/images/._flickr_dog_1.png", b"resource fork")
    for path in (tmp_path / "afhq_raw.zip", tmp_path):
        set_ = open_images(path, "dog")
        assert shades(set_.read("train", 2, 0, 4)) == [1, 2] and shades(set_.read("test", 1, 0, 4)) == [9]
    with pytest.raises(ImageError, match="no image with 'horse'"):
        open_images(tmp_path, "horse")


def lsun(folder, category: str, split: str, contents: list[bytes]) -> None:
    with (
        lmdb.open(str(folder / f"{category}_{split}_lmdb"), map_size=1 << 20) as env,
        env.begin(write=True) as entries,
    ):
        for i, content in enumerate(contents):
            entries.put(f"{i:040x}".encode(), content)


def test_lsun_databases_are_read_in_the_order_of_their_keys(tmp_path):
    lsun(tmp_path, "church_outdoor", "train", [picture(i, form="WEBP") for i in range(4)])
    lsun(tmp_path, "church_outdoor", "val", [picture(9, (8, 20), "WEBP")])
    set_ = open_images(tmp_path)
    assert isinstance(set_, LsunImages)
    assert shades(set_.read("train", 2, 1, 4)) == [1, 2] and shades(set_.read("test", 1, 0, 4)) == [9]
    with pytest.raises(ImageError, match="there are 4"):
        set_.read("train", 3, 2, 4)
    with pytest.raises(ImageError, match="no split 'audit'"):
        set_.read("audit", 1, 0, 4)


def test_an_lsun_entry_that_is_no_picture_and_a_zipped_database_are_named(tmp_path):
    lsun(tmp_path, "bedroom", "train", [b"no picture"])
    with pytest.raises(ImageError, match="bedroom_train_lmdb: entry 0000"):
        open_images(tmp_path).read("train", 1, 0, 4)
    (tmp_path / "zipped").mkdir()
    (tmp_path / "zipped" / "bedroom_val_lmdb.zip").write_bytes(b"")
    with pytest.raises(ImageError, match="still zipped"):
        open_images(tmp_path / "zipped")


def test_without_the_package_lmdb_one_sentence_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "lmdb", None)
    with pytest.raises(AsyrpError, match=r"pip install -e '\.\[lsun\]'"):
        LsunImages(tmp_path, "bedroom")


def test_a_file_that_is_no_picture_is_named(tmp_path):
    fill(tmp_path / "a", {"0.png": 0})
    (tmp_path / "a" / "1.png").write_text("not a picture")
    with pytest.raises(ImageError, match=r"a/1\.png is no image"):
        ImageFolder(tmp_path / "a").read("train", 2, 0, 4)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("x/1.png", b"not a picture")
    with pytest.raises(ImageError, match=r"b\.zip/x/1\.png is no image"):
        ImageFolder(tmp_path / "b.zip").read("train", 1, 0, 4)


def test_a_picture_damaged_inside_a_zip_is_one_sentence(tmp_path):
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("1.png", picture(7))
    whole = (tmp_path / "c.zip").read_bytes()
    (tmp_path / "c.zip").write_bytes(whole.replace(b"IDAT", b"IDAX"))  # the checksum no longer fits
    with pytest.raises(ImageError, match=r"c\.zip is damaged"):
        ImageFolder(tmp_path / "c.zip").read("train", 1, 0, 4)


def test_an_empty_folder_a_broken_zip_and_too_many_pictures_are_one_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="There is no image in"):
        ImageFolder(tmp_path / "empty")
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04 half a zip")
    with pytest.raises(ImageError, match="neither a folder nor a whole zip"):
        ImageFolder(tmp_path / "cut.zip")
    fill(tmp_path / "few", {"0.png": 0})
    for n, first, says in (
        (2, 0, "there are 1 in"),
        (1, 1, "there are 1 in"),
        (1, -1, "first = -1 is not usable"),
        (0, 0, "images n = 0 is not usable"),
    ):
        with pytest.raises(ImageError, match=says):
            ImageFolder(tmp_path / "few").read("train", n, first, 4)
    with pytest.raises(ImageError, match="no split 'audit'"):
        ImageFolder(tmp_path / "few").split("audit")


def test_a_source_without_pictures_says_what_to_do(tmp_path):
    with pytest.raises(OfflineError, match="no images at .*; do this"):
        image_source(tmp_path / "none", 4, cure="do this")("test", 1, 0)


def test_a_photo_is_turned_upright_as_its_camera_says(tmp_path):
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, :4] = 255  # the left half is white ...
    exif = Image.Exif()
    exif[0x0112] = 6  # ... of a camera that was turned: the top half is
    Image.fromarray(pixels).save(tmp_path / "photo.png", exif=exif)
    x = read_image(tmp_path / "photo.png", 8)
    assert (x[0, :, :4] == 1).all() and (x[0, :, 4:] == -1).all()


def zipped(path, name="1.png", content=b"", method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(name, content or picture(7))
    return path


def refused(path, match: str) -> None:
    with pytest.raises(ImageError, match=match) as caught:
        image_source(path, 4, held_out=0)("train", 1, 0)
    assert "\n" not in str(caught.value)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "_LARGEST", 1000)
    bomb = zipped(tmp_path / "bomb.zip", content=bytes(10**6))
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("it was unpacked"))
    refused(bomb, r"bomb\.zip/1\.png has no bytes or more than")


def test_a_zip_entry_that_understates_its_size_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "_LARGEST", 1000)
    bomb, size = zipped(tmp_path / "bomb.zip", content=bytes(10**6)), (10**6).to_bytes(4, "little")
    bomb.write_bytes(bomb.read_bytes().replace(size, (999).to_bytes(4, "little")))
    refused(bomb, "bomb.zip")


def test_zips_that_cannot_be_unpacked_are_one_sentence(tmp_path):
    path = zipped(tmp_path / "locked.zip")
    whole = bytearray(path.read_bytes())
    for start, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        whole[whole.index(start) + flags] |= 1  # encrypted
    path.write_bytes(whole)
    refused(path, "expected a whole zip without a password")
    path = zipped(tmp_path / "odd.zip")
    whole = bytearray(path.read_bytes())
    for start, method in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        whole[whole.index(start) + method] = 97  # WavPack
    path.write_bytes(whole)
    refused(path, "cannot be unpacked")
    path = zipped(tmp_path / "name.zip", "ü.png")
    path.write_bytes(path.read_bytes().replace("ü".encode(), b"\xff\xff"))
    refused(path, "neither a folder nor a whole zip")
    refused(zipped(tmp_path / "outside.zip", "../../1.png"), "There is no image in")


def test_a_list_in_another_encoding_is_one_sentence(tmp_path):
    fill(tmp_path, {"0.png": 0})
    (tmp_path / "train_attr_list.txt").write_bytes("grün.png".encode("latin-1"))
    refused(tmp_path, "no text in UTF-8")


@pytest.mark.parametrize("span", [("test", 2, -1), ("test", 0, 0), ("test", 1.5, 0), ("audit", 1, 0)])
def test_a_source_refuses_an_impossible_span_before_it_looks_for_images(tmp_path, span):
    with pytest.raises(ImageError):
        image_source(tmp_path / "none", 4)(*span)


def test_a_path_that_no_disk_allows_is_one_sentence(tmp_path):
    refused(tmp_path / ("n" * 300), "cannot be read")
