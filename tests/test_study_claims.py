"""The study's claims: each judge of grids on rows whose answer is known."""

from collections.abc import Callable
from math import isnan, sin
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from asyrp_lib.domains.edits import Edit
from asyrp_lib.errors import WeightsError
from asyrp_lib.experiments.rows import COLUMNS, joined
from asyrp_lib.measure.stats import Interval
from asyrp_lib.report import best, claims, study
from asyrp_lib.report.claim import decider, spread

SEEDS, FACES, STRENGTHS = 5, 4, (0.0, 0.5, 1.0, 1.5)
SEEN = "smiling", "sad", "tanned"
EDITS = *SEEN, "pixar", "neanderthal"
DOMAIN = SimpleNamespace(
    name="world",
    oracle=object(),
    edit_named=lambda name: Edit(name, "face", f"{name} face", factor="smile" if name in SEEN else None),
)
#: Above and below by turns: no seed agrees with the next.
TURNS = lambda seed: 0.5 + 0.4 * (-1) ** seed


def cells(variant: str, edit: str = "smiling", seeds=SEEDS, **scores: float | Callable) -> list:
    """One variant of a grid: `slope` is its aimed shift per strength, `first` what share of it there is after
    epoch 1; all else is the same at every strength above 0, for all or by the seed.
    """
    known = {"slope": 1.0, "first": 0.8, "clip": 1.0, "seconds": 10.0, "worst": 0.3, "leaked": 0.3}
    known |= {"distance": 0.5, "SC": 0.8} | scores
    rows = []
    for seed in range(seeds):
        value = {name: of(seed) if callable(of) else of for name, of in known.items()}
        for epoch, strength in [(1, 1.0), *((2, s) for s in STRENGTHS)]:
            at = (edit, variant, seed)
            for face in range(FACES):
                wobble = 0.002 * sin(9 * seed + 5 * face)
                share = value["first"] if epoch == 1 else 1.0
                of = {"aimed": (share * value["slope"] + wobble) * strength}
                of |= {"distance to target": (value["distance"] if strength else 1.0) + wobble}
                of |= {name: value[name] + wobble for name in ("leaked", "SC")}
                rows += [(*at, face, strength, score, number, epoch) for score, number in of.items()]
            rows.append((*at, None, strength, "worst", value["worst"], epoch))
        for epoch in (1, 2):
            clip = value.get("clip 1", value["clip"]) if epoch == 1 else value["clip"]
            of = {"clip": clip + 0.001 * sin(seed), "seconds": value["seconds"] * epoch}
            rows += [(*at, None, None, score, number, epoch) for score, number in of.items()]
    return rows


def grid(variants: dict, **axes) -> pd.DataFrame:
    """variant, or (variant, edit) -> scores of `cells`, as the rows of a grid."""
    rows = []
    for name, scores in variants.items():
        rows += cells(*((name,) if isinstance(name, str) else name), **scores)
    table = joined([pd.DataFrame(rows, columns=[*COLUMNS, "epoch"])]).astype({"epoch": "Int64"})
    return table.assign(**{axis: table["variant"].map(of) for axis, of in axes.items()})


KINDS = ("original", "conv", "p", "c", "pc", "cp", "mid block")


def layouts(scores: Callable[[str, int], dict], edits=("smiling", "pixar")) -> dict:
    of = {(f"edit {e}, f_t {k}", e): scores(k, i) for e in edits for i, k in enumerate(KINDS)}
    return {"layouts": grid(of)}


def many(name: str, one: dict, others: dict, counts=(1, 2, 4, 8)) -> dict:
    return {name: grid({f"{name} {k}": one if k == 1 else others for k in counts})}


def parts(base: dict, **others: dict) -> dict:
    names = {"AdaGN": {}, "mult": {}, "instance norm": {}, "ReLU": {}, "GELU": {}} | others
    return {"parts": grid({"part add, group, SiLU": base} | {f"part {k}": v for k, v in names.items()})}


def optimisers(sgd: float | Callable, adam: float) -> dict:
    of = {"SGD 0.5": {"slope": sgd}, "AdamW 0.0001": {"slope": adam}}
    return {
        "optimiser": grid({f"f_t {k}, optimiser {o}": s for k in ("original", "pc") for o, s in of.items()})
    }


