import math
from collections import Counter

import pytest
import torch
from toys import IdealGaussian, randn, randomised, tiny_model

from asyrp_lib.deltas import ConvDelta, GlobalDelta, PerTimeDelta
from asyrp_lib.errors import AsyrpError, GridError, ImageError, WeightsError
from asyrp_lib.method import process
from asyrp_lib.method.noise import sample_noise
from asyrp_lib.method.process import (
    boost_sigma,
    direction,
    edit,
    generate,
    global_mean,
    invert,
    per_time_mean,
    predict_x0,
    step,
)
from asyrp_lib.method.schedule import NoiseSchedule, generation_pairs, time_grid

QUIET = {"progress": False}
X_T = sample_noise(range(5), (3, 16, 16))


@pytest.fixture(scope="module", params=["ddpm", "iddpm", "embedded"])
def model(request):
    return tiny_model(request.param, "v_prediction" if request.param == "embedded" else "epsilon")


@pytest.fixture(scope="module")
def ddpm():
    return tiny_model()


def f_t(seed=0, **about):
    return randomised(ConvDelta(64, 128, **{"t_edit": 400, "train_steps": 5, **about}), seed).eval()


def close(got, want, rtol=2e-5):
    return (got - want).abs().max() <= rtol * want.abs().max()


# --- one step -------------------------------------------------------------------------------------


def test_p_t_of_the_true_noise_is_the_image():
    x0, eps, a = randn(2, 3, 4, 4), randn(2, 3, 4, 4, seed=1), 0.3
    assert torch.allclose(predict_x0(a**0.5 * x0 + 0.7**0.5 * eps, eps, a), x0, atol=1e-6)


def test_a_step_with_the_true_noise_moves_along_the_diffusion_in_both_directions():
    x0, eps = randn(2, 3, 4, 4), randn(2, 3, 4, 4, seed=1)

    def at(a):
        return a**0.5 * x0 + (1 - a) ** 0.5 * eps

    for a_t, a_next in ((0.2, 0.6), (0.6, 0.2), (0.6, 1.0)):
        x_next, P = step(at(a_t), eps, eps, a_t, a_next)
        assert torch.allclose(x_next, at(a_next), atol=1e-6) and torch.allclose(P, x0, atol=1e-6)


def test_a_stochastic_step_keeps_the_noise_level():
    eps, z, a_t, a_next = randn(1, 3, 256, 256), randn(1, 3, 256, 256, seed=1), 0.2, 0.6
    sigma = boost_sigma(a_t, a_next)
    x_next, _ = step((1 - a_t) ** 0.5 * eps, eps, eps, a_t, a_next, sigma=sigma, noise=z)
    assert x_next.var().item() == pytest.approx(1 - a_next, rel=0.02)


def test_eta_one_is_the_variance_of_ddpm_and_the_last_step_has_none():
    schedule = NoiseSchedule.linear()
    a_t, a_next = schedule.alpha_bar(500), schedule.alpha_bar(499)
    beta = 1 - a_t / a_next
    assert boost_sigma(a_t, a_next) == pytest.approx(math.sqrt(beta * (1 - a_next) / (1 - a_t)))
    assert boost_sigma(a_t, a_next, eta=0.3) == pytest.approx(0.3 * boost_sigma(a_t, a_next))
    assert boost_sigma(schedule.alpha_bar(0), 1.0) == 0 == boost_sigma(a_t, a_next, eta=0)


