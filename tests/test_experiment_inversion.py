"""Inversion: what counts as Gaussian, and that corrections bring images nearer on a world with a known ε."""

import pytest
import torch
from toys import randn

from asyrp_lib import experiments
from asyrp_lib.experiments import inversion
from asyrp_lib.experiments.rows import pick


@pytest.fixture
def rows(toy):
    return experiments.measure(
        toy, "inversion", n=4, grids=(10, 20), long_grid=100, corrections=(0, 3), progress=False
    )


def test_corrections_and_finer_grids_bring_images_nearer(rows):
    error = inversion.by_grid(rows)
    assert list(error) == [0, 3] and list(error[0]) == [10, 20, 100]
    assert error[0][10].mean > error[0][20].mean > error[0][100].mean
    assert error[3][10].mean < error[0][10].mean and error[3][20].mean < error[0][20].mean
    assert error[0][10].faces == 4 and error[0][10].low < error[0][10].mean < error[0][10].high
    assert error[0][100].faces == 1 and error[0][100].low != error[0][100].low, "one face has no interval"


def test_noise_is_measured_beside_it(rows):
    for score in ("sd", "kurtosis", "neighbours"):
        assert len(pick(rows, score, variant=inversion.NOISE)) == 4


def test_moments_tell_noise_from_what_is_none():
    white = inversion.moments(randn(2, 3, 64, 64, seed=1))
    assert white["sd"] == pytest.approx([1, 1], abs=0.03)
    assert white["kurtosis"] == pytest.approx([3, 3], abs=0.15)
    assert white["neighbours"] == pytest.approx([0, 0], abs=0.03)
    smooth = inversion.moments(2 * torch.linspace(-1, 1, 64).expand(1, 3, 64, 64))
    assert smooth["neighbours"][0] > 0.9 and smooth["kurtosis"][0] == pytest.approx(1.8, abs=0.05)