def bests(scores: dict, edits=EDITS, goblin: dict | None = None) -> dict:
    of = {(f"edit {e}, f_t {k}", e): s for e in edits for k, s in {"original": {}, "best": scores}.items()}
    names = {("f_t original", "goblin"): {}, ("f_t pc, 8 heads", "goblin"): goblin or {}}
    return {"best": grid(of), "goblin": grid(names)}


def begun(scratch: dict, moved: dict) -> dict:
    of = {"scratch": scratch, "transfer": moved}
    names = {
        (f"edit {e}, f_t {k}, begin {b}", e): scores
        for e in ("smiling", "neanderthal")
        for k in ("original", "pc")
        for b, scores in of.items()
    }
    return {"transfer": grid(names)}


def tuned(distance: float | Callable, free: float) -> dict:
    of = {(f"edit {e}, f_t original", e): {"distance": distance} for e in ("pixar", "neanderthal")}
    return {"best": grid(of), "goblin": grid({("f_t original", "goblin"): {"distance": free}})}


lower = lambda who, value, rest=1.0: layouts(lambda k, i: {"clip": value if k == who else rest})
ranked = lambda a, b: layouts(lambda k, i: {"clip": 1 + a(i), "distance": 0.3 + b(i), "leaked": 0.2 + b(i)})
up, down = (lambda i: 0.05 * i), (lambda i: 0.3 - 0.05 * i)
mixed = lambda i: lambda seed: 0.05 * (i if seed % 2 else 6 - i)
near = lambda value: layouts(lambda k, i: {"distance": value if k == "pc" else 0.5})
early = lambda value: layouts(lambda k, i: {"first": 0.9 if k == "original" else value})
weak = lambda value: layouts(lambda k, i: {"slope": value if k == "original" else 1.0})
turned = lambda i: {"clip": 1 + 0.05 * i, "distance": mixed(i), "leaked": mixed(i)}
late = lambda first, seconds: many("heads", {"first": 0.9}, {"first": first, "seconds": seconds})
ordered = lambda clip, **rest: parts({"clip": 1.0}, AdaGN={"clip": clip}, mult={"clip": 1.1})
nearly = lambda **how: parts({}, ReLU=how)
#: judge -> rows for which it holds, fails, and is undecided
CASES = {
    study.layout: (lower("pc", 0.8), lower("cp", 0.8), lower("pc", lambda s: TURNS(s) + 0.5)),
    study.loss_as_rule: (ranked(up, up), ranked(up, down), layouts(lambda k, i: turned(i))),
    study.finer: (near(0.3), near(0.49), near(TURNS)),
    study.epochs: (early(0.6), early(0.95), early(lambda s: TURNS(s) + 0.4)),
    study.heads: tuple(many("heads", {}, {"distance": d}) for d in (0.3, 0.49, TURNS)),
    study.depth: tuple(many("depth", {}, {"distance": d}, (1, 2, 4)) for d in (0.3, 0.49, TURNS)),
    study.epochs_of_heads: (late(0.6, 15), late(0.6, 10), late(lambda s: TURNS(s) + 0.4, 15)),
    study.strength_of_heads: tuple(
        many("heads", {}, {"slope": d}) for d in (1.25, 1.02, lambda s: 1.1 + 0.3 * (-1) ** s)
    ),
    study.subtle: (ranked(up, up), ranked(up, down), layouts(lambda k, i: turned(i))),
    study.time: (ordered(0.9), ordered(1.05), ordered(lambda s: TURNS(s) + 0.5)),
    study.norm_and_activation: (nearly(), nearly(clip=1.2), nearly(distance=TURNS)),
    study.optimiser: (optimisers(0.2, 0.8), optimisers(0.8, 0.2), optimisers(TURNS, 0.5)),
    study.conv_with_adam: (weak(0.3), weak(0.9), weak(TURNS)),
    best.best: tuple(bests({"distance": d}) for d in (0.3, 0.49, TURNS)),
    best.keeps_structure: tuple(bests({"SC": v}) for v in (0.9, 0.81, lambda s: TURNS(s) + 0.3)),
    best.untuned: tuple(bests({}, goblin={"distance": d}) for d in (0.3, 0.49, TURNS)),
    best.tuning: (tuned(0.3, 0.6), tuned(0.5, 0.5), tuned(TURNS, 0.5)),
    best.transfer: tuple(
        begun({"clip": 1.0}, {"clip": 0.7, "clip 1": c}) for c in (0.9, 1.1, lambda s: TURNS(s) + 0.5)
    ),
    best.stays_lower: tuple(begun({}, {"clip": c}) for c in (0.9, 1.1, lambda s: TURNS(s) + 0.5)),
    best.reaches_farther: tuple(begun({}, {"distance": d}) for d in (0.3, 0.49, TURNS)),
}
SAID = ("holds", "fails", "undecided")


