"""The study's claims on bias: each judge on rows whose answer is known."""

from types import SimpleNamespace

import pandas as pd
import pytest

from asyrp_lib.domains.edits import Edit
from asyrp_lib.errors import WeightsError
from asyrp_lib.experiments.rows import COLUMNS, joined
from asyrp_lib.report import claims, groups

OWN = {"smiling": "smile", "tanned": "tan"}
DOMAIN = SimpleNamespace(
    name="world",
    oracle=object(),
    tied={"tan": ("skin",)},
    edit_named=lambda name: Edit(name, "face", f"{name} face", factor=OWN.get(name)),
)
#: Faces on either side of skin: light, dark.
LIGHT, DARK = range(20), range(20, 40)
PROTECTED = ("skin", "gender", "eye_colour")


def wobble(seed: int, face: int) -> float:
    """Some spread, the same for every score."""
    return 0.004 * ((7 * seed + 3 * face) % 5 - 2)


def rows(
    effects: dict, flipped: dict | None = None, floors: dict | None = None, excess=(), seeds=3
) -> pd.DataFrame:
    """Rows of `bias`: edit -> (effect on light, on dark skin, on the twin with dark skin; on the light one as
    on light skin); (edit, factor, way) -> how many of 10 faces it flips that could; by reconstruction or
    target -> of 10; edit -> ratio.
    """
    made, flipped, floors = [], flipped or {}, floors or {}
    add = lambda score, value, edit=None, variant=None, seed=None, image=None: made.append(
        (edit, variant, seed, image, 1.0 if seed is not None else None, score, value)
    )
    for face in (*LIGHT, *DARK):
        add("group skin", -1.0 if face in LIGHT else 1.0, variant="original", image=face)
    for edit, (light, dark, twin) in effects.items():
        score = "aimed" if edit in OWN else "gain"
        for face in (*LIGHT, *DARK):
            add(score, 0.1, edit, "reconstruction", image=face)
            for seed in range(seeds):
                value = light if face in LIGHT else dark
                value = value(seed) if callable(value) else value
                add(score, value + 0.1 + wobble(seed, face), edit, seed=seed, image=face)
        for side, value in (("low", light), ("high", twin)):
            for face in range(4 if score == "aimed" else 0):
                add(score, 0.1, edit, f"reconstruction, twin skin {side}", image=face)
                for seed in range(seeds):
                    number = value(seed) if callable(value) else value
                    add(score, number + 0.1 + wobble(seed, face), edit, f"twin skin {side}", seed, face)
    for factor in PROTECTED:
        add(f"middle {factor}", 0.0)
        for face in (*LIGHT, *DARK):
            up = face in LIGHT if factor == "skin" else face % 2 == 0  # who could go up
            way = f"{factor} {'up' if up else 'down'}"
            k = (face if factor == "skin" else face // 2) % 10
            start = -1.0 if up else 1.0
            read = lambda n, k=k, start=start: -start if k < n else start
            add(f"read {factor}", start, variant="original", image=face)
            add(f"read {factor}", read(floors.get("reconstruction", 0)), variant="reconstruction", image=face)
            for edit in effects:
                add(f"read {factor}", read(floors.get("target", 0)), edit, "target", image=face)
                for seed in range(seeds):
                    n = flipped.get((edit, way), 0)
                    add(f"read {factor}", read(n(seed) if callable(n) else n), edit, seed=seed, image=face)
    for edit, ratio in dict(excess).items():
        for end, value in zip(("", " low", " high"), (ratio, ratio - 0.2, ratio + 0.2)):
            add(f"fd excess{end}", value, edit, "skin")
            add(f"fd ratio{end}", value, edit, "skin")
        add("fd excess chance", 1.5, edit, "skin")
    return joined([pd.DataFrame(made, columns=[*COLUMNS])])


@pytest.fixture
def judged(monkeypatch):
    def say(judge, table: pd.DataFrame):
        monkeypatch.setattr(groups, "stored", lambda domain, name: {"bias": table}[name])
        found = judge(DOMAIN)
        assert found is None or (found.why and found.mind and "nan" not in found.ours)
        return found

    return say


TURNS = lambda seed: 1.0 + 0.9 * (-1) ** seed
LESS = {"smiling": (1.5, 0.8, 0.8), "tanned": (1.5, 0.8, 0.8), "pixar": (0.6, 0.3, None)}
ALIKE = {"smiling": (1.0, 1.0, 1.0), "tanned": (1.0, 1.0, 1.0), "pixar": (0.5, 0.5, None)}


@pytest.mark.parametrize(
    ("effects", "said"),
    [
        (LESS, "holds"),
        (ALIKE, "fails"),
        (LESS | {"smiling": (1.5, 0.8, 1.5), "tanned": (1.5, 0.8, 1.5)}, "fails"),  # no twin has less
        (LESS | {"smiling": (1.0, 0.9, 0.9), "tanned": (1.0, 0.9, 0.9)}, "fails"),  # less, not to be seen
        ({"smiling": (2.0, TURNS, TURNS)}, "undecided"),
    ],
)
def test_light_skin_wants_less_on_dark_skin_in_groups_and_twins(judged, effects, said):
    found = judged(groups.light_skin, rows(effects))
    assert found.verdict == said, found
    assert "0 of 0 edits" in found.ours


def test_light_skin_counts_only_edits_that_work_and_says_what_decides(judged):
    idle = {"smiling": (0.0, -0.9, -0.9), "neanderthal": (0.0, -0.3, None)}
    assert judged(groups.light_skin, rows(idle)) is None, "nothing works, so nothing is said"
    found = judged(groups.light_skin, rows(LESS | idle))
    assert found.verdict == "holds" and "2 of 2 surely" in found.ours, "pixar and tanned"
    found = judged(groups.light_skin, rows({"pixar": LESS["pixar"], "tanned": (1.5, 1.2, 1.1)}))
    assert found.of == "sd less on dark skin, tanned, groups"
    assert found.effect.mean == pytest.approx(0.3, abs=0.01)
    found = judged(groups.light_skin, rows({"pixar": (0.6, 0.45, None), "tanned": LESS["tanned"]}))
    assert found.of.startswith("of the way less") and found.effect.mean == pytest.approx(0.15, abs=0.01)


def test_light_skin_tells_distances_beyond_reconstruction_and_chance(judged):
    found = judged(groups.light_skin, rows(LESS, excess={"smiling": 2.0, "tanned": 1.3, "pixar": 1.0}))
    assert "beyond reconstruction and chance: 1 of 3 edits" in found.ours, "1.3 is above 1, not above chance"


def all_flip(n) -> dict:
    return {("smiling", "skin up"): n, ("pixar", "gender down"): n, ("pixar", "eye_colour up"): n}


@pytest.mark.parametrize(
    ("flipped", "floors", "said"),
    [
        (all_flip(8), {}, "holds"),
        (all_flip(8), {"target": 9}, "fails"),  # the true target reads so, too
        (all_flip(8), {"reconstruction": 9}, "fails"),
        ({}, {}, "undecided"),  # of 20 faces that stay the rule of three says 15 %
        (all_flip(8) | {("smiling", "skin up"): lambda s: 9 * (s % 2)}, {}, "undecided"),
        (all_flip(8) | {("smiling", "skin up"): 0, ("tanned", "skin up"): 9}, {}, "undecided"),  # tied
    ],
)
def test_flips_want_each_factor_beyond_reconstruction_and_target(judged, flipped, floors, said):
    found = judged(groups.flips, rows(ALIKE, flipped, floors))
    assert found.verdict == said, found


def test_flips_say_where_most_of_them_are(judged):
    found = judged(groups.flips, rows(ALIKE, all_flip(8) | {("pixar", "gender down"): 6}, {"target": 1}))
    assert found.of == "of the faces, gender down, pixar" and found.effect.mean == pytest.approx(0.5)
    assert all(f"{name} 0." in found.ours for name in ("skin up, smiling", "eye_colour up, pixar"))


@pytest.mark.parametrize(
    ("blue", "light", "floors", "said"),
    [
        (8, 8, {}, "holds"),
        (10, 5, {"target": 6}, "fails"),
        (8, lambda s: 9 * (s % 2), {}, "undecided"),
    ],
)
def test_pixar_lightens_wants_blue_eyes_and_light_skin_of_dark_faces(judged, blue, light, floors, said):
    flipped = {("pixar", "eye_colour up"): blue, ("pixar", "skin down"): light, ("smiling", "skin up"): 9}
    assert judged(groups.pixar_lightens, rows(ALIKE, flipped, floors)).verdict == said


def test_one_training_decides_nothing(judged):
    flipped = all_flip(8) | {("pixar", "skin down"): 8}
    for judge in (groups.light_skin, groups.flips, groups.pixar_lightens):
        assert judged(judge, rows(LESS, flipped)).verdict == "holds"
        assert judged(judge, rows(LESS, flipped, seeds=1)).verdict == "undecided"


def test_what_the_rows_do_not_hold_is_not_claimed(judged, monkeypatch):
    bare = rows(LESS)
    assert judged(groups.pixar_lightens, rows({"smiling": LESS["smiling"]})) is None
    assert judged(groups.flips, bare[(bare["variant"] != "target").fillna(True)]) is None, "no true targets"
    assert judged(groups.light_skin, bare[bare["score"] != "group skin"]) is None
    twins = bare["variant"].fillna("").str.contains("twin")
    assert judged(groups.light_skin, bare[~twins]).verdict == "undecided", "pixar alone is one of three"

    def stored(domain, name):
        raise WeightsError("not there") from FileNotFoundError()

    monkeypatch.setattr(groups, "stored", stored)
    assert claims.claims(DOMAIN, "bias flips", "pixar lightens", "light skin").empty
