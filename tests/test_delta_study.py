"""The f_t of the study against a restatement in plain algebra, its counts, and weights of other settings."""

import pytest
import torch
import torch.nn.functional as F
from toys import randn

from asyrp_lib.deltas import MidBlockDelta, StudyDelta, StudySettings, build_delta, load_delta, save_delta
from asyrp_lib.errors import ImageError, SettingsError, UnknownNameError, WeightsError
from asyrp_lib.store.weights import load_strictly, save_weights

SHAPE, E = (512, 8, 8), 512
COUNTS = {
    "conv": (788_992, 1_314_304),
    "c": (826_240, 1_351_552),
    "p": (6_570_496, 7_095_808),
    "pc": (7_133_056, 7_658_368),
    "cp": (7_133_056, 7_658_368),
}


def built(shape=(8, 4, 4), temb_dim=6, seed=0, **options) -> StudyDelta:
    """A small one whose weights, norms too, are random."""
    options = {"kind": "StudyDelta", "groups": 4, "feed_forward": 20, **options}
    delta = build_delta(options, shape, temb_dim)
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


def encoder(x, state, heads, depth, last="both"):
    for k in range(depth):
        w = {n.removeprefix(f"layers.{k}."): p for n, p in state.items() if n.startswith(f"layers.{k}.")}
        q, kk, v = w["self_attn.in_proj_weight"].chunk(3)
        bias = dict(zip("qkv", w["self_attn.in_proj_bias"].chunk(3)), out=w["self_attn.out_proj.bias"])
        x = x + attention(x, q, kk, v, w["self_attn.out_proj.weight"], bias, heads)
        x = layer_norm(x, w["norm1.weight"], w["norm1.bias"])
        inner = (x @ w["linear1.weight"].T + w["linear1.bias"]).clamp(min=0)
        x = x + inner @ w["linear2.weight"].T + w["linear2.bias"]
        if k < depth - 1 or last != "none":
            x = layer_norm(x, w["norm2.weight"], w["norm2.bias"])
    return layer_norm(x, state["norm.weight"], state["norm.bias"]) if last == "both" else x


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
            last = s.last_norm if (name, k) == ("out_layer", len(s.layout) - 1) else "both"
            flat = encoder(flat, own(f"{name}.{k}.encoder."), s.heads, s.depth, last)
            z = (flat.transpose(1, 2) if tokens == "p" else flat).reshape(z.shape)
        return z

    z = side(h, "in_layer")
    if temb is not None:
        if s.temb == "adagn":
            a, b = (temb @ state["ada.linear.weight"].T + state["ada.linear.bias"]).chunk(2, 1)
            z = group_norm(z, s.groups, 1e-5) * (1 + a[:, :, None, None]) + b[:, :, None, None]
        else:
            e = temb * torch.sigmoid(temb) @ state["temb_proj.weight"].T + state["temb_proj.bias"]
            z = z + e[:, :, None, None] if s.temb == "add" else z * e[:, :, None, None]
            groups = s.groups if s.norm == "group" else z.shape[1]
            z = group_norm(z, groups, 1e-6, state["norm2.weight"], state["norm2.bias"])
        erf = lambda z: 0.5 * z * (1 + torch.erf(z / 2**0.5))
        acts = {"silu": lambda z: z * torch.sigmoid(z), "relu": lambda z: z.clamp(min=0), "gelu": erf}
        z = acts[s.activation](z)
    z = side(z, "out_layer")
    return z * torch.exp(s.gain * state["log_gain"]) if s.gain else z


LAYOUTS, TEMB = ("conv", "p", "c", "pc", "cp"), ("add", "mult", "adagn")
MORE = [
    {},
    {"heads": 4, "depth": 2},
    {"heads": 2, "shape": (8, 4, 2)},
    {"heads": 8, "depth": 4, "feed_forward": 33},
    {"norm": "instance", "activation": "gelu"},
    {"activation": "relu", "last_norm": "layer", "gain": 3.0},
    {"last_norm": "none", "depth": 2, "heads": 2},
]
CASES = [
    (layout, temb, more)
    for layout in LAYOUTS
    for temb in TEMB
    for more in MORE
    if (temb, more.get("norm")) != ("adagn", "instance")
]


