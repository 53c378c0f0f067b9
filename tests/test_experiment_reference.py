"""One reference: which original the loss takes, and that all three trainings are measured on equal terms."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from toys import ToyClip, randn

from asyrp_lib.errors import SettingsError, UnknownNameError
from asyrp_lib.experiments import reference, teach
from asyrp_lib.experiments.rows import joined, numbers, pick
from asyrp_lib.experiments.trial import Trial
from asyrp_lib.method.train import ClipObjective

SMALL = {"n": 2, "names": ["warm"], "f_t": {"conv": {}}, "trainings": 2, "batch_size": 2, "images": 4}


@pytest.fixture
def here(tiny):
    """The tiny domain with a short interval."""
    tiny.edits["warm"] = replace(tiny.edits["warm"], t_edit=900)
    return tiny


def objectives():
    x_0, plain = randn(5, 3, 8, 8), randn(5, 2, 3, 8, 8, seed=1)
    how = (ToyClip(8), x_0, plain, "face", "smiling face", 0.8, 3.0)
    return ClipObjective(*how), *(reference.BatchObjective(which, *how) for which in ("own", "last"))


def test_with_its_own_reference_it_is_the_loss_of_the_paper():
    plain, own, _ = objectives()
    P, index = randn(3, 3, 8, 8, seed=2), torch.tensor([4, 0, 2])
    for part, value in plain(P, index, 1).items():
        assert own(P, index, 1)[part].item() == pytest.approx(value.item()), part


def test_with_one_reference_only_the_clip_term_takes_the_last_original():
    plain, own, last = objectives()
    P, index = randn(3, 3, 8, 8, seed=2), torch.tensor([4, 0, 2])
    parts, right = last(P, index, 1), own(P, index, 1)
    assert parts["clip"].item() == pytest.approx(plain(P, torch.tensor([2, 2, 2]), 1)["clip"].item())
    assert parts["clip"].item() != pytest.approx(right["clip"].item(), rel=1e-3)
    assert parts["recon"].item() == pytest.approx(right["recon"].item()), "P_t^ref stays each image's own"
    assert parts["loss"].item() == pytest.approx(
        0.8 * parts["clip"].item() + 3.0 * 0.8 * parts["recon"].item(), rel=1e-5
    )
    for key in ("clip, own", "clip, last"):
        assert parts[key].item() == pytest.approx(right[key].item()), "both are told of either"
    assert parts["clip"] is parts["clip, last"] and right["clip"] is right["clip, own"]


def test_of_one_image_both_are_the_same_and_no_state_is_shared():
    _, own, last = objectives()
    P, index = randn(1, 3, 8, 8, seed=2), torch.tensor([3])
    assert own(P, index, 0)["loss"].item() == pytest.approx(last(P, index, 0)["loss"].item())
    assert own.identity() != last.identity()
    assert own.identity().keys() == last.identity().keys() > {"texts", "weights", "clip", "x_0"}


def test_three_trainings_of_each_f_t_see_every_image_as_often(here):
    rows = reference.measure(here, **SMALL, epochs=2, progress=False)
    variants = {"conv, own, batch 2", "conv, last, batch 2", "conv, own, batch 1"}
    assert set(rows["variant"]) == variants
    steps = pick(rows, "steps").groupby("variant")["value"].first()
    assert 2 * steps["conv, own, batch 2"] == 2 * steps["conv, last, batch 2"] == steps["conv, own, batch 1"]
    for variant in variants:
        for seed in (0, 1):
            assert list(pick(rows, "distance", variant=variant, seed=seed)["image"]) == [0, 1]
            assert len(pick(rows, "clip, own", variant=variant, seed=seed)) == 1
    term = lambda which, variant: pick(rows, which, variant=variant)["value"].tolist()
    assert term("clip", "conv, last, batch 2") == term("clip, last", "conv, last, batch 2")
    assert term("clip, own", "conv, last, batch 2") != term("clip, last", "conv, last, batch 2")
    assert term("clip", "conv, own, batch 1") == pytest.approx(term("clip, last", "conv, own, batch 1"))
    edits = pick(rows, "distance").groupby(["seed", "image"])["value"].nunique()
    assert (edits == 3).all(), "three f_t that differ"


def test_right_references_are_what_every_other_training_does(here):
    settings = replace(here.training, t_edit=900, epochs=2, batch_size=2)
    train = Trial(here, 4, split="train")
    objective = reference.referring(train, "warm", settings, "own")
    mine, history = teach.taught(train, "warm", here.delta_config, settings, objective)
    told, plain = teach.told(train, "warm", here.delta_config, settings)
    pd.testing.assert_frame_equal(history[list(plain.columns)], plain, rtol=1e-4)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(mine.parameters(), told.parameters()))


def test_a_measurement_that_was_stopped_goes_on(here, monkeypatch, tmp_path):
    monkeypatch.setenv("ASYRP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(teach, "runs_dir", lambda: tmp_path / "runs")
    pc = {"kind": "StudyDelta", "layout": "pc", "groups": 4, "feed_forward": 8}
    small = {**SMALL, "f_t": {"conv": {}, "pc": {"delta": pc}}, "trainings": 1, "epochs": 1}
    first = reference.measure(here, **small, progress=False)
    assert len(list(tmp_path.glob("runs/tiny/taught/*/state.pt"))) == 6, "one for each, none is shared"
    call = reference.BatchObjective.__call__
    monkeypatch.setattr(reference.BatchObjective, "__call__", lambda *a: pytest.fail("trained again"))
    again = reference.measure(here, **small, progress=False)
    pd.testing.assert_frame_equal(again, first)
    next(tmp_path.glob("runs/tiny/taught/*/state.pt")).unlink()
    monkeypatch.setattr(reference.BatchObjective, "__call__", call)
    pd.testing.assert_frame_equal(reference.measure(here, **small, progress=False), first, rtol=1e-5)


def test_what_is_lost_is_right_less_wrong_at_equal_batches():
    values = {"pc, own, batch 8": 1.0, "pc, last, batch 8": 0.25, "pc, own, batch 1": 2.0}
    parts = [
        numbers({"aimed": value + 0.01 * seed + 0.1 * image}, edit="a", variant=variant, seed=seed).assign(
            image=image
        )
        for variant, value in values.items()
        for seed in range(3)
        for image in range(4)
    ]
    found = reference.lost(joined(parts))["a"]["pc"]
    assert found.mean == pytest.approx(0.75) and (found.seeds, found.faces) == (3, 4) and found.above(0)
    assert reference.lost(joined([parts[0].assign(score="SC")])) == {}


def test_what_cannot_be_compared_is_refused(here):
    with pytest.raises(SettingsError, match="batch_size = 1 is not usable; expected a whole number from 2"):
        reference.measure(here, **{**SMALL, "batch_size": 1}, progress=False)
    with pytest.raises(UnknownNameError, match="f_t pc: expected the parts delta and training"):
        reference.measure(here, **{**SMALL, "f_t": {"pc": {"kind": "StudyDelta"}}}, progress=False)
