"""The trial of the published numbers: every row is there, is computed, and turns when its number turns."""

import json
import re
from collections import Counter
from copy import deepcopy
from inspect import getsource
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from toys import ToyClip

from asyrp_lib.errors import ImageError, UnknownNameError, WeightsError
from asyrp_lib.experiments.reference import lost
from asyrp_lib.experiments.rows import joined, numbers
from asyrp_lib.measure.frechet import inception_features
from asyrp_lib.measure.scores import clip_features, s_dir
from asyrp_lib.measure.stats import Interval
from asyrp_lib.method.train import ClipObjective
from asyrp_lib.report import evidence, faults, protocols, recount, sentences, trial as module
from asyrp_lib.report.claims import JUDGES
from asyrp_lib.report.recount import Recount
from asyrp_lib.report.trial import (
    AWAITED,
    CONTRADICTED,
    FAILED,
    REPRODUCED,
    UNDECIDED,
    UNKNOWABLE,
    VERDICTS,
    entries,
    judge,
    ours,
    tally,
    trial,
)

STORED, ROWS = recount.published(), entries()
SENTENCES = [str(k) for k in range(1, 61)]
INCONSISTENCIES = [f"E{k}" for k in range(1, 16)]


@pytest.fixture(scope="module")
def table():
    return trial(None)


def test_every_sentence_every_inconsistency_and_every_table_has_its_row(table):
    ids = set(table.index)
    assert ids >= {*SENTENCES, *INCONSISTENCIES}
    assert [name for name in table.index if module.group(name) == "claims"] == SENTENCES
    where = Counter(row["where"] for row in ROWS.values() if row["source"] == "study")
    assert all(where[f"Table {k}"] for k in range(1, 6))
    assert {row["where"] for row in ROWS.values() if row["source"] == "paper"} == {"Table 4"}
    columns = [re.findall(r"'(\w+)'", str(ROWS[k].get("recount"))) for k in ROWS if k[:2] in ("T3", "T4")]
    assert len(columns) == 8, "every column of tables 3 and 4"
    assert list(table.columns) == ["source", "where", "published", "recomputed", "here", "verdict", "reason"]
    assert table.map(len).min().min() > 0 and set(table["verdict"]) <= set(VERDICTS)
    assert tally(table).to_numpy().sum() == len(ROWS)


def test_printed_numbers_stand_in_their_rows(table):
    assert table.loc["T3 orig, 1", "published"].endswith(
        ": smiling 89.2, sad 92.9, tanned 100.5, pixar 125.8, neanderthal 125.8"
    )
    assert "nicolas 461" in table.loc["T1 t_edit", "published"]
    assert table.loc["T2 deviation, ½", "published"].endswith("pixar 0.031, neanderthal 0.035")
    numbers = [name for name in table.index if name[0] in "T" or name == "P4 S_dir"]
    assert all("printed" in ROWS[name] for name in numbers)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_says_what_can_decide_it(name):
    row = ROWS[name]
    deciding = {"recount", "read", "here", "takes", "never"}
    assert row.keys() & deciding and row.keys() <= {
        "source",
        "where",
        "published",
        "printed",
        "beside",
        "shown",
        *deciding,
    }
    if name in INCONSISTENCIES:
        assert row["recount"] == [name.lower()]
    if "read" in row:
        assert row["read"].keys() == {"side", "says", "where"} and row["read"]["side"] in (-1, 0, 1)
    for asked in (*row.get("here", ()), *row.get("shown", ())):
        base = asked.removeprefix("not ")
        assert base in {*JUDGES, *faults.MEASURES, *AWAITED}, asked
        assert base not in AWAITED or "takes" in row, "what it would take"


def test_what_is_awaited_is_asked_for_and_is_struck_from_the_list_when_it_is_made():
    asked = {one.removeprefix("not ") for row in ROWS.values() for one in row.get("here", ())}
    assert set(AWAITED) <= asked and not set(AWAITED) & {*JUDGES, *faults.MEASURES}
    shown = {one for row in ROWS.values() for one in row.get("shown", ())}
    assert set(faults.MEASURES) <= asked | shown


def test_an_undecided_row_says_what_it_would_take(table):
    for name, row in table[table["verdict"] == UNDECIDED].iterrows():
        assert "not yet: " in row["here"], name
    for name, row in table[table["verdict"] == UNKNOWABLE].iterrows():
        assert row["reason"] == ROWS[name]["never"]


