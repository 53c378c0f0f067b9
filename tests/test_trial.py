"""What experiments share: shares of the faces, rows, intervals over seeds and faces, stored rows."""

import copy
import math

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_domain import build_tiny

import asyrp_lib as al
from asyrp_lib.experiments.rows import joined, numbers, pick
from asyrp_lib.experiments.trial import Trial
from asyrp_lib.measure.stats import over_seeds, student
from asyrp_lib.method.cut import Symmetric
from asyrp_lib.store import results


def test_every_seed_has_faces_of_its_own(toy):
    trial = Trial(toy, 7)
    shares = trial.shares((0, 1, 2))
    faces = [range(part.first, part.first + part.n) for part in shares.values()]
    assert sorted(i for part in faces for i in part) == list(range(7))
    assert {len(part) for part in faces} == {2, 3}
    assert trial.shares((0,))[0].n == 7 and len(Trial(toy, 2).shares((0, 1, 2))) == 2


def test_faces_in_mid_range_are_chosen_by_the_truth_and_keep_their_numbers(toy):
    value = np.linspace(0, 1, 41)[np.arange(3000) % 41]
    toy.factor_source = lambda split, n, first: pd.DataFrame({"green": value[first : first + n]})
    middle = Trial(toy, 5).in_mid_range("green")
    assert middle.order == (10, 11, 12, 13, 14), "0.25 and above"
    part = middle.shares((0, 1))[1]
    assert list(part.rows({"a": [1.0, 2.0, 3.0]})["image"]) == list(part.numbers) == [12, 13, 14]
    assert torch.equal(part.x_0[1:2], toy.images("test", 1, first=13))
    assert torch.allclose(part.plain, Trial(toy, 3, first=12).plain, atol=1e-5)
    with pytest.raises(al.ImageError, match="n = 3000"):
        Trial(toy, 3000).in_mid_range("green")
    assert Trial(toy, 5).in_mid_range("red").order is None, "its factor is not known"


def test_a_share_takes_what_the_whole_has_made(toy):
    trial = Trial(toy, 6)
    part = trial.shares((0, 1, 2))[1]
    assert (part.x_T == trial.x_T[2:4]).all() and (part.plain == trial.plain[2:4]).all()
    alone = Trial(toy, 2, first=2)
    assert (alone.x_0 == part.x_0).all() and np.allclose(alone.plain, part.plain, atol=1e-5)


def test_an_edit_that_was_made_is_not_made_again_and_answers_for_itself_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("ASYRP_CACHE", str(tmp_path))
    domain, calls, edit = build_tiny(), [], al.api.edit
    monkeypatch.setattr(al.api, "edit", lambda *given, **how: calls.append(1) or edit(*given, **how))
    delta, trial = domain.delta("warm"), Trial(domain, 3, steps=3)
    seen = [trial.edit({delta: 1.0})]
    for edits, how in (
        ({delta: 0.5}, {}),
        ({delta: torch.tensor([1.0, 0.5, 1.0])}, {}),
        ({domain.delta("warm", 1): 1.0}, {}),
        ({delta: 1.0, domain.delta("warm", 1): 1.0}, {}),
        ({delta: 1.0}, {"t_boost": 500}),
        ({delta: 1.0}, {"t_boost": 500, "seeds": range(1, 4)}),
        ({delta: 1.0}, {"t_edit": 0}),
    ):
        before = len(calls)
        made = trial.edit(edits, **how)
        assert len(calls) == before + 1 and not any(torch.equal(made, other) for other in seen)
        again = Trial(domain, 3, steps=3).edit(edits, **how)
        assert len(calls) == before + 1 and torch.equal(again, made)
        assert torch.equal(edit(domain, trial.x_T, edits, steps=3, **how), made)
        seen.append(made)
    delta.t_edit = 0  # the same weights in another interval
    assert torch.equal(trial.edit({delta: 1.0}), seen[-1]) and len(calls) == 9
    trial.edit({delta: 1.0}, callback=lambda step: None)
    trial.like(domain=_through_a_cut(domain)).edit({delta: 1.0})
    trial.like(domain=_through_a_cut(domain)).edit({delta: 1.0})
    assert len(calls) == 12


def _through_a_cut(domain):
    other = copy.copy(domain)
    other.unet = Symmetric(domain.unet)
    return other


def test_rows_number_the_faces_of_the_split(toy):
    part = Trial(toy, 6).shares((0, 1, 2))[1]
    rows = part.rows({"a": [1.0, 2.0]}, edit="green", seed=1)
    assert list(rows["image"]) == [2, 3] and set(rows["seed"]) == {1}


