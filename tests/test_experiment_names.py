"""What holds for every experiment: settings, rows, which edits it takes, and how results are stored."""

import inspect
import json
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
import torch
from toy_domain import ones_for_h, toy_cut

from asyrp_lib import api, cli, experiments
from asyrp_lib.errors import AsyrpError, DomainError, OfflineError, UnknownNameError, WeightsError
from asyrp_lib.experiments import EXPERIMENTS, measure, shared_trial, store, stored
from asyrp_lib.experiments.rows import COLUMNS, joined, numbers
from asyrp_lib.experiments.trial import Trial
from asyrp_lib.measure.judge import all_trained
from asyrp_lib.store import results

#: They train f_t, for which the toy's known ε is no network; their own tests run them on a small one.
TRAINING = {"settings", "asymmetry", "homogeneity", "places", "reach", "intervals", "heads", "reference"}
#: No edit takes part, or a fit or people, whom the toy has not; they have their own tests.
OTHERS = {"world", "inversion", "fit", "choice", "bias"}
RUN = [name for name in EXPERIMENTS if name not in TRAINING | OTHERS]
#: Settings that keep an experiment on the toy domain short, where its defaults do not.
SMALL = {
    "linearity": {"strengths": (1,)},
    "robustness": {"strengths": (1,), "lengths": {"Δh": 0.03, "Δε": 0.06}},
    "consistency": {"n_train": 2},
    "final": {"n": 2, "half": ()},  # one image has no Fréchet distance
    "boosting": {"reference": 4},
}


def run(toy, name: str, **settings) -> pd.DataFrame:
    return measure(toy, name, progress=False, **{**SMALL.get(name, {}), **settings})


@pytest.fixture
def toy(toy, monkeypatch):
    """With an h that is not 0, as lengths are compared with it, and an ε that can be shifted."""
    ones_for_h(toy.unet, monkeypatch)
    monkeypatch.setattr("asyrp_lib.experiments.robustness.Cut", toy_cut)
    return toy


def test_a_domain_without_the_wished_edits_gives_its_own_in_domain_ones_first(toy):
    assert list(toy.trained_like(["smiling"])) == ["green"]
    assert list(toy.trained_like(["smiling", "blue", "old"])) == ["blue", "green", "red"]
    assert list(toy.trained_like(["red", "blue", "smiling", "old", "tanned"])) == ["red", "blue", "green"], (
        "grey has no f_t"
    )


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_has_the_settings_that_all_share_and_says_what_it_measures(name):
    module = import_module(f"asyrp_lib.experiments.{name}")
    settings = inspect.signature(module.measure).parameters
    assert list(settings)[0] == "domain" and {"n", "trial", "progress"} < set(settings)
    assert all(p.kind is p.KEYWORD_ONLY for key, p in settings.items() if key != "domain")
    assert settings["n"].default > 0 and settings["trial"].default is None
    assert settings["progress"].default is True
    assert module.__doc__ and "Returns:" in module.measure.__doc__ and EXPERIMENTS[name].endswith("?")


@pytest.mark.parametrize("name", RUN)
def test_experiments_run_where_nothing_smiles_and_no_number_is_there_twice(toy, name):
    rows = run(toy, name, n=3)
    assert tuple(rows) == COLUMNS and len(rows) and rows["value"].notna().all()
    assert (rows["value"].abs() < float("inf")).all() and rows["score"].notna().all()
    assert not rows.duplicated(list(COLUMNS[:-1])).any()
    assert set(rows["edit"].dropna()) <= {"green", "red", "blue"} and rows["edit"].notna().any()


@pytest.mark.parametrize("name", RUN)
def test_an_edit_that_was_asked_for_and_has_no_f_t_is_not_left_out(toy, name):
    with pytest.raises(WeightsError, match="no f_t of grey"):
        run(toy, name, n=2, names=["green", "grey"])


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
    lent, own = (run(toy, "linearity", n=2, names=["green"], trial=t) for t in (trial, None))
    pd.testing.assert_frame_equal(lent, own, rtol=1e-4, atol=1e-5)
    assert asked == [("test", 4), ("test", 2)]
    assert trial.like(n=8).larger is None and trial.like(steps=20).larger is None
    assert trial.like(split="train").larger is None


@pytest.mark.parametrize("name", RUN)
def test_an_experiment_takes_the_images_it_is_lent(toy, monkeypatch, name):
    trial = Trial(toy, 4)
    trial.plain  # noqa: B018, made here
    asked, images = [], toy.images
    monkeypatch.setattr(toy, "images", lambda *a, **k: asked.append(a[0]) or images(*a, **k))
    run(toy, name, n=3, trial=trial)
    assert "test" not in asked