def test_no_number_that_their_data_give_is_typed():
    strength = {"0.5", "1.0"}
    for source in (evidence, sentences, recount, module):
        for text in re.findall(r'f?"[^"\n]*"', getsource(source)):
            assert not set(re.findall(r"\d+\.\d+", text)) - strength, text
    text = json.dumps(ROWS, ensure_ascii=False)
    typed = set(re.findall(r"(?<![\d.])\d+\.\d+", text)) - strength
    assert typed == {"0.8", "1.2"}, "λ_CLIP of the scripts; all else is read from the stored numbers"


def test_the_facts_that_the_inventory_of_the_study_found(table):
    both = recount.two_fids(STORED)
    ratio = (both["negatives"] / both["right"]).unstack()
    assert len(ratio) == 44 and ratio["fid_edited_original"].mean() == pytest.approx(0.74, abs=0.005)
    assert both.xs(recount.RO, level=1).mean().round(2).tolist() == [96.11, 80.82]
    assert recount.as_stored(STORED) == (60, 60)
    again = recount.table_5_again(STORED)
    assert again["original, share"].round(3).tolist() == [0.926, 0.965, 1.043, 1.306, 1.306]
    assert again["best, share"].round(3).tolist() == [1.043, 1.099, 1.018, 1.035, 1.077]
    assert list(again.index[~again["no copy"]]) == ["tanned"]
    assert evidence.copies(STORED) == ["c", "cp", "p"]
    gaps = evidence.gaps(STORED)
    assert gaps["left"].round(2).tolist() == [1.08, 1.03, 1.31, 1.14, 1.20]
    assert recount.cosine_of(STORED, "pixar", 11.652) == pytest.approx(0.032, abs=5e-4)
    assert recount.unaligned(STORED, "neanderthal") == pytest.approx(11.09, abs=0.005)
    contradicted = table.index[table["verdict"] == CONTRADICTED]
    assert set(INCONSISTENCIES) - set(contradicted) == {"E12", "E13"}
    assert {"5", "6", "18", "21", "54", "55", "60"} <= set(contradicted) and "38" not in contradicted


def _all(n, files, **values):
    for file in files:
        for row in n[file].values():
            row.update(values)


def _cosine_printed(n):
    for edit, cell in n["table_2_s_dir"]["study_1.0"].items():
        cell[0] = round(n["raw_sdir_1.0"][edit]["sdir_oe"], 3)


def _no_copies(n):
    for k, row in enumerate(n["raw_ablations"].values()):
        row["sdir_oe"] = k


def _right_heads(n):
    for key, row in n["raw_ablations"].items():
        row.update({recount.RO: RIGHT} if key.startswith("heads_ablation/h") else {})