def test_theorem_1_a_shift_of_both_parts_nearly_cancels_and_of_p_t_alone_does_not():
    schedule, x, eps, shift = NoiseSchedule.linear(), *(randn(1, 3, 8, 8, seed=s).double() for s in range(3))
    ratios = []
    for t, t_next in generation_pairs(time_grid(40))[:-1]:
        a, b = schedule.alpha_bar(t), schedule.alpha_bar(t_next)
        plain, _ = step(x, eps, eps, a, b)
        both = step(x, eps + shift, eps + shift, a, b)[0] - plain
        only_P = step(x, eps + shift, eps, a, b)[0] - plain
        coefficient = -((b * (1 - a) / a) ** 0.5)
        assert torch.allclose(only_P, coefficient * shift, rtol=1e-6, atol=1e-9)
        assert torch.allclose(both, (coefficient + (1 - b) ** 0.5) * shift, rtol=1e-6, atol=1e-9)
        ratios.append((both.norm() / only_P.norm()).item())
    inside = ratios[:24]  # t >= 400
    assert max(inside) < 0.26 and sorted(inside)[12] < 0.21  # what is left of a symmetric shift, 40 steps
    fine = generation_pairs(time_grid(1000))[:600]
    left = [
        1 - (a * (1 - b) / (b * (1 - a))) ** 0.5
        for a, b in ((schedule.alpha_bar(t), schedule.alpha_bar(u)) for t, u in fine)
    ]
    assert max(left) < 0.011  # and it vanishes as steps grow: first order in the step


def test_a_step_is_differentiable_in_both_predictions():
    eps_P, eps_D = (randn(1, 3, 4, 4, seed=s).requires_grad_() for s in (1, 2))
    step(randn(1, 3, 4, 4), eps_P, eps_D, 0.2, 0.6)[0].sum().backward()
    assert eps_P.grad.flatten()[0].item() == pytest.approx(-((0.6 * 0.8 / 0.2) ** 0.5), rel=1e-5)
    assert eps_D.grad.flatten()[0].item() == pytest.approx(0.4**0.5, rel=1e-5)


def test_a_noisy_step_without_noise_is_refused():
    with pytest.raises(AsyrpError, match="got no noise"):
        step(X_T, X_T, X_T, 0.2, 0.6, sigma=0.1)


def test_direction_leaves_room_for_the_noise():
    assert torch.allclose(direction(X_T, 0.6, 0.2), (0.4 - 0.04) ** 0.5 * X_T)


# --- inversion and plain generation ---------------------------------------------------------------


def test_an_ideal_model_reconstructs_the_better_the_more_steps():
    model, x0 = IdealGaussian(), (0.3 + 0.4 * randn(4, 3, 4, 4)).double()
    errors = []
    for steps in (10, 40, 200, 1000):
        back = generate(model, invert(model, x0, steps=steps, **QUIET), steps=steps, **QUIET)
        errors.append((back - x0).abs().max().item())
    assert all(a > 3 * b for a, b in zip(errors, errors[1:])), (
        errors
    )  # first order: four or five times the steps
    assert errors[-1] < 0.015


def test_an_ideal_model_inverts_data_to_standard_normal_noise():
    model, x0 = IdealGaussian(), (0.3 + 0.4 * randn(400, 3, 4, 4)).double()
    x_T = invert(model, x0, steps=1000, **QUIET)
    assert abs(x_T.mean().item()) < 0.02 and x_T.std().item() == pytest.approx(1, abs=0.02)


def test_one_step_of_inversion_stays_at_the_image(model):
    assert torch.equal(invert(model, X_T, steps=1, **QUIET), X_T)


def test_the_callback_sees_every_step_and_the_last_x_is_the_result(model):
    seen = []
    x_0 = generate(model, X_T[:2], steps=4, callback=seen.append, **QUIET)
    assert [(s["t"], s["t_next"]) for s in seen] == [(999, 666), (666, 333), (333, 0), (0, -1)]
    assert torch.equal(seen[-1]["x"], x_0) and seen[0].h.shape[1] == model.h_channels and seen[0].dh is None
    a, b = model.schedule.alpha_bar(999), model.schedule.alpha_bar(666)
    assert torch.equal(seen[0]["x"], step(X_T[:2], seen[0]["eps"], seen[0]["eps"], a, b)[0])
    x, (t, _) = seen[0]["x"], (666, 333)
    assert torch.equal(seen[1]["P"], predict_x0(x, seen[1]["eps"], model.schedule.alpha_bar(t)))


