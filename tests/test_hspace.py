import json
from types import SimpleNamespace

import pytest
import torch
from diffusers import DDIMScheduler
from diffusers.configuration_utils import FrozenDict
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from toys import FAMILIES, randn, randomised, relative_error, tiny_model, tiny_unet

from asyrp_lib import api, device
from asyrp_lib.backbones.fullsize import random_unet
from asyrp_lib.deltas import ConvDelta
from asyrp_lib.domains.codec import Codec
from asyrp_lib.domains.load import load_domain
from asyrp_lib.errors import AsyrpError, UnknownNameError, WeightsError
from asyrp_lib.method import hspace
from asyrp_lib.method.hspace import HSpaceUNet
from asyrp_lib.method.process import edit, invert, walk
from asyrp_lib.method.schedule import NoiseSchedule
from asyrp_lib.store.weights import module_digest

X = randn(2, 3, 16, 16, seed=3)
EACH_FAMILY = pytest.mark.parametrize("family", list(FAMILIES))


@EACH_FAMILY
@pytest.mark.parametrize("t", [0, 400, 999, torch.tensor([999, 3])], ids=str)
def test_decoding_what_was_encoded_is_the_forward_pass_bit_for_bit(family, t):
    model = tiny_model(family)
    want = model.net(X, t).sample[:, :3]
    assert torch.equal(model.decode(model.encode(X, t)), want)
    assert torch.equal(model(X, t), want)


@EACH_FAMILY
def test_h_is_the_output_of_the_mid_block(family):
    model, seen = tiny_model(family), []
    hook = model.net.mid_block.register_forward_hook(lambda module, inputs, output: seen.append(output))
    z = model.encode(X, 500)
    hook.remove()
    assert torch.equal(z.h, seen[0]) and z.h.shape == (2, model.h_channels, 8, 8)
    assert z.emb.shape == (2, model.temb_dim)


@pytest.mark.parametrize(
    "family, changes",
    [
        *((family, {}) for family in FAMILIES),
        ("embedded", {"sample_size": 32}),
        ("embedded", {"downsample_type": "resnet"}),
        ("embedded", {"downsample_padding": 0}),
        ("embedded", {"down_block_types": ("ResnetDownsampleBlock2D", "AttnDownBlock2D")}),
        ("embedded", {"block_out_channels": (32, 64, 96), "down_block_types": ("DownBlock2D",) * 3}),
    ],
    ids=str,
)
def test_the_shape_of_h_is_known_without_a_pass(family, changes):
    up = {"up_block_types": ("UpBlock2D",) * len(changes.get("block_out_channels", "ab"))}
    model = HSpaceUNet(tiny_unet(family, **{**changes, **up}), NoiseSchedule.linear())
    x = randn(1, 3, model.resolution, model.resolution)
    assert model.h_shape == tuple(model.encode(x, 500).h.shape[1:])


@EACH_FAMILY
def test_decoding_a_shifted_h_equals_a_hook_that_shifts_the_mid_block(family):
    model, shift = tiny_model(family), randn(2, 64, 8, 8, seed=4)
    z = model.encode(X, 500)
    hook = model.net.mid_block.register_forward_hook(lambda module, inputs, output: output + shift)
    want = model.net(X, 500).sample[:, :3]
    hook.remove()
    assert torch.equal(model.decode(z, z.h + shift), want)
    assert not torch.allclose(want, model.decode(z), atol=1e-3)


@EACH_FAMILY
def test_two_bottlenecks_decoded_as_one_batch_give_what_each_gives_alone(family):
    model, t = tiny_model(family, "v_prediction"), torch.tensor([700, 20])
    z = model.encode(X, t)
    plain, edited = model.decode_pair(z, z.h + 1)
    assert torch.allclose(plain, model.decode(z), atol=2e-6)
    assert torch.allclose(edited, model.decode(z, z.h + 1), atol=2e-6)


def test_learned_variance_channels_are_dropped():
    model = tiny_model("iddpm")
    assert model.net(X, 500).sample.shape == (2, 6, 16, 16) and model(X, 500).shape == (2, 3, 16, 16)


