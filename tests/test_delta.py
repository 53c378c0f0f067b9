import pytest
import torch
from safetensors.torch import save_file
from toys import official_folder, randn, randomised

from asyrp_lib.deltas import (
    ConvDelta,
    FreeDelta,
    GlobalDelta,
    PerTimeDelta,
    PreNormConvDelta,
    build_delta,
    combine,
    export_official_delta,
    load_delta,
    load_official_delta,
    save_delta,
)
from asyrp_lib.errors import UnknownNameError, WeightsError

H, TEMB = randn(2, 64, 8, 8, seed=1), randn(2, 128, seed=2)
LAYOUTS = pytest.mark.parametrize("layout", [ConvDelta, PreNormConvDelta])


def all_kinds():
    return [
        randomised(ConvDelta(64, 128)),
        randomised(PreNormConvDelta(64, 128, groups=16)),
        GlobalDelta(randn(64, 8, 8)),
        PerTimeDelta([999, 499], randn(2, 64, 8, 8)),
        randomised(FreeDelta([999, 499], [2.0, 0.5], (64, 8, 8))),
    ]


@LAYOUTS
def test_training_starts_at_no_shift_and_with_gradients(layout):
    delta = layout(64, 128)
    shift = delta(H, TEMB, 500)
    assert shift.shape == H.shape and not shift.any()
    (shift - 1).square().sum().backward()
    assert sum(p.grad.abs().sum() for p in delta.parameters()) > 0


@pytest.mark.parametrize("layout, parameters", [(ConvDelta, 788_992), (PreNormConvDelta, 790_016)])
def test_the_layouts_have_as_many_parameters_as_the_published_files(layout, parameters):
    assert sum(p.numel() for p in layout(512, 512).parameters()) == parameters


@LAYOUTS
def test_without_temb_only_the_addition_of_time_is_left_out(layout):
    delta = randomised(layout(64, 128))
    silent = randomised(layout(64, 128))
    projection = silent.temb_proj if layout is ConvDelta else silent.emb_layers[1]
    with torch.no_grad():
        projection.weight.zero_()
        projection.bias.zero_()
    assert torch.allclose(delta(H, None, 500), silent(H, TEMB, 500), atol=1e-6)
    assert not torch.allclose(delta(H, TEMB, 500), delta(H, None, 500), atol=1e-2)


def test_a_global_shift_is_the_same_for_every_image_and_time():
    shift = randn(64, 8, 8)
    delta = GlobalDelta(shift)
    assert torch.equal(delta(H, TEMB, 3).expand_as(H), shift.expand(2, 64, 8, 8))
    assert torch.equal(delta(H, TEMB, 3), delta(H + 1, None, 900))


def test_a_per_time_shift_answers_at_unseen_times_from_the_nearest_stored_one():
    shifts = randn(2, 64, 8, 8)
    delta = PerTimeDelta([400, 800], shifts)
    for t, k in ((0, 0), (400, 0), (599, 0), (601, 1), (800, 1), (999, 1)):
        assert torch.equal(delta(H, TEMB, t)[0], shifts[k])


def test_several_shifts_add_up_by_strength_over_root_n_and_ratio_of_steps():
    a, b = GlobalDelta(randn(64, 8, 8, seed=5)), GlobalDelta(randn(64, 8, 8, seed=6), train_steps=50)
    got = combine({a: 0.7, b: -0.4}, H, TEMB, 500, 20)
    want = (0.7 * 40 / 20 * a.shift - 0.4 * 50 / 20 * b.shift) / 2**0.5
    assert torch.allclose(got, want.expand_as(H), atol=1e-6)


def test_an_edit_of_strength_zero_is_no_edit():
    class Trap(GlobalDelta):
        def forward(self, h, temb, t):
            raise AssertionError("computed")

    a, trap = GlobalDelta(randn(64, 8, 8)), Trap(randn(64, 8, 8))
    got = combine({a: 1.0, trap: 0.0}, H, TEMB, 500, 40)
    assert torch.allclose(got, a.shift.expand_as(H), atol=1e-6)


