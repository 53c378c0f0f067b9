"""Unseen edits: the arithmetic of "closer to the target", and the whole measurement on a toy domain."""

import pandas as pd
import pytest
import torch

from asyrp_lib.errors import DomainError
from asyrp_lib.experiments import unseen
from asyrp_lib.experiments.rows import joined, numbers, pick


def rows(after: dict[str, list[float]]) -> pd.DataFrame:
    """Two targets, each 2 away before; what an edit `a` leaves of both ways, face by face."""
    parts = [
        numbers({f"error to {t}": 2.0}, variant="before", image=i)
        for t, values in after.items()
        for i in range(len(values))
    ]
    for target, values in after.items():
        for i, value in enumerate(values):
            parts.append(numbers({f"error to {target}": value}, edit="a", seed=i, image=i, strength=1.0))
    return joined(parts)


def test_the_gain_is_one_at_the_target_zero_at_the_start_and_negative_beyond():
    found = unseen.gains(rows({"a": [0.0, 2.0, 1.5, 4.0]})).set_index("image")["value"]
    assert list(found) == [1, 0, 0.25, -1]


def test_the_confusion_counts_the_faces_that_gained_most():
    gained = unseen.gains(rows({"a": [1.0, 1.0, 1.0, 1.9], "b": [1.5, 1.5, 0.5, 1.8]}))
    table = unseen.confusion(gained)
    assert table.loc["a"].to_dict() == {"a": 0.5, "b": 0.5}
    assert set(unseen.own(gained)["target"]) == {"a"} and len(unseen.own(gained)) == 4
    assert unseen.own(gained, 0.5).empty


def test_images_are_compared_with_every_target_by_both_measures():
    plain, target = torch.zeros(2, 3, 2, 2), torch.full((2, 3, 2, 2), -0.5)
    found = unseen.apart(lambda a, b: (a - b).square().mean((1, 2, 3)), plain, {"a": target, "b": plain})
    assert list(found["error to a"]) == [0.5, 0.5] and list(found["distance to a"]) == [0.25, 0.25]
    assert not found["error to b"].any() and len(found) == 4


def test_an_edit_that_draws_its_target_comes_nearer_and_nearest_to_it(toy):
    found = unseen.measure(toy, n=6, strengths=(0.5, 1.0), progress=False)
    for kind in ("distance", "error"):
        gained = unseen.gains(found, kind)
        near = unseen.own(gained)
        assert set(near["edit"]) == {"red", "blue"} and (near["value"] > 0.5).all()
        assert (unseen.own(gained, 0.5)["value"].to_numpy() < near["value"].to_numpy()).all()
        assert sorted(near[near["edit"] == "red"]["image"]) == list(range(6)) and near["seed"].nunique() == 3
        table = unseen.confusion(gained)
        assert table.loc["red", "red"] == 1 and table.loc["blue", "blue"] == 1
        more = unseen.own(unseen.beyond_others(gained))
        assert (more["value"] > near["value"].to_numpy()).all(), "the other edit leads away"


def test_the_true_target_is_scored_as_an_edit_would_be(toy):
    found = unseen.measure(toy, n=3, strengths=(1.0,), progress=False)
    moved = pick(found, "moved", edit="red", variant="target")["value"]
    assert len(moved) == 3 and moved.mean() == pytest.approx(0.5 / 3**0.5, rel=0.1)
    assert pick(found, "aimed").empty, "an unseen edit has no factor"


def test_a_domain_without_truth_still_gets_its_scores(toy):
    toy.oracle = toy.target_source = None
    found = unseen.measure(toy, n=3, strengths=(1.0,), progress=False)
    assert set(found["score"]) == {"S_dir", "distance", "SC"} and found["variant"].isna().all()


def test_no_unseen_edit_is_an_error_that_names_the_command(toy):
    toy.edits = {}
    with pytest.raises(DomainError, match="asyrp_lib train"):
        unseen.measure(toy, n=2, progress=False)