def test_results_are_ordinary_tensors_that_training_may_use(ddpm):
    x_T = invert(ddpm, X_T[:1], steps=2, **QUIET)
    weight = torch.ones(1, requires_grad=True)
    (weight * x_T).sum().backward()
    assert not x_T.is_inference() and weight.grad is not None


def test_progress_is_drawn_on_stderr_and_can_be_switched_off(ddpm, capsys):
    generate(ddpm, X_T[:1], steps=2)
    shown = capsys.readouterr()
    assert shown.out == "" and "generation" in shown.err
    generate(ddpm, X_T[:1], steps=2, progress=False)
    assert capsys.readouterr() == ("", "")


# --- editing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "edits",
    [{}, {f_t(): 0.0}, {f_t(): 0.0, GlobalDelta(randn(64, 8, 8)): 0}],
    ids=["no edit", "strength 0", "two of strength 0"],
)
def test_nothing_to_add_gives_exactly_plain_ddim(model, edits):
    assert torch.equal(edit(model, X_T, edits, steps=5, **QUIET), generate(model, X_T, steps=5, **QUIET))


def test_a_shift_of_zero_gives_exactly_plain_ddim(model):
    zero = ConvDelta(64, 128, t_edit=0)  # as it is before training
    got, want = edit(model, X_T, {zero: 1.0}, steps=5, **QUIET), generate(model, X_T, steps=5, **QUIET)
    assert close(got, want, 1e-6)  # the pair is decoded as one batch: equal but for the order of sums


def test_the_edited_epsilon_enters_p_t_alone(model):
    delta, seen = f_t(), []
    edit(model, X_T, {delta: 1.0}, steps=5, callback=seen.append, **QUIET)
    z = model.encode(X_T, 999)
    eps, eps_edit = model.decode(z), model.decode(z, z.h + delta(z.h, z.emb, 999))
    a, b = model.schedule.alpha_bar(999), model.schedule.alpha_bar(seen[0]["t_next"])
    assert close(seen[0]["x"], b**0.5 * predict_x0(X_T, eps_edit, a) + (1 - b) ** 0.5 * eps)
    assert not close(seen[0]["x"], step(X_T, eps_edit, eps_edit, a, b)[0], 1e-4)


def test_strengths_of_any_sign_scale_the_shift(model):
    shift = 0.3 * randn(64, 8, 8)
    for strength in (-1.5, -1.0, 0.5, 2.0):
        got = edit(model, X_T, {GlobalDelta(shift, train_steps=5): strength}, steps=5, t_edit=400, **QUIET)
        want = edit(
            model, X_T, {GlobalDelta(strength * shift, train_steps=5): 1.0}, steps=5, t_edit=400, **QUIET
        )
        assert close(got, want)
        assert not close(got, generate(model, X_T, steps=5, **QUIET), 1e-3)


def test_several_edits_are_each_scaled_by_one_over_root_n(model):
    a, b, c = (0.3 * randn(64, 8, 8, seed=s) for s in range(3))
    edits = {
        GlobalDelta(shift, t_edit=0, train_steps=5): strength
        for shift, strength in ((a, 1.0), (b, -2.0), (c, 0.5))
    }
    one = GlobalDelta((a - 2 * b + 0.5 * c) / 3**0.5, t_edit=0, train_steps=5)
    assert close(edit(model, X_T, edits, steps=5, **QUIET), edit(model, X_T, {one: 1.0}, steps=5, **QUIET))


def test_the_shift_is_scaled_by_training_steps_over_test_steps(model):
    shift = 0.3 * randn(64, 8, 8)
    got = edit(model, X_T, {GlobalDelta(shift, t_edit=0, train_steps=40): 1.0}, steps=10, **QUIET)
    want = edit(model, X_T, {GlobalDelta(4 * shift, t_edit=0, train_steps=10): 1.0}, steps=10, **QUIET)
    assert close(got, want) and not close(got, generate(model, X_T, steps=10, **QUIET), 1e-3)


