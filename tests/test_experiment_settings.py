"""The choice of λ_recon: by what an edit brings beyond what it breaks, for edits that may be tuned."""

from dataclasses import replace

from asyrp_lib.experiments import settings
from asyrp_lib.experiments.rows import joined, numbers, pick
from asyrp_lib.runs import run as runs

HOW = {"n": 2, "candidates": (1.0, 3.0), "images": 2, "epochs": 1, "progress": False}


def test_every_edit_that_may_be_tuned_is_trained_with_every_candidate_and_trained_once(
    tiny, tmp_path, monkeypatch
):
    monkeypatch.setattr(runs, "runs_dir", lambda: tmp_path)
    tiny.edits = {n: replace(e, t_edit=900, tuned=n != "warm") for n, e in tiny.edits.items()}
    rows = settings.measure(tiny, **HOW)
    assert set(rows["edit"]) == {"dark"} and set(rows["variant"]) == {"λ_recon 1", "λ_recon 3"}
    assert len(pick(rows, "after")) == 4 and len(list(tmp_path.glob("tiny/dark/*/delta.safetensors"))) == 2
    times = {file: file.stat().st_mtime_ns for file in tmp_path.glob("tiny/dark/*/state.pt")}
    again = settings.measure(tiny, **HOW)
    assert again["value"].equals(rows["value"]), "a second measurement reads what was trained"
    assert times == {file: file.stat().st_mtime_ns for file in tmp_path.glob("tiny/dark/*/state.pt")}


def test_the_rule_wants_what_is_aimed_beyond_what_leaks_or_a_nearer_target():
    scores = {
        ("a", 3): {"aimed": 2.0, "leaked": 1.5, "before": 1.0, "after": 3.0},
        ("a", 10): {"aimed": 1.0, "leaked": 0.2, "before": 1.0, "after": 2.0},
        ("b", 3): {"leaked": 0.0, "before": 1.0, "after": 0.9},
        ("b", 10): {"leaked": 0.0, "before": 3.0, "after": 3.3},
    }
    rows = [
        numbers(
            {name: value + shift for name, value in table.items()}, edit=e, variant=f"λ_recon {w}", image=i
        )
        for (e, w), table in scores.items()
        for i, shift in enumerate((-0.5, 0.5))
    ]
    assert settings.brought(joined(rows)).round(6).to_dict("index") == {
        "a": {3.0: 0.5, 10.0: 0.8},
        "b": {3.0: 0.1, 10.0: -0.1},
    }
    assert settings.chosen(joined(rows)) == {"a": 10.0, "b": 3.0}