@pytest.mark.parametrize("t", [0, 1, 500, 999])
def test_v_prediction_gives_epsilon_as_sqrt_alpha_v_plus_sqrt_one_minus_alpha_x(t):
    model = tiny_model("embedded", "v_prediction")
    a, v = model.schedule.alpha_bar(t), model.net(X, t).sample
    assert torch.allclose(model(X, t), a**0.5 * v + (1 - a) ** 0.5 * X, atol=1e-6)


def test_v_prediction_takes_the_noise_level_of_each_image():
    model, t = tiny_model("embedded", "v_prediction"), torch.tensor([10, 900])
    assert torch.allclose(model(X, t), torch.cat([model(X[:1], 10), model(X[1:], 900)]), atol=1e-5)


def test_the_network_is_frozen_and_h_still_carries_gradients():
    model = tiny_model()
    assert not any(p.requires_grad for p in model.parameters()) and not model.net.training
    z = model.encode(X, 500)
    shift = torch.zeros_like(z.h, requires_grad=True)
    model.decode(z, z.h + shift).square().sum().backward()
    assert shift.grad.abs().max() > 0


def test_a_class_conditional_network_takes_labels():
    model = HSpaceUNet(tiny_unet(num_class_embeds=5), NoiseSchedule.linear())
    for label in (1, 4):
        want = model.net(X, 500, class_labels=torch.tensor([label] * len(X))).sample
        assert torch.equal(model.for_class(label)(X, 500), want)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_saving_and_loading_a_file_gives_the_same_epsilon(tmp_path, prediction_type):
    model = HSpaceUNet(tiny_unet("iddpm"), NoiseSchedule.linear(800), prediction_type)
    model.save(tmp_path / "net.safetensors", {"steps": 3})
    again = HSpaceUNet.from_pretrained(tmp_path / "net.safetensors")
    assert torch.equal(again(X, 700), model(X, 700)) and len(again.schedule) == 800
    assert again.schedule.alphas_cumprod.dtype == torch.float64
    assert torch.allclose(again.schedule.alphas_cumprod, model.schedule.alphas_cumprod, rtol=1e-12)


@pytest.mark.parametrize("layout", ["pipeline", "bare"])
def test_a_diffusers_folder_is_read_with_its_scheduler(tmp_path, layout):
    unet = tiny_unet()
    unet.save_pretrained(tmp_path / "unet" if layout == "pipeline" else tmp_path)
    scheduler = DDIMScheduler(beta_schedule="scaled_linear", prediction_type="v_prediction")
    scheduler.save_pretrained(tmp_path / "scheduler" if layout == "pipeline" else tmp_path)
    model = HSpaceUNet.from_pretrained(tmp_path)
    want = HSpaceUNet(unet, NoiseSchedule.from_config(dict(scheduler.config)), "v_prediction")
    assert torch.equal(model(X, 300), want(X, 300))


def test_the_attention_names_of_old_hub_checkpoints_are_read(tmp_path):
    unet = tiny_unet()
    unet.save_pretrained(tmp_path)
    file = tmp_path / "diffusion_pytorch_model.safetensors"
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = load_file(file)
    for new_name, old_name in old.items():
        state = {k.replace(f".{new_name}.", f".{old_name}."): v for k, v in state.items()}
    assert any("query" in k for k in state)
    save_file(state, file, {"format": "pt"})
    assert torch.equal(
        HSpaceUNet.from_pretrained(tmp_path)(X, 300), HSpaceUNet(unet, NoiseSchedule.linear())(X, 300)
    )


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="No weights at"):
        HSpaceUNet.from_pretrained(tmp_path / "nothing.safetensors")


def test_a_folder_without_a_network_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="is no folder with a diffusers UNet2DModel"):
        HSpaceUNet.from_pretrained(tmp_path)


def test_a_truncated_file_is_refused(tmp_path):
    file = tmp_path / "net.safetensors"
    tiny_model().save(file, {})
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match="damaged"):
        HSpaceUNet.from_pretrained(file)


