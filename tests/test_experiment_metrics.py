"""Scores and the truth: rank correlations, the Fréchet distance's interval and bias, the published S_dir."""

import json

import numpy as np
import pytest

from asyrp_lib.experiments import metrics
from asyrp_lib.measure.frechet import frechet_bias, frechet_summary
from asyrp_lib.measure.scores import frechet_distance
from asyrp_lib.store.paths import data_dir

RNG = np.random.default_rng(0)


def test_a_rank_correlation_of_any_rising_function_is_one():
    x = RNG.normal(size=20)
    assert (
        metrics.rank_correlation(x, np.exp(x))["rho"] == 1
        and metrics.rank_correlation(x, -(x**3))["rho"] == -1
    )


def test_the_interval_covers_no_correlation_about_nineteen_times_in_twenty():
    inside = [
        (r := metrics.rank_correlation(*RNG.normal(size=(2, 64))))["low"] < 0 < r["high"] for _ in range(400)
    ]
    assert 0.91 < np.mean(inside) < 0.99


def test_the_interval_of_a_frechet_distance_lies_around_its_value():
    a, b = RNG.normal(size=(40, 5)), RNG.normal(size=(60, 5)) + 1
    found = frechet_summary(a, b, resamples=50)
    assert found["value"] == pytest.approx(frechet_distance(a, b), abs=1e-4) and found["n"] == 40
    assert found["low"] < found["value"] < found["high"]
    assert frechet_summary(a, b, resamples=50) == found


def test_pairs_are_resampled_together():
    a = RNG.normal(size=(40, 5))
    assert frechet_summary(a, a + 1, paired=True, resamples=20) | {"n": 0} == {
        "value": 5,
        "std": 0,
        "low": 5,
        "high": 5,
        "n": 0,
    }
    assert frechet_summary(a, a + 1, resamples=20)["std"] > 0.1


def test_the_frechet_distance_of_equal_worlds_falls_with_the_size_of_the_samples():
    bias = frechet_bias(RNG.normal(size=(400, 16)), (10, 50, 200), draws=10)
    means = [row["mean"] for row in bias.values()]
    assert means[0] > means[1] > means[2] > 0


@pytest.mark.filterwarnings("ignore:An input array is constant")  # the toy shifts every image alike
def test_the_table_holds_every_edit_at_every_strength_and_its_purity(toy):
    data = metrics.measure(toy, n=6, strengths=(0.5, 1.0), steps=4, real=16, sizes=(4, 8), progress=False)
    table = metrics.score_table(data)
    assert list(table.index) == [("green", 0.5), ("green", 1.0)]
    assert (table["purity"] == table["aimed"] / table["leaked"]).all()
    assert table.loc[("green", 1.0), "aimed"] > table.loc[("green", 0.5), "aimed"]
    assert {"S_dir", "S_dir_recon", "SC", "SC_original", "fd_original", "fd_recon"} <= set(table)
    assert len(data["images"]["green"]["1"]["S_dir"]) == 6 and data["within"]["green"]["1"]["aimed"]["n"] == 6


def test_without_an_oracle_the_scores_remain(toy):
    toy.oracle = None
    data = metrics.measure(toy, n=4, strengths=(1.0,), steps=4, real=16, sizes=(4,), progress=False)
    assert data["within"]["green"]["1"] == {} and "purity" not in metrics.score_table(data)


def test_the_study_prints_one_minus_what_it_stored():
    published = json.loads((data_dir() / "published.json").read_text())
    for strength in ("1.0", "0.5"):
        for edit, printed in published["table_2_s_dir"][f"study_{strength}"].items():
            assert round(1 - published[f"raw_sdir_{strength}"][edit]["sdir_oe"], 3) == printed[0]
