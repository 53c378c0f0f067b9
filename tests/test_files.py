"""Files and results: the old one or the new one, never half of one; and every result says what made it."""

import json
import signal
import subprocess
import sys

import pytest
import torch

from asyrp_lib.errors import WeightsError
from asyrp_lib.store import results
from asyrp_lib.store.files import atomic_write
from asyrp_lib.store.weights import load_strictly, read_weights, save_weights


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(target) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError("killed")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_process_killed_between_write_and_replace_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    program = (
        "import os, signal, sys\nfrom asyrp_lib.store.files import atomic_write\n"
        "with atomic_write(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('new')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(target)])
    assert killed.returncode == -signal.SIGKILL
    assert target.read_text() == "old"
    with atomic_write(target) as temporary:  # what the killed one left behind is in nobody's way
        temporary.write_text("newer")
    assert target.read_text() == "newer"


def test_a_write_that_ends_replaces_the_file(tmp_path):
    with atomic_write(tmp_path / "new" / "a.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "new" / "a.txt").read_text() == "new"


def test_weights_round_trip_with_their_configuration(tmp_path):
    layer = torch.nn.Linear(3, 2)
    save_weights(tmp_path / "w.safetensors", layer.state_dict(), {"config": {"n": 3}, "name": "ü"})
    state, config = read_weights(tmp_path / "w.safetensors")
    assert config == {"config": {"n": 3}, "name": "ü"}
    assert all(torch.equal(state[k], v) for k, v in layer.state_dict().items())


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
    state = {k: v.clone() for k, v in layer.state_dict().items()}
    change(state)
    with pytest.raises(WeightsError, match=sentence):
        load_strictly(layer, state, "file")


def test_a_missing_weight_file_says_what_to_do(tmp_path):
    with pytest.raises(WeightsError, match="No weights at"):
        read_weights(tmp_path / "none.safetensors")


def test_a_result_says_what_made_it_and_a_missing_one_how_to_make_it(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "data_dir", lambda: tmp_path)
    results.save_result("trial", {"x": 1}, {"seed": 7}, started=0.0)
    stored = results.load_result("trial", "make trial")
    assert stored["data"] == {"x": 1} and stored["provenance"]["settings"] == {"seed": 7}
    assert {"commit", "date", "device", "cpus", "versions", "seconds"} <= set(stored["provenance"])
    assert stored["provenance"]["versions"]["torch"] in results.origin(stored)
    with pytest.raises(WeightsError, match="make other"):
        results.load_result("other", "make other")
    for damaged in (json.dumps(stored)[:50].encode(), b"\xff\xfe\x00"):
        (tmp_path / "results" / "trial.json").write_bytes(damaged)
        with pytest.raises(WeightsError, match="damaged"):
            results.load_result("trial", "make trial")


def test_a_result_can_be_stored_where_git_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "data_dir", lambda: tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    results.save_result("trial", {"x": 1}, {}, started=0.0)
    assert results.load_result("trial", "make trial")["provenance"]["commit"] == "no git"


def test_a_result_that_json_cannot_express_leaves_the_stored_one(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "data_dir", lambda: tmp_path)
    results.save_result("trial", {"x": 1}, {}, started=0.0)
    with pytest.raises(TypeError):
        results.save_result("trial", {"x": torch.ones(1)}, {}, started=0.0)
    assert results.load_result("trial", "make trial")["data"] == {"x": 1}