def test_n_is_counted_for_each_image():
    a, b = GlobalDelta(randn(64, 8, 8)), GlobalDelta(randn(64, 8, 8, seed=9))
    got = combine({a: 1.0, b: torch.tensor([0.0, 1.0])}, H, TEMB, 500, 40)
    assert torch.allclose(got[0], a.shift, atol=1e-6)
    assert torch.allclose(got[1], (a.shift + b.shift) / 2**0.5, atol=1e-6)


def test_each_edit_keeps_its_own_interval():
    a, b = GlobalDelta(randn(64, 8, 8), t_edit=300), GlobalDelta(randn(64, 8, 8, seed=9), t_edit=600)
    assert combine({a: 1.0, b: 1.0}, H, TEMB, 200, 40) is None
    assert torch.allclose(combine({a: 1.0, b: 1.0}, H, TEMB, 400, 40)[0], a.shift / 2**0.5, atol=1e-6)


def test_strengths_may_differ_from_image_to_image():
    delta = randomised(ConvDelta(64, 128))
    got = combine({delta: torch.tensor([2.0, -1.0])}, H, TEMB, 500, 40)
    shift = delta(H, TEMB, 500)
    assert torch.allclose(got, torch.stack([2 * shift[0], -shift[1]]), atol=1e-6)


@pytest.mark.parametrize("delta", all_kinds(), ids=lambda d: type(d).__name__)
def test_saving_and_loading_keeps_the_shift_and_what_is_known_of_it(tmp_path, delta):
    delta.name, delta.t_edit, delta.train_steps = "smiling", 513, 50
    save_delta(tmp_path / "edit.safetensors", delta, {"note": "x"})
    again = load_delta(tmp_path / "edit.safetensors")
    assert type(again) is type(delta) and again.channels == 64
    assert (again.name, again.t_edit, again.train_steps) == ("smiling", 513, 50)
    assert torch.equal(again(H, TEMB, 700), delta(H, TEMB, 700))
    assert not any(p.requires_grad for p in again.parameters()) and not again.training


def test_a_missing_or_truncated_edit_is_refused(tmp_path):
    file = tmp_path / "edit.safetensors"
    with pytest.raises(WeightsError, match="No weights at"):
        load_delta(file)
    save_delta(file, ConvDelta(64, 128), {})
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(WeightsError, match="damaged"):
        load_delta(file)


def test_a_file_of_something_else_is_refused(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="holds no Δh"):
        load_delta(tmp_path / "other.safetensors")


@LAYOUTS
def test_a_published_file_is_recognised_by_its_keys(tmp_path, layout):
    delta = randomised(layout(64, 128))
    torch.save({"0": delta.state_dict(), "optimizer": {}, "scheduler": {}}, tmp_path / "x.pth")
    again = load_official_delta(tmp_path / "x.pth", name="x", t_edit=400)
    assert type(again) is layout and (again.name, again.t_edit) == ("x", 400)
    assert torch.equal(again(H, TEMB, 500), delta(H, TEMB, 500))


@pytest.mark.parametrize(
    "harm", ["missing", "truncated", "no state", "other layout", "extra key", "wrong shape"]
)
def test_a_published_file_that_is_not_whole_is_refused(tmp_path, harm):
    file, state = tmp_path / "x.pth", dict(ConvDelta(64, 128).state_dict())
    expected = {
        "no state": "is no official f_t",
        "other layout": "expected a delta block",
        "extra key": "'more'",
        "wrong shape": "'norm2.bias'",
    }.get(harm, "is no official f_t checkpoint")
    if harm == "other layout":
        state = {"weight": torch.zeros(3)}
    elif harm == "extra key":
        state["more"] = torch.zeros(3)
    elif harm == "wrong shape":
        state["norm2.bias"] = torch.zeros(3)
    if harm != "missing":
        torch.save(state if harm == "no state" else {"0": state}, file)
    if harm == "truncated":
        file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(WeightsError, match=expected):
        load_official_delta(file)


