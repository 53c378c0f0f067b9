"""Grids: what a file may say, which cells it makes, what a cell keeps, and what is done again."""

import json

import pandas as pd
import pytest

from asyrp_lib.errors import SettingsError
from asyrp_lib.experiments import grid as module
from asyrp_lib.experiments.grid import Grid, cells, measure_cell, read_grid, summary, tasks
from asyrp_lib.experiments.rows import COLUMNS, pick
from asyrp_lib.runs import run as runs


@pytest.fixture
def here(tiny, monkeypatch, tmp_path):
    """The tiny domain, with runs of its own, and how often a training was called."""
    monkeypatch.setattr(runs, "runs_dir", lambda: tmp_path)
    calls, real = [], module.train_run
    monkeypatch.setattr(module, "train_run", lambda *a, **how: calls.append(a[0]) or real(*a, **how))
    return tiny, calls


def small(**changes) -> Grid:
    """Two widths of groups and two seeds, two epochs each."""
    vary = {"training.seed": [0, 1], "delta.groups": [2, 4]}
    plain = {
        "name": "groups",
        "vary": vary,
        "domain": "tiny",
        "edit": "warm",
        "images": 2,
        "n": 2,
        "epochs": [1, 2],
    }
    return Grid(**plain | {"training": {"t_edit": 700}} | changes)


def test_every_combination_is_a_cell_with_the_seed_last(here):
    domain, _ = here
    found = cells(small(), domain)
    assert list(found) == [f"groups {g}, seed {s}" for g in (2, 4) for s in (0, 1)]
    config = found["groups 4, seed 1"]
    assert (config.delta["groups"], config.training.seed, config.training.t_edit) == (4, 1, 700)
    assert config.training.epochs == 2 and config.images == 2 and config.edit.name == "warm"


@pytest.mark.parametrize(
    ("vary", "words"),
    [
        ({"delta": [{}]}, "'delta'"),
        ({"training.colour": [1]}, "colour"),
        ({"edit.name": ["warm"]}, "'edit.name'"),
        ({"training.seed": [0, 0]}, "same run"),
        ({"training.lr": [-1]}, "lr"),
    ],
)
def test_what_makes_no_cell_is_one_sentence(here, vary, words):
    with pytest.raises(SettingsError, match=words):
        cells(small(vary=vary), here[0])


def test_a_file_is_read_or_refused_with_what_was_wrong(tmp_path):
    file = tmp_path / "grid.yaml"
    file.write_text("name: heads\nvary: {delta.heads: [1, 2]}\nepochs: [2]\n")
    assert read_grid(file).vary == {"delta.heads": [1, 2]} and read_grid(file).epochs == [2]
    for text, words in {
        "name: x": "lacks vary",
        "- 1": "holds a list",
        "name: x\nvary: {}\nheds: 3": "heds",
        "name: [": "can't be read",
        "name: x\nvary: {a: [1]}\nn: none": "n = 'none'",
    }.items():
        file.write_text(text)
        with pytest.raises(SettingsError, match=words):
            read_grid(file)
    with pytest.raises(SettingsError, match="can't be read"):
        read_grid(tmp_path / "none.yaml")


def test_a_cell_is_measured_after_every_epoch_and_never_again(here):
    domain, calls = here
    rows = measure_cell(domain, small(), "groups 2, seed 1", progress=False)
    assert list(rows.columns) == list(COLUMNS)
    assert list(rows["variant"].unique()) == ["groups 2, epoch 1", "groups 2, epoch 2"]
    assert set(rows["seed"].dropna()) == {1}
    for variant in rows["variant"].unique():
        assert list(pick(rows, "S_dir", variant=variant)["image"]) == [0, 1]
        assert (pick(rows, "length", variant=variant)["value"] > 0).all()
        assert len(pick(rows, "parameters", variant=variant)) == len(pick(rows, "clip", variant=variant)) == 1
        assert len(rows[(rows["variant"] == variant) & rows["score"].str.startswith("clip at ")]) >= 2
    n = len(calls)
    again = measure_cell(domain, small(), "groups 2, seed 1", progress=False)
    pd.testing.assert_frame_equal(again, rows)
    assert len(calls) == n == 2
    other = measure_cell(domain, small(n=1), "groups 2, seed 1", progress=False)
    assert len(calls) == n and pick(other, "S_dir")["image"].max() == 0, "other faces, the same trainings"


def test_epochs_in_steps_are_those_of_one_training(here):
    domain, _ = here
    rows = measure_cell(domain, small(), "groups 2, seed 0", progress=False)
    config = cells(small(), domain)["groups 2, seed 0"]
    whole = runs.train_run(config, domain, progress=False, root=runs.runs_dir() / "other")
    last = whole.history[whole.history["epoch"] == 1]
    found = pick(rows, "loss", variant="groups 2, epoch 2")["value"].iloc[0]
    assert found == pytest.approx(last["loss"].mean())


def test_a_cell_that_another_domain_judges_is_measured_again(here):
    domain, _ = here
    listed = tasks("file.yaml", small(), domain)
    assert [task.state() for task in listed] == ["missing"] * 4
    measure_cell(domain, small(), "groups 2, seed 0", progress=False)
    states = {task.name: task.state() for task in listed}
    assert states.pop("groups: groups 2, seed 0") == "done" and set(states.values()) == {"missing"}
    domain.clip.weight *= 2
    assert {task.state() for task in tasks("file.yaml", small(), domain)} == {"missing"}


def test_the_summary_has_intervals_over_seeds(here):
    domain, _ = here
    parts = [measure_cell(domain, small(), label, progress=False) for label in cells(small(), domain)]
    table = summary(pd.concat(parts), "S_dir", "loss", "aimed")
    assert list(table.columns) == ["S_dir", "loss"] and len(table) == 4
    assert table.loc["groups 4, epoch 2", "S_dir"].seeds == 2
    assert json.dumps(table.map(str).to_dict())
