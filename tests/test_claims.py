"""Claims: judged from rows, whole intervals beside named bounds, and README says what they say."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from asyrp_lib.domains.edits import Edit
from asyrp_lib.errors import AsyrpError, WeightsError
from asyrp_lib.experiments import linearity, reproduce
from asyrp_lib.experiments.rows import joined, numbers
from asyrp_lib.measure.stats import Interval
from asyrp_lib.report import best, claims, editions, groups, protocols, study, verdicts
from asyrp_lib.report.claim import above, decider, verdict, within
from asyrp_lib.runs.launch import Task
from asyrp_lib.store.paths import repo_root

DOMAIN = SimpleNamespace(
    oracle=object(),
    tied={"smile": ("mouth",)},
    edit_named=lambda name: Edit(name, "face", f"{name} face", factor="smile"),
)
FACES, SEEDS = 4, 5


def rows(score: str, value: float | Callable[[int], float], edit="smiling", variant=None, **how):
    """One score of `SEEDS` × `FACES` faces; value: one for all, or of the face's number."""
    rng, strength = np.random.default_rng(len(score)), how.pop("strength", 1.0)
    parts = []
    for face in range(how.pop("faces", FACES * SEEDS)):
        seed = how["seed"] if "seed" in how else face // FACES
        number = value(face) if callable(value) else value + how.get("wobble", 0.01) * rng.normal()
        where = {"edit": edit, "variant": variant, "seed": seed, "image": face, "strength": strength}
        parts.append(numbers({score: number}, **where))
    return pd.concat([part.astype(object) for part in parts])


def judged(monkeypatch, judge, **tables) -> claims.Claim:
    """The verdict of a judge on rows by experiment."""
    stored = lambda domain, name: joined(tables[name])
    for module in (verdicts, protocols):
        monkeypatch.setattr(module, "stored", stored)
    monkeypatch.setattr("asyrp_lib.measure.stats.RESAMPLES", 40)  # of faces, where a test has no seeds
    found = judge(DOMAIN)
    assert found.why and found.mind and found.of and found.effect.faces > 0 and "nan" not in found.ours
    return found


def test_only_a_whole_interval_counts():
    sure, not_sure, against = Interval(2, 1, 3, 5, 9), Interval(2, 0, 4, 5, 9), Interval(-2, -3, -1, 5, 9)
    assert [above(i, 0.5) for i in (sure, not_sure, against)] == [1, 0, -1]
    assert [within(i, 0, 4) for i in (sure, not_sure, against)] == [1, 0, -1]
    assert above(Interval(2, np.nan, np.nan, 1, 1), 0) == 0


@pytest.mark.parametrize(
    ("sides", "need", "said"),
    [
        ([1, 1, 1], None, "holds"),
        ([1, 1, -1], None, "fails"),
        ([1, 1, 0], None, "undecided"),
        ([1, 1, -1], 2, "holds"),
        ([1, 0, -1], 2, "undecided"),
        ([1, -1, -1], 2, "fails"),
        ([], None, "undecided"),
    ],
)
def test_k_of_n_has_a_bound_that_makes_it_true_or_false(sides, need, said):
    assert verdict(sides, need) == said


def test_what_decides_is_the_weakest_that_is_needed():
    found = {name: Interval(mean, 0, 9, 5, 9) for name, mean in {"a": 3.0, "b": 1.0, "c": 2.0}.items()}
    assert decider(found)[0] == "b" and decider(found, 2)[0] == "c"


def final(aimed: float, leaked: float, start: float = 0.2) -> list:
    seeds = [{"edit": "smiling", "seed": seed, "strength": 1.0} for seed in range(SEEDS)]
    roots = {"rms smile": abs(aimed), "rms mouth": 9.0, "rms nose": leaked}
    room = [
        rows("position", start + 0.1 * aimed),
        rows("start", start, wobble=0.0),
    ]
    chance = numbers({"rms nose": 0.2, "rms smile": 0.1}, edit="smiling", variant="random Δh")
    return [rows("aimed", aimed), *room, chance, *(numbers(roots, **where) for where in seeds)]


