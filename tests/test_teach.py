"""Trainings inside experiments: one that was stopped goes on, and never with what belongs to another."""

from dataclasses import replace

import pytest
import torch

from asyrp_lib.experiments import teach
from asyrp_lib.experiments.trial import Trial
from asyrp_lib.method.cut import Cut, Symmetric
from asyrp_lib.method.train import ClipObjective


@pytest.fixture
def kept(tiny, monkeypatch, tmp_path):
    """The tiny domain with a cache and runs of its own, and a count of the steps that were trained."""
    monkeypatch.setenv("ASYRP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(teach, "runs_dir", lambda: tmp_path / "runs")
    steps, ask = [], ClipObjective.__call__

    def counted(self, P_edit, index, k):
        steps.append(k)
        if len(steps) == kept_until[0]:
            raise KeyboardInterrupt
        return ask(self, P_edit, index, k)

    kept_until = [None]
    monkeypatch.setattr(ClipObjective, "__call__", counted)
    return tiny, steps, kept_until


def trained(domain, view=lambda unet: unet, **changes):
    trial = teach.through(Trial(domain, 2), view(domain.unet))
    settings = replace(domain.training, t_edit=600, epochs=3, **changes)
    return teach.told(trial, "warm", domain.delta_config, settings)


def test_a_training_that_was_stopped_goes_on_to_the_same_shift(kept, monkeypatch):
    domain, steps, until = kept
    with monkeypatch.context() as patch:
        patch.setenv("ASYRP_CACHE", "off")
        whole, history = trained(domain)
    n = len(steps)
    until[0] = n + n // 2
    with pytest.raises(KeyboardInterrupt):
        trained(domain)
    until[0] = None
    delta, again = trained(domain)
    assert n + n // 2 < len(steps) < 2.3 * n, "the first epoch is not trained again"
    assert again.equals(history) and delta.unet_digest == whole.unet_digest
    assert all(torch.equal(a, b) for a, b in zip(delta.state_dict().values(), whole.state_dict().values()))
    before = len(steps)
    trained(domain)
    assert len(steps) == before, "a finished one is read"


@pytest.mark.parametrize(
    "other",
    [
        {"view": Symmetric},
        {"view": lambda unet: Cut(unet, "up 0")},
        {"view": lambda unet: Cut(unet, "skip 0")},
        {"seed": 1},
        {"lambda_recon": 0.5},
    ],
)
def test_another_view_seed_or_setting_is_another_training(kept, other):
    domain, steps, _ = kept
    trained(domain)
    n = len(steps)
    delta, _ = trained(domain, **other)
    assert len(steps) == 2 * n, "it was trained from its start"
    again, _ = trained(domain, **other)
    assert len(steps) == 2 * n
    assert all(torch.equal(a, b) for a, b in zip(delta.state_dict().values(), again.state_dict().values()))


def test_another_judge_or_code_is_another_training(kept, monkeypatch):
    domain, steps, _ = kept
    trained(domain)
    n = len(steps)
    domain.clip.weight *= 1.5
    trained(domain)
    assert len(steps) == 2 * n
    monkeypatch.setattr(teach.inspect, "getsource", lambda module: "other")
    trained(domain)
    assert len(steps) == 3 * n


def test_true_targets_are_part_of_what_is_asked(tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("ASYRP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(teach, "runs_dir", lambda: tmp_path / "runs")
    trial, settings = Trial(tiny, 1), replace(tiny.training, t_edit=700, epochs=1)
    shown = lambda target: teach.shown(trial, "dark", teach.free(trial, 700), settings, target)[0]
    one, other = shown(trial.plain - 0.3), shown(trial.plain + 0.3)
    pairs = zip(one.state_dict().values(), other.state_dict().values())
    assert any(not torch.equal(a, b) for a, b in pairs)
    assert len(list((tmp_path / "runs").rglob("state.pt"))) == 2
