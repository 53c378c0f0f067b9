"""Composition: the shares of shifts that add up exactly, and the ratio behind them."""

import numpy as np
import pytest

from asyrp_lib.domains.edits import Edit
from asyrp_lib.experiments import composition
from asyrp_lib.measure.stats import ratio_of_means


@pytest.fixture
def coloured(toy):
    """All three colours aim at a factor."""
    toy.edits |= {name: Edit(name, "face", f"{name} face", factor=name) for name in ("red", "blue")}
    return toy


def test_a_ratio_of_proportional_values_is_certain_and_one_of_noise_is_not():
    below = np.random.default_rng(1).normal(1, 0.5, 40)
    assert ratio_of_means(0.7 * below, below) == {"mean": 0.7, "low": 0.7, "high": 0.7, "n": 40}
    noisy = ratio_of_means(np.random.default_rng(2).normal(1, 0.5, 40), below)
    assert noisy["low"] < noisy["mean"] < noisy["high"] and noisy["high"] - noisy["low"] > 0.1


def test_the_ratio_is_that_of_the_means_and_not_the_mean_of_ratios():
    assert ratio_of_means([1, 1], [0.01, 1.99])["mean"] == 1


def test_shifts_that_add_up_keep_one_over_root_n_by_the_rule_and_all_by_the_sum(coloured):
    found = composition.measure(
        coloured, n=3, groups=(("red", "green"), ("red", "green", "blue")), progress=False
    )
    assert list(found["groups"]) == ["red + green", "red + green + blue"]
    for group, n in (("red + green", 2), ("red + green + blue", 3)):
        for rule, want in (("1/√n", n**-0.5), ("sum", 1)):
            edits = found["groups"][group][rule]["edits"]
            assert len(edits) == n
            for row in edits.values():
                assert row["share"]["mean"] == pytest.approx(want, rel=1e-3) and row[
                    "expected"
                ] == pytest.approx(want, rel=1e-3)
    assert found["singles"]["red"]["green"]["aimed"]["mean"] == pytest.approx(0, abs=1e-4)


def test_without_an_oracle_there_are_no_shares(coloured):
    coloured.oracle = None
    found = composition.measure(coloured, n=2, groups=(("red", "green"),), progress=False)
    assert "share" not in found["groups"]["red + green"]["sum"]["edits"]["red"]
