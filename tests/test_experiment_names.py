"""Which edits an experiment takes: its usual ones, in any domain; or those it was told."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from asyrp_lib import api, cli
from asyrp_lib.errors import AsyrpError, DomainError, OfflineError, UnknownNameError, WeightsError
from asyrp_lib.experiments import EXPERIMENTS, composition, measure, shared_trial, store
from asyrp_lib.experiments.rows import COLUMNS, tidy
from asyrp_lib.experiments.trial import Trial
from asyrp_lib.measure.judge import all_trained
from asyrp_lib.store.paths import data_dir


def test_a_domain_without_the_wished_edits_gives_its_own_in_domain_ones_first(toy):
    assert list(toy.trained_like(["smiling"])) == ["green"]
    assert list(toy.trained_like(["smiling", "blue", "old"])) == ["blue", "green", "red"]
    assert list(toy.trained_like(["red", "blue", "smiling", "old", "tanned"])) == ["red", "blue", "green"], (
        "grey has no f_t"
    )


@pytest.mark.parametrize("name", ["linearity", "composition", "boosting"])
def test_experiments_run_where_nothing_smiles(toy, name):
    small = {"linearity": {"strengths": (1,)}, "boosting": {"reference": 4}}.get(name, {})
    found = measure(toy, name, n=3, progress=False, **small)
    assert "green" in json.dumps(found)


def test_compositions_are_two_pairs_and_a_triple_or_what_the_domain_has(toy):
    assert composition.usual_groups(toy) == [("green", "red"), ("green", "blue"), ("green", "red", "blue")]
    del toy.edits["blue"]
    assert composition.usual_groups(toy) == [("green", "red")]
    del toy.edits["red"]
    with pytest.raises(DomainError, match="of 'green' only; expected two"):
        composition.usual_groups(toy)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("linearity", {"names": ["green", "grey"]}),
        ("metrics", {"names": ["green", "grey"]}),
        ("unseen", {"names": ["red", "grey"]}),
        ("robustness", {"name": "grey"}),
        ("composition", {"groups": [["green", "red"], ["green", "grey"]]}),
    ],
)
def test_an_edit_that_was_asked_for_and_has_no_f_t_is_not_left_out(toy, name, given):
    with pytest.raises(WeightsError, match="no f_t of grey"):
        measure(toy, name, n=2, progress=False, **given)


def test_all_trained_are_those_of_the_kind_and_never_others(toy):
    assert list(all_trained(toy, None, in_domain=True)) == ["green"]
    assert list(all_trained(toy, None, in_domain=False)) == ["red", "blue"]
    toy.edits = {"grey": toy.edits["grey"], "red": toy.edits["red"]}
    with pytest.raises(DomainError, match="no f_t of grey"):
        all_trained(toy, None, in_domain=True)


def test_a_trial_makes_everything_once_and_lends_it_to_smaller_ones(toy, monkeypatch):
    asked, images = [], toy.images
    monkeypatch.setattr(toy, "images", lambda *a, **k: asked.append(a) or images(*a, **k))
    trial = Trial(toy, 4)
    few = trial.like(n=2)
    assert torch.equal(few.plain, trial.plain[:2]) and torch.equal(few.x_T, trial.x_T[:2])
    linear = [measure(toy, "linearity", n=2, names=["green"], trial=t, progress=False) for t in (trial, None)]
    assert linear[0] == linear[1] and asked == [("test", 4), ("test", 2)]
    assert trial.like(n=8).larger is None and trial.like(steps=20).larger is None


def test_several_experiments_begin_with_one_inversion_of_the_largest(command, toy, monkeypatch, tmp_path):
    inverted, invert = [], api.invert
    monkeypatch.setattr(api, "invert", lambda *a, **k: inverted.append(len(a[1])) or invert(*a, **k))
    assert command("linearity", "composition", "--images", "3") == 0 and inverted == [3]
    assert {f.stem for f in (tmp_path / "results").glob("*.json")} == {"toy_linearity", "toy_composition"}
    inverted.clear()
    monkeypatch.setattr(
        "asyrp_lib.experiments._defaults", lambda name: {"n": 2 if name == "linearity" else 4}
    )
    trial = shared_trial(toy, ["linearity", "composition"])
    assert trial.n == 4 and len(trial.like(n=2).x_T) == 2 and inverted == [4]


def test_the_bar_of_an_experiment_counts_the_steps_of_all_its_edits(toy, capfd):
    measure(toy, "linearity", n=2, names=["green"], strengths=(1,))
    assert "80/80" in capfd.readouterr().err, "an ETA after the first step needs a bar that counts steps"


def test_a_setting_that_an_experiment_does_not_have_is_named(toy):
    with pytest.raises(
        UnknownNameError, match="'linearity' has no setting colour; known are n, names, strengths"
    ):
        measure(toy, "linearity", colour=1)


@pytest.fixture
def command(toy, monkeypatch, tmp_path):
    """`experiment ARGUMENTS` on the toy domain, with results in a folder of the test's."""
    monkeypatch.setattr("asyrp_lib.domains.load_domain", lambda name, device=None: toy)
    monkeypatch.setattr("asyrp_lib.store.results.data_dir", lambda: tmp_path)
    monkeypatch.setattr("asyrp_lib.store.results.runs_dir", lambda: tmp_path / "runs")
    (tmp_path / "results").mkdir()
    return lambda *arguments: cli.main(["experiment", *arguments])


