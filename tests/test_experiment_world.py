"""The world's own measurement: spread, reconstruction and truth, on a toy whose numbers are known."""

import numpy as np
import pandas as pd
import pytest

from asyrp_lib import experiments
from asyrp_lib.experiments import world
from asyrp_lib.experiments.rows import COLUMNS, joined


def true_factors(toy):
    """Colours that `ToyOracle` reads off the test images, and others for the training split."""
    rng = np.random.default_rng(0)
    train = pd.DataFrame(rng.normal(size=(world.TRUTHS, 3)), columns=["red", "green", "blue"])
    train = (train - train.mean()) / train.std()  # so that a truth stays what it is
    return lambda split, n, first: train if split == "train" else toy.oracle.read(toy.images(split, n))


@pytest.fixture
def rows(toy):
    toy.factor_source = true_factors(toy)
    return experiments.measure(toy, "world", n=5, n_samples=120, progress=False)


def test_it_reads_every_factor_of_data_samples_and_reconstructions(rows):
    assert tuple(rows) == COLUMNS and rows["value"].notna().all()
    assert not rows.duplicated(list(COLUMNS[:-1])).any()
    sizes = {v: world.readings(rows, v).shape for v in ("data", "samples", "original", "truth")}
    assert sizes == {"data": (120, 3), "samples": (120, 3), "original": (5, 3), "truth": (5, 3)}


def test_the_toy_generates_twice_the_spread_of_its_images_and_that_is_found(rows):
    for interval in world.spreads(rows).values():
        assert interval.low < interval.mean < interval.high and interval.faces == 120
        assert interval.mean == pytest.approx(2, rel=0.3), "0.4 in its ε, 0.2 in its images"
    samples, test = world.frechet(rows, "samples"), world.frechet(rows, "test")
    assert samples.low < samples.mean < samples.high and samples.faces == 120
    assert test.mean < samples.mean


def test_samples_of_too_little_spread_are_told(rows):
    less_varied = rows.copy()
    less_varied.loc[less_varied["variant"] == "samples", "value"] *= 0.25
    whole, less = world.spreads(rows)["red"], world.spreads(less_varied)["red"]
    assert less.mean == pytest.approx(whole.mean / 4) and less.below(0.85)


def test_what_comes_back_keeps_its_factors_and_its_truth(rows):
    moved = world.moved(rows)
    assert set(moved) == {"red", "green", "blue"} and moved["red"].faces == 5
    assert all(abs(interval.mean) < 0.05 for interval in moved.values())
    assert (world.r2(rows, "original") > 0.999).all()
    assert (world.r2(rows, "reconstruction") < world.r2(rows, "original")).all()


def test_a_world_without_truth_or_oracle_has_its_distance_alone(toy):
    toy.oracle = None
    rows = joined([world.measure(toy, n=2, n_samples=4, progress=False)])
    assert set(rows["variant"]) == {"samples", "test"} and world.frechet(rows, "test").faces == 4