def test_known_wants_the_factor_to_move_and_the_rest_to_stay_but_for_what_is_tied(monkeypatch):
    say = lambda *how: judged(monkeypatch, verdicts.known, final=final(*how)).verdict
    assert say(1.5, 0.3) == "holds", "the mouth is tied"
    assert say(1.5, 0.7) == "fails" and say(0.5, 0.3) == "fails"
    assert "as long as f_t's 0.2" in judged(monkeypatch, verdicts.known, final=final(1.5, 0.3)).ours
    assert say(0.9, 0.3, 0.85) == "holds", "more than half of the room"
    found = judged(monkeypatch, verdicts.known, final=final(-1.5, 0.3))
    assert found.verdict == "fails" and "100% of the faces go the wrong way" in found.ours


def ways(after: dict[tuple[str, str], float]) -> list:
    """Unseen edits: what is left of a way of 2 to each target, by both distances."""
    parts = []
    for kind in ("error", "distance"):
        for name in ("elf", "alien"):
            parts += [rows(f"{kind} to {name}", 2, edit=None, variant="before", wobble=0, strength=None)]
        parts += [rows(f"{kind} to {t}", value, edit=e) for (e, t), value in after.items()]
    return parts


def test_unseen_wants_every_edit_nearer_by_both_distances(monkeypatch):
    near = {("elf", "elf"): 1.0, ("elf", "alien"): 1.9, ("alien", "alien"): 1.5, ("alien", "elf"): 2.2}
    found = judged(monkeypatch, verdicts.unseen, unseen=ways(near))
    assert found.verdict == "holds" and found.effect.mean == pytest.approx(0.25, abs=0.02)
    assert "100% of the faces" in found.ours and found.of.endswith("alien")
    found = judged(monkeypatch, verdicts.unseen, unseen=ways(near | {("alien", "alien"): 2.1}))
    assert found.verdict == "fails" and "1 of 2 surely, 1 surely not" in found.ours


def curve(shape: Callable[[float], float]) -> list:
    strengths = (-1, -0.6, -0.3, 0, 0.3, 0.6, 1)
    place = lambda s: lambda face: 1 / (1 + np.exp(-(shape(s) + 0.02 * np.sin(9 * face + s))))
    return [rows("position", place(s), strength=s) for s in strengths]


def test_an_error_bar_of_the_oracle_is_a_bound_of_known(monkeypatch):
    apart = lambda sd: judged(monkeypatch, verdicts.known, final=[*final(1.5, 0.3), rows("disagreement", sd)])
    assert apart(0.3).verdict == "holds" and apart(1.0).verdict == "fails"


def test_linear_wants_more_than_a_step_or_a_rising_curve_would_have(monkeypatch):
    assert judged(monkeypatch, verdicts.linear, linearity=curve(lambda s: s)).verdict == "holds"
    found = judged(monkeypatch, verdicts.linear, linearity=curve(np.sign))
    step = linearity.nulls((-1, -0.6, -0.3, 0, 0.3, 0.6, 1))["step"]
    assert found.verdict == "fails" and found.effect.mean == pytest.approx(step, abs=0.02)
    steep = judged(monkeypatch, verdicts.linear, linearity=curve(lambda s: 20 * s))
    assert steep.verdict == "undecided" and "stand at the scale's ends" in steep.ours


@pytest.mark.parametrize(("together", "said"), [(0.68, "holds"), (0.2, "fails")])
def test_composable_holds_the_paper_s_factor_against_no_edit(monkeypatch, together, said):
    parts, half = [], 0.7071
    for edit, other in (("smiling", "old"), ("old", "smiling")):
        parts += [rows("room", 9, edit, None, strength=None)]
        parts += [rows("aimed", s, edit, edit, strength=s) for s in (1.0, half)]
        parts += [rows("aimed", 0, edit, other, strength=s) for s in (1.0, half)]
        parts += [rows("aimed", together, edit, "smiling + old", strength=half)]
    assert judged(monkeypatch, verdicts.composable, composition=parts).verdict == said


@pytest.mark.parametrize(
    ("h", "eps", "own", "said"),
    [
        (0.8, 0.1, (1.0, 1.0), "holds"),
        (0.3, 0.1, (1.0, 1.0), "fails"),
        (0.8, 0.9, (1.0, 1.0), "fails"),
        (0.8, 0.9, (1.0, 0.1), "holds"),  # a Δε_t that is not seen has nothing to carry over
        (0.8, 0.1, (0.1, 1.0), "undecided"),
    ],
)
def test_homogeneous_wants_others_to_get_it_and_more_than_from_an_error(monkeypatch, h, eps, own, said):
    parts = [
        rows("aimed", effect * share, variant=f"{space}, {whose}")
        for space, others, effect in zip(("Δh", "Δε"), (h, eps), own)
        for whose, share in (("own", 1.0), ("others", others))
    ]
    parts += [rows("loss", loss, variant=space) for space, loss in {"Δh": 0.3, "Δε": 0.2}.items()]
    assert judged(monkeypatch, verdicts.homogeneous, homogeneity=parts).verdict == said