RIGHT = 96.3  # FID(original, reconstruction) of the right code
CHANGES = {
    "T1 t_edit": (REPRODUCED, lambda n: n["study_table_1"][0].update(t_edit=700)),
    "T1 steps": (REPRODUCED, lambda n: n["steps"]["edited_steps"].update(smiling=5)),
    "T2 S_dir, 1": (CONTRADICTED, _cosine_printed),
    "T2 deviation, ½": (REPRODUCED, lambda n: n["raw_sdir_0.5"]["sad"].update(sdir_oe_var=0.2)),
    "T3 orig, 1": (REPRODUCED, lambda n: n["table_3_fid"]["orig_edit_1.0"].update(sad=92.8)),
    "T3 orig, ½": (CONTRADICTED, lambda n: _all(n, ["raw_fid_0.5"], score_ro=RIGHT)),
    "T4 orig, caucasian": (
        UNKNOWABLE,
        lambda n: n["table_4_bias_fid"]["orig_edit_caucasian"].update(sad=1.0),
    ),
    "T5 original": (REPRODUCED, lambda n: _all(n, ["raw_fid_1.0"], score_ro=81.0)),
    "T5 best": (CONTRADICTED, lambda n: _all(n, ["raw_table5_1.0"], **{recount.RO: RIGHT})),
    "F table 5, ½": (CONTRADICTED, lambda n: _all(n, ["raw_table5_0.5"], **{recount.RO: RIGHT})),
    "F heads, FID": (CONTRADICTED, _right_heads),
    "F itself": (REPRODUCED, lambda n: n["raw_fid_0.5"]["sad"].update(score_oo=0.1)),
    "F draft 2": (
        CONTRADICTED,
        lambda n: n["removed_tables"]["draft_2_s_dir"]["Reproduced S_dir"].update(sad=0.9, tanned=0.9),
    ),
    "F draft 3": (
        REPRODUCED,
        lambda n: n["removed_tables"]["draft_3_pytorch_fid"]["orig_recon"].update(smiling=81.0),
    ),
    "F logs": (
        REPRODUCED,
        lambda n: n["training_logs"]["conv_sgd_lr0.5_bs9_pixar"]["epochs"][0].update(mean_total=13.0),
    ),
    "5": (CONTRADICTED, lambda n: [row.update(t_edit=700) for row in n["study_table_1"]]),
    "6": (CONTRADICTED, lambda n: n["study_settings"].update(t_boost=300)),
    "11": (CONTRADICTED, lambda n: _all(n, ["raw_fid_1.0", "raw_fid_0.5"], score_ro=60.0)),
    "18": (CONTRADICTED, lambda n: _all(n, ["raw_sdir_0.5"], sdir_oe=0.5)),
    "19": (REPRODUCED, lambda n: n["raw_fid_1.0"]["pixar"].update(score_eo=80.0)),
    "20": (
        REPRODUCED,
        lambda n: n["removed_tables"]["draft_3_pytorch_fid"]["orig_edit"].update(sad=99.0),
    ),
    "21": (
        CONTRADICTED,
        lambda n: [n[f"raw_fid_{s}"]["neanderthal"].update(score_eo=999.0) for s in recount.FILES],
    ),
    "30": (CONTRADICTED, _no_copies),
    "31": (CONTRADICTED, lambda n: n["raw_ablations"]["heads_ablation/h8_5_pixar"].update(sdir_re=0.5)),
    "38": (UNDECIDED, lambda n: _all(n, ["raw_table5_1.0"], fid_edited_original=120.0)),
    "42": (
        CONTRADICTED,
        lambda n: n["training_logs"]["pc_h1_sgd_lr0.5_bs8_pixar"]["epochs"][1].update(mean_total=14.0),
    ),
    "54": (
        CONTRADICTED,
        lambda n: [n["raw_sdir_1.0"][e].update(sdir_oe=0.9) for e in ("sad", "smiling")],
    ),
    "55": (CONTRADICTED, lambda n: n["raw_sdir_1.0"]["neanderthal"].update(sdir_oe=-0.5)),
    "60": (CONTRADICTED, lambda n: n["as_run"]["does_not_run"].clear()),
    "E1": (CONTRADICTED, lambda n: _all(n, ["raw_table5_1.0"], **{recount.RO: RIGHT})),
    "E2": (CONTRADICTED, lambda n: n["as_run"]["table_5"].update(scripts=n["as_run"]["table_5"]["text"])),
    "E3": (CONTRADICTED, lambda n: n["as_run"]["heads"].update(trained=[1])),
    "E5": (CONTRADICTED, lambda n: n["delta_h_rms"]["untrained"].update(p=0.3)),
    "E6": (CONTRADICTED, lambda n: n["figure_readings"]["fig_15"]["end"].update(convolution=5.0)),
    "E7": (CONTRADICTED, _no_copies),
    "E8": (CONTRADICTED, lambda n: n["as_run"]["layer_rows"].update(edit="pixar")),
    "E11": (CONTRADICTED, lambda n: _all(n, ["raw_fid_1.0", "raw_fid_0.5"], score_ro=60.0)),
    "E12": (UNDECIDED, lambda n: _all(n, ["raw_fid_1.0_noncaucasian"], score_ro=400.0)),
    "E15": (
        CONTRADICTED,
        lambda n: [
            n["study_settings"].update(t_boost=300),
            [row.update(t_edit=700) for row in n["study_table_1"]],
            [n[f"raw_fid_{s}"]["neanderthal"].update(score_eo=999.0) for s in recount.FILES],
        ],
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_number_changes_a_verdict(table, name):
    before, change = CHANGES[name]
    assert table.loc[name, "verdict"] == before
    changed = deepcopy(STORED)
    change(changed)
    now = trial(None, changed, [name]).loc[name]
    assert now["verdict"] != before and now["recomputed"] != table.loc[name, "recomputed"]


FOR, AGAINST, OPEN = (Recount(side, "text") for side in (1, -1, 0))


@pytest.mark.parametrize(
    ("row", "theirs", "here", "said"),
    [
        ({}, AGAINST, [FOR], CONTRADICTED),
        ({"read": {"side": -1, "says": "no", "where": "a file"}}, FOR, [FOR], CONTRADICTED),
        ({}, FOR, [AGAINST, None], FAILED),
        ({}, OPEN, [FOR, FOR], REPRODUCED),
        ({}, OPEN, [FOR, None], UNDECIDED),
        ({}, FOR, [FOR, None], REPRODUCED),
        ({"read": {"side": 1, "says": "yes", "where": "a file"}}, None, [], REPRODUCED),
        ({"never": "lost"}, OPEN, [None], UNKNOWABLE),
        ({}, None, [OPEN], UNDECIDED),
        ({}, None, [], UNDECIDED),
    ],
)
def test_their_numbers_come_first_then_their_code_then_ours(row, theirs, here, said):
    assert judge(row, theirs, here)[0] == said


def test_our_claims_are_picked_up_when_their_rows_are_there(monkeypatch):
    effect = Interval(0.2, 0.1, 0.3, 5, 20)
    verdicts = {
        "linear": "holds",
        "consistent": "fails",
        "Table 4": "fails",
        "asymmetric": "at equal strength",
    }
    said = lambda name: [verdicts[name], effect, "sd", "more seeds"]
    claims = lambda domain, name: pd.DataFrame(
        [said(name)] if name in verdicts else [], columns=["verdict", "effect", "of", "mind"]
    )
    monkeypatch.setattr(module, "claims", claims)
    found = trial(SimpleNamespace(), ids=["1", "56", "17", "2", "12", "25"])
    assert found["verdict"].tolist() == [FAILED, FAILED, REPRODUCED, UNDECIDED, UNDECIDED, UNDECIDED]
    assert "linear holds: 0.20 [0.10, 0.30] sd; " in found.loc["1", "here"]
    assert (
        found.loc["2", "here"] == "asymmetric at equal strength: 0.20 [0.10, 0.30] sd (it takes more seeds)"
    )
    assert found.loc["56", "reason"].startswith("here: consistent fails")
    assert found.loc["2", "reason"] == "what is measured here does not tell"
    assert (
        found.loc["12", "here"] == f"not yet: {module.NOT_YET}" and "notebook 16" in found.loc["25", "here"]
    )


def test_what_nobody_measures_is_an_error_and_not_a_silent_not_yet():
    with pytest.raises(UnknownNameError, match="'hedas'"):
        ours(None, "hedas")
    with pytest.raises(UnknownNameError, match="'e99'"):
        module.again(STORED, ["e99"])


def final(sc: float, fd: float, half: float):
    """Rows of a final evaluation: one edit that was seen, one unseen, at both strengths, and controls."""
    parts = []
    for edit in ("green", "red"):
        for strength, by in ((1.0, 1.0), (0.5, half)):
            at = {"edit": edit, "strength": strength}
            for image in range(8):
                wobble = 0.001 * image
                scores = {"SC": sc - wobble, "S_dir": 0.3 * by + wobble, "distance": 0.2 * by + wobble}
                parts.append(numbers(scores, **at, seed=image % 2, image=image))
            parts.append(numbers({"fd_original": fd * by}, **at))
        parts += [numbers({"SC": 0.9}, edit=edit, variant="no edit", image=i) for i in range(8)]
    for control, value in {"no edit": 0.02, "no edit, boosted": 0.03}.items():
        parts.append(numbers({"fd_original": value}, variant=control))
    return joined(parts)


@pytest.mark.parametrize(
    ("sc", "fd", "half", "sides"),
    [(0.7, 0.1, 0.5, (1, -1, 1, -1, 1)), (0.99, 0.01, 1.5, (-1, 0, -1, 1, -1))],
)
def test_the_final_rows_say_what_scores_reward(toy, monkeypatch, sc, fd, half, sides):
    monkeypatch.setattr(faults, "stored", lambda domain, name: final(sc, fd, half))
    asked = ["no edit has the best SC", "no edit is no better by FD", "half strength changes less"]
    asked += ["half strength has a higher S_dir", "half strength has a lower FD"]
    assert tuple(faults.MEASURES[name](toy).side for name in asked) == sides
    assert trial(toy, ids=["10"]).loc["10", "verdict"] == (REPRODUCED if sides[0] > 0 else FAILED)


def test_rows_that_are_not_there_are_not_yet_and_damaged_ones_are_an_error(toy, monkeypatch):
    def stored(domain, name):
        raise WeightsError("gone") from cause

    monkeypatch.setattr(faults, "stored", stored)
    cause = FileNotFoundError()
    assert trial(toy, ids=["15"]).loc["15", "here"] == f"not yet: {module.NOT_YET}"
    cause = None
    with pytest.raises(WeightsError):
        trial(toy, ids=["15"])


def test_old_rows_of_asymmetry_without_its_rivals_are_no_claim(monkeypatch):
    rows = numbers({"aimed": 1.0}, edit="smiling", variant="P_t", seed=0, image=0)
    monkeypatch.setattr(protocols, "stored", lambda domain, name: joined([rows]))
    assert protocols.asymmetric(SimpleNamespace()) is None


def test_bytes_times_255_are_the_photo_negative_one_brighter():
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(faults.wrapped(levels).int(), (256 - levels.int()) % 256)
    images = faults.as_bytes(torch.rand(2, 3, 4, 4) * 1.9 - 0.95)
    assert torch.equal(faults.wrapped(images).int() - 1, 255 - images.int())
    assert torch.equal(faults.as_bytes(faults.from_bytes(levels)), levels)


def test_bytes_that_would_wrap_into_a_photo_negative_are_refused_in_one_sentence():
    images = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    for features in (
        lambda x: clip_features(ToyClip(8), x),
        lambda x: inception_features(torch.nn.Linear(1, 1), x),
    ):
        with pytest.raises(
            ImageError, match=r"torch.uint8 .*expected floating point in \[-1, 1\]; divide bytes"
        ):
            features(images)


def test_s_dir_is_the_cosine_and_not_one_minus_it():
    start, end = torch.eye(12)[:2].reshape(2, 1, 3, 2, 2)
    judge = SimpleNamespace(mean=torch.zeros(1), encode_images=lambda x: x.flatten(1))
    judge.text_direction = lambda source, target: (end - start).flatten() / 2**0.5
    assert s_dir(judge, start, end, "", "").item() == pytest.approx(1)
    assert s_dir(judge, end, start, "", "").item() == pytest.approx(-1)
    assert s_dir(judge, start, start, "", "").item() == pytest.approx(0), "no edit"


def test_a_curl_that_smiles_is_seen_in_the_rows_of_the_final_evaluation(monkeypatch):
    for value, side in ((0.6, 1), (0.1, -1)):
        parts = [
            numbers({"mean smile": value + 0.01 * seed}, edit="curly hair", strength=1.0, seed=seed)
            for seed in range(5)
        ]
        monkeypatch.setattr(faults, "stored", lambda domain, name, parts=parts: joined(parts))
        assert faults.curls_smile(None).side == side
    monkeypatch.setattr(faults, "stored", lambda domain, name: final(0.7, 0.1, 0.5))
    assert faults.curls_smile(None) is None, "no such edit"


def test_an_effect_rises_where_each_step_of_the_strength_surely_brings_more(monkeypatch):
    def rows(shape):
        score = lambda s, seed, image: {"aimed": shape(s) + 0.01 * (seed - 1) * (image - 2)}
        where = [(s, seed, image) for s in (-1.0, 0.0, 1.0) for seed in range(3) for image in range(5)]
        parts = [numbers(score(*w), edit="old", strength=w[0], seed=w[1], image=w[2]) for w in where]
        return joined(parts)

    for shape, side in ((lambda s: s, 1), (lambda s: max(s, 0), 0), (lambda s: -s, -1)):
        monkeypatch.setattr(faults, "stored", lambda domain, name, shape=shape: rows(shape))
        assert faults.rises(-1.0, 0.0, 1.0)(None).side == side
    assert faults.rises(-2.0, 0.0)(None) is None, "a strength that was not measured"


def test_the_loss_of_a_batch_is_the_mean_of_the_losses_from_each_image_s_own_original():
    x_0, P_edit = torch.rand(2, 5, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    plain = torch.zeros(5, 1, 3, 16, 16)
    objective = ClipObjective(ToyClip(16), x_0, plain, "face", "smiling face", 1.0, 1.0)
    index, loss = torch.arange(5), lambda which: objective(P_edit[which], which, 0)["clip"]
    alone = torch.stack([loss(index[k : k + 1]) for k in range(5)])
    assert loss(index).item() == pytest.approx(alone.mean().item(), rel=1e-5)
    last = objective(P_edit, torch.full((5,), 4), 0)["clip"]
    assert last.item() != pytest.approx(loss(index).item(), rel=1e-3), "one reference for all is another loss"


def test_eight_heads_run_as_one_are_another_f_t_and_the_size_of_the_shift_is_fixed():
    heads, size = faults.heads_at_run_time(), faults.size_of_shift()
    assert heads.side == -1 and heads.text.endswith("such a file is refused here")
    assert faults.heads_at_run_time(trained=1).side == 0, "the same count is the same f_t"
    assert size.side == -1 and "five: 1.00;" in size.text


def crossed_rows(values: dict[str, float], score: str):
    """Three seeds on the same four faces."""
    return [
        numbers({score: value + 0.001 * seed}, edit="smiling", variant=variant, seed=seed).assign(image=image)
        for variant, value in values.items()
        for seed in range(3)
        for image in range(4)
    ]


@pytest.mark.parametrize(("apart", "wrong", "side"), [(0.3, 1.0, -1), (0.05, 0.6, -1), (0.05, 1.0, 0)])
def test_trained_f_t_with_the_wrong_head_count_stand_beside_untrained_ones(
    toy, monkeypatch, apart, wrong, side
):
    asked = []
    parts = crossed_rows({"8 heads, run with 8": 1.0, "8 heads, run with 1": wrong}, "aimed")
    parts += crossed_rows({"8 heads, run with 1": apart}, "difference")
    monkeypatch.setattr(faults, "stored", lambda domain, name: asked.append(name) or joined(parts))
    found = faults.wrong_heads(toy)
    assert found.side == side and f"smiling, 8 heads: Δh {apart:.0%} another, aimed less by" in found.text
    whole = faults.heads_at_run_time(toy, trained=1)  # the untrained ones are then the same
    assert whole.side == side and whole.text.endswith(found.text) and set(asked) == {"heads"}
    monkeypatch.setattr(faults, "stored", lambda domain, name: final(0.7, 0.1, 0.5))
    assert faults.wrong_heads(toy) is None, "other rows"


@pytest.mark.parametrize(("last", "side"), [(0.4, -1), (1.0, 0), (1.6, 0)])
def test_what_one_reference_costs_stands_beside_the_perfect_edits(toy, monkeypatch, last, side):
    asked, values = [], {"conv, own, batch 8": 1.0, "conv, last, batch 8": last, "conv, own, batch 1": 3.0}
    rows = joined(crossed_rows(values, "aimed"))
    monkeypatch.setattr(faults, "stored", lambda domain, name: asked.append(name) or rows)
    found = faults.wrong_reference(toy)
    assert found.side == side
    assert found.text.endswith(f"aimed less by: smiling, conv {lost(rows)['smiling']['conv']} sd")
    toy.edits = {"green": toy.edits["green"]}
    whole = faults.one_reference(toy)
    assert whole.text.endswith(found.text) and "perfect edits" in whole.text and set(asked) == {"reference"}
    toy.target_source = None
    assert faults.one_reference(toy) == found, "without true targets it is the rows alone"


def test_on_images_of_ours_negatives_and_a_wrong_reference_are_seen(toy):
    toy.edits = {"green": toy.edits["green"]}  # those that can be drawn
    distances = faults.two_distances(toy, toy.images("test", 8), faults.drawn(toy, 8))
    assert list(distances.columns) == ["right", "negatives"] and list(distances.index) == ["green"]
    assert (
        "of negatives" in faults.negatives(toy, 8).text
        and "last of the batch" in faults.one_reference(toy).text
    )
    assert faults.few_images(toy, 8, 3).side == 0
    toy.target_source = None
    assert faults.negatives(toy) is None and faults.one_reference(toy) is None
