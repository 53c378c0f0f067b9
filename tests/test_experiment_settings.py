"""The choice of λ_recon: by the share of the way to the true target, for edits that may be tuned."""

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
    assert len(pick(rows, "gain")) == 4 and len(list(tmp_path.glob("tiny/dark/*/delta.safetensors"))) == 2
    times = {file: file.stat().st_mtime_ns for file in tmp_path.glob("tiny/dark/*/state.pt")}
    again = settings.measure(tiny, **HOW)
    assert again["value"].equals(rows["value"]), "a second measurement reads what was trained"
    assert times == {file: file.stat().st_mtime_ns for file in tmp_path.glob("tiny/dark/*/state.pt")}


def test_the_candidate_with_the_largest_mean_gain_is_chosen():
    gains = {("a", 3): (0.1, 0.5), ("a", 10): (0.2, 0.2), ("b", 3): (-0.1, -0.3), ("b", 10): (-0.1, -0.1)}
    rows = [
        numbers({"gain": value}, edit=edit, variant=f"λ_recon {weight}", image=i)
        for (edit, weight), values in gains.items()
        for i, value in enumerate(values)
    ]
    assert settings.chosen(joined(rows)) == {"a": 3.0, "b": 10.0}