@pytest.mark.parametrize("layout", ["file", "folder"])
@pytest.mark.parametrize("harm", ["missing", "extra", "misshapen"])
def test_weights_of_another_architecture_are_refused_with_the_key_named(tmp_path, layout, harm):
    key = "mid_block.resnets.0.conv1.bias"
    if layout == "file":
        path = file = tmp_path / "net.safetensors"
        tiny_model().save(file, {})
    else:
        path, file = tmp_path, tmp_path / "diffusion_pytorch_model.safetensors"
        tiny_unet().save_pretrained(tmp_path)
    with safe_open(file, "pt") as opened:
        metadata = opened.metadata()
    state = load_file(file)
    if harm == "missing":
        del state[key]
    elif harm == "extra":
        key = "mid_block.extra.bias"
        state[key] = torch.zeros(3)
    else:
        state[key] = torch.zeros(7)
    save_file(state, file, metadata)
    with pytest.raises(WeightsError, match=key):
        HSpaceUNet.from_pretrained(path)


def test_a_safetensors_file_of_something_else_is_refused(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors", {"kind": json.dumps("other")})
    with pytest.raises(WeightsError, match="holds no U-Net configuration"):
        HSpaceUNet.from_pretrained(tmp_path / "other.safetensors")


def test_an_unknown_prediction_type_is_refused():
    with pytest.raises(WeightsError, match="'flow'; expected 'epsilon' or 'v_prediction'"):
        tiny_model("ddpm", "flow")


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"mid_block_type": None}, "no mid block"),
        ({"sample_size": None}, "sample_size"),
        ({"time_embedding_type": "fourier"}, "score SDE"),
    ],
)
def test_a_network_without_a_ddpm_bottleneck_is_refused(changes, sentence):
    with pytest.raises(WeightsError, match=sentence):
        HSpaceUNet(tiny_unet(**changes), NoiseSchedule.linear())


def test_the_same_weights_with_other_heads_are_another_network_to_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ASYRP_CACHE", str(tmp_path))
    ends = []
    for heads in (16, 32):  # no tensor shows them
        model = HSpaceUNet(tiny_unet("iddpm", attention_head_dim=heads), NoiseSchedule.linear())
        ends.append(
            api.invert(
                SimpleNamespace(unet=model, resolution=16, codec=Codec(), corrections=0),
                X,
                steps=3,
                progress=False,
            )
        )
    assert len(list((tmp_path / "tensors").glob("*.safetensors"))) == 2 and not torch.equal(*ends)


def test_an_inversion_with_corrections_and_one_without_do_not_answer_for_each_other(tmp_path, monkeypatch):
    monkeypatch.setenv("ASYRP_CACHE", str(tmp_path))
    domain = SimpleNamespace(unet=tiny_model(), resolution=16, codec=Codec(), corrections=1)
    of = lambda **how: api.invert(domain, X, steps=3, progress=False, **how)
    corrected, plain = of(), of(corrections=0)
    assert not torch.equal(corrected, plain)
    assert torch.equal(of(), corrected) and torch.equal(of(corrections=1), corrected)
    assert torch.equal(of(corrections=0), plain)
    assert torch.equal(of(corrections=0, cache=False), plain)
    assert len(list((tmp_path / "tensors").glob("*.safetensors"))) == 2


@pytest.mark.parametrize(
    "kind, resolution, images",
    [
        ("cpu", 32, 16),
        ("cpu", 64, 4),
        ("cpu", 256, 1),
        ("cuda", 32, 512),
        ("cuda", 256, 8),
        ("cuda", 1024, 1),
    ],
)
def test_a_pass_takes_as_many_images_as_suit_the_resolution_and_the_device(
    monkeypatch, kind, resolution, images
):
    model = HSpaceUNet(tiny_unet(sample_size=resolution), NoiseSchedule.linear())
    monkeypatch.setattr(HSpaceUNet, "device", torch.device(kind))
    assert model.batch_size == images


