"""Results: each says what made it, none is lost without being asked for, and none holds what is no number."""

import json
import subprocess
from pathlib import Path

import pytest
import torch

from asyrp_lib.errors import AsyrpError, WeightsError
from asyrp_lib.experiments.rows import numbers
from asyrp_lib.store import results

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "data_dir", lambda: tmp_path / "data")
    monkeypatch.setattr(results, "runs_dir", lambda: tmp_path / "runs")


def save(data=None, name="trial", **more):
    return results.save_result(name, {"x": 1} if data is None else data, {"seed": 7}, started=0.0, **more)


def test_a_result_says_what_made_it_and_a_missing_one_how_to_make_it():
    save(device="cpu", digests={"unet": "abc"})
    stored = results.load_result("trial", "make trial")
    p = stored["provenance"]
    assert stored["data"] == {"x": 1} and p["settings"] == {"seed": 7} and p["digests"] == {"unet": "abc"}
    assert {"commit", "date", "device", "cpus", "versions", "seconds"} <= set(p)
    assert p["versions"]["torch"] in results.origin(stored)
    with pytest.raises(WeightsError, match="make other"):
        results.load_result("other", "make other")


def test_the_device_is_the_one_that_was_used(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: f"card {device.index}")
    assert "card" not in results.provenance({}, 1.0, device="cpu")["device"]
    assert results.provenance({}, 1.0, device=torch.device("cuda:1"))["device"] == "card 1"


def test_a_result_can_be_stored_where_git_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    save()
    assert results.load_result("trial", "make trial")["provenance"]["commit"] == "no git"


def git(folder, *command):
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    return subprocess.run(
        ["git", *identity, *command], cwd=folder, capture_output=True, text=True, check=True
    )


@pytest.mark.parametrize("file", ["asyrp_lib/a.py", "notebooks/n.ipynb", "notebooks/run_all.py"])
def test_uncommitted_changes_are_those_of_all_code(tmp_path, monkeypatch, file):
    root = tmp_path / "checkout"
    monkeypatch.setattr(results, "repo_root", lambda: root)
    monkeypatch.setattr(results, "in_checkout", lambda: True)
    for name in ("asyrp_lib/a.py", "notebooks/n.ipynb", "notebooks/run_all.py", "README.md"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("1")
    git(tmp_path, "init", "-q", str(root))
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    (root / "README.md").write_text("2")
    assert results.provenance({}, 1.0)["uncommitted_changes"] is False
    (root / file).write_text("2")
    assert results.provenance({}, 1.0)["uncommitted_changes"] is True
    assert len(results.provenance({}, 1.0)["commit"]) == 40


def test_the_commit_of_a_repository_around_the_archive_is_not_ours(tmp_path, monkeypatch):
    git(tmp_path, "init", "-q")
    (tmp_path / "a").write_text("")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "of somebody else")
    root = tmp_path / "archive"
    root.mkdir()
    monkeypatch.setattr(results, "repo_root", lambda: root)
    monkeypatch.setattr(results, "in_checkout", lambda: True)
    assert results.provenance({}, 1.0)["commit"] == "no git"


@pytest.mark.parametrize(
    "data, key",
    [
        ({"a": float("nan")}, "data.a is nan"),
        ({"a": [{"b": [1.0, float("inf")]}]}, r"data.a\[0\].b\[1\] is inf"),
        ({"a": torch.ones(1)}, "data.a is Tensor"),
        ({"a": {1, 2}}, "data.a is set"),
    ],
)
def test_what_is_no_number_is_refused_by_its_key_and_leaves_the_stored_one(data, key):
    save()
    with pytest.raises(AsyrpError, match=key):
        save(data, replace=True)
    with pytest.raises(AsyrpError, match="digests"):
        save(digests={"unet": float("nan")}, replace=True)
    assert results.load_result("trial", "make trial")["data"] == {"x": 1}


def test_a_stored_result_is_replaced_only_when_asked(tmp_path):
    assert save({"n": 1000}) == tmp_path / "data" / "results" / "trial.json"
    assert save({"n": 1}) == tmp_path / "runs" / "results" / "trial.json"
    assert results.load_result("trial", "")["data"] == {"n": 1000}
    assert save({"n": 2000}, replace=True) == tmp_path / "data" / "results" / "trial.json"
    assert results.load_result("trial", "")["data"] == {"n": 2000}


def test_an_installed_package_never_writes_into_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "in_checkout", lambda: False)
    for replace in (False, True):
        assert save(replace=replace) == tmp_path / "runs" / "results" / "trial.json"
    assert results.load_result("trial", "")["data"] == {"x": 1}
    assert results.load_result("trial", "")["provenance"]["commit"] == "no git"
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", ["../weights/synthfaces/oracle", "a/../../b", "/tmp/a"])
def test_a_name_that_leads_elsewhere_is_refused(name):
    with pytest.raises(AsyrpError, match="leads out of"):
        save(name=name)
    with pytest.raises(AsyrpError, match="leads out of"):
        results.load_result(name, "")


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[:50],
        lambda whole: b"",
        lambda whole: b"\xff\xfe\x00",
        lambda whole: b"[" * 100_000,
        lambda whole: b'{"a":' * 100_000,
        lambda whole: b"[]",
        lambda whole: b"3",
        lambda whole: b"null",
        lambda whole: b"1" * 10_000,
        lambda whole: json.dumps({"data": {}}).encode(),
        lambda whole: json.dumps({"data": {}, "provenance": {}}).encode(),
        lambda whole: json.dumps({"data": {}, "provenance": []}).encode(),
        lambda whole: json.dumps({"provenance": json.loads(whole)["provenance"]}).encode(),
        lambda whole: whole.replace(b'"seconds": ', b'"seconds": "x", "s": '),
        lambda whole: whole.replace(b'"x": 1', b'"x": NaN'),
    ],
)
def test_a_damaged_result_is_one_sentence(damage):
    path = save()
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(WeightsError, match="missing or damaged.*`make trial`"):
        results.load_result("trial", "make trial")


def test_a_folder_in_the_place_of_a_result_is_one_sentence(tmp_path):
    (tmp_path / "data" / "results" / "trial.json").mkdir(parents=True)
    with pytest.raises(WeightsError, match="damaged"):
        results.load_result("trial", "make trial")


def test_every_shipped_result_loads(monkeypatch):
    monkeypatch.setattr(results, "data_dir", lambda: ROOT / "data")
    folder = ROOT / "data" / "results"
    names = [f.relative_to(folder).with_suffix("").as_posix() for f in folder.rglob("*.json")]
    assert names
    for name in names:
        assert results.origin(results.load_result(name, "")).startswith("computed in")


def test_words_that_are_values_stay_words():
    rows = numbers({"S_dir": 0.5}, edit="smiling", seed=0).assign(begin=["None"], norm=["NA"])
    results.save_rows("grid", rows, {}, started=0.0)
    read, _ = results.load_rows("grid", "make grid")
    assert read.loc[0, ["begin", "norm"]].tolist() == ["None", "NA"] and read["image"].isna().all()