def test_several_experiments_begin_with_one_inversion_of_the_largest(command, toy, monkeypatch, tmp_path):
    inverted, invert = [], api.invert
    monkeypatch.setattr(api, "invert", lambda *a, **k: inverted.append(len(a[1])) or invert(*a, **k))
    assert command("linearity", "composition", "--images", "3") == 0 and inverted == [3]
    assert {f.stem for f in (tmp_path / "results").glob("*.json")} == {"toy_linearity", "toy_composition"}
    inverted.clear()
    trial = shared_trial(toy, ["composition", "linearity"])
    assert trial.n == 20 and len(trial.like(n=2).x_T) == 2 and inverted == [20]


def test_the_bar_of_an_experiment_counts_the_steps_of_all_its_edits(toy, capfd):
    measure(toy, "linearity", n=2, names=["green"], strengths=(1,))
    assert "160/160" in capfd.readouterr().err, "an ETA after the first step needs a bar that counts steps"


def test_a_setting_that_an_experiment_does_not_have_is_named(toy):
    with pytest.raises(
        UnknownNameError, match="'linearity' has no setting colour; known are n, names, strengths"
    ):
        measure(toy, "linearity", colour=1)
    with pytest.raises(UnknownNameError, match="Unknown experiment 'lines'; known are settings"):
        measure(toy, "lines")


@pytest.fixture
def command(toy, monkeypatch, tmp_path):
    """`experiment ARGUMENTS` on the toy domain, with results in a folder of the test's."""
    monkeypatch.setattr("asyrp_lib.domains.load_domain", lambda name, device=None: toy)
    monkeypatch.setattr("asyrp_lib.store.results.data_dir", lambda: tmp_path)
    monkeypatch.setattr("asyrp_lib.store.results.runs_dir", lambda: tmp_path / "runs")
    (tmp_path / "results").mkdir()
    return lambda *arguments: cli.main(["experiment", *arguments])


def test_settings_reach_the_experiment_and_its_provenance(command, toy, tmp_path):
    assert command("linearity", "--images", "2", "--set", 'names=["red"]', "--set", "strengths=[1]") == 0
    assert set(stored(toy, "linearity")["edit"].dropna()) == {"red"}
    made_by = experiments.provenance(toy, "linearity")
    assert made_by["settings"] == {
        "domain": "toy",
        "n": 2,
        "names": ["red"],
        "strengths": [1],
        "seeds": {"red": 3},
    }


def test_a_result_is_replaced_only_when_asked_and_never_by_fewer_images(command, toy, tmp_path):
    run = lambda **how: store(toy, "linearity", names=["green"], strengths=[1], progress=False, **how)
    shipped = run(n=3)
    assert shipped == tmp_path / "results" / "toy_linearity.json" and run(n=4).parent.parent.name == "runs"
    with pytest.raises(AsyrpError, match="measured on 3 images; 2 cannot replace"):
        run(n=2, replace=True)
    assert experiments.provenance(toy, "linearity")["settings"]["n"] == 3
    assert run(n=4, replace=True) == shipped
    digests = experiments.provenance(toy, "linearity")["digests"]
    assert set(digests) >= {"unet", "f_t green 0", "f_t green 1", "f_t green 2"}


@pytest.mark.parametrize("name", [name for name in RUN if name != "boosting"])  # a Fréchet distance needs two
def test_one_image_gives_a_result_without_nan_that_comes_back_as_it_was(command, toy, name):
    file = store(toy, name, progress=False, **{"n": 1, **SMALL.get(name, {})})
    rows = stored(toy, name)
    assert tuple(rows) == COLUMNS and len(rows) and rows["value"].notna().all()
    assert json.loads(file.read_text())["data"]["rows"] == len(rows)
    assert not rows.duplicated(list(COLUMNS[:-1])).any()


def test_robustness_reads_the_lengths_that_homogeneity_stored(command, toy, monkeypatch, capsys):
    assert command("robustness") == 2 and "experiment homogeneity --domain toy" in capsys.readouterr().err
    at = {f"length at {t}": 0.05 for t in range(1000)}
    found = joined([numbers(at, edit="green", variant=kind) for kind in ("Δh", "Δε")])
    results.save_rows("toy_homogeneity", found, {}, started=0.0)
    assert command("robustness", "--images", "2", "--set", "strengths=[1]") == 0
    assert len(stored(toy, "robustness"))


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
    monkeypatch.setattr("asyrp_lib.experiments.shared_trial", lambda *_: None)
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