@pytest.mark.parametrize(("layout", "temb", "more"), CASES)
def test_every_variant_agrees_with_its_restatement(layout, temb, more):
    delta = built(layout=layout, temb=temb, **more).double()  # a LayerNorm of a flat token enlarges rounding
    h = randn(3, *delta.config["h_shape"], seed=1).double()
    for e in (randn(3, 6, seed=2).double(), None):
        for training in (True, False):
            shift = delta.train(training)(h, e, 500)
            assert (shift - restated(delta, h, e)).abs().max() < 1e-9


@pytest.mark.parametrize("layout", LAYOUTS)
def test_at_the_size_of_the_paper_too_in_single_precision_and_by_the_fused_encoder(layout):
    temb, heads = ("mult", 1) if layout == "conv" else ("add", 8)
    torch.manual_seed(1)
    about = {"kind": "StudyDelta", "layout": layout, "temb": temb, "heads": heads}
    delta = build_delta(about, SHAPE, E).eval().requires_grad_(False)
    h, e = randn(2, *SHAPE, seed=1), randn(2, E, seed=2)
    assert (delta(h, e, 500) - restated(delta, h, e)).abs().max() < 1e-5


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
                {"kind": "StudyDelta", "layout": layout, "temb": temb}, SHAPE, E
            ).parameters()
        )
        for temb in TEMB
    ]
    plain, adagn = COUNTS[layout]
    assert counts == [plain, plain, adagn]


@pytest.mark.parametrize(("depth", "count"), [(2, 14_000_128), (3, 20_867_200), (4, 27_734_272)])
def test_further_layers_add_what_they_should(depth, count):
    delta = build_delta({"kind": "StudyDelta", "depth": depth}, SHAPE, E)
    assert sum(p.numel() for p in delta.parameters()) == count


LIKE_H = [
    ({"layout": "p"}, 1.0, 0.59),
    ({"layout": "c"}, 1.0, 0.79),
    ({"layout": "pc"}, 1.0, 0.67),
    ({"layout": "cp"}, 1.0, 0.66),
    ({"layout": "pc", "temb": "adagn"}, 1.0, 0.54),
    ({"layout": "pc", "temb": "mult"}, 1.0, 0.0),
    ({"layout": "conv"}, 0.35, None),
    ({"kind": "MidBlockDelta"}, 1.16, 0.86),
]


@pytest.mark.parametrize(("options", "size", "alike"), LIKE_H)
def test_untrained_shifts_have_the_size_and_the_likeness_to_h_that_were_counted(options, size, alike):
    torch.manual_seed(0)
    delta, h = build_delta({"kind": "StudyDelta"} | options, SHAPE, E).eval(), randn(2, *SHAPE)
    with torch.no_grad():
        shift = delta(h, randn(2, E, seed=3), 500)
        large = delta(5 * h, randn(2, E, seed=3), 500)
    rms = lambda x: float(x.square().mean() ** 0.5)
    assert rms(shift) == pytest.approx(size, abs=1e-3 if size == 1 else 0.03)
    if size == 1:  # the last LayerNorm, whatever h is
        assert rms(large) == pytest.approx(1, abs=1e-3)
    if alike is not None:
        likeness = float(torch.corrcoef(torch.stack([shift.flatten(), h.flatten()]))[0, 1])
        # a product with a random e has a likeness of its own for every seed, about 0
        assert likeness == pytest.approx(alike, abs=0.03 if alike else 0.06)