def shifts(optimised: float, relative: float, arriving: float) -> list:
    far = {"optimised": optimised, "relative": relative, "arriving": arriving}
    parts = [rows("apart", 4, edit=None, strength=None, seed=None)]
    for kind in ("held", "fresh"):
        parts += [rows("distance", 1, variant=f"h, {kind}", seed=None)]
        parts += [rows("distance", far[m], variant=f"ε, {kind}, {m}", seed=None) for m in far]
    return parts


def test_robust_depends_on_what_as_long_means(monkeypatch):
    say = lambda *how: judged(monkeypatch, verdicts.robust, robustness=shifts(*how)).verdict
    assert say(3, 2, 1.5) == "holds" and say(0.5, 0.3, 0.4) == "fails"
    assert say(3, 2, 0.1) == 'depends on "as long"'


@pytest.mark.parametrize(("mean", "glob", "said"), [(1, 1.1, "holds"), (1, 0.5, "fails"), (1, 1.4, "fails")])
def test_consistent_wants_neither_less_nor_more(monkeypatch, mean, glob, said):
    kept = {"Δh_t": 1, "mean": mean, "global": glob, "global of one": 0.5, "global, length matched": 1}
    parts = [rows("aimed", value, variant=variant) for variant, value in kept.items()]
    parts += [rows("cosine of times", 0.8, variant=v) for v in ("Δh_t", "random f_t")]
    assert judged(monkeypatch, verdicts.consistent, consistency=parts).verdict == said


@pytest.mark.parametrize(
    ("free", "error", "said"), [(0.7, 0.9, "holds"), (0.2, 0.9, "fails"), (0.2, 0.4, "undecided")]
)
def test_reach_asks_what_a_free_shift_can_do(monkeypatch, free, error, said):
    gone = {"CLIP": 0.1, "target": 0.3, "Δε": error}
    parts = [rows("error gain", value, "elf", variant) for variant, value in gone.items()]
    found = judged(
        monkeypatch, verdicts.reach, reach=[*parts, rows("error gain", free, "elf", "Δh", seed=None)]
    )
    assert found.verdict == said and "farther than CLIP's f_t: 1 of 1" in found.ours


@pytest.mark.parametrize(
    ("matched", "trained", "reached", "said"),
    [
        (0.3, 0.4, (1.0, 1.0), "holds"),
        (1.1, 0.4, (1.0, 1.0), "a matter of strength"),
        (0.3, 1.1, (1.0, 1.0), "at equal strength"),
        (0.3, 0.8, (1.0, 1.0), "at equal strength"),
        (0.3, 0.4, (0.5, 1.0), "at equal strength"),
        (0.3, 0.4, (1.0, 0.5), "at equal strength"),
    ],
)
def test_asymmetric_is_asked_at_matched_gain_too(monkeypatch, matched, trained, reached, said):
    done = {"P_t": 1.0, "P_t and D_t": 0.1, "P_t and D_t, matched": matched}
    parts = [rows("aimed", value, variant=variant) for variant, value in done.items()]
    own = "P_t and D_t, trained"
    parts += [rows("aimed", 0.1, variant=own)]
    wobble = 0.1 if trained == 0.8 else 0.01
    parts += [rows("aimed", trained, variant=f"{own}, matched", wobble=wobble)]
    changed = zip(("P_t and D_t, matched", f"{own}, matched"), reached)
    far = dict.fromkeys([*done, own], 0.2) | {rival: 0.2 * share for rival, share in changed}
    parts += [rows("distance", value, variant=variant, wobble=0) for variant, value in far.items()]
    assert judged(monkeypatch, protocols.asymmetric, asymmetry=parts).verdict == said


@pytest.mark.parametrize(("other", "said"), [(0.5, "holds"), (2.0, "fails")])
def test_places_compares_h_with_the_best_other(monkeypatch, other, said):
    parts = [rows("leaked", 1, variant=place) for place in ("h", "up 0", "skip 1")]
    parts += [rows("aimed", v, variant=p) for p, v in {"h": 1, "up 0": other, "skip 1": 0.1}.items()]
    found = judged(monkeypatch, protocols.places, places=parts)
    assert found.verdict == said and f"at up 0 {other:.1f}" in found.ours


