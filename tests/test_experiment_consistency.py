"""Consistency: known vectors aligned, and a shift that is the same everywhere keeps its effect."""

import pytest
import torch

from asyrp_lib.experiments import consistency


def test_alignment_of_orthogonal_equal_and_opposite_shifts():
    e = torch.eye(4).reshape(4, 4, 1, 1)
    found = consistency.alignment(
        {
            900: torch.stack([2 * e[0], 2 * e[0]]),
            500: torch.stack([e[0], e[1]]),
            100: torch.stack([-e[0], -e[0]]),
        }
    )
    assert found["times"] == [900, 500, 100]
    assert found["images"] == [1, 0, 1] and found["norms"] == [2, 1, 1]
    assert found["cosines"] == [[1, 0.5, -1], [0.5, 1, -0.5], [-1, -0.5, 1]]


def test_a_shift_that_is_the_same_everywhere_loses_nothing_in_its_means(toy):
    found = consistency.measure(toy, n=3, names=("green",), n_train=4, counts=(1, 2), progress=False)
    assert list(found) == ["green"] and list(found["green"]["runs"]) == [
        "Δh_t",
        "mean",
        "global",
        "global of 1",
        "global of 2",
    ]
    for row in found["green"]["runs"].values():
        assert row["share"]["mean"] == pytest.approx(1, abs=2e-4)


def test_without_an_oracle_there_are_no_shares(toy):
    toy.oracle = None
    found = consistency.measure(toy, n=2, names=("green",), n_train=2, counts=(), progress=False)
    assert "share" not in found["green"]["runs"]["global"] and "distance" in found["green"]["runs"]["global"]


def test_what_f_t_answered_does_not_depend_on_the_batches(toy, monkeypatch):
    measured = lambda: consistency.measure(toy, n=3, names=("green",), n_train=3, counts=(), progress=False)[
        "green"
    ]["alignment"]
    whole = measured()
    monkeypatch.setattr(toy.unet, "batch_size", 2, raising=False)
    assert measured() == whole
