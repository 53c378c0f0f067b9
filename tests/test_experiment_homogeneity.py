"""Homogeneity: sources and others, what is reached, and the share of an effect that others get."""

import pandas as pd
import pytest
from tiny_domain import build_tiny

from asyrp_lib.experiments import digests, homogeneity
from asyrp_lib.experiments.rows import COLUMNS, joined, numbers, pick


def test_the_share_that_others_keep_is_a_ratio_of_means():
    rows = joined(
        [
            numbers({"aimed": value}, variant=variant)
            for variant, value in [
                ("Δh, own", 2.0),
                ("Δh, others", 1.0),
                ("Δh, others", 2.0),
                ("Δε, own", 9.0),
            ]
        ]
    )
    assert homogeneity.kept(rows, "Δh") == pytest.approx(0.75)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Three sources asked for, of which five images have two; three epochs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASYRP_CACHE", "off")
        return homogeneity.measure(build_tiny(), n=5, sources=3, epochs=3, names=["warm"], progress=False)


def test_each_source_has_one_face_of_its_own_and_others_that_nobody_else_has(rows):
    assert list(rows.columns) == list(COLUMNS) and rows["value"].notna().all()
    for space in ("Δh", "Δε"):
        own, others = (pick(rows, "distance", variant=f"{space}, {who}") for who in ("own", "others"))
        assert list(own["image"]) == [0, 2] and list(own["seed"]) == [0, 1]
        assert list(others["image"]) == [1, 3, 4] and list(others["seed"]) == [0, 1, 1]
        assert (own["value"] > 0).all() and (others["value"] > 0).all()


def test_both_shifts_were_learned_as_long_and_their_lengths_are_there(rows):
    for space in ("Δh", "Δε"):
        first, last = (pick(rows, f"loss, epoch {k}", variant=space)["value"] for k in (1, 3))
        assert len(first) == len(last) == 2 and (last.to_numpy() < first.to_numpy()).all()
        assert pick(rows, "loss, epoch 4").empty
        for score in ("length", "relative length"):
            found = pick(rows, score, variant=space)
            assert list(found["seed"]) == [0, 1] and (found["value"] > 0).all()
    assert not set(pick(rows, "length")["value"]) & set(pick(rows, "relative length")["value"])


def test_the_number_of_a_source_is_not_taken_for_the_seed_of_an_f_t(rows):
    assert [name for name in digests(build_tiny(), rows) if name.startswith("f_t")] == ["f_t warm 0"]