@pytest.fixture
def judged(monkeypatch):
    """A judge's claim on grids by name; without a grid it is not measured."""

    def say(judge, grids: dict):
        def stored(domain, name):
            if name not in grids:
                raise WeightsError("not there") from FileNotFoundError()
            return grids[name]

        for module in (study, best):
            monkeypatch.setattr(module, "stored_grid", stored)
        return judge(DOMAIN)

    return say


@pytest.mark.parametrize(
    ("judge", "grids", "said"),
    [(judge, grids, said) for judge, of in CASES.items() for grids, said in zip(of, SAID)],
    ids=[f"{judge.__name__} {said}" for judge in CASES for said in SAID],
)
def test_every_judge_can_hold_fail_and_not_tell(judged, judge, grids, said):
    found = judged(judge, grids)
    assert found.verdict == said, found
    assert found.why and found.mind and found.of and found.effect.seeds == SEEDS
    assert "nan" not in found.ours and not isnan(found.effect.low)


def test_no_claim_of_a_grid_is_without_these_cases():
    made = [judge for _, _, judge in claims.STUDY.values()]
    own = {judge for judge in made if judge.__module__ in (study.__name__, best.__name__)}
    assert own == set(CASES)


@pytest.mark.parametrize("judge", [study.heads, study.strength_of_heads])
def test_seeds_that_never_reach_the_effect_are_dropped_and_counted(judged, judge):
    far = {"distance": lambda s: 9.0 if s == 2 else 0.3, "slope": lambda s: 0.3 if s == 2 else 1.25}
    found = judged(judge, many("heads", {}, far))
    assert found.verdict == "holds" and found.effect.seeds == 4
    assert "at 1 sd of effect (seeds that reach it: 4 to 5 of 5)" in found.ours


def test_the_count_is_of_what_is_compared_alone_and_of_edits_with_a_factor(judged):
    rows = layouts(
        lambda k, i: {
            "slope": 0.3 if k in ("cp", "p") else 1.0,
            "distance": 0.5 - 0.2 * (k == "pc"),
            "leaked": 0.05 * i,
        }
    )
    found = judged(study.finer, rows)
    assert found.verdict == "holds" and "(seeds that reach it: 5 of 5)" in found.ours
    assert "(seeds that reach it: 0 to 5 of 5)" in judged(study.subtle, rows).ours
    weak = bests({"distance": 0.3, "slope": lambda s: 0.3 if s else 1.0})
    assert "(seeds that reach it: 1 to 5 of 5), of unseen edits at" in judged(best.best, weak).ours


def test_where_no_seed_reaches_the_effect_nothing_is_claimed(judged):
    found = judged(study.heads, many("heads", {}, {"slope": 0.2, "distance": 0.1}))
    assert found.verdict == "undecided" and "0 to 5 of 5" in found.ours and "nan" not in found.ours
    one = judged(
        study.heads,
        {
            "heads": grid(
                {
                    f"heads {k}": {"slope": 0.2 if k == 8 else 1.0, "distance": 0.3 if k > 1 else 0.5}
                    for k in (1, 2, 4, 8)
                }
            )
        },
    )
    assert one.verdict == "undecided" and not isnan(one.effect.mean) and "2 of 3 surely" in one.ours


def test_what_has_no_mean_decides_nothing_while_something_has_one():
    gone, low, high = Interval(np.nan, np.nan, np.nan, 0, 0), Interval(1, 0, 2, 5, 4), Interval(2, 1, 3, 5, 4)
    assert (
        decider({"a": gone, "b": high, "c": low})[0] == "c" and decider({"a": gone, "b": high}, 2)[0] == "b"
    )
    assert decider({"a": gone})[0] == "a"
    assert spread([gone, low, high], ".0f") == "1 to 2" and spread([gone], ".0f") == "none"


def test_claims_whose_rows_are_not_stored_are_left_out(judged):
    judged(study.heads, CASES[study.heads][0])
    table = claims.claims(DOMAIN, "layout", "heads", "depth", "best")
    assert list(table.index) == ["heads"] and table.loc["heads", "verdict"] == "holds"
