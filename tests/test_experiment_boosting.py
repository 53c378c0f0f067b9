"""Quality boosting: the measure of fine detail, and the runs on a toy domain."""

import pytest
import torch

from asyrp_lib.experiments import boosting


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


def test_every_image_is_made_with_and_without_boosting(toy):
    found = boosting.measure(toy, n=4, names=("green",), reference=8, progress=False)
    assert list(found["runs"]) == ["reconstruction", "green"]
    assert (
        list(found["runs"]["green"]) == ["0", "150", "300"]
        and "scores" not in found["runs"]["reconstruction"]["0"]
    )
    assert found["runs"]["green"]["0"]["scores"]["aimed"]["mean"] > 0
    boosted, not_boosted = (
        found["runs"]["reconstruction"][t]["distance_to_original"]["mean"] for t in ("300", "0")
    )
    assert boosted > not_boosted
