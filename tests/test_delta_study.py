"""The f_t of the study against a restatement in plain algebra, its counts, and weights of other heads."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from toys import randn

from asyrp_lib.deltas import MidBlockDelta, StudyDelta, build_delta, load_delta, save_delta
from asyrp_lib.errors import SettingsError, UnknownNameError, WeightsError
from asyrp_lib.store.weights import load_strictly, save_weights

SHAPE, E = (512, 8, 8), 512
COUNTS = {
    "conv": (788_992, 1_314_304),
    "c": (826_240, 1_351_552),
    "p": (6_570_496, 7_095_808),
    "pc": (7_133_056, 7_658_368),
    "cp": (7_133_056, 7_658_368),
}


def built(shape=(8, 4, 4), temb=6, seed=0, **options) -> StudyDelta:
    """A small one whose weights, norms too, are random."""
    options = {"kind": "StudyDelta", "groups": 4, "width": 20, **options}
    delta = build_delta(options, shape, temb)
    generator = torch.Generator().manual_seed(seed)
    for parameter in delta.parameters():
        parameter.data = parameter + 0.3 * torch.randn(parameter.shape, generator=generator)
    return delta.eval().requires_grad_(False)


def attention(x, q, k, v, out, bias, heads):
    """softmax(q kᵀ / √d) v for each head; weights as matrices, biases as a dict."""
    b, n, d = x.shape
    cut = lambda w, name: (x @ w.T + bias[name]).reshape(b, n, heads, d // heads).transpose(1, 2)
    Q, K, V = cut(q, "q"), cut(k, "k"), cut(v, "v")
    weight = torch.exp(Q @ K.transpose(-1, -2) / (d // heads) ** 0.5)
    mixed = (weight / weight.sum(-1, keepdim=True)) @ V
    return mixed.transpose(1, 2).reshape(b, n, d) @ out.T + bias["out"]


def layer_norm(x, gain, offset, eps=1e-5):
    centred = x - x.mean(-1, keepdim=True)
    return centred / torch.sqrt(centred.square().mean(-1, keepdim=True) + eps) * gain + offset


def encoder(x, state, heads, depth, last=True):
    for k in range(depth):
        w = {n.removeprefix(f"layers.{k}."): p for n, p in state.items() if n.startswith(f"layers.{k}.")}
        q, kk, v = w["self_attn.in_proj_weight"].chunk(3)
        bias = dict(zip("qkv", w["self_attn.in_proj_bias"].chunk(3)), out=w["self_attn.out_proj.bias"])
        x = x + attention(x, q, kk, v, w["self_attn.out_proj.weight"], bias, heads)
        x = layer_norm(x, w["norm1.weight"], w["norm1.bias"])
        inner = (x @ w["linear1.weight"].T + w["linear1.bias"]).clamp(min=0)
        x = x + inner @ w["linear2.weight"].T + w["linear2.bias"]
        x = layer_norm(x, w["norm2.weight"], w["norm2.bias"])
    return layer_norm(x, state["norm.weight"], state["norm.bias"]) if last else x


def group_norm(z, groups, eps, gain=None, offset=None):
    b, c, height, width = z.shape
    parts = z.reshape(b, groups, -1)
    parts = (parts - parts.mean(-1, keepdim=True)) / torch.sqrt(parts.var(-1, False, keepdim=True) + eps)
    z = parts.reshape(z.shape)
    return z if gain is None else z * gain[:, None, None] + offset[:, None, None]


def restated(delta: StudyDelta, h, temb):
    """f_t(h, temb) from nothing but its tensors and settings."""
    state, s = delta.state_dict(), delta.settings
    own = lambda prefix: {n.removeprefix(prefix): p for n, p in state.items() if n.startswith(prefix)}

    def side(z, name):
        if s.layout == "conv":
            w = own(f"{name}.")
            return torch.einsum("oi,bihw->bohw", w["weight"][:, :, 0, 0], z) + w["bias"][:, None, None]
        for k, tokens in enumerate(s.layout):
            flat = z.reshape(*z.shape[:2], -1)
            flat = flat.transpose(1, 2) if tokens == "p" else flat
            flat = encoder(flat, own(f"{name}.{k}.encoder."), s.heads, s.depth, s.last_norm)
            z = (flat.transpose(1, 2) if tokens == "p" else flat).reshape(z.shape)
        return z

    z = side(h, "in_layer")
    if temb is not None:
        if s.time == "adagn":
            a, b = (temb @ state["ada.linear.weight"].T + state["ada.linear.bias"]).chunk(2, 1)
            z = group_norm(z, s.groups, 1e-5) * (1 + a[:, :, None, None]) + b[:, :, None, None]
        else:
            e = temb * torch.sigmoid(temb) @ state["temb_proj.weight"].T + state["temb_proj.bias"]
            z = z + e[:, :, None, None] if s.time == "add" else z * e[:, :, None, None]
            groups = s.groups if s.norm == "group" else z.shape[1]
            z = group_norm(z, groups, 1e-6, state["norm2.weight"], state["norm2.bias"])
        erf = lambda z: 0.5 * z * (1 + torch.erf(z / 2**0.5))
        acts = {"silu": lambda z: z * torch.sigmoid(z), "relu": lambda z: z.clamp(min=0), "gelu": erf}
        z = acts[s.activation](z)
    z = side(z, "out_layer")
    return z * state["scale"] if s.scale else z


@pytest.mark.parametrize("layout", ["conv", "p", "c", "pc", "cp"])
@pytest.mark.parametrize("time", ["add", "mult", "adagn"])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"heads": 4, "depth": 2},
        {"norm": "instance", "activation": "gelu"},
        {"activation": "relu", "last_norm": False, "scale": True},
    ],
)
def test_every_variant_agrees_with_its_restatement(layout, time, more):
    delta = built(layout=layout, time=time, **more).double()  # a LayerNorm of a flat token enlarges rounding
    h, temb = randn(3, 8, 4, 4, seed=1).double(), randn(3, 6, seed=2).double()
    for e in (temb, None):
        assert (delta(h, e, 500) - restated(delta, h, e)).abs().max() < 1e-9
    delta.train()
    assert (delta(h, temb, 500) - restated(delta, h, temb)).abs().max() < 1e-9


def test_without_time_neither_norm_nor_activation_is_there():
    delta, h = built(layout="conv"), randn(2, 8, 4, 4)
    for norm in (delta.norm2, delta.temb_proj):
        norm.weight.mul_(7)
    assert torch.equal(delta(h, None, 0), delta.out_layer(delta.in_layer(h)))


@pytest.mark.parametrize("layout", COUNTS)
def test_the_numbers_of_parameters_are_those_counted_in_the_study(layout):
    counts = [
        sum(
            p.numel()
            for p in build_delta(
                {"kind": "StudyDelta", "layout": layout, "time": time}, SHAPE, E
            ).parameters()
        )
        for time in ("add", "mult", "adagn")
    ]
    plain, adagn = COUNTS[layout]
    assert counts == [plain, plain, adagn]


@pytest.mark.parametrize(("depth", "count"), [(2, 14_000_128), (3, 20_867_200), (4, 27_734_272)])
def test_further_layers_add_what_they_should(depth, count):
    delta = build_delta({"kind": "StudyDelta", "depth": depth}, SHAPE, E)
    assert sum(p.numel() for p in delta.parameters()) == count


@pytest.mark.parametrize(
    "layout, size, alike", [("p", 1, 0.59), ("c", 1, 0.79), ("pc", 1, 0.67), ("cp", 1, 0.66)]
)
def test_untrained_shifts_have_the_size_that_the_last_norm_gives_and_look_like_h(layout, size, alike):
    torch.manual_seed(0)
    delta = build_delta({"kind": "StudyDelta", "layout": layout}, SHAPE, E).eval()
    for scale in (1.0, 5.0):
        h = scale * randn(2, *SHAPE)
        with torch.no_grad():
            shift = delta(h, randn(2, E, seed=3), 500)
        assert shift.square().mean() ** 0.5 == pytest.approx(size, abs=1e-3)
    found = float(torch.corrcoef(torch.stack([shift.flatten(), h.flatten()]))[0, 1])
    assert found == pytest.approx(alike, abs=0.1) or scale != 1.0


def test_the_conv_of_the_study_starts_at_random_and_ours_at_zero():
    delta = build_delta({"kind": "StudyDelta", "layout": "conv"}, SHAPE, E).eval()
    with torch.no_grad():
        assert float(delta(randn(2, *SHAPE), randn(2, E, seed=1), 0).square().mean() ** 0.5) == pytest.approx(
            0.35, abs=0.05
        )


def test_another_number_of_heads_gives_another_shift_and_its_weights_are_refused(tmp_path):
    one, two = (
        built(layout="pc", heads=1),
        build_delta({"kind": "StudyDelta", "groups": 4, "width": 20, "heads": 2}, (8, 4, 4), 6),
    )
    shapes = lambda delta: {n: p.shape for n, p in delta.state_dict().items()}
    assert shapes(one) == shapes(two), "nothing but the count tells them apart"
    with pytest.raises(WeightsError, match="1 heads; expected 2"):
        load_strictly(two, one.state_dict(), "file")
    save_delta(tmp_path / "one.safetensors", one, {})
    kept, h, temb = load_delta(tmp_path / "one.safetensors"), randn(1, 8, 4, 4), randn(1, 6)
    assert torch.equal(kept(h, temb, 0), one(h, temb, 0))
    meta = {"delta": "StudyDelta", "config": one.config | {"heads": 2}, "about": one.about, "card": {}}
    save_weights(tmp_path / "lie.safetensors", one.state_dict(), meta)
    with pytest.raises(WeightsError, match="1 heads; expected 2"):
        load_delta(tmp_path / "lie.safetensors")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"heads": 3}, "3 heads do not divide"),
        ({"layout": "pp"}, "layout"),
        ({"depth": 0}, "depth"),
        ({"dropout": 0.1}, "dropout"),
        ({"groups": 3}, "3"),
    ],
)
def test_what_cannot_be_built_is_one_sentence(options, words):
    with pytest.raises((WeightsError, SettingsError, UnknownNameError), match=words):
        build_delta({"kind": "StudyDelta", "groups": 4, **options}, (8, 4, 4), 6)


def test_the_mid_block_agrees_with_its_restatement_and_begins_near_h():
    delta = build_delta({"kind": "MidBlockDelta", "groups": 4}, (8, 4, 4), 6).eval().requires_grad_(False)
    w, h, temb = (
        {n.removeprefix("block."): p for n, p in delta.state_dict().items()},
        randn(2, 8, 4, 4),
        randn(2, 6),
    )
    silu = lambda z: z * torch.sigmoid(z)
    own = lambda prefix: {n.removeprefix(prefix): p for n, p in w.items() if n.startswith(prefix)}

    def residual(z, k):
        r = own(f"resnets.{k}.")
        e = silu(temb) @ r["time_emb_proj.weight"].T + r["time_emb_proj.bias"]
        inner = silu(group_norm(z, 4, 1e-6, r["norm1.weight"], r["norm1.bias"]))
        inner = F.conv2d(inner, r["conv1.weight"], r["conv1.bias"], padding=1) + e[:, :, None, None]
        inner = silu(group_norm(inner, 4, 1e-6, r["norm2.weight"], r["norm2.bias"]))
        return z + F.conv2d(inner, r["conv2.weight"], r["conv2.bias"], padding=1)

    def transformer(z):
        r = own("attentions.0.")
        inner = group_norm(z, 4, 1e-6, r["norm.weight"], r["norm.bias"])
        x = F.conv2d(inner, r["proj_in.weight"], r["proj_in.bias"]).flatten(2).transpose(1, 2)
        b = {n.removeprefix("transformer_blocks.0."): p for n, p in r.items()}
        for k in (1, 2):
            y = layer_norm(x, b[f"norm{k}.weight"], b[f"norm{k}.bias"])
            q, key, v, out = (b[f"attn{k}.{n}.weight"] for n in ("to_q", "to_k", "to_v", "to_out.0"))
            bias = dict.fromkeys("qkv", torch.zeros(8)) | {"out": b[f"attn{k}.to_out.0.bias"]}
            x = x + attention(y, q, key, v, out, bias, 1)
        y = (
            layer_norm(x, b["norm3.weight"], b["norm3.bias"]) @ b["ff.net.0.proj.weight"].T
            + b["ff.net.0.proj.bias"]
        )
        a, gate = y.chunk(2, -1)
        gate = 0.5 * gate * (1 + torch.erf(gate / 2**0.5))
        x = x + (a * gate) @ b["ff.net.2.weight"].T + b["ff.net.2.bias"]
        x = x.transpose(1, 2).reshape(z.shape)
        return z + F.conv2d(x, r["proj_out.weight"], r["proj_out.bias"])

    assert (delta(h, temb, 0) - residual(transformer(residual(h, 0)), 1)).abs().max() < 1e-5
    large = build_delta({"kind": "MidBlockDelta"}, SHAPE, E)
    assert isinstance(large, MidBlockDelta) and sum(p.numel() for p in large.parameters()) == 15_746_560


def test_a_variant_can_be_trained_and_saved_like_any_f_t(tmp_path):
    for layout, time in itertools.product(("pc", "conv"), ("add", "adagn")):
        delta = build_delta({"kind": "StudyDelta", "layout": layout, "time": time, "groups": 4}, (8, 4, 4), 6)
        optimiser = torch.optim.Adam(delta.parameters(), 1e-2)
        h, temb, aim = randn(4, 8, 4, 4), randn(4, 6), randn(4, 8, 4, 4, seed=9)
        losses = []
        for _ in range(15):
            loss = (delta(h, temb, 0) - aim).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        assert losses[-1] < 0.9 * losses[0]