def test_one_strength_per_image_edits_each_with_its_own(ddpm):
    delta, strengths = f_t(), torch.tensor([1.0, 0.0, -1.0, 0.5, 2.0])
    got = edit(ddpm, X_T, {delta: strengths}, steps=5, batch_size=2, **QUIET)
    for i, strength in enumerate(strengths.tolist()):
        assert close(got[i : i + 1], edit(ddpm, X_T[i : i + 1], {delta: strength}, steps=5, **QUIET))


def test_the_interval_includes_t_edit_itself(ddpm):
    delta, times = f_t(), []
    delta.register_forward_hook(lambda module, inputs, output: times.append(inputs[2]))
    for t_edit, want in ((333, [999, 666, 333]), (334, [999, 666]), (0, [999, 666, 333, 0]), (999, [999])):
        times.clear()
        edit(ddpm, X_T[:1], {delta: 1.0}, steps=4, t_edit=t_edit, **QUIET)
        assert times == want


def test_without_t_edit_the_largest_of_the_edits_is_taken(ddpm):
    a, b, times = f_t(0, t_edit=600), f_t(1, t_edit=300), []
    a.register_forward_hook(lambda module, inputs, output: times.append(inputs[2]))
    edit(ddpm, X_T[:1], {a: 1.0, b: 1.0}, steps=4, **QUIET)
    assert times == [999, 666]


def test_outside_the_interval_one_decode_is_done_and_inside_one_of_doubled_batch(model, monkeypatch):
    decoded, encoded = [], []
    decode, encode = model.decode, model.encode
    monkeypatch.setattr(model, "decode", lambda z, h=None: decoded.append(len(z.x)) or decode(z, h))
    monkeypatch.setattr(model, "encode", lambda x, t: encoded.append(len(x)) or encode(x, t))
    edit(model, X_T[:3], {f_t(): 1.0}, steps=6, t_edit=399, t_boost=300, **QUIET)
    assert decoded == [6, 6, 6, 6, 3, 3] and encoded == [3] * 6  # t = 999, 799, 599, 399 | 199, 0


def test_edits_do_not_depend_on_the_batch_they_are_in(model):
    delta, options = f_t(), dict(steps=6, t_edit=399, t_boost=300, **QUIET)
    alone = [edit(model, X_T[i : i + 1], {delta: 1.0}, seeds=[i], **options) for i in range(5)]
    for size in (None, 1, 3, 5, 64):
        assert close(edit(model, X_T, {delta: 1.0}, batch_size=size, **options), torch.cat(alone))
    assert close(edit(model, X_T[:3], {delta: 1.0}, **options), torch.cat(alone[:3]))
    for function in (invert, generate):
        assert close(
            function(model, X_T, steps=3, batch_size=2, **QUIET), function(model, X_T, steps=3, **QUIET)
        )


def test_quality_boosting_adds_noise_below_t_boost_and_nowhere_else(ddpm):
    runs = []
    for t_boost in (0, 300):
        seen = []
        edit(ddpm, X_T, {f_t(): 1.0}, steps=6, t_boost=t_boost, callback=seen.append, **QUIET)
        runs.append(seen)
    for plain, boosted in zip(*runs):
        assert torch.equal(plain["x"], boosted["x"]) == (plain["t"] >= 300)


def test_quality_boosting_draws_the_noise_of_each_seed(ddpm):
    options = dict(steps=6, t_boost=300, **QUIET)
    first = edit(ddpm, X_T[:2], {}, seeds=[7, 8], **options)
    assert torch.equal(first, edit(ddpm, X_T[:2], {}, seeds=[7, 8], **options))
    other = edit(ddpm, X_T[:2], {}, seeds=[7, 9], **options)
    assert torch.equal(other[0], first[0]) and not close(other[1], first[1], 1e-5)
    state = torch.get_rng_state()
    edit(ddpm, X_T[:2], {}, **options)
    assert torch.equal(state, torch.get_rng_state())  # the global generator is left alone