def test_the_rule_for_precision_is_size_and_device(monkeypatch):
    monkeypatch.delenv("ASYRP_PRECISION", raising=False)
    cpu, large, small = torch.device("cpu"), 113_000_000, 3_000_000
    for able in (True, False):
        monkeypatch.setattr(device, "has_bf16", lambda _, able=able: able)
        assert device.pick_precision(cpu, small) == "fp32"
        assert device.pick_precision(cpu, large) == ("bf16" if able else "fp32")
        assert device.pick_precision(cpu, large, "fp32") == "fp32"
    monkeypatch.setenv("ASYRP_PRECISION", "bf16")
    assert device.pick_precision(cpu, small) == "bf16" and device.pick_precision(cpu, small, "fp32") == "fp32"
    monkeypatch.setenv("ASYRP_PRECISION", "fp8")
    with pytest.raises(UnknownNameError, match="'fp8'; expected fp32 or bf16"):
        device.pick_precision(cpu, small)


def test_fp32_on_a_gpu_is_not_rounded_to_tf32(monkeypatch):
    monkeypatch.delenv("ASYRP_PRECISION", raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    device.pick_precision(torch.device("cpu"), 3_000_000)
    assert torch.backends.cudnn.allow_tf32
    device.pick_precision(torch.device("cuda"), 3_000_000)
    assert not torch.backends.cudnn.allow_tf32


@EACH_FAMILY
@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_bf16_gives_the_epsilon_of_fp32_within_two_percent_in_float32(family, prediction_type):
    exact = tiny_model(family, prediction_type)
    model = exact.to_precision("bf16")
    assert (exact.precision, model.precision) == ("fp32", "bf16")
    for t in (999, torch.tensor([20, 700])):
        z, want = model.encode(X, t), exact.encode(X, t)
        assert z.h.dtype == z.emb.dtype == torch.float32 and torch.equal(z.emb, want.emb)
        for got, eps in zip(model.decode_pair(z, z.h + 1), exact.decode_pair(want, want.h + 1)):
            assert got.dtype == torch.float32
            assert 0 < ((got - eps).norm() / eps.norm()).item() < 0.02


def test_bf16_keeps_what_a_delta_is_bound_to_and_leaves_the_network_it_came_from_alone():
    exact = tiny_model().to_precision()  # in the memory format that both have
    before = exact(X, 500)
    model = exact.to_precision("bf16")
    assert model.digest() == exact.digest() and model.to_precision("bf16") is model
    assert module_digest(model) != module_digest(exact)  # cached inversions of the two must differ
    assert torch.equal(exact(X, 500), before)
    with pytest.raises(AsyrpError, match="rounded to bf16"):
        model.to_precision("fp32")


def test_a_weight_changed_in_place_after_a_bf16_pass_is_seen_by_the_next_and_by_the_digest():
    model = tiny_model().to_precision("bf16")
    before, digest = model(X, 500), model.digest()
    weight = model.net.mid_block.resnets[0].conv1.weight
    weight.mul_(0.5)
    assert not torch.equal(model(X, 500), before) and model.digest() != digest
    weight.mul_(2)
    assert torch.equal(model(X, 500), before) and model.digest() == digest


def test_a_digest_does_not_depend_on_which_defaults_a_version_of_diffusers_writes_down():
    model = tiny_model()
    digest, config = model.digest(), dict(model.net.config)
    for changes, same in (
        ({"dropout": 0.0}, True),
        ({"a later option": None}, True),
        ({"dropout": 0.1}, False),
    ):
        model.net._internal_dict = FrozenDict({k: v for k, v in config.items() if k != "dropout"} | changes)
        assert (model.digest() == digest) == same
    model.net._internal_dict = FrozenDict({k: v for k, v in config.items() if k != "dropout"})
    assert model.digest() == digest


def test_a_class_bound_in_bf16_stays_bound():
    model = HSpaceUNet(tiny_unet(num_class_embeds=5), NoiseSchedule.linear())
    for bound in (model.to_precision("bf16").for_class(2), model.for_class(2).to_precision("bf16")):
        assert bound.precision == "bf16" and int(bound.class_label) == 2
        assert bound.digest() == model.for_class(2).digest() != model.digest()
        assert bound(X, 500).isfinite().all()


def test_a_gradient_flows_through_the_bf16_decoder():
    grads = []
    for precision in ("fp32", "bf16"):
        model = tiny_model().to_precision(precision)
        z = model.encode(X, 500)
        shift = torch.zeros_like(z.h, requires_grad=True)
        model.decode(z, z.h + shift).square().mean().backward()
        grads.append(shift.grad)
    assert grads[1].dtype == torch.float32
    assert (grads[0] - grads[1]).norm() < 0.05 * grads[0].norm()


@pytest.mark.parametrize("how", ["to_precision", "bfloat16"])
def test_a_bf16_network_inverts_and_edits_and_trains(tmp_path, monkeypatch, how):
    monkeypatch.setenv("ASYRP_CACHE", str(tmp_path))
    model = tiny_model().to_precision("bf16") if how == "to_precision" else tiny_model().bfloat16()
    domain = SimpleNamespace(unet=model, resolution=16, codec=Codec(), corrections=0)
    x_T = api.invert(domain, X, steps=3, progress=False)
    exact = api.invert(SimpleNamespace(**{**vars(domain), "unet": tiny_model()}), X, steps=3, progress=False)
    assert x_T.dtype == torch.float32 and 0 < (x_T - exact).norm() / exact.norm() < 0.04
    delta = randomised(ConvDelta(64, model.temb_dim), scale=0.05)
    shift = lambda z, t: delta(z.h, z.emb, t)
    now = next(walk(model, x_T, [(999, 500)], shift))
    now.P.square().mean().backward()
    assert now.x.dtype == torch.float32 and delta.conv1.weight.grad.abs().max() > 0


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
def test_memory_formats_differ_by_rounding_only(memory_format):
    model = tiny_model("iddpm")
    want = model(X, 500)
    model.net.to(memory_format=memory_format)
    assert model.memory_format == memory_format
    assert relative_error(model(X, 500), want) < 1e-5
    assert tiny_model().to_precision().memory_format == torch.channels_last  # the rule for a CPU


@pytest.mark.parametrize("limit, batches", [(0, [2, 2]), (1e12, [4])])
def test_a_pair_is_one_batch_where_the_work_is_small(monkeypatch, limit, batches):
    monkeypatch.setattr(hspace, "PAIR_WORK", limit)
    model, seen = tiny_model(), []
    z = model.encode(X, 500)
    model.net.conv_out.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    model.decode_pair(z, z.h + 1)
    assert seen == batches


def test_one_time_for_all_asks_no_tensor_for_it(monkeypatch):
    model = tiny_model("embedded", "v_prediction")
    want = model(X, torch.tensor([700, 700]))
    monkeypatch.setattr(
        NoiseSchedule, "alpha_bar_at", None
    )  # it copies the times to the CPU: a GPU would wait
    assert torch.allclose(model(X, 700), want, atol=1e-6)


def test_a_whole_inversion_and_edit_in_bf16_end_where_fp32_ends():
    domain = load_domain("synthfaces", device="cpu")
    x_0, delta = domain.codec.encode(domain.images("test", 1)), domain.delta("smiling")
    ends = []
    for model in (domain.unet, domain.unet.to_precision("bf16")):
        x_T = invert(model, x_0, steps=40, progress=False)
        ends.append(edit(model, x_T, {delta: 1.0}, steps=40, progress=False))
    exact, rounded = ends
    # measured 0.0016, with values in [-1, 1]; the edit itself moves the image by 0.058
    assert 0 < (rounded - exact).abs().mean() < 0.005


@pytest.mark.skipif(
    not device.has_bf16(torch.device("cpu")),
    reason="bf16 at full size takes minutes where it is emulated",
)
def test_a_step_in_bf16_at_full_size_is_that_of_fp32_within_one_percent():
    exact = random_unet("celeba_hq_ddpm")
    delta = randomised(ConvDelta(exact.h_channels, exact.temb_dim), scale=0.02).requires_grad_(False)
    steps = [
        next(walk(model, randn(1, 3, 256, 256), [(999, 974)], lambda z, t: delta(z.h, z.emb, t)))
        for model in (exact, exact.to_precision("bf16"))
    ]
    for name in ("x", "P", "eps"):  # measured with rounded outputs in fp32: 0.0023, 0.0028, 0.0083
        got, want = getattr(steps[1], name), getattr(steps[0], name)
        assert 0 < (got - want).norm() / want.norm() < (0.02 if name == "eps" else 0.01)
