"""Linearity: line, correlation and rule of the break on known curves, and an exactly proportional shift."""

import numpy as np
import pytest

from asyrp_lib.experiments import linearity

S = [-2, -1, -0.5, 0, 0.5, 1, 2]
NEAR = [0.0] * len(S)


def test_a_line_has_its_slope_and_r2_of_one_and_a_constant_has_neither():
    assert linearity.line(S, [3 * s for s in S]) == {"slope": 3, "R2": 1}
    assert linearity.line(S, np.abs(S))["slope"] == 0 and linearity.line(S, np.abs(S))["R2"] < 0


def test_a_image_that_does_not_move_has_no_correlation():
    assert linearity.correlation(S, [0.0] * len(S)) == 0 and linearity.correlation(
        S, [-s for s in S]
    ) == pytest.approx(-1)


@pytest.mark.parametrize(
    ("shifts", "distance", "outside", "at", "why"),
    [
        ([2 * s for s in S], NEAR, NEAR, None, []),
        ([min(s, 1) for s in S], NEAR, NEAR, 2, ["stops growing", "off the line"]),
        ([s if s < 2 else 1.4 for s in S], NEAR, NEAR, 2, ["off the line"]),
        ([-s for s in S], NEAR, NEAR, 0.5, ["stops growing", "off the line"]),
        (S, [abs(s) for s in S], NEAR, 2, ["leaves the data"]),
        (S, NEAR, [0.1 * (s >= 1) for s in S], 1, ["leaves the data"]),
        (S, NEAR, [0.1] * len(S), None, []),  # the reconstruction has them, too
    ],
)
def test_where_a_curve_breaks_and_why(shifts, distance, outside, at, why):
    assert linearity.break_point(S, shifts, distance, outside, apart=1.5) == {"at": at, "why": why}


def test_a_constant_shift_in_a_linear_world_is_linear_both_ways(toy):
    found = linearity.measure(toy, n=3, names=("green",), strengths=(-2, -1, 1, 2), progress=False)["edits"]
    assert list(found) == ["green"] and list(found["green"]["strengths"]) == ["-2", "-1", "0", "1", "2"]
    green = found["green"]
    assert green["fit"]["R2"] > 0.999 and min(green["faces"]) > 0.999 and green["fit"]["slope"] > 0.1
    assert green["strengths"]["-2"]["aimed"]["mean"] == pytest.approx(
        -green["strengths"]["2"]["aimed"]["mean"], rel=1e-3
    )


def test_without_an_oracle_only_the_images_are_scored(toy):
    toy.oracle = None
    green = linearity.measure(toy, n=2, names=("green",), strengths=(1,), progress=False)["edits"]["green"]
    assert set(green) == {"strengths"} and "distance" in green["strengths"]["1"]
