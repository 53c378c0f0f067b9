"""The final evaluation: its controls, its rows, and that nothing else reads the sealed faces."""

from pathlib import Path

import pytest
from toy_domain import COLOURS

import asyrp_lib as al
from asyrp_lib.domains.synthfaces.faces import split_factors, unsealed
from asyrp_lib.experiments import final
from asyrp_lib.experiments.rows import pick

ROOT = Path(__file__).parents[1]


def test_sealed_faces_are_refused_but_inside_the_final_evaluation():
    with pytest.raises(al.UnknownNameError, match="final evaluation alone"):
        split_factors("sealed", 1)
    with unsealed():
        assert len(split_factors("sealed", 1)) == 1
    with pytest.raises(al.UnknownNameError, match="sealed"):
        split_factors("sealed", 1)


def test_only_the_final_evaluation_opens_them():
    opening = [file for file in ROOT.glob("asyrp_lib/**/*.py") if ".unsealed()" in file.read_text()]
    assert [file.name for file in opening] == ["final.py"]
    shown = [file.name for file in ROOT.glob("notebooks/*.ipynb") if "unsealed" in file.read_text()]
    assert not shown


def test_sealed_faces_are_read_by_the_command_alone_and_once(toy, tmp_path, monkeypatch):
    from asyrp_lib import experiments
    from asyrp_lib.store import results

    toy.final_split = "sealed"
    monkeypatch.setattr(results, "data_dir", lambda: tmp_path)
    read = []
    monkeypatch.setattr(final, "measure", lambda domain, *, n=1, **_: read.append(n))
    with pytest.raises(al.AsyrpError, match="expected `store`"):
        experiments.measure(toy, "final")
    with pytest.raises(al.AsyrpError, match="settings that stand"):
        experiments.store(toy, "final", n=3)
    results.result_file("toy_final").parent.mkdir(exist_ok=True)
    results.result_file("toy_final").write_text("{}")
    with pytest.raises(al.AsyrpError, match="have been read"):
        experiments.store(toy, "final", replace=True)
    assert not read, "nobody looked"


def test_an_edit_beats_the_controls_and_every_face_is_judged_once(toy):
    rows = final.measure(toy, n=6, names=("green",), half=("green", "blue"), progress=False)
    aimed = pick(rows, "aimed", edit="green")
    half = aimed[aimed["strength"] == 0.5]["value"].mean()
    assert 0.4 < half / aimed[aimed["strength"] == 1]["value"].mean() < 0.6
    aimed = aimed[aimed["strength"].isna() | (aimed["strength"] == 1)]
    edited = aimed[aimed["variant"].isna()]
    assert sorted(edited["image"]) == list(range(6)) and sorted(edited["seed"].unique()) == [0, 1, 2]
    none = aimed[aimed["variant"] == "no edit"]["value"]
    assert (none == 0).all() and edited["value"].min() > 0.1
    assert set(rows["variant"].dropna()) == {*final.CONTROLS, final.TARGET}
    factors = {f"{kind} {factor}" for kind in ("mean", "rms") for factor in COLOURS}
    assert factors < set(rows["score"])
    assert len(pick(rows, "fd_original", edit="green", strength=1.0)) == 1
    start = pick(rows, "position", edit="green", variant="no edit").set_index("image")["value"]
    shift = pick(rows, "position", edit="green", strength=1.0).set_index("image")["value"] - start
    assert (3 * shift - edited.set_index("image")["value"]).abs().max() < 1e-5, "the toy's walls are 3 apart"


def test_what_an_edit_moved_of_each_factor_is_a_table_that_says_how_many_faces(toy):
    rows = final.measure(toy, n=6, names=("green", "red"), half=(), progress=False)
    table = final.moved(rows)
    assert list(table.index) == ["green", "red"] and set(table.columns) == set(COLOURS)
    aimed = pick(rows[rows["variant"].isna()], "aimed", edit="green")["value"]
    assert table.loc["green", "green"].mean == pytest.approx(aimed.mean(), abs=1e-4)
    assert table.loc["green", "green"][3:] == (3, 6)
    assert abs(table.loc["red", "green"].mean) < 1e-3 < final.moved(rows, "rms").loc["red", "red"].mean


def test_faces_are_parted_by_where_they_began(toy):
    rows = final.measure(toy, n=8, names=("green",), half=(), progress=False)
    start = pick(rows, "start red").set_index("image")["value"]
    assert list(start.index) == list(range(8)) and start.min() > 0
    assert final.halves(rows, "red") == {}, "all began above"
    rows.loc[rows["score"] == "start red", "value"] -= start.median()
    low, high = final.halves(rows, "red")["green"]
    assert low.faces == high.faces == 4
    assert low.mean == pytest.approx(high.mean, rel=0.05)
