"""t_edit and the number of steps: which runs are made, and that a constant shift obeys the scaling rule."""

import pytest

from asyrp_lib.experiments import intervals


def test_the_rule_divides_by_the_steps_and_no_rule_undoes_that():
    strengths = intervals.strengths_on(100, 40)
    assert strengths["scaled"] == 1 and strengths["unscaled"] * 40 / 100 == 1
    assert len(set(intervals.strengths_on(40, 40).values())) == 1


def test_only_starts_from_the_edits_own_upward_are_run_and_a_later_start_does_less(toy):
    found = intervals.measure(
        toy, n=3, names=("green",), t_edits=(100, 200, 500, 800), grids=(), n_long=0, progress=False
    )
    assert found["own"] == {"green": 200} and list(found["t_edit"]["green"]) == ["200", "500", "800"]
    aimed = [run["aimed"]["mean"] for run in found["t_edit"]["green"].values()]
    assert aimed[0] > aimed[1] > aimed[2] > 0


def test_the_rule_keeps_the_effect_over_the_number_of_steps_and_without_it_the_effect_follows_them(toy):
    found = intervals.measure(
        toy,
        n=3,
        names=("green",),
        t_edits=(),
        grids=(20, 40, 80),
        n_grids=2,
        long_grid=160,
        n_long=2,
        progress=False,
    )
    steps = found["steps"]["green"]
    assert list(steps) == ["20", "40", "80", "160"] and steps["80"]["scaled"]["aimed"]["n"] == 2
    assert steps["40"]["scaled"] == steps["40"]["unscaled"]
    scaled, unscaled = (
        [steps[s][rule]["aimed"]["mean"] for s in ("20", "40", "80", "160")]
        for rule in ("scaled", "unscaled")
    )
    assert max(scaled) < 1.3 * min(scaled)
    assert unscaled[3] / unscaled[0] == pytest.approx(
        8, rel=0.3
    )  # each Δh acts once a step, eight times as many of them
