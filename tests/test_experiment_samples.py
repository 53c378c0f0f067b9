"""Random samples: the noise is the domain's, the plain sample is what an edit is compared with."""

import numpy as np
import pytest
import torch

from asyrp_lib.errors import DomainError
from asyrp_lib.experiments import final, samples
from asyrp_lib.experiments.rows import joined, numbers, pick
from asyrp_lib.experiments.trial import Trial


def test_a_trial_of_noise_has_what_the_noise_generates_for_images(toy):
    trial = Trial(toy, 4, split="noise")
    assert torch.equal(trial.x_T, toy.seeded_noise(4)) and torch.equal(trial.x_0, trial.plain)
    part = trial.shares((0, 1))[1]
    assert part.first == 2 and torch.equal(part.x_T, toy.seeded_noise(2, first=2))
    assert torch.equal(part.x_0, trial.plain[2:])
    assert torch.equal(Trial(toy, 2, split="noise", first=2).x_T, part.x_T)


def test_samples_are_edited_as_real_images_are(toy):
    rows = samples.measure(toy, n=6, progress=False)
    aimed = pick(rows, "aimed", edit="green", strength=1.0)
    assert list(aimed["image"]) == list(range(6)) and set(aimed["seed"]) == {0, 1, 2}
    assert set(rows["edit"]) == {"green"} and {"S_dir", "distance", "leaked"} < set(rows["score"])
    real = final.measure(toy, n=6, names=("green",), half=(), progress=False)
    gap = samples.gap(rows, real, "green")
    assert gap.mean == pytest.approx(0, abs=1e-3) and (gap.seeds, gap.faces) == (3, 6), (
        "Δh is the same for all"
    )


def test_the_gap_is_taken_seed_by_seed():
    rows = lambda values: joined(
        [
            numbers({"aimed": v}, edit="a", seed=k, image=k, strength=1.0, variant=variant)
            for k, v in enumerate(values)
            for variant in (None, "no edit")
        ]
    )
    real, lower = rows([1.0, 5.0, 9.0]), rows([0.5, 4.5, 8.5])
    gap = samples.gap(lower, real, "a")
    assert gap.mean == gap.low == gap.high == -0.5
    assert np.isnan(samples.gap(rows([1.0]), real, "a").low)


def test_without_an_in_domain_edit_there_is_nothing_to_measure(toy):
    toy.edits = {"red": toy.edits["red"]}
    with pytest.raises(DomainError):
        samples.measure(toy, n=2, progress=False)
