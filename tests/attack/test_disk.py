"""Full disks, folders that may not be written to: a sentence before long work, nothing half-written."""

import os
import shutil
import subprocess
import time

import pytest
import torch
from toys import ToyClip, randn, tiny_model

import asyrp_lib as al
from asyrp_lib.runs.run import RunConfig, config_for, place_for, train_run
from asyrp_lib.store import results
from asyrp_lib.store.weights import save_weights

from .tally import attack
from .test_cli import place, run  # noqa: F401, a fixture

BIG = torch.zeros(400_000)  # 1.6 MB


@pytest.fixture
def full(tmp_path):
    """A disk of 1 MB with 4 KB left."""
    folder = tmp_path / "full"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", str(folder)]
    if (
        os.name == "nt"
        or not shutil.which("mount")
        or subprocess.run(command, capture_output=True).returncode
    ):
        pytest.skip("no small disk can be mounted here: that takes root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder) -> None:
    """Leave no room."""
    with open(folder / "filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def left(folder):
    return sorted(file.name for file in folder.rglob("*") if file.is_file() and file.name != "filler")


WRITERS = {
    "image": lambda path: al.write_image(path, randn(3, 8, 8)),
    "weights": lambda path: save_weights(path, {"w": BIG}, {}),
    "delta": lambda path: al.save_delta(path, al.GlobalDelta(BIG.reshape(4, 100, 1000)), {}),
    "network": lambda path: tiny_model("embedded").save(path, {}),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk(full, writer):
    fill(full)
    attack("disk", lambda: WRITERS[writer](full / "out.bin"))
    assert not left(full)


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("kind", ["folder", "long name", "file as folder", "device", "proc"])
def test_places_that_cannot_be_written(writer, kind, tmp_path):
    (tmp_path / "file").write_text("here")
    path = {
        "folder": tmp_path,
        "long name": tmp_path / ("a" * 300),
        "file as folder": tmp_path / "file" / "x",
        "device": "/dev/null",
        "proc": "/proc/asyrp/x",
    }[kind]
    attack("disk", lambda: WRITERS[writer](path))
    assert left(tmp_path) == ["file"] and (tmp_path / "file").read_text() == "here"


@pytest.mark.skipif(os.name == "nt", reason="other permissions")
def test_results_on_a_full_disk(full, monkeypatch):
    monkeypatch.setattr(results, "data_dir", lambda: full)
    monkeypatch.setattr(results, "runs_dir", lambda: full)
    fill(full)
    big = {"x": ["y" * 1000] * 3000}
    attack("disk", lambda: results.save_result("r", big, {}, started=time.monotonic()))
    assert not left(full)


@pytest.mark.parametrize("out", ["FOLDER", "FILE/x.png", "FOLDER/" + "a" * 300, "/dev/null", "/proc/nope/x"])
@pytest.mark.parametrize("command", ["edit --out", "edit --sheet", "invert --out", "train --out"])
def test_the_command_line_says_so_before_its_work(place, toy, monkeypatch, command, out):  # noqa: F811
    import asyrp_lib.api

    def never(*_, **__):
        raise RuntimeError("the work began before the place was looked at")

    monkeypatch.setattr(asyrp_lib.api, "invert", never)
    monkeypatch.setattr("asyrp_lib.runs.run.train_run", never)
    (place / "file").write_text("here")
    out = out.replace("FOLDER", str(place)).replace("FILE", str(place / "file"))
    name, option = command.split()
    words = {
        "edit": ["edit", "test:0", "--edit", "red"],
        "invert": ["invert", "test:0"],
        "train": ["train", "green", "--t-edit", "500"],
    }[name]
    attack("disk", lambda: run([*words, option, out]))
    assert left(place) == ["file"]


def test_a_full_disk_ends_a_training_before_it_starts(full, toy):
    toy.unet, toy.clip = tiny_model(), ToyClip(16)
    toy.image_source = lambda split, n, first: pytest.fail("the images were asked for")
    fill(full)
    config = RunConfig("toy", al.Edit("green", "face", "green face", t_edit=500), images=1)
    attack("disk", lambda: train_run(config, toy, root=full, progress=False))
    assert "state.pt" not in left(full)


def test_a_cache_that_is_full_costs_no_result(full, toy, monkeypatch):
    monkeypatch.setenv("ASYRP_CACHE", str(full))
    toy.unet = tiny_model()
    fill(full)
    x = randn(1, 3, 16, 16) / 4
    with pytest.warns(UserWarning, match="not kept"):
        attack("disk", lambda: al.invert(toy, x, steps=2, progress=False), "small")


def test_a_file_that_is_there_is_kept(toy, tmp_path):
    out = tmp_path / "f.safetensors"
    out.write_text("mine")
    config = config_for(toy, "green", t_edit=500)
    attack("disk", lambda: place_for(toy, config, out))
    assert out.read_text() == "mine"
