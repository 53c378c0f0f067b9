"""The U-Net cut elsewhere: the same network, one activation of it called h; and run symmetrically."""

import pytest
import torch
from toys import FAMILIES, IdealGaussian, randn, randomised, tiny_model

from asyrp_lib.deltas import ConvDelta, GlobalDelta
from asyrp_lib.errors import UnknownNameError, WeightsError
from asyrp_lib.method.cut import Cut, Symmetric, places
from asyrp_lib.method.process import edit, step, walk
from asyrp_lib.method.schedule import generation_pairs, time_grid

X = randn(2, 3, 16, 16, seed=3)
EACH_FAMILY = pytest.mark.parametrize("family", list(FAMILIES))
PLACES = ["h", *(f"skip {k}" for k in range(4)), "up 0", "up 1", "ε"]


@EACH_FAMILY
def test_the_uncut_network_is_answered_at_every_place_bit_for_bit(family):
    unet = tiny_model(family, "v_prediction" if family == "embedded" else "epsilon")
    assert places(unet) == PLACES
    want = unet(X, 500)
    for place in PLACES:
        cut = Cut(unet, place)
        z = cut.encode(X, 500)
        assert torch.equal(cut.decode(z), want), place
        assert cut.h_shape == tuple(z.h.shape[1:]) and cut.h_channels == z.h.shape[1]
        assert torch.equal(cut.decode(z, z.h), want)


def recorded(unet, run):
    """The outputs of all blocks of a network, in their order, while something runs."""
    seen, net = [], unet.net
    blocks = [*net.down_blocks, net.mid_block, *net.up_blocks, net.conv_out]
    hooks = [block.register_forward_hook(lambda module, given, out: seen.append(out)) for block in blocks]
    result = run()
    for hook in hooks:
        hook.remove()
    return seen, result


@EACH_FAMILY
@pytest.mark.parametrize(("place", "first"), [("skip 0", 1), ("skip 1", 1), ("skip 2", 0), ("skip 3", 0)])
def test_a_shifted_skip_changes_what_follows_it_in_the_decoder_and_nothing_else(family, place, first):
    unet = tiny_model(family)
    cut = Cut(unet, place)
    z = cut.encode(X, 500)
    shift = randn(*cut.h_shape, seed=4)
    plain, _ = recorded(unet, lambda: cut.decode(z))
    shifted, eps = recorded(unet, lambda: cut.decode(z, z.h + shift))
    same = [torch.equal(a, b) for a, b in zip(plain, shifted)]  # up 0, up 1, the last convolution
    assert same == [k < first for k in range(3)]
    # the same through the whole network: that skip replaced, all others and h left
    full = unet.encode(X, 500)
    skips = list(full.skips)
    skips[int(place[-1])] = z.h + shift
    assert torch.equal(eps, unet.decode(full._replace(skips=tuple(skips))))


@EACH_FAMILY
def test_a_shift_behind_a_block_is_what_a_hook_there_does(family):
    unet, cut = tiny_model(family), Cut(tiny_model(family), "up 0")
    shift = randn(2, *cut.h_shape, seed=4)
    hook = unet.net.up_blocks[0].register_forward_hook(lambda module, given, out: out + shift)
    want = unet(X, 500)
    hook.remove()
    z = cut.encode(X, 500)
    assert torch.equal(cut.decode(z, z.h + shift), want)
    assert not torch.allclose(want, cut.decode(z), atol=1e-3)


def test_a_shift_of_ε_is_one_of_p_t_alone():
    cut, shift = Cut(tiny_model(), "ε"), randn(3, 16, 16, seed=4)
    now = next(walk(cut, X, [(500, 400)], lambda z, t: shift[None]))
    eps, a = cut(X, 500), [cut.schedule.alpha_bar(t) for t in (500, 400)]
    want = step(X, eps + shift, eps, *a)
    assert torch.allclose(now.x, want[0], atol=1e-5) and torch.allclose(now.P, want[1], atol=1e-5)


def test_an_f_t_belongs_to_the_place_it_was_trained_at():
    unet = tiny_model()
    there, here = Cut(unet, "skip 3"), Cut(unet, "h")  # both 64 x 8 x 8
    digests = {place: Cut(unet, place).digest() for place in PLACES}
    assert len(set(digests.values())) == len(PLACES) and here.digest() == unet.digest()
    delta = ConvDelta(64, 128, t_edit=900, unet_digest=there.digest())
    edit(there, X, {delta: 1.0}, steps=2, progress=False)
    for other in (here, unet, Cut(unet, "up 0")):
        with pytest.raises(WeightsError, match="trained for another U-Net"):
            edit(other, X, {delta: 1.0}, steps=2, progress=False)


def test_an_unknown_place_is_refused_and_the_known_ones_are_named():
    with pytest.raises(UnknownNameError, match="no place 'skip 4'; known are h, skip 0"):
        Cut(tiny_model(), "skip 4")


def test_a_cut_network_in_half_precision_is_still_cut():
    cut = Cut(tiny_model(), "up 0").to_precision("bf16")
    z = cut.encode(X, 500)
    assert isinstance(cut, Cut) and z.h.dtype == torch.float32 and cut.dtype == torch.bfloat16
    assert torch.equal(cut.decode(z), tiny_model().to_precision("bf16")(X, 500))
    assert cut.digest() == Cut(tiny_model(), "up 0").digest()


# --- symmetric ------------------------------------------------------------------------------------


def test_the_symmetric_process_puts_the_shifted_ε_in_both_places():
    unet = tiny_model()
    delta = randomised(ConvDelta(64, 128, t_edit=400)).eval()
    x = X
    for t, t_next in generation_pairs(time_grid(5)):  # as it stands in the paper's Theorem 1
        z = unet.encode(x, t)
        shift = delta.train_steps / 5 * delta(z.h, z.emb, t) if t >= 400 else 0
        eps = unet.decode(z, z.h + shift)
        x, _ = step(x, eps, eps, unet.schedule.alpha_bar(t), unet.schedule.alpha_bar(t_next))
    made = edit(Symmetric(unet), X, {delta: 1.0}, steps=5, progress=False)
    assert torch.allclose(made, x, atol=1e-4)
    assert not torch.allclose(edit(unet, X, {delta: 1.0}, steps=5, progress=False), made, atol=1e-2)


def test_theorem_1_on_a_world_with_a_known_ε():
    unet, delta = IdealGaussian(), GlobalDelta(torch.full((3, 4, 4), 0.05), t_edit=400)
    x_T = randn(2, 3, 4, 4)
    moved = {
        kind: (edit(net, x_T, {delta: 1.0}, progress=False) - edit(net, x_T, {}, progress=False)).abs().mean()
        for kind, net in {"P_t": unet, "both": Symmetric(unet)}.items()
    }
    assert 0 < moved["both"] < 0.25 * moved["P_t"]


def test_training_walks_symmetrically_too_and_only_p_t_has_gradients():
    unet, shift = tiny_model(), torch.full((1, 64, 8, 8), 0.3, requires_grad=True)
    pairs = [(700, 500), (500, -1)]
    for net in (unet, Symmetric(unet)):
        steps = list(walk(net, X, pairs, lambda z, t: shift))
        assert all(now.P.requires_grad and not now.x.requires_grad for now in steps)
        z = unet.encode(X, 700)
        with torch.no_grad():
            want = unet.decode(z, z.h + shift) if net is not unet else unet.decode(z)
        assert torch.equal(steps[0].eps, want) and not steps[0].eps.requires_grad
    assert (Symmetric(unet).digest(), Symmetric(unet).h_shape) == (unet.digest(), unet.h_shape)
