"""Weight files: what is saved comes back; whatever else lies there is refused in a sentence."""

import json
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from asyrp_lib.deltas import load_delta
from asyrp_lib.errors import FileError, WeightsError
from asyrp_lib.method.hspace import HSpaceUNet
from asyrp_lib.store import weights
from asyrp_lib.store.files import lock
from asyrp_lib.store.paths import data_dir
from asyrp_lib.store.weights import load_strictly, read_weights, save_weights

ROOT = Path(__file__).resolve().parent.parent


def test_weights_round_trip_with_their_configuration(tmp_path):
    layer = torch.nn.Linear(3, 2)
    save_weights(tmp_path / "w.safetensors", layer.state_dict(), {"config": {"n": 3}, "name": "ü"})
    state, config = read_weights(tmp_path / "w.safetensors")
    assert config == {"config": {"n": 3}, "name": "ü"}
    assert all(torch.equal(state[k], v) for k, v in layer.state_dict().items())


def test_float16_comes_back_as_float32_and_whole_numbers_as_they_are(tmp_path):
    state = {"a": torch.tensor([0.5, -1.25]), "n": torch.tensor([3])}
    save_weights(tmp_path / "w", state, {}, dtype=torch.float16)
    back, _ = read_weights(tmp_path / "w")
    assert back["a"].dtype == torch.float32 and torch.equal(back["a"], state["a"])
    assert back["n"].dtype == torch.int64


@pytest.mark.parametrize(
    "change, sentence",
    [
        (lambda s: s.pop("bias"), "lacks the tensor 'bias'"),
        (lambda s: s.update(extra=torch.zeros(1)), "tensor 'extra'"),
        (lambda s: s.update(weight=torch.zeros(3, 3)), r"'weight' has shape \(3, 3\), expected \(2, 3\)"),
    ],
)
def test_a_missing_extra_or_misshapen_tensor_is_named(change, sentence):
    layer = torch.nn.Linear(3, 2)
    before = {k: v.clone() for k, v in layer.state_dict().items()}
    state = {k: v + 1 for k, v in before.items()}
    change(state)
    with pytest.raises(WeightsError, match=sentence):
        load_strictly(layer, state, "file")
    assert all(torch.equal(layer.state_dict()[k], v) for k, v in before.items())


def test_a_missing_weight_file_says_what_to_do(tmp_path):
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(WeightsError, match="No weights at"):
            read_weights(path)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_tensor_that_is_not_finite_is_neither_saved_nor_read(tmp_path, bad):
    state = {"good": torch.zeros(3), "bad": torch.tensor([0.0, bad])}
    with pytest.raises(WeightsError, match="'bad'.*NaN or infinity"):
        save_weights(tmp_path / "w", state, {})
    assert list(tmp_path.iterdir()) == []
    weights.save_file(state, tmp_path / "w")
    with pytest.raises(WeightsError, match="'bad'.*NaN or infinity"):
        read_weights(tmp_path / "w")


def test_what_overflows_in_float16_is_not_saved(tmp_path):
    with pytest.raises(WeightsError, match="'a'.*NaN or infinity"):
        save_weights(tmp_path / "w", {"a": torch.tensor([1e6])}, {}, dtype=torch.float16)


def test_an_f_t_with_nan_does_not_load(tmp_path):
    shipped = data_dir() / "directions" / "synthfaces" / "smiling.safetensors"
    with weights.safe_open(shipped, framework="pt") as file:
        state, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    first = next(name for name, t in state.items() if t.is_floating_point())
    state[first].view(-1)[0] = float("nan")
    weights.save_file(state, tmp_path / "nan.safetensors", metadata=metadata)
    with pytest.raises(WeightsError, match=first):
        load_delta(tmp_path / "nan.safetensors")


