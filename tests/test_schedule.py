import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler

from asyrp_lib.device import pick_device
from asyrp_lib.errors import AsyrpError, GridError, UnknownNameError, WeightsError
from asyrp_lib.method.schedule import NoiseSchedule, generation_pairs, inversion_pairs, time_grid


def test_alpha_bar_is_float64_and_one_at_minus_one():
    schedule = NoiseSchedule.linear()
    assert schedule.alphas_cumprod.dtype == torch.float64 and len(schedule) == 1000
    assert schedule.alpha_bar(-1) == 1.0
    assert schedule.alpha_bar(0) == pytest.approx(1 - 1e-4, abs=1e-15)
    assert schedule.alpha_bar(999) == pytest.approx(np.prod(1 - np.linspace(1e-4, 0.02, 1000)), rel=1e-12)


def test_alpha_bar_of_a_batch_agrees_with_that_of_each_time():
    schedule, like = NoiseSchedule.linear(), torch.zeros(1, dtype=torch.float32)
    times = torch.tensor([0, 999, -1, 400])
    got = schedule.alpha_bar_at(times, like)
    assert got.shape == (4, 1, 1, 1) and got.dtype == torch.float32
    assert got.flatten().tolist() == pytest.approx([schedule.alpha_bar(int(t)) for t in times], rel=1e-7)


@pytest.mark.parametrize("t", [-2, 1000])
def test_a_time_outside_the_schedule_is_refused(t):
    with pytest.raises(GridError, match="from -1 to 999"):
        NoiseSchedule.linear().alpha_bar(t)


@pytest.mark.parametrize(
    "config",
    [
        {"beta_schedule": "linear", "beta_start": 0.0015, "beta_end": 0.0195, "num_train_timesteps": 500},
        {"beta_schedule": "scaled_linear", "beta_start": 0.0015, "beta_end": 0.0195},
        {"beta_schedule": "squaredcos_cap_v2"},
        {"trained_betas": [0.1, 0.2, 0.3], "num_train_timesteps": 3},
    ],
)
def test_schedules_read_from_a_config_are_those_of_diffusers(config):
    want = DDPMScheduler.from_config(config).alphas_cumprod.double()
    got = NoiseSchedule.from_config(config).alphas_cumprod
    assert torch.allclose(got, want, rtol=2e-5, atol=1e-9)  # diffusers accumulates in float32


def test_an_unknown_schedule_is_refused_by_name():
    with pytest.raises(WeightsError, match="'sigmoid'; expected linear"):
        NoiseSchedule.from_config({"beta_schedule": "sigmoid"})


def test_a_schedule_without_signal_at_the_top_is_refused():
    with pytest.raises(WeightsError, match="β outside"):
        NoiseSchedule.from_config({"trained_betas": [0.1, 0.5, 1.0]})


def test_the_grid_is_the_original_formula_for_every_number_of_steps():
    for steps in range(1, 1001):
        assert time_grid(steps) == [int(s + 1e-6) for s in np.linspace(0, 1, steps) * 999]


def test_the_grid_ends_at_the_given_top_and_rises_strictly():
    for steps, t_max in ((2, 999), (40, 999), (1000, 999), (6, 499), (500, 499)):
        grid = time_grid(steps, t_max)
        assert (len(grid), grid[0], grid[-1]) == (steps, 0, t_max)
        assert all(a < b for a, b in zip(grid, grid[1:]))


def test_one_step_is_the_grid_of_zero_alone():
    assert time_grid(1) == [0] and generation_pairs([0]) == [(0, -1)] and inversion_pairs([0]) == []


def test_generation_walks_the_pairs_of_inversion_backwards_and_ends_at_the_clean_image():
    grid = time_grid(6)
    assert grid == [0, 199, 399, 599, 799, 999]
    up, down = inversion_pairs(grid), generation_pairs(grid)
    assert down == [(999, 799), (799, 599), (599, 399), (399, 199), (199, 0), (0, -1)]
    assert up == [(b, a) for a, b in reversed(down[:-1])]


@pytest.mark.parametrize("steps", [0, -1, 1001, 40.0, 39.5, "40", None, True])
def test_a_number_of_steps_off_the_grid_is_refused_in_one_sentence(steps):
    with pytest.raises(GridError, match="expected .*1000"):
        time_grid(steps)
    with pytest.raises(ValueError):  # also what a caller without our errors would expect
        time_grid(steps)


def test_the_device_comes_from_the_argument_then_the_environment(monkeypatch):
    monkeypatch.setenv("ASYRP_DEVICE", "cpu")
    assert pick_device() == torch.device("cpu") == pick_device("cpu")
    monkeypatch.setenv("ASYRP_DEVICE", "abacus")
    with pytest.raises(UnknownNameError, match="'abacus'; expected one of cpu, cuda, mps"):
        pick_device()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(AsyrpError, match="'cuda' was asked for"):
        pick_device("cuda")


def test_an_unknown_name_prints_as_a_plain_sentence():
    assert str(UnknownNameError("No edit 'x'; known are 'a'.")) == "No edit 'x'; known are 'a'."
