"""Asymmetry: what a matched strength is, and both processes on a world with a known ε."""

import pytest

from asyrp_lib.errors import UnknownNameError
from asyrp_lib.experiments import asymmetry
from asyrp_lib.experiments.asymmetry import ALONE, BOTH, MATCHED, TRAINED, TRAINED_MATCHED
from asyrp_lib.experiments.rows import joined, numbers, pick


def searched(want: float, found: dict[float, float]):
    rows = [numbers({"distance": want}, variant=f"search, {ALONE}", strength=1.0)]
    rows += [numbers({"distance": d}, variant=f"search, {BOTH}", strength=s) for s, d in found.items()]
    return joined(rows)


@pytest.mark.parametrize(
    ("want", "strength"), [(0.1, 0.5), (0.2, 1.0), (0.3, 1.5), (0.5, 3.0), (9.0, 4.0)], ids=str
)
def test_the_matched_strength_is_where_the_distances_meet_or_the_largest_tried(want, strength):
    assert asymmetry.matched(searched(want, {1: 0.2, 2: 0.4, 4: 0.6})) == pytest.approx(strength)


@pytest.fixture
def rows(toy):
    toy.delta_config, toy.train_images = {"kind": "ConvDelta", "groups": 3}, 2
    return asymmetry.measure(toy, n=6, names=["green"], search=3, trainings=2, progress=False)


def test_the_symmetric_process_hardly_moves_and_matched_moves_as_far(rows):
    mean = {v: pick(rows, "distance", variant=v)["value"].mean() for v in (ALONE, BOTH, MATCHED)}
    assert mean[BOTH] < 0.1 * mean[ALONE]
    assert mean[MATCHED] == pytest.approx(mean[ALONE], rel=0.1)
    strengths = pick(rows, "distance", variant=f"search, {BOTH}")["strength"]
    assert sorted(set(strengths)) == [1, 2, 4, 6, 9, 13]
    assert pick(rows, "distance", variant=MATCHED)["strength"].nunique() == 1


def test_every_seed_has_its_faces_and_trainings_have_their_loss(rows):
    for variant, seeds in {ALONE: 3, BOTH: 3, MATCHED: 3, TRAINED: 2, TRAINED_MATCHED: 2}.items():
        found = pick(rows, "aimed", variant=variant)
        assert sorted(found["image"]) == list(range(6)) and found["seed"].nunique() == seeds
    assert list(pick(rows, "clip", variant=TRAINED)["seed"]) == [0, 1]
    searched = pick(rows, "distance", variant=f"search, {TRAINED}")
    assert len(searched) == 3 * 6 and searched["seed"].nunique() == 2
    chosen = pick(rows, "distance", variant=TRAINED_MATCHED)["strength"].unique()
    assert chosen == [asymmetry.matched(rows, TRAINED)] != [asymmetry.matched(rows)]


def test_without_a_validation_split_it_searches_among_training_images(toy):
    def images(split, n, first, source=toy.image_source):
        if split == "validation":
            raise UnknownNameError("no such split")
        return source(split, n, first)

    assert asymmetry.choosing(toy) == "validation"
    toy.image_source = images
    assert asymmetry.choosing(toy) == "train"
