"""Mixing: edits that add a colour each blend along a straight line, and a curve is seen to bend."""

import numpy as np
import pytest

from asyrp_lib.domains.edits import Edit
from asyrp_lib.experiments import mixing
from asyrp_lib.experiments.rows import joined, numbers, pick


def test_colours_blend_along_the_line_between_them(toy):
    toy.edits["red"] = Edit("red", "face", "red face", factor="red")
    rows = mixing.measure(toy, n=6, names=("red", "green"), progress=False)
    assert set(rows["variant"]) == {"red → green"} and not rows["seed"].isna().any()
    for edit, rising in (("red", False), ("green", True)):
        means = pick(rows, "aimed", edit=edit).groupby("strength")["value"].mean()
        assert list(means.index) == [0, 0.25, 0.5, 0.75, 1]
        ends = (0, 1) if rising else (1, 0)
        assert abs(means[ends[0]]) < 1e-3 and means[ends[1]] > 0.1
        assert np.abs(mixing.bend(rows, edit, "red → green")).max() < 2e-3


def test_what_lies_off_the_line_is_told_as_a_share_of_what_changes():
    y = {0.0: 3.0, 0.5: 1.4, 1.0: 1.0}
    parts = [numbers({"aimed": v}, edit="a", variant="x", seed=0, image=0, strength=w) for w, v in y.items()]
    bend = mixing.bend(joined(parts), "a", "x")
    assert bend[0.0] == bend[1.0] == 0 and bend[0.5] == pytest.approx(-0.3)


def test_pairs_are_two_and_two_of_what_there_is(toy):
    rows = mixing.measure(toy, n=3, shares=(), progress=False)
    assert set(rows["variant"]) == {"green → red"}, "of three edits one pair"
    assert set(rows["strength"]) == {0, 1} and set(rows["edit"]) == {"green", "red"}