def test_boosting_noise_does_not_repeat_the_starting_noise_of_the_same_seed(ddpm):
    drawn, draw = [], process._draw
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "_draw", lambda *args: drawn.append(draw(*args)) or drawn[-1])
        edit(ddpm, X_T, {}, steps=6, t_boost=300, **QUIET)
    assert (
        len(drawn) == 1 and abs(torch.corrcoef(torch.stack([drawn[0].flatten(), X_T.flatten()]))[0, 1]) < 0.05
    )


def test_sampled_noise_is_that_of_each_seed_alone():
    assert torch.equal(
        sample_noise([3, 1], (3, 4, 4)), torch.cat([sample_noise([s], (3, 4, 4)) for s in (3, 1)])
    )


def test_editing_leaves_an_edit_in_the_mode_it_was_in(ddpm):
    delta, modes = f_t().train(), []
    delta.register_forward_hook(lambda module, inputs, output: modes.append(module.training))
    edit(ddpm, X_T[:1], {delta: 1.0}, steps=2, **QUIET)
    assert Counter(modes) == {False: 1} and delta.training


# --- averages -------------------------------------------------------------------------------------


def test_the_mean_over_one_image_edits_it_like_f_t_itself(model):
    delta = f_t(name="smiling", t_edit=399)
    mean = per_time_mean(model, X_T[:1], delta, steps=6, **QUIET)
    assert isinstance(mean, PerTimeDelta) and (mean.name, mean.t_edit, mean.train_steps) == (
        "smiling",
        399,
        5,
    )
    assert mean.config["times"] == [399, 599, 799, 999]
    assert close(
        edit(model, X_T[:1], {mean: 1.0}, steps=6, **QUIET),
        edit(model, X_T[:1], {delta: 1.0}, steps=6, **QUIET),
    )


def test_the_mean_over_images_is_the_mean_of_their_own_means(ddpm):
    delta = f_t(t_edit=399)
    whole = per_time_mean(ddpm, X_T, delta, steps=6, batch_size=2, **QUIET)
    each = [per_time_mean(ddpm, X_T[i : i + 1], delta, steps=6, **QUIET).shifts for i in range(5)]
    assert close(whole.shifts, torch.stack(each).mean(0))
    one = global_mean(whole)
    assert close(one.shift, whole.shifts.mean(0)) and (one.t_edit, one.train_steps) == (399, 5)


def test_a_mean_over_an_empty_interval_is_refused(ddpm):
    with pytest.raises(GridError, match="leaves no step of a 1-step grid"):
        per_time_mean(ddpm, X_T, f_t(), steps=1, t_edit=999, **QUIET)


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [0, 1001, 40.0])
@pytest.mark.parametrize(
    "function", [invert, generate, lambda u, x, **o: edit(u, x, {}, **o)], ids=["invert", "generate", "edit"]
)
def test_steps_off_the_grid_are_refused_before_any_work(ddpm, function, steps):
    with pytest.raises(GridError, match="expected .*1000"):
        function(ddpm, X_T, steps=steps, **QUIET)


@pytest.mark.parametrize(
    "option, value", [("t_edit", -1), ("t_edit", 1000), ("t_edit", 400.0), ("t_boost", -1), ("t_boost", 1001)]
)
def test_an_interval_off_the_grid_is_refused(ddpm, option, value):
    with pytest.raises(GridError, match=f"{option} = .* expected a whole number from 0"):
        edit(ddpm, X_T, {f_t(): 1.0}, **{option: value}, **QUIET)


def test_an_edit_that_does_not_know_its_interval_is_refused_without_one(ddpm):
    with pytest.raises(GridError, match="'frown' does not know its editing interval"):
        edit(ddpm, X_T, {f_t(name="frown", t_edit=None): 1.0}, steps=2, **QUIET)
    edit(ddpm, X_T[:1], {f_t(t_edit=None): 1.0}, steps=2, t_edit=500, **QUIET)


