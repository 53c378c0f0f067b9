"""The choice of λ_recon: by what an edit brings beyond what it breaks, for edits that may be tuned."""

from dataclasses import replace

import pandas as pd
import pytest

import asyrp_lib as al
from asyrp_lib import experiments
from asyrp_lib.domains.synthfaces.edits import CHOSEN
from asyrp_lib.experiments import settings
from asyrp_lib.experiments.rows import joined, numbers, pick
from asyrp_lib.runs import run as runs

HOW = {"n": 2, "candidates": (1.0, 3.0), "images": 2, "epochs": 1, "progress": False}


def test_every_edit_that_may_be_tuned_is_trained_with_every_candidate_and_trained_once(
    tiny, tmp_path, monkeypatch
):
    monkeypatch.setattr(runs, "runs_dir", lambda: tmp_path)
    monkeypatch.setattr(settings, "t_edit_of", lambda domain, edit: 900)
    tiny.edits = {n: replace(e, tuned=n != "warm") for n, e in tiny.edits.items()}
    rows = settings.measure(tiny, **HOW)
    assert set(rows["edit"]) == {"dark"} and set(rows["variant"]) == {
        settings.variant(weight, t_edit) for weight in (1, 3) for t_edit in (900, settings.HALF)
    }
    assert len(pick(rows, "after")) == 8 and len(list(tmp_path.glob("tiny/dark/*/delta.safetensors"))) == 4
    times = {file: file.stat().st_mtime_ns for file in tmp_path.glob("tiny/dark/*/state.pt")}
    again = settings.measure(tiny, **HOW)
    assert again["value"].equals(rows["value"]), "a second measurement reads what was trained"
    assert times == {file: file.stat().st_mtime_ns for file in tmp_path.glob("tiny/dark/*/state.pt")}


def test_the_rule_wants_what_is_aimed_beyond_the_worst_leak_or_a_nearer_target():
    scores = {
        ("a", 3): {"aimed": 2.0, "worst": 1.5, "before": 1.0, "after": 3.0},
        ("a", 10): {"aimed": 1.0, "worst": 0.2, "before": 1.0, "after": 2.0},
        ("b", 3): {"leaked": 0.0, "before": 1.0, "after": 0.9},
        ("b", 10): {"leaked": 0.0, "before": 3.0, "after": 3.3},
    }
    rows = [
        numbers({k: v + shift for k, v in table.items()}, edit=e, variant=settings.variant(w, 500), image=i)
        for (e, w), table in scores.items()
        for i, shift in enumerate((-0.5, 0.5))
    ]
    found = settings.brought(joined(rows)).round(6)
    assert found["brought"].tolist() == [0.8, 0.5, -0.1, 0.1] and set(found["t_edit"]) == {500}
    assert settings.chosen(joined(rows)) == {"a": (10.0, 500), "b": (3.0, 500)}


@pytest.mark.parametrize(("rule", "tried"), [(700, [700, 500]), (500, [500]), (0, [0])])
def test_half_of_the_way_is_tried_where_the_rule_leaves_less(tiny, monkeypatch, rule, tried):
    monkeypatch.setattr("asyrp_lib.domains.domain.t_edit_from_curve", lambda *_: rule)
    tiny.curve = pd.DataFrame({"t": [0], "P_t": [1.0]})
    edit = replace(tiny.edits["dark"], t_edit=40, lambda_recon=7.0)
    assert settings.tried(tiny, settings.unchosen(edit)) == tried, "whatever was chosen before"
    assert settings.unchosen(edit).lambda_recon == 3


def test_the_frozen_settings_are_those_that_the_stored_rows_choose():
    domain = al.load_domain("synthfaces")
    assert settings.chosen(experiments.stored(domain, "settings")) == CHOSEN
    for name, edit in domain.edits.items():
        assert (edit.lambda_recon, edit.t_edit) == CHOSEN.get(name, (3.0, None)), name
    assert {name for name, edit in domain.edits.items() if not edit.tuned} == domain.edits.keys() - CHOSEN