def synthetic(seeds: int, faces: int, between: float, within: float, draw: int) -> pd.DataFrame:
    rng, rows = np.random.default_rng(draw), []
    for seed in range(seeds):
        centre = between * rng.normal()
        rows += [(seed, seed * faces + k, centre + within * rng.normal()) for k in range(faces)]
    return pd.DataFrame(rows, columns=["seed", "image", "value"])


@pytest.mark.parametrize(("between", "within"), [(1.0, 0.1), (0.0, 1.0), (0.5, 1.0)])
def test_the_interval_over_seeds_and_faces_covers_the_truth(between, within):
    covered = 0
    for draw in range(200):
        found = over_seeds(synthetic(5, 10, between, within, draw))
        covered += found.low < 0 < found.high
    assert 0.90 < covered / 200 < 0.99
    assert (found.seeds, found.faces) == (5, 50)


@pytest.mark.parametrize("faces", [4, 12])
def test_an_interval_over_few_faces_of_one_seed_is_as_wide_as_it_says(faces):
    found = [over_seeds(synthetic(1, faces, 0.0, 1.0, draw)) for draw in range(200)]
    assert 0.90 < sum(f.low < 0 < f.high for f in found) / 200 <= 0.99


def test_an_interval_over_faces_alone_misses_the_spread_between_seeds():
    missed = sum(
        not (f := student(synthetic(5, 10, 1.0, 0.1, d)["value"])).low < 0 < f.high for d in range(100)
    )
    assert missed > 30


def test_a_ratio_is_of_pooled_means_and_its_interval_leaves_out_one_seed_after_another():
    rows = synthetic(5, 10, 0.1, 0.5, 7).assign(base=lambda table: 1 + 0.1 * table["seed"])
    ratio = lambda part: part["value"].mean() / part["base"].mean()
    found, n = over_seeds(rows, ratio), 5
    pseudo = [n * ratio(rows) - (n - 1) * ratio(rows[rows["seed"] != seed]) for seed in range(n)]
    assert found.mean == pytest.approx(ratio(rows)) and found.seeds == 5
    assert found.high - found.mean == pytest.approx(student(pseudo).high - np.mean(pseudo))
    means = over_seeds(rows)
    assert means.low == pytest.approx(student(rows.groupby("seed")["value"].mean()).low)


def test_rows_that_name_no_seed_go_with_every_seed():
    rows, alone = synthetic(3, 4, 0.1, 0.5, 7), {"seed": None, "image": 99, "value": 2.0}
    base = lambda part: (
        part[part["seed"].notna()]["value"].mean() / part[part["seed"].isna()]["value"].iloc[0]
    )
    table = pd.concat([rows.astype(object), pd.DataFrame([alone]).astype(object)])
    table = table.astype({"seed": "Int64", "value": float})
    assert over_seeds(table, base).mean == pytest.approx(over_seeds(rows).mean / 2)


def test_one_seed_has_the_bootstrap_of_its_faces_and_one_face_no_interval():
    rows = synthetic(1, 30, 0.0, 1.0, 3)
    found, alone = over_seeds(rows), over_seeds(rows[:1])
    assert found.low < rows["value"].mean() < found.high and (found.seeds, found.faces) == (1, 30)
    assert math.isnan(alone.low) and not alone.above(-9) and str(alone).count("[") == 0


def test_stored_rows_come_back_and_rows_that_part_ways_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "data_dir", lambda: tmp_path)
    rows = joined([numbers({"a": 1.5}, edit="green", seed=1), numbers({"b": 2.0})])
    file = results.save_rows("one", rows, {}, started=0.0)
    again, made_by = results.load_rows("one", "make it")
    assert again.equals(rows) and "commit" in made_by
    table = file.with_suffix(".csv")
    table.write_text(table.read_text().replace("1.5", "1.6"))
    with pytest.raises(al.WeightsError, match="make both"):
        results.load_rows("one", "make it")
    table.unlink()
    with pytest.raises(al.WeightsError, match="missing"):
        results.load_rows("one", "make it")


def test_rows_that_are_not_finite_are_not_stored(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "data_dir", lambda: tmp_path)
    for bad in (math.nan, math.inf):
        rows = [numbers({"a": 1.0}, variant="x"), numbers({"b": bad}, variant="y", seed=2).assign(epoch=3)]
        with pytest.raises(al.AsyrpError, match="1 rows of one .* variant y, seed 2, score b, epoch 3;"):
            results.save_rows("one", joined(rows), {}, started=0.0)
    assert not list(tmp_path.rglob("*.json"))


def test_pick_keeps_what_fits():
    rows = joined([numbers({"a": 1.0}, variant="x"), numbers({"a": 2.0})])
    assert list(pick(rows, "a", variant="x")["value"]) == [1.0] and len(pick(rows, "a")) == 2
