"""Reach: teachers that are shown targets come nearer to them than one that is not, in h-space and in ε."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import randn

from asyrp_lib.errors import DomainError
from asyrp_lib.experiments import measure, reach, teach
from asyrp_lib.experiments.rows import pick
from asyrp_lib.experiments.trial import Trial


def test_the_gain_is_one_at_the_target_zero_at_the_start_and_negative_beyond():
    assert reach.gain(np.full(4, 2.0), np.array([0.0, 2.0, 1.5, 4.0])) == pytest.approx([1, 0, 0.25, -1])


def test_approach_reads_both_distances_of_each_image(toy):
    plain = torch.zeros(3, 3, 2, 2)
    found = reach.approach(toy, plain, 0.5 * (plain + 1), plain + 1)
    assert found["error before"] == pytest.approx([1] * 3) and found["error gain"] == pytest.approx([0.5] * 3)
    assert found["distance after"] == pytest.approx([0.25] * 3) and len(found) == 6


def test_the_objective_is_the_error_to_the_targets_of_the_batch():
    targets = randn(4, 3, 4, 4)
    objective = teach.TargetObjective(targets)
    parts = objective(targets[[2, 1]] + 0.25, torch.tensor([2, 1]), 7)
    assert float(parts["loss"]) == pytest.approx(0.25)
    assert objective.identity() != teach.TargetObjective(2 * targets).identity()


def test_a_free_shift_of_ε_reaches_its_target_where_the_network_does_not_answer_back(tiny):
    own = teach.through(Trial(tiny, 1), reach.Cut(tiny.unet, "ε"))
    target = own.plain + 0.3 * randn(1, 3, 8, 8, seed=5).sign()
    settings = replace(tiny.training, t_edit=700, epochs=12, lr=0.1, lr_decay=0.8)
    delta, history = teach.shown(own, "dark", teach.free(own, 700), settings, target)
    losses = teach.losses(history)
    assert losses["loss"] < 0.5 * losses["loss, epoch 1"]
    made, plain = (float(reach.absolute_error(x, target)) for x in (own.edit({delta: 1.0}), own.plain))
    assert made < 0.5 * plain


def test_all_teachers_are_measured_on_every_face(tiny):
    how = {"images": 2, "epochs": 1, "free_epochs": 2, "progress": False}
    rows = reach.measure(tiny, n=2, names=["dark"], **how)
    assert set(rows["variant"]) == {"CLIP", "target", "Δh", "Δε"}
    before = pick(rows, "error before").groupby("variant")["value"].apply(list)
    assert all(values == before["CLIP"] for values in before)
    for teacher in set(rows["variant"]):
        assert list(pick(rows, "error gain", variant=teacher)["image"]) == [0, 1]
        assert list(pick(rows, "S_dir", variant=teacher)["image"]) == [0, 1]
    for space in ("Δh", "Δε"):
        assert list(pick(rows, "loss, epoch 2", variant=space)["image"]) == [0, 1]
        first, last = (pick(rows, f"loss, epoch {k}", variant=space)["value"].mean() for k in (1, 2))
        assert last < first
    assert pick(rows, "loss", variant="target")["image"].isna().all()


def test_a_domain_that_cannot_draw_its_targets_says_so(toy):
    toy.target_source = None
    with pytest.raises(DomainError, match="cannot draw 'red'"):
        measure(toy, "reach", n=2, progress=False)
