"""Unseen edits: the arithmetic of "closer to the target", and the whole measurement on a toy domain."""

import pytest
import torch

from asyrp_lib.errors import DomainError
from asyrp_lib.experiments import unseen

PLAIN, TARGET = torch.zeros(4, 3, 2, 2), torch.ones(4, 3, 2, 2)


def test_the_gain_is_one_at_the_target_zero_at_the_start_and_negative_beyond():
    for edited, want in ((TARGET, 1), (PLAIN, 0), (0.25 * TARGET, 0.25), (-TARGET, -1)):
        assert unseen.relative_gain(unseen.absolute_error, PLAIN, edited, TARGET) == pytest.approx([want] * 4)


def test_approach_counts_the_images_that_came_closer():
    edited = torch.stack([0.5 * TARGET[0], -0.5 * TARGET[0], TARGET[0], PLAIN[0]])
    found = unseen.approach(unseen.absolute_error, PLAIN, edited, TARGET)
    assert (
        found["closer"] == 2
        and found["before"] == 1
        and found["after"] == pytest.approx((0.5 + 1.5 + 0 + 1) / 4)
    )
    assert found["gain"]["mean"] == pytest.approx(found["before"] - found["after"])


def test_every_edit_meets_every_target_and_every_image_has_one_nearest(toy):
    found = unseen.measure(toy, n=3, strengths=(1.0,), steps=40, progress=False)
    assert list(found["scores"]) == ["red", "blue"]
    for name in ("red", "blue"):
        assert set(found["confusion"]["error"]["1"][name]) == {"red", "blue"}
        assert sum(found["nearest"]["error"]["1"][name].values()) == 3
        assert "aimed" not in found["scores"][name]["1"] and found["scores"][name]["1"]["leaked"]["n"] == 3


def test_an_edit_that_draws_its_target_is_nearest_to_it(toy):
    found = unseen.measure(toy, n=3, strengths=(1.0,), steps=40, progress=False)
    assert (
        found["nearest"]["error"]["1"]["red"]["red"] == 3
        and found["closer"]["red"]["1"]["distance"]["closer"] == 3
    )


def test_a_domain_without_truth_still_gets_its_scores(toy):
    toy.oracle = toy.target_source = None
    found = unseen.measure(toy, n=2, strengths=(1.0,), steps=4, progress=False)
    assert set(found) == {"scores"} and set(found["scores"]["red"]["1"]) == {"S_dir", "distance", "SC"}


def test_no_unseen_edit_is_an_error_that_names_the_command(toy):
    toy.edits = {}
    with pytest.raises(DomainError, match="asyrp_lib train"):
        unseen.measure(toy, n=2, progress=False)