def blob(header, body: bytes = b"", size: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + body


def entry(shape, offsets, dtype="F32"):
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


def about(text):
    return {"__metadata__": {"config": text}, **entry([1], [0, 4])}


HOSTILE = {
    "empty": b"",
    "text": b"not a file of weights",
    "zeros": bytes(64),
    "header longer than the file": blob(entry([1], [0, 4]), bytes(4), size=10**6),
    "header of 2^63 bytes": blob(entry([1], [0, 4]), bytes(4), size=2**63),
    "header of 2^64 - 1 bytes": blob(entry([1], [0, 4]), bytes(4), size=2**64 - 1),
    "body cut": blob(entry([4], [0, 16]), bytes(15)),
    "body too long": blob(entry([4], [0, 16]), bytes(17)),
    "a tensor of a terabyte": blob(entry([2**38], [0, 2**40]), bytes(16)),
    "shape larger than its bytes": blob(entry([2**38], [0, 16]), bytes(16)),
    "sizes that overflow": blob(entry([2**32, 2**32, 2**32], [0, 16]), bytes(16)),
    "a dimension beyond int64": blob(entry([0, 2**64 - 1], [0, 0])),
    "a negative shape": blob(entry([-4], [0, 16]), bytes(16)),
    "offsets backwards": blob(entry([4], [16, 0]), bytes(16)),
    "an unknown type": blob(entry([4], [0, 16], "F99"), bytes(16)),
    "a header that is a list": blob([1, 2]),
    "a deep header": blob(b"[" * 100_000),
    "metadata that is no JSON": blob(about("{"), bytes(4)),
    "metadata that is a number": blob({"__metadata__": {"config": 3}, **entry([1], [0, 4])}, bytes(4)),
    "metadata that is deep": blob(about("[" * 100_000), bytes(4)),
    "metadata with a number of 10,000 digits": blob(about("1" * 10_000), bytes(4)),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_one_sentence_and_costs_no_memory(tmp_path, what):
    path = tmp_path / "w.safetensors"
    path.write_bytes(HOSTILE[what])
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WeightsError, match="damaged or no safetensors file") as caught:
        read_weights(path)
    assert len(str(caught.value)) < 600
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_a_huge_shape_without_a_number_in_it_costs_nothing_and_fits_no_network(tmp_path):
    (tmp_path / "w").write_bytes(blob(entry([0, 2**62, 2**62], [0, 0])))
    with pytest.raises(WeightsError, match="lacks|has a tensor"):
        load_strictly(torch.nn.Linear(1, 1), read_weights(tmp_path / "w")[0], "w")


# ---- the list of what is shipped


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data folder with two listed files."""
    monkeypatch.setattr(weights, "data_dir", lambda: tmp_path / "data")
    for kind, name in (("weights", "net"), ("directions", "smile")):
        path = tmp_path / "data" / kind / "synthfaces" / f"{name}.safetensors"
        save_weights(path, {"a": torch.arange(100.0)}, {})
    list_shipped(tmp_path / "data")
    return tmp_path / "data"


def list_shipped(data):
    """As the docstring of `store.weights` says."""
    command = "sha256sum {weights,directions}/synthfaces*/*.safetensors > SHA256SUMS"
    assert f"`{command}`" in weights.__doc__
    subprocess.run(["bash", "-c", command], cwd=data, check=True)


def listing(data):
    return dict(reversed(line.split("  ")) for line in (data / "SHA256SUMS").read_text().splitlines())


def test_every_shipped_weight_file_is_listed_and_is_what_the_list_says():
    done = subprocess.run(
        ["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"],
        cwd=ROOT / "data",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    files = [*(ROOT / "data" / "weights" / "synthfaces").glob("*.safetensors")]
    files += (ROOT / "data" / "directions" / "synthfaces").glob("*.safetensors")
    assert sorted(listing(ROOT / "data")) == sorted(f.relative_to(ROOT / "data").as_posix() for f in files)


def test_every_shipped_f_t_is_bound_to_the_shipped_unet():
    unet = HSpaceUNet.from_pretrained(ROOT / "data" / "weights" / "synthfaces" / "ddpm.safetensors")
    files = [*(ROOT / "data" / "directions" / "synthfaces").glob("*.safetensors")]
    assert files and {load_delta(file).unet_digest for file in files} == {unet.digest()}
    assert unet.to_precision("bf16").digest() == unet.digest()


@pytest.mark.parametrize(
    "name", ["weights/synthfaces/net.safetensors", "directions/synthfaces/smile.safetensors"]
)
def test_flipped_bytes_in_a_shipped_file_are_found(data, name):
    read_weights(data / name)
    whole = (data / name).read_bytes()
    (data / name).write_bytes(whole[:-40] + bytes(b ^ 1 for b in whole[-40:]))
    with pytest.raises(WeightsError, match="not what was shipped"):
        read_weights(data / name)
    (data / name).write_bytes(whole)
    read_weights(data / name)


def test_a_shipped_file_is_hashed_once(data, monkeypatch):
    path = data / "weights" / "synthfaces" / "net.safetensors"
    os.utime(path, (1, 1))
    read_weights(path)
    monkeypatch.setattr(weights.hashlib, "file_digest", lambda *_: pytest.fail("hashed again"))
    read_weights(path)
    read_weights(data / "weights" / ".." / "weights" / "synthfaces" / "net.safetensors")


def test_saving_over_a_listed_file_keeps_the_list_and_other_files_stay_out_of_it(data, tmp_path):
    path = data / "weights" / "synthfaces" / "net.safetensors"
    before = listing(data)
    save_weights(path, {"a": torch.ones(5)}, {})
    after = listing(data)
    assert before["weights/synthfaces/net.safetensors"] != after["weights/synthfaces/net.safetensors"]
    assert len((data / "SHA256SUMS").read_text().splitlines()) == 2
    assert torch.equal(read_weights(path)[0]["a"], torch.ones(5))
    for other in (path.with_name("own.safetensors"), tmp_path / "net.safetensors"):
        save_weights(other, {"a": torch.ones(5)}, {})
        read_weights(other)
    assert listing(data) == after
    list_shipped(data)
    assert len(listing(data)) == 3


def test_a_save_killed_before_or_after_the_replacement_leaves_a_file_that_loads(data):
    path = data / "weights" / "synthfaces" / "net.safetensors"
    program = """
import os, signal, sys, torch
from pathlib import Path
from asyrp_lib.store import weights
data, when = Path(sys.argv[1]), sys.argv[2]
weights.data_dir = lambda: data
replace = os.replace
def dying(source, target):
    if Path(target).name == "net.safetensors":
        if when == "after":
            replace(source, target)
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
os.replace = dying
weights.save_weights(data / "weights/synthfaces/net.safetensors", {"a": torch.ones(5)}, {})
"""
    for when, size in (("before", 100), ("after", 5)):
        done = subprocess.run([sys.executable, "-c", program, str(data), when], cwd=ROOT)
        assert done.returncode == -signal.SIGKILL
        assert len(read_weights(path)[0]["a"]) == size
    save_weights(path, {"a": torch.ones(7)}, {})
    assert len((data / "SHA256SUMS").read_text().splitlines()) == 2


def test_a_save_that_fails_leaves_file_and_list(data, monkeypatch):
    path = data / "weights" / "synthfaces" / "net.safetensors"

    def full(source, target):
        if Path(target).name == "net.safetensors":
            raise OSError(28, "No space left on device")
        os.rename(source, target)

    monkeypatch.setattr("asyrp_lib.store.files.os.replace", full)
    with pytest.raises(FileError, match="No space"):
        save_weights(path, {"a": torch.ones(5)}, {})
    assert len(read_weights(path)[0]["a"]) == 100


@pytest.mark.parametrize("text", [b"", b"\xff\xfe\x00", b"one\ntwo  three\n"])
def test_a_list_that_is_damaged_or_missing_stops_nothing(data, text):
    path = data / "weights" / "synthfaces" / "net.safetensors"
    (data / "SHA256SUMS").write_bytes(text)
    read_weights(path)
    save_weights(path, {"a": torch.ones(5)}, {})
    (data / "SHA256SUMS").unlink()
    read_weights(path)


def test_the_list_has_one_writer_at_a_time(data, monkeypatch):
    def impatient(path, *, wait):
        return lock(path, wait=0.1)

    monkeypatch.setattr(weights, "lock", impatient)
    with lock(data / "SHA256SUMS"), pytest.raises(FileError, match="in use by"):
        save_weights(data / "weights" / "synthfaces" / "net.safetensors", {"a": torch.ones(5)}, {})
