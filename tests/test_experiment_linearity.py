"""Linearity: proportion and its nulls on known curves, and an exactly proportional shift."""

import numpy as np
import pytest

from asyrp_lib.experiments import linearity
from asyrp_lib.experiments.rows import pick

S = [-3, -1, -0.5, 0, 0.5, 1, 3]


def test_a_line_has_proportion_one_and_what_lies_beyond_one_is_not_asked():
    assert linearity.proportion(S, [2 * s for s in S]) == pytest.approx(1)
    assert linearity.proportion(S, [2 * np.clip(s, -1, 1) for s in S]) == pytest.approx(1)
    assert linearity.proportion(S, np.abs(S)) < 0


def test_a_step_and_a_rising_curve_do_not_score_one():
    found = linearity.nulls(S)
    assert 0.5 < found["step"] < 0.95 and 0.5 < found["rising"] < 0.95


def test_a_constant_shift_in_a_linear_world_is_linear_both_ways(toy):
    rows = linearity.measure(toy, n=6, names=("green",), strengths=(-2, -1, 1, 2), progress=False)
    aimed = pick(rows, "aimed").groupby("strength")["value"].mean()
    assert list(aimed.index) == [-2, -1, 0, 1, 2] and aimed[0] == 0
    assert linearity.proportion(aimed.index, aimed) > 0.999
    assert aimed[-2] == pytest.approx(-aimed[2], rel=0.05)


def test_faces_near_a_wall_are_not_in_mid_range(toy):
    rows = linearity.measure(toy, n=6, names=("green",), strengths=(1,), progress=False)
    start = pick(rows, "position", strength=0.0).set_index("image")["value"]
    kept = linearity.mid_range(rows)["image"].unique()
    assert set(kept) == set(start.index[(start > 0.25) & (start < 0.75)])


def test_without_an_oracle_only_the_images_are_scored(toy):
    toy.oracle = None
    rows = linearity.measure(toy, n=3, names=("green",), strengths=(1,), progress=False)
    assert {"S_dir", "distance", "SC", "outside", "apart"} == set(rows["score"])


def test_a_position_near_a_wall_has_a_finite_logit():
    assert np.isfinite(linearity.logit(np.array([-0.2, 0.0, 0.5, 1.3]))).all()
    assert linearity.logit(np.array([0.5]))[0] == 0


def test_each_face_has_a_proportion_and_a_flat_one_none(toy):
    rows = linearity.measure(toy, n=3, names=("green",), strengths=(-1, -0.5, 0.5, 1), progress=False)
    rows = pick(rows, "aimed")
    found = linearity.proportions(rows)
    assert sorted(found["image"]) == [0, 1, 2] and found["value"].min() > 0.99
    assert (linearity.proportions(rows.assign(value=1.0))["value"] == 0).all()


def test_curves_begin_at_0_and_know_no_walls(toy):
    rows = linearity.measure(toy, n=6, names=("green",), strengths=(-1, 1), progress=False)
    found = linearity.unwalled(rows)
    assert set(found["image"]) == set(linearity.mid_range(rows)["image"])
    assert (found.loc[found["strength"] == 0, "value"] == 0).all()
    place = pick(rows, "position").set_index(["image", "strength"])["value"]
    image = int(found["image"].iloc[0])
    gone = linearity.logit(place[image, 1.0]) - linearity.logit(place[image, 0.0])
    assert pick(found, "position", image=image, strength=1.0)["value"].item() == pytest.approx(gone)
    assert linearity.slope(S, [2 * s for s in S]) == pytest.approx(2)
