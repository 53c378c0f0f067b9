"""Quality boosting: the measure of fine detail, the fall of a distance, and the runs on a toy domain."""

import numpy as np
import pytest
import torch

from asyrp_lib.experiments import boosting
from asyrp_lib.experiments.rows import pick


def test_a_flat_image_has_no_fine_energy_and_a_checkerboard_has_nothing_else():
    flat = torch.full((1, 3, 8, 8), 0.7)
    i = torch.arange(8)
    board = (0.5 * (-1.0) ** (i[:, None] + i)).expand(1, 3, 8, 8)
    assert boosting.fine_energy(flat) == pytest.approx(0, abs=1e-12)
    assert float(boosting.fine_energy(flat + board)) == pytest.approx(0.25)


def test_slow_waves_do_not_count():
    wave = torch.cos(2 * torch.pi * torch.arange(16) / 16).expand(2, 3, 16, 16)
    assert float(boosting.fine_energy(wave).max()) < 1e-12


def test_noise_has_three_quarters_of_its_energy_in_the_upper_half():
    noise = torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    high = 1 - (33 / 64) ** 2  # frequencies -1/4 … 1/4 are 33 of 64
    assert float((boosting.fine_energy(noise) / noise.square().mean((1, 2, 3))).mean()) == pytest.approx(
        high, rel=0.02
    )


def test_a_distance_falls_where_features_come_nearer_and_a_pair_of_equal_ones_is_sure():
    rng = np.random.default_rng(1)
    real, far = rng.normal(size=(200, 4)), rng.normal(size=(40, 4)) + 2
    value, low, high = boosting.fall(far, far - 1, real)
    assert 0 < low < value < high
    assert boosting.fall(far, far + 1, real)[2] < 0
    assert set(boosting.fall(far, far, real)) == {0.0}


def test_every_image_is_made_with_and_without_boosting(toy):
    toy.t_boost = 150
    rows = boosting.measure(toy, n=6, names=("green",), reference=8, progress=False)
    assert set(rows["variant"]) == {"none", "half", "full", "real"}
    assert pick(rows, "t_boost").set_index("variant")["value"].to_dict() == {
        "none": 0,
        "half": 75,
        "full": 150,
    }
    fine = pick(rows, "fine")
    assert len(fine) == 3 * 2 * 6 and fine["edit"].isna().sum() == 3 * 6
    plain = pick(rows, "distance_original")
    plain = plain[plain["edit"].isna()].groupby("variant")["value"].mean()
    assert plain["full"] > plain["half"] > plain["none"]
    assert (pick(rows, "aimed", edit="green", variant="none")["value"] > 0.1).all()
    assert pick(rows, "leaked")["edit"].notna().all() and len(pick(rows, "fd_fall")) == 4


def test_boosting_that_would_reach_into_an_edits_interval_is_left_out_and_says_so(toy):
    rows = boosting.measure(
        toy, n=3, names=("green",), reference=8, progress=False
    )  # t_edit 200, t_boost 300
    assert pick(rows, "aimed", variant="full").empty and len(pick(rows, "aimed", variant="half")) == 3
    left = pick(rows, "left out")
    assert set(left["variant"]) == {"full"} and set(left["value"]) == {200} and len(left) == 3


def test_the_noise_is_that_of_the_face_whichever_share_it_is_in(toy):
    toy.t_boost = 150
    one = boosting.measure(toy, n=3, names=("green",), reference=8, progress=False)
    toy.seed_count = 1
    all_in_one = boosting.measure(toy, n=3, names=("green",), reference=8, progress=False)
    first = [
        pick(rows, "fine", edit="green", variant="full", image=0)["value"].item()
        for rows in (one, all_in_one)
    ]
    assert first[0] == pytest.approx(first[1], rel=1e-4)
