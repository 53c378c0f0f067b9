"""Robustness: the lengths are matched as they say, and the small process is that of `process.edit`."""

import pytest
import torch
from toys import randn

from asyrp_lib.api import edit
from asyrp_lib.experiments import robustness


@pytest.fixture
def x_T():
    return randn(3, 3, 4, 4, seed=4)


def test_directions_have_length_one_are_held_or_fresh_and_do_not_depend_on_the_batch():
    like = torch.zeros(3, 3, 4, 4)
    at = lambda t, kind, n=3: robustness.directions(like[:n], t, kind)
    assert robustness.length(at(5, "held")).flatten().tolist() == pytest.approx([1] * 3)
    assert torch.equal(at(5, "held"), at(7, "held")) and not torch.allclose(at(5, "fresh"), at(7, "fresh"))
    assert torch.equal(at(5, "fresh", 1)[0], at(5, "fresh")[0]) and not torch.allclose(
        at(5, "held")[0], at(5, "held")[1]
    )


def test_with_the_trained_direction_it_is_the_edit(toy, x_T):
    delta = toy.delta("green")
    made, _ = robustness.shift_h(toy.unet, x_T, delta, 0.7)
    assert torch.allclose(made, edit(toy, x_T, {delta: 0.7}, progress=False), atol=1e-6)


def test_no_length_is_no_shift(toy, x_T):
    plain = edit(toy, x_T, {}, progress=False)
    made, caused = robustness.shift_h(toy.unet, x_T, toy.delta("green"), 0.0, "fresh")
    assert torch.allclose(made, plain, atol=1e-6)
    assert torch.allclose(robustness.shift_eps(toy.unet, x_T, caused["effect"], "fresh"), plain, atol=1e-6)


def test_a_random_shift_is_as_long_as_the_trained_one_and_ε_gets_the_length_it_caused(toy, x_T):
    delta = toy.delta("green")  # where ε = ε(x) + Δh, the change of ε is Δh itself
    _, caused = robustness.shift_h(toy.unet, x_T, delta, 2.0, "fresh")
    assert min(caused["effect"]) >= delta.t_edit
    want = 2 * robustness.length(delta.shift[None])
    assert all(
        torch.allclose(sizes, want.expand(3, 1, 1, 1), rtol=1e-3) for sizes in caused["effect"].values()
    )


def test_where_h_is_ε_both_shifts_make_the_same_image(toy, x_T):
    delta = toy.delta("green")
    made, caused = robustness.shift_h(toy.unet, x_T, delta, 1.0, "held")
    assert torch.allclose(robustness.shift_eps(toy.unet, x_T, caused["effect"], "held"), made, atol=1e-4)


def test_the_residual_grows_with_what_the_model_does_not_expect(toy):
    likely = torch.full((2, 3, 4, 4), toy.unet.mean)
    strange = likely + 3 * randn(2, 3, 4, 4, seed=1)
    assert (robustness.residual(toy.unet, strange) > robustness.residual(toy.unet, likely)).all()


def test_every_norm_kind_and_rule_is_measured(toy, monkeypatch):
    monkeypatch.setattr(
        toy.unet, "encode", lambda x, t, encode=toy.unet.encode: encode(x, t)._replace(h=torch.ones_like(x))
    )
    monkeypatch.setattr(
        toy.unet, "decode", lambda z, h=None, decode=toy.unet.decode: decode(z, None if h is None else h - 1)
    )
    found = robustness.measure(toy, n=3, name="green", norms=(1, 2), progress=False)
    assert list(found) == ["1", "2"] and set(found["1"]) == {"edit", "held", "fresh"}
    assert set(found["1"]["fresh"]) == {"h", "relative", "effect", "edit"}
    assert found["2"]["held"]["h"]["length"] == pytest.approx(2 * found["1"]["held"]["h"]["length"], abs=2e-4)
    assert found["1"]["held"]["effect"]["ratio"]["distance"]["mean"] == pytest.approx(1, abs=0.01)
    toy.oracle = None
    assert (
        "moved"
        not in robustness.measure(toy, n=2, name="green", norms=(1,), progress=False)["1"]["fresh"]["h"]
    )


@pytest.mark.parametrize("kind", ["held", "fresh"])
def test_shifts_and_their_lengths_do_not_depend_on_the_batches(toy, x_T, monkeypatch, kind):
    def run():
        made, caused = robustness.shift_h(toy.unet, x_T, toy.delta("green"), 1.0, kind)
        return torch.cat([made, robustness.shift_eps(toy.unet, x_T, caused["effect"], kind)]), caused[
            "effect"
        ]

    (whole, lengths) = run()
    monkeypatch.setattr(toy.unet, "batch_size", 2, raising=False)
    (parts, again) = run()
    assert torch.allclose(parts, whole, atol=1e-6)
    assert all(torch.allclose(again[t], lengths[t], rtol=1e-5) for t in lengths)