@pytest.mark.parametrize("layout", ["p", "c", "pc", "cp"])
def test_without_both_last_norms_weights_set_the_size_of_the_shift_and_without_one_they_do_not(layout):
    torch.manual_seed(0)
    build = lambda last: build_delta({"kind": "StudyDelta", "layout": layout, "last_norm": last}, SHAPE, E)
    deltas, h, e = [build(last).eval() for last in ("both", "layer", "none")], randn(2, *SHAPE), randn(2, E)
    state = {n: p for n, p in deltas[0].state_dict().items() if n != "_extra_state"}
    shifts = []
    for factor in (1, 5):
        state[f"out_layer.{len(layout) - 1}.encoder.layers.0.linear2.weight"] *= factor
        for delta in deltas:  # the same weights, so that nothing but the norms differs
            own = {n: state[n] for n in delta.state_dict() if n != "_extra_state"}
            delta.load_state_dict(own | {"_extra_state": delta.get_extra_state()})
            with torch.no_grad():
                shifts.append(delta(h, e, 500))
    both, layer, none, *large = (float(shift.square().mean() ** 0.5) for shift in shifts)
    assert (shifts[0] - shifts[1]).abs().max() < 1e-4, "a LayerNorm of a LayerNorm"
    assert [both, layer, *large[:2]] == pytest.approx([1] * 4, abs=1e-3)
    assert none > 1.02 and large[2] > 1.3 * none


def test_the_matrices_of_the_encoders_begin_as_xavier_has_them_and_attention_without_offsets():
    torch.manual_seed(0)
    delta = build_delta({"kind": "StudyDelta", "layout": "p", "depth": 2}, SHAPE, E)
    matrices = {n: p for n, p in delta.named_parameters() if p.ndim == 2 and "layer." in n}
    assert len(matrices) == 2 * 2 * 4
    for name, p in matrices.items():
        bound = (6 / (p.shape[0] + p.shape[1])) ** 0.5  # in_proj as one 3d x d matrix
        assert 0.99 * bound < p.abs().max() <= bound, name
        assert float(p.detach().std()) == pytest.approx(bound / 3**0.5, rel=0.01), name
    for name, p in delta.named_parameters():
        if name.endswith(("in_proj_bias", "out_proj.bias")):
            assert not p.any(), name


def test_a_gain_learns_so_many_times_faster_than_a_weight():
    plain, delta = (
        build_delta({"kind": "StudyDelta", "groups": 4, "gain": gain}, (8, 4, 4), 6) for gain in (0, 100)
    )
    assert "log_gain" not in plain.state_dict()
    h, e = randn(2, 8, 4, 4), randn(2, 6)
    before = delta(h, e, 0).detach()
    optimiser = torch.optim.Adam([delta.log_gain], 1e-4)
    delta(h, e, 0).square().mean().backward()
    optimiser.step()
    assert torch.allclose(delta(h, e, 0), before * torch.exp(torch.tensor(-0.01)), rtol=1e-4)


def test_another_number_of_heads_gives_another_shift_and_its_weights_are_refused(tmp_path):
    one, h, temb = built(layout="pc", heads=1), randn(1, 8, 4, 4), randn(1, 6)
    two = build_delta({"kind": "StudyDelta", "groups": 4, "feed_forward": 20, "heads": 2}, (8, 4, 4), 6)
    shapes = lambda delta: {n: p.shape for n, p in delta.state_dict().items()}
    assert shapes(one) == shapes(two), "nothing but the count tells them apart"
    with pytest.raises(WeightsError, match="heads 1; expected heads 2"):
        load_strictly(two, one.state_dict(), "file")
    save_delta(tmp_path / "one.safetensors", one, {})
    kept = load_delta(tmp_path / "one.safetensors")
    assert torch.equal(kept(h, temb, 0), one(h, temb, 0))
    meta = {"delta": "StudyDelta", "config": one.config | {"heads": 2}, "about": one.about, "card": {}}
    save_weights(tmp_path / "lie.safetensors", one.state_dict(), meta)
    with pytest.raises(WeightsError, match="heads 1; expected heads 2"):
        load_delta(tmp_path / "lie.safetensors")
    assert (one.with_heads(2)(h, temb, 0) - one(h, temb, 0)).abs().max() > 0.01