@LAYOUTS
def test_an_export_in_the_official_format_reads_back_as_the_same_tensors(tmp_path, layout):
    for channels, temb_dim in ((64, 128), (512, 512), (1024, 1024)):  # tiny; DDPM, iDDPM, P2; ADM
        delta = randomised(layout(channels, temb_dim, name="smiling", t_edit=513, train_steps=50))
        export_official_delta(tmp_path / "x.pth", delta)
        again = load_official_delta(tmp_path / "x.pth", name="smiling", t_edit=513, train_steps=50)
        assert type(again) is layout and again.config == delta.config
        assert list(again.state_dict()) == list(delta.state_dict())
        assert all(
            torch.equal(tensor, again.state_dict()[name]) for name, tensor in delta.state_dict().items()
        )
        assert (again.name, again.t_edit, again.train_steps) == ("smiling", 513, 50)


def test_every_official_file_at_hand_loads_and_is_exported_with_the_same_names_shapes_types_and_numbers(
    tmp_path,
):
    files = sorted(official_folder("ASYRP_OFFICIAL_DELTAS", "official_deltas").glob("*.pth"))
    assert files
    for file in files:
        want = torch.load(file, map_location="cpu", weights_only=True)["0"]
        export_official_delta(tmp_path / "x.pth", load_official_delta(file))
        got = torch.load(tmp_path / "x.pth", weights_only=True)
        assert set(got) == {"0"} and list(got["0"]) == list(want)
        assert all(
            got["0"][name].dtype == t.dtype and torch.equal(got["0"][name], t) for name, t in want.items()
        )


@pytest.mark.parametrize(
    "delta",
    [GlobalDelta(randn(64, 8, 8)), PreNormConvDelta(64, 128, groups=16)],
    ids=lambda d: type(d).__name__,
)
def test_what_the_official_code_could_not_build_is_not_exported(tmp_path, delta):
    with pytest.raises(WeightsError, match="has no official format.*keep it with save_delta"):
        export_official_delta(tmp_path / "x.pth", delta)
    assert not list(tmp_path.iterdir())


@LAYOUTS
@pytest.mark.parametrize("harm", ["missing", "misshapen"])
def test_whichever_tensor_of_a_published_file_is_wrong_it_is_the_one_named(tmp_path, layout, harm):
    whole = layout(64, 128).state_dict()
    for name in whole:
        state = {k: v for k, v in whole.items() if k != name}
        if harm == "misshapen":
            state[name] = torch.cat([whole[name], whole[name][:1]])
        torch.save({"0": state}, tmp_path / "x.pth")
        with pytest.raises(WeightsError, match=repr(name).replace(".", r"\.")):
            load_official_delta(tmp_path / "x.pth")


def test_a_file_of_several_blocks_or_of_a_bare_shift_is_refused(tmp_path):
    state = ConvDelta(64, 128).state_dict()
    for content, sentence in (
        ({"0": state, "1": state}, "several delta blocks"),
        ({"0": randn(64, 8, 8)}, "is no official f_t"),
    ):
        torch.save(content, tmp_path / "x.pth")
        with pytest.raises(WeightsError, match=sentence):
            load_official_delta(tmp_path / "x.pth")


# --- FreeDelta ------------------------------------------------------------------------------------


def test_a_free_shift_starts_at_none_and_is_learned_in_its_units_time_by_time():
    delta = build_delta({"kind": "FreeDelta", "times": [900, 500], "units": [2.0, 10.0]}, (64, 8, 8), 128)
    assert delta.channels == 64 and not delta(H, TEMB, 900).any()
    optimiser = torch.optim.Adam(delta.parameters(), 0.05)
    for t, k, unit in ((900, 0, 2.0), (480, 1, 10.0)):
        before = [theta.clone() for theta in delta.theta]
        optimiser.zero_grad(set_to_none=True)
        delta(H, TEMB, t).sum().backward()
        optimiser.step()
        assert torch.allclose(delta(H, TEMB, t), torch.full((1, 64, 8, 8), -0.05 * unit), atol=1e-4)
        assert torch.equal(delta.theta[1 - k], before[1 - k]), "a step at one time leaves the others alone"


def test_a_free_shift_without_its_times_or_with_other_units_is_refused():
    for options in ({}, {"times": [900, 500], "units": [1.0]}, {"times": [900], "units": [1.0], "k": 1}):
        with pytest.raises(UnknownNameError, match="FreeDelta cannot be built"):
            build_delta({"kind": "FreeDelta", **options}, (64, 8, 8), 128)
