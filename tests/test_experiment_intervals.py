"""t_edit and the number of steps: which runs are made, and that a constant shift obeys the scaling rule."""

import pandas as pd
import pytest

from asyrp_lib.experiments import intervals
from asyrp_lib.experiments.rows import joined, numbers, pick
from asyrp_lib.runs import run as runs


def aimed(rows: pd.DataFrame, **where) -> pd.Series:
    return pick(rows, "aimed", **where)["value"]


def test_only_t_edit_from_the_edits_own_upward_are_run_and_a_shorter_interval_does_less(toy):
    rows = intervals.measure(
        toy, n=3, names=("green",), shorter=(100, 500, 800), trained=(), grids=(), per_seed=0, progress=False
    )
    shorter = [v for v in rows["variant"].dropna().unique() if v.startswith("shorter")]
    assert shorter == ["shorter 200", "shorter 500", "shorter 800"]
    effects = [aimed(rows, variant=v).mean() for v in shorter]
    assert effects[0] > effects[1] > effects[2] > 0
    assert pick(rows, "t_edit", edit="green")["value"].item() == 200


def test_the_rule_keeps_the_effect_over_the_grids_and_without_it_the_effect_follows_them(toy):
    rows = intervals.measure(
        toy, n=6, names=("green",), n_trained=1, trained=(), grids=(20, 80), long_grid=160, progress=False
    )
    scaled = {s: intervals.kept(intervals.beside(rows, f"S {s} scaled")) for s in (20, 80, 160)}
    assert all(share == pytest.approx(1, abs=0.3) for share in scaled.values())
    unscaled = {s: intervals.kept(intervals.beside(rows, f"S {s} unscaled")) for s in (20, 80)}
    assert unscaled[80] / unscaled[20] == pytest.approx(4, rel=0.3)  # each Δh acts once a step
    long = intervals.beside(rows, "S 160 scaled")
    assert len(long) == 3 and long["seed"].nunique() == 3, (
        "one face of each seed, that seed's at 40 steps too"
    )


def test_f_t_are_trained_for_other_t_edit_and_read_again(toy, monkeypatch, tmp_path):
    monkeypatch.setattr(runs, "runs_dir", lambda: tmp_path)
    toy.delta_config, toy.train_images = {"kind": "ConvDelta", "groups": 3}, 2
    toy.curve = pd.DataFrame({"t": [0, 300, 600], "P_t": [0.0, 0.2, 0.5]})
    asked = {"n": 2, "names": ("green",), "n_trained": 2, "trainings": 2, "shorter": ()}
    asked |= {"grids": (), "per_seed": 0}
    rows = intervals.measure(toy, **asked, trained=(600,), progress=False)
    trained = rows[rows["variant"].str.startswith("trained").fillna(False)]
    assert set(trained["variant"]) == {"trained 200", "trained 600"} and set(trained["seed"]) == {0, 1}
    pairs = trained[["variant", "seed", "image"]].drop_duplicates()
    assert set(pairs.groupby("image")["seed"].nunique()) == {1} and len(pairs) == 4, "each t on all faces"
    assert pick(rows, "t_edit_rule")["value"].item() == 600, "the smallest t with P_t >= 0.33 · 0.8"
    states = list(tmp_path.glob("toy/green/*/state.pt"))
    made = [state.stat().st_mtime_ns for state in states]
    again = intervals.measure(toy, **asked, trained=(600,), progress=False)
    assert again.equals(rows) and [state.stat().st_mtime_ns for state in states] == made and len(made) == 2


def test_a_t_edit_is_judged_by_what_it_brings_less_what_it_breaks():
    where = {"edit": "a", "seed": 0, "image": 1}
    rows = joined(
        [
            numbers({"aimed": 2.0, "leaked": 0.5}, variant="trained 300", **where),
            numbers({"aimed": 3.0, "leaked": 2.0}, variant="trained 500", **where),
            numbers({"aimed": 9.0, "leaked": 0.0}, variant="shorter 300", **where),
        ]
    )
    found = intervals.net(rows).set_index("t_edit")["value"]
    assert found.to_dict() == {300: 1.5, 500: 1.0}
    curves = intervals.by_t_edit(rows, "trained")
    means = {score: {t: i.mean for t, i in line.items()} for score, line in curves.items()}
    assert means["aimed − leaked"] == {300: 1.5, 500: 1.0} and means["leaked"] == {300: 0.5, 500: 2.0}
    assert intervals.by_t_edit(rows, "shorter")["aimed − leaked"][300].mean == 9
    blind = intervals.by_t_edit(joined([numbers({"S_dir": 0.2}, variant="shorter 300", **where)]), "shorter")
    assert list(blind) == ["S_dir"], "where no oracle knows the truth"


def test_texts_that_point_apart_are_named_before_the_training(toy, monkeypatch, tmp_path):
    monkeypatch.setattr(runs, "runs_dir", lambda: tmp_path)
    toy.delta_config, toy.train_images = {"kind": "ConvDelta", "groups": 3}, 2
    toy.curve = pd.DataFrame({"t": [0, 300, 600], "P_t": [0.0, 0.2, 0.5]})
    monkeypatch.setattr(type(toy.clip), "prompt_cosine", lambda self, source, target: -0.18)
    with pytest.warns(UserWarning, match=r"'green' point apart \(cosine -0.18\)"):
        intervals.trained_from(toy, "green", 600)