def test_the_best_other_place_is_not_chosen_by_the_f_t_that_compare_it(monkeypatch):
    lucky = lambda seed: lambda face: 3.0 if face // FACES == seed else 0.1
    aimed = {"h": 1.0} | {f"up {seed}": lucky(seed) for seed in range(SEEDS)}
    parts = [rows("aimed", value, variant=place) for place, value in aimed.items()]
    parts += [rows("leaked", 1, variant=place) for place in aimed]
    assert judged(monkeypatch, protocols.places, places=parts).verdict == "holds"


@pytest.mark.parametrize(
    ("other", "how", "said"),
    [(0.9, {}, "holds"), (1.2, {}, "holds"), (2.0, {}, "fails"), (2.0, {"seed": 0}, "undecided")],
)
def test_the_rule_for_t_edit_stands_while_no_other_start_is_surely_better(monkeypatch, other, how, said):
    parts = [numbers({"t_edit_rule": 500.0, "t_edit": 400.0}, edit="smiling")]
    for t, value in {500: 1.0, 300: other}.items():
        parts += [rows("aimed", value + 0.5, variant=f"trained {t}", **how)]
        parts += [rows("leaked", 0.5, variant=f"trained {t}", **how)]
    found = judged(monkeypatch, protocols.t_edit_rule, intervals=parts)
    assert found.verdict == said and "smiling (rule 500) 300:" in found.ours


@pytest.mark.parametrize(("left", "said"), [(1.1, "holds"), (0.5, "fails"), (1.6, "fails")])
def test_steps_wants_the_effect_within_bounds_on_every_grid(monkeypatch, left, said):
    runs = {"S 40 scaled": 1, "S 20 scaled": 1, "S 100 scaled": left, "S 100 unscaled": 2.5}
    parts = [rows("aimed", value, variant=variant) for variant, value in runs.items()]
    parts += [rows("aimed", 3.0, variant="S 1000 scaled", faces=8, wobble=0)]
    found = judged(monkeypatch, protocols.steps, intervals=parts)
    assert found.verdict == said and "without the rule 250%" in found.ours
    assert "(smiling, 1000 steps on 8 faces: 3" in found.ours, "few faces do not decide"


@pytest.mark.parametrize(
    ("fall", "fine", "said"), [(0.02, 0.95, "holds"), (-0.02, 0.95, "fails"), (0.02, 0.3, "fails")]
)
def test_boosting_must_do_both(monkeypatch, fall, fine, said):
    fell = {"fd_fall": fall, "fd_fall low": fall - 0.01, "fd_fall high": fall + 0.01}
    parts = [rows("fine", v, edit=None, variant=k, seed=None) for k, v in {"none": 0.6, "full": fine}.items()]
    parts += [numbers(fell, variant="full"), numbers({"left out": 200.0}, edit="old", variant="full", seed=0)]
    found = judged(monkeypatch, protocols.boosting, boosting=parts)
    assert found.verdict == said and "t_edit is lower: old" in found.ours


def scored(alone: float, control: float = -1.0) -> list:
    """S_dir that follows the start, and the truth by `alone`; the truth follows the start as well."""
    rng = np.random.default_rng(0)
    start, own, noise = rng.normal(size=(3, 20 * SEEDS))
    where = {"faces": 20 * SEEDS}
    table = {"aimed": own - start, "S_dir": alone * own - start + 0.3 * noise, "distance": noise}
    parts = [rows(score, lambda face, of=of: of[face], **where) for score, of in table.items()]
    parts += [rows("start", lambda face: start[face], **where)]
    return [*parts, rows("S_dir", control, variant="no edit", strength=None, **where)]


def test_s_dir_must_agree_beyond_the_headroom_and_rank_no_control_above_an_edit(monkeypatch):
    find = lambda *how: judged(monkeypatch, protocols.s_dir, final=scored(*how))
    assert find(1.0).verdict == "holds"
    headroom = find(0.0)
    assert headroom.verdict == "fails" and "S_dir without that 0.6" in headroom.ours
    ranked = find(1.0, 1.0)
    assert ranked.verdict == "fails" and "above a control: 0 of 1 surely, 1 surely not" in ranked.ours