def test_settings_reach_the_experiment_and_its_provenance(command, tmp_path):
    assert command("linearity", "--images", "2", "--set", 'names=["red"]', "--set", "strengths=[1]") == 0
    result = json.loads((tmp_path / "results" / "toy_linearity.json").read_text())
    assert list(result["data"]["edits"]) == ["red"]
    assert result["provenance"]["settings"] == {"domain": "toy", "n": 2, "names": ["red"], "strengths": [1]}


def test_a_result_is_replaced_only_when_asked_and_never_by_fewer_images(command, toy, tmp_path):
    run = lambda **how: store(toy, "linearity", names=["green"], strengths=[1], progress=False, **how)
    shipped = run(n=3)
    assert shipped == tmp_path / "results" / "toy_linearity.json" and run(n=4).parent.parent.name == "runs"
    with pytest.raises(AsyrpError, match="measured on 3 images; 2 cannot replace"):
        run(n=2, replace=True)
    assert json.loads(shipped.read_text())["provenance"]["settings"]["n"] == 3
    assert run(n=4, replace=True) == shipped
    assert {"unet", "clip", "f_t green"} == set(json.loads(shipped.read_text())["provenance"]["digests"])


@pytest.mark.parametrize("name", ["linearity", "composition", "intervals", "unseen"])
def test_one_image_gives_a_result_without_nan_and_its_rows(command, toy, name):
    small = {"linearity": {"strengths": (1,)}, "intervals": {"grids": (20,), "n_long": 0}}.get(name, {})
    file = store(toy, name, n=1, progress=False, **small)
    table = pd.read_csv(file.with_suffix(".csv"))
    assert tuple(table) == COLUMNS and len(table) and table["value"].notna().all()
    assert not table.duplicated(list(COLUMNS[:-1])).any()


def test_the_rows_hold_every_number_of_a_stored_result_and_lie_beside_it():
    for name in EXPERIMENTS:
        file = data_dir() / "results" / f"synthfaces_{name}.json"
        table = tidy(name, "synthfaces", json.loads(file.read_text())["data"])
        written = pd.read_csv(file.with_suffix(".csv"))
        assert len(table) == len(written) and (table["value"] == written["value"]).all(), name
        assert not table.duplicated(list(COLUMNS[:-1])).any(), name
    table = table[table["edit"] == "smiling"].set_index(["strength", "score"])["value"]
    assert table[1.0, "S_dir mean"] == 0.4854  # metrics, by hand


def test_a_setting_that_is_no_json_is_one_sentence(command, capsys):
    assert command("linearity", "--set", "names=[red]") == 2
    assert "expected NAME=JSON" in capsys.readouterr().err


def test_all_leaves_out_what_the_domain_cannot_do_and_missing_takes_what_is_left(
    command, monkeypatch, capsys
):
    def store(domain, name, **settings):
        if name == "unseen":
            raise DomainError("no unseen edit")
        if name == "reach" or nothing:
            raise DomainError("no true targets")
        if offline:
            raise OfflineError("no CLIP")
        ran.append(name)
        return name

    monkeypatch.setattr("asyrp_lib.experiments.store", store)
    ran, rest = [], [name for name in EXPERIMENTS if name not in ("unseen", "reach")]
    nothing, offline = [], []
    assert command("all") == 0 and ran == rest
    said = capsys.readouterr().err
    assert "left out unseen: no unseen edit\nleft out reach: no true targets\n" in said
    monkeypatch.setattr(
        "asyrp_lib.store.results.result_file",
        lambda name: Path("/" if name.removeprefix("toy_") in rest[2:] else "/no such file"),
    )
    ran.clear()
    assert command("missing") == 0 and ran == rest[:2]
    assert command("unseen") == 2, "what was asked for by name is not left out"
    offline.append(True)
    assert command("missing") == 2 and "error: no CLIP" in capsys.readouterr().err, (
        "what a network would cure is no reason to leave it out"
    )
    nothing.append(True)
    assert command("all") == 2 and "error: no true targets" in capsys.readouterr().err, (
        "nothing at all was done"
    )