def test_heads_are_changed_on_purpose_in_a_copy_that_says_so():
    one = built(layout="pc", heads=1, name="smiling").double()
    four, h, e = one.with_heads(4), randn(2, 8, 4, 4).double(), randn(2, 6).double()
    assert four.name == "smiling with 4 heads" and (one.name, one.settings.heads) == ("smiling", 1)
    assert (four(h, e, 0) - restated(four, h, e)).abs().max() < 1e-9
    assert torch.equal(four.with_heads(1)(h, e, 0), one(h, e, 0)) and not four.training
    with pytest.raises(WeightsError, match="3 heads do not divide"):
        one.with_heads(3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temb": "mult"}, "temb add; expected temb mult"),
        ({"activation": "relu"}, "activation silu; expected activation relu"),
        ({"groups": 2}, "groups 4; expected groups 2"),
        ({"norm": "instance"}, "norm group; expected norm instance"),
    ],
)
def test_weights_of_any_other_setting_are_refused_though_shapes_agree(options, words):
    with pytest.raises(WeightsError, match=words):
        load_strictly(built(**options), built().state_dict(), "file")


def test_weights_that_do_not_say_whose_they_are_are_refused():
    delta = built()
    with pytest.raises(WeightsError, match="of which settings"):
        load_strictly(delta, delta.state_dict() | {"_extra_state": torch.zeros(512).byte()}, "file")


@pytest.mark.parametrize("layout", ["conv", "p", "c"])
def test_an_h_of_another_shape_is_one_sentence(layout):
    with pytest.raises(ImageError, match="shape .8, 2, 2.; this f_t was built for .8, 4, 4."):
        built(layout=layout)(randn(1, 8, 2, 2), randn(1, 6), 0)


def test_one_f_t_has_one_table_of_settings_and_what_changes_nothing_is_refused():
    normal = StudyDelta.normal
    assert normal(layout="pc") == normal(layout="pc", heads=1) != normal(layout="pc", heads=2)
    assert normal(layout="conv", heads=8, depth=2) == normal(layout="conv"), "a conv has no tokens"
    with pytest.raises(SettingsError, match="adagn.*group norm of its own"):
        StudySettings(temb="adagn", norm="instance")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"heads": 3}, "3 heads do not divide"),
        ({"layout": "pp"}, "layout"),
        ({"depth": 0}, "depth"),
        ({"dropout": 0.1}, "dropout"),
        ({"groups": 3}, "3"),
        *[({"kind": "MidBlockDelta", "groups": g}, "from 1 to 8") for g in (-4, 2.0, True)],
    ],
)
def test_what_cannot_be_built_is_one_sentence(options, words):
    with pytest.raises((WeightsError, SettingsError, UnknownNameError), match=words):
        build_delta({"kind": "StudyDelta", "groups": 4, **options}, (8, 4, 4), 6)


def test_the_mid_block_agrees_with_its_restatement_with_and_without_temb():
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
        e = 0 if given is None else silu(temb) @ r["time_emb_proj.weight"].T + r["time_emb_proj.bias"]
        e = torch.as_tensor(e).expand(2, 8)
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

    for given in (temb, None):
        assert (delta(h, given, 0) - residual(transformer(residual(h, 0)), 1)).abs().max() < 1e-5
    large = build_delta({"kind": "MidBlockDelta"}, SHAPE, E)
    assert isinstance(large, MidBlockDelta) and sum(p.numel() for p in large.parameters()) == 15_746_560


@pytest.mark.parametrize("options", [{"layout": layout, "temb": temb} for layout in LAYOUTS for temb in TEMB])
def test_a_variant_can_be_trained_and_kept_like_any_f_t(options, tmp_path):
    delta = build_delta({"kind": "StudyDelta", "groups": 4, "feed_forward": 20} | options, (8, 4, 4), 6)
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
    save_delta(tmp_path / "f_t.safetensors", delta, {})
    assert torch.equal(load_delta(tmp_path / "f_t.safetensors")(h, temb, 0), delta.eval()(h, temb, 0))
