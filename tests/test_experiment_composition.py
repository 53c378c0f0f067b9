"""Composition: shifts that add up exactly are kept as expected, and walls lower what is expected."""

import numpy as np
import pytest

from asyrp_lib.domains.edits import Edit
from asyrp_lib.errors import DomainError
from asyrp_lib.experiments import composition
from asyrp_lib.experiments.rows import joined, numbers, pick

PAIR = ("a", "b")


@pytest.fixture
def coloured(toy):
    """All three colours aim at a factor."""
    toy.edits |= {name: Edit(name, "face", f"{name} face", factor=name) for name in ("red", "blue")}
    return toy


def synthetic(alone: dict, together: float, room: float):
    """Two faces, alike: shifts of a's aim by strength under a and b alone, and under both."""
    parts = [numbers({"room": room}, edit="a", seed=0, image=i) for i in (0, 1)]
    for (label, strength), value in alone.items():
        where = {"variant": label, "strength": strength, "edit": "a", "seed": 0}
        parts += [numbers({"aimed": value}, image=i, **where) for i in (0, 1)]
    where = {"variant": composition.label_of(PAIR), "strength": composition.factor(PAIR)}
    parts += [numbers({"aimed": together}, edit="a", seed=0, image=i, **where) for i in (0, 1)]
    return joined(parts)


def test_shifts_that_add_up_keep_one_over_root_n(coloured):
    rows = composition.measure(coloured, n=6, names=("red", "green", "blue"), progress=False)
    groups = composition.groups(("red", "green", "blue"))
    assert len(groups) == 4 and groups[-1] == ("red", "green", "blue")
    for group in groups:
        for edit in group:
            for share in (composition.kept, composition.added):
                assert share(rows, edit, group) == pytest.approx(len(group) ** -0.5, rel=2e-3), (share, group)


def test_every_seed_of_all_edits_has_the_same_faces_and_an_edit_alone_is_measured_once(coloured):
    rows = composition.measure(coloured, n=6, names=("red", "green"), progress=False)
    for variant, strength in (("red", 1.0), (composition.label_of(("red", "green")), 0.7071)):
        found = pick(rows, "aimed", edit="red", variant=variant, strength=strength)
        assert list(found["image"]) == list(range(6)) and list(found["seed"]) == [0, 0, 1, 1, 2, 2]
    assert not rows.duplicated(["edit", "variant", "seed", "image", "strength", "score"]).any()
    assert np.abs(pick(rows, "aimed", edit="green", variant="red")["value"]).max() < 1e-4


def test_room_is_what_the_plain_image_has_left(coloured):
    rows = composition.measure(coloured, n=3, names=("red", "green"), progress=False)
    room = pick(rows, "room", edit="red").set_index("image")["value"]
    red = coloured.oracle.read(composition.Trial(coloured, 3).plain)["red"]
    assert np.allclose(room.sort_index(), 2.0 - red, atol=1e-5)


def test_an_edit_that_alone_fills_its_room_is_expected_to_keep_more_than_the_rule_gives():
    alone = {("a", 1.0): 1.0, ("a", 0.7071): 0.9, ("b", 1.0): 0.0, ("b", 0.7071): 0.0}
    rows = synthetic(alone, 0.9, room=1.0)
    assert composition.kept(rows, "a", PAIR) == pytest.approx(0.9)
    assert composition.added(rows, "a", PAIR) == pytest.approx(0.9)


def test_two_edits_that_push_the_same_way_are_expected_to_stop_at_the_wall():
    alone = {(name, strength): 1.0 for name in "ab" for strength in (1.0, 0.7071)}
    rows = synthetic(alone, 1.5, room=1.5)
    assert composition.added(rows, "a", PAIR) == 1.5 == composition.kept(rows, "a", PAIR)
    beyond = synthetic(alone, 1.0, room=0.5)  # the oracle read a alone beyond the wall
    assert composition.added(beyond, "a", PAIR) == 1


def test_without_an_oracle_the_images_are_still_scored(coloured):
    coloured.oracle = None
    rows = composition.measure(coloured, n=3, names=("red", "green"), progress=False)
    assert {"S_dir", "distance", "SC"} == set(rows["score"])


def test_groups_are_all_pairs_and_the_first_and_last_three():
    five = composition.groups("abcde")
    assert len(five) == 12 and five[-2:] == [("a", "b", "c"), ("c", "d", "e")]
    assert composition.groups("ab") == [("a", "b")]


def test_one_edit_composes_with_nothing(toy):
    with pytest.raises(DomainError, match="green only; expected two"):
        composition.measure(toy, n=2, names=("green",), progress=False)