@pytest.mark.parametrize(
    "images",
    [
        randn(3, 16, 16),
        randn(1, 3, 32, 32),
        randn(1, 1, 16, 16),
        randn(0, 3, 16, 16),
        torch.zeros(1, 3, 16, 16, dtype=torch.uint8),
    ],
    ids=["no batch", "size", "grey", "none", "bytes"],
)
def test_images_of_the_wrong_shape_or_type_are_refused(ddpm, images):
    with pytest.raises(ImageError, match=r"expected floating point \(N, 3, 16, 16\)"):
        invert(ddpm, images, steps=2, **QUIET)


def test_seeds_and_strengths_must_be_one_per_image(ddpm):
    with pytest.raises(ImageError, match="2 seeds for 5 images"):
        edit(ddpm, X_T, {}, seeds=[1, 2], steps=2, **QUIET)
    with pytest.raises(ImageError, match="strengths of shape .*3.* for 5 images"):
        edit(ddpm, X_T, {f_t(): torch.ones(3)}, steps=2, **QUIET)
    with pytest.raises(ImageError, match="batch_size = 0"):
        generate(ddpm, X_T, steps=2, batch_size=0, **QUIET)


def test_a_strength_that_is_no_number_is_refused(ddpm):
    with pytest.raises(AsyrpError, match="expected finite numbers"):
        edit(ddpm, X_T, {f_t(): float("nan")}, steps=2, **QUIET)


@pytest.mark.parametrize("strength", [1e30, float("inf"), "much", None])
def test_a_strength_beyond_reason_is_refused(ddpm, strength):
    with pytest.raises(AsyrpError, match="strength of the edit 'f' is"):
        edit(ddpm, X_T, {f_t(name="f"): strength}, steps=2, **QUIET)


def test_an_image_does_not_depend_on_the_edits_of_its_neighbours(ddpm):
    early, late = f_t(name="early", t_edit=200), f_t(1, name="late", t_edit=700)
    both = {early: torch.tensor([1.0, 0.0]), late: torch.tensor([0.0, 1.0])}
    together = edit(ddpm, X_T[:2], both, steps=8, **QUIET)
    for k, delta in enumerate(both):
        alone = edit(ddpm, X_T[k : k + 1], {delta: 1.0}, steps=8, **QUIET)
        assert close(together[k : k + 1], alone), delta.name


def test_an_f_t_of_another_unet_is_refused_until_it_is_bound(ddpm):
    delta = f_t(name="theirs", unet_digest="0" * 64)
    with pytest.raises(WeightsError, match="'theirs' was trained for another U-Net"):
        edit(ddpm, X_T[:1], {delta: 1.0}, steps=2, **QUIET)
    with pytest.warns(UserWarning, match="not trained for"):
        delta.bind(ddpm)
    edit(ddpm, X_T[:1], {delta: 1.0}, steps=2, **QUIET)
    next(ddpm.parameters()).data.mul_(0.5)
    with pytest.raises(WeightsError, match="another U-Net"):
        edit(ddpm, X_T[:1], {delta: 1.0}, steps=2, **QUIET)


def test_the_same_shift_twice_is_refused(ddpm):
    with pytest.raises(AsyrpError, match="the same Δh twice"):
        edit(ddpm, X_T[:1], {f_t(name="a"): 0.5, f_t(name="a"): 0.5}, steps=2, **QUIET)


def test_the_callback_of_an_edit_sees_h_and_its_shift(ddpm):
    seen = []
    edit(ddpm, X_T[:2], {f_t(t_edit=500): 2.0}, steps=5, callback=seen.append, **QUIET)
    assert [now.dh is None for now in seen] == [now.t < 500 for now in seen]
    assert seen[0].dh.shape == seen[0].h.shape


def test_half_precision_noise_is_walked_in_single_precision(ddpm):
    assert invert(ddpm, X_T[:1].bfloat16(), steps=3, **QUIET).dtype == torch.bfloat16


def test_an_edit_of_another_h_space_is_refused(ddpm):
    with pytest.raises(WeightsError, match="'other' shifts 32 channels, but h-space has 64"):
        edit(ddpm, X_T, {ConvDelta(32, 128, name="other", t_edit=0): 1.0}, steps=2, **QUIET)