@pytest.mark.parametrize(("cosine", "said"), [(0.95, "holds"), (0.4, "fails")])
def test_table_4_confronts_the_paper_s_row(monkeypatch, cosine, said):
    found = judged(monkeypatch, protocols.table_4, final=[rows("S_dir", cosine)])
    assert found.verdict == said and "(0.92)" in found.ours and "in 10 of 10 cells" in found.ours
    assert found.effect.mean == pytest.approx(cosine - 0.921, abs=0.01)


def test_the_study_s_cosines_stand_beside_what_it_printed():
    table = protocols.published_s_dir()
    assert len(table) == 10 and table.loc[(1.0, "tanned"), "paper"] == 0.991
    assert (1 - table["cosine"]).round(3).equals(table["study"])


def test_what_is_not_measured_has_no_claim_and_the_rest_is_a_table(monkeypatch):
    damaged = set()

    def stored(domain, name):
        if name != "final":
            raise WeightsError("not there") from (None if name in damaged else FileNotFoundError())
        return joined(final(1.5, 0.3))

    for module in (verdicts, protocols, groups):
        monkeypatch.setattr(module, "stored", stored)
    for module in (study, best):
        monkeypatch.setattr(module, "stored_grid", stored)
    table = claims.claims(DOMAIN)
    assert list(table.index) == ["known"] and table.loc["known", "verdict"] == "holds"
    line = claims.markdown(table).splitlines()[-1]
    assert "**holds**" in line and "| 20, 5 |" in line and table.loc["known", "mind"] in line
    assert line.count("|") == 7
    assert claims.claims(SimpleNamespace(oracle=None)).empty
    assert claims.claims(DOMAIN, "unseen").empty and list(claims.claims(DOMAIN, "known").index) == ["known"]
    damaged.add("unseen")
    with pytest.raises(WeightsError):
        claims.claims(DOMAIN, "unseen")


def test_stale_rows_write_no_table(monkeypatch, tmp_path):
    file = tmp_path / "README.md"
    file.write_text("as it was")
    stale = Task("experiment final", 3, (), lambda: "stale: other unet")
    monkeypatch.setattr(reproduce, "tasks", lambda domain: [stale])
    with pytest.raises(AsyrpError, match="experiment final: stale"):
        claims.write(DOMAIN, file)
    assert file.read_text() == "as it was"


def test_a_readme_that_parts_ways_with_the_rows_is_seen(monkeypatch):
    monkeypatch.setattr(verdicts, "stored", lambda domain, name: joined(final(1.5, 0.3)))
    table = claims.claims(DOMAIN, "known")
    text = "\n\n".join(["before", claims.MARKERS[0], claims.markdown(table), claims.MARKERS[1], "after"])
    before, printed, after = claims.between(text)
    assert before + printed + after == text and printed == claims.markdown(table)
    assert claims.between(text.replace("**holds**", "**fails**"))[1] != claims.markdown(table)


def test_readme_prints_the_claims_that_the_stored_rows_give():
    from asyrp_lib.domains import load_domain

    try:
        judged = claims.claims(load_domain("synthfaces"))
    except WeightsError:
        pytest.skip("the networks of synthfaces are not there")
    if judged.empty:
        pytest.skip("no results are stored")
    again = "write it again: python -m asyrp_lib.report.claims"
    _, printed, _ = claims.between((repo_root() / "README.md").read_text())
    assert printed == claims.markdown(judged[judged.index.isin(list(claims.PAPER))]), again
    _, told, _ = claims.between((repo_root() / "README.md").read_text(), claims.STUDY_MARKERS)
    assert told == claims.markdown(judged[judged.index.isin(list(claims.STUDY))]), again
    _, first, _ = claims.between((repo_root() / "README.md").read_text(), claims.HEADLINE_MARKERS)
    assert first == claims.headline(judged) and first.count("**") == 2 * len(claims.HEADLINE)
    _, then, _ = claims.between((repo_root() / "README.md").read_text(), editions.MARKERS)
    assert then == editions.markdown(editions.changed(load_domain("synthfaces")))
    notebooks = "".join(file.read_text() for file in (repo_root() / "notebooks").glob("*.ipynb"))
    for line in printed.splitlines()[2:]:
        ours = line.split(" | ")[1].replace('"', '\\"')
        assert ours in notebooks, f"{line}: execute its notebook again"
