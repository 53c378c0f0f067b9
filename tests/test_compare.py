"""Comparisons at equal effect: properties of what judges of grids rest on."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings, strategies as some
from test_study_claims import FACES, STRENGTHS, grid

from asyrp_lib.errors import SettingsError
from asyrp_lib.experiments import compare

few = settings(max_examples=10, deadline=None)
curves = some.lists(some.floats(-3, 3), min_size=2, max_size=6).map(
    lambda values: pd.Series(values, np.linspace(-0.5, 1.5, len(values)))
)


@settings(max_examples=50, deadline=None)
@given(curves, some.floats(0.1, 2))
def test_reached_is_the_first_crossing_from_below(curve, effect):
    at, ahead = compare.reached(curve, effect), curve[curve.index >= 0]
    crossings = [b for a, b in zip(ahead, ahead.iloc[1:]) if a < effect <= b]
    if at is None:
        assert not crossings
        return
    assert np.interp(at, ahead.index, ahead) == pytest.approx(effect, abs=1e-6)
    first = next(i for i, (a, b) in enumerate(zip(ahead, ahead.iloc[1:])) if a < effect <= b)
    assert ahead.index[first] <= at <= ahead.index[first + 1] + 1e-12


@few
@given(some.lists(some.floats(0.3, 3), min_size=2, max_size=5))
def test_at_equal_effect_every_seed_has_the_effect_and_the_strength_that_it_takes(slopes):
    rows = grid({"a": {"slope": lambda seed: slopes[seed], "seeds": len(slopes), "leaked": 0.4}})
    equal = compare.at_effect(rows)
    aimed = compare.per_seed(equal, "aimed", "a")
    own = rows[(rows["epoch"] == 2) & (rows["score"] == "aimed") & (rows["strength"] == STRENGTHS[-1])]
    reach = own.groupby("seed")["value"].mean() >= 1
    assert list(aimed.index) == list(reach.index[reach]), "the others are dropped, whole"
    assert set(equal["seed"]) == set(aimed.index) and set(equal["epoch"]) <= {2}
    assert aimed.to_numpy() == pytest.approx(1)
    needed = compare.per_seed(equal, "strength", "a")
    assert needed.to_numpy() == pytest.approx([1 / slopes[s] for s in needed.index], rel=0.02)
    leaked = equal[equal["score"] == "leaked"].groupby("seed")
    assert all(len(of) == FACES for _, of in leaked)
    assert leaked["value"].mean().to_numpy() == pytest.approx(0.4, abs=0.01)
    assert equal["strength"].isna().all() and list(equal.columns) == list(rows.columns)


@few
@given(some.floats(0, 1), some.floats(0, 1))
@example(0.0, 5e-145)  # the square of its variance is 0
def test_a_difference_is_of_the_same_seeds_and_faces_and_turns_its_sign(a, b):
    equal = compare.at_effect(
        grid({"a": {"leaked": a}, "b": {"leaked": b, "slope": lambda seed: 0.1 if seed == 3 else 2.0}})
    )
    found, turned = (compare.difference(equal, "leaked", *names) for names in ("ab", "ba"))
    assert found.mean == pytest.approx(a - b, abs=1e-6) and (found.seeds, found.faces) == (4, FACES)
    assert found.low <= found.mean <= found.high
    assert turned[:3] == pytest.approx((-found.mean, -found.high, -found.low))
    assert compare.mean_of(equal, "leaked", "b").seeds == 4 < compare.mean_of(equal, "leaked", "a").seeds


@few
@given(some.lists(some.floats(-2, 2), min_size=3, max_size=3, unique=True), some.floats(0, 1))
def test_what_is_chosen_brings_most_of_what_is_aimed_beyond_the_worst(slopes, worst):
    names = {f"f_t {k}, lr {i}": {"slope": s, "worst": worst} for k in "pq" for i, s in enumerate(slopes)}
    rows = grid(names, f_t=lambda name: name[4], lr=lambda name: int(name[-1]))
    bring = compare.brought(rows).groupby("variant").mean()
    for name, of in names.items():
        assert bring[name] == pytest.approx(of["slope"] - worst, abs=0.005)
    if np.diff(sorted(slopes)).min() > 0.01:
        assert compare.chosen(rows, "f_t", "lr") == dict.fromkeys("pq", int(np.argmax(slopes)))


def test_a_root_mean_square_of_a_factor_that_moved_away_takes_off_as_much():
    one, other = (compare.brought(grid({"a": {"slope": 1.0, "worst": w}})).mean() for w in (0.2, 0.9))
    assert one - other == pytest.approx(0.7)


def test_no_seed_that_reaches_it_leaves_no_rows_but_the_columns():
    rows = grid({"a": {"slope": 0.2}})
    equal = compare.at_effect(rows)
    assert equal.empty and list(equal.columns) == list(rows.columns)
    assert np.isnan(compare.difference(equal, "leaked", "a", "a").mean)


def test_rows_of_several_strengths_make_no_mean():
    rows = grid({"a": {}, "b": {}})
    for asked in (
        lambda: compare.mean_of(rows, "aimed", "a"),
        lambda: compare.difference(rows, "aimed", "a", "b"),
    ):
        with pytest.raises(SettingsError, match="several numbers of one seed and face; .*`compare.at`"):
            asked()
