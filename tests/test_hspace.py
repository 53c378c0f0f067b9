import json
from types import SimpleNamespace

import pytest
import torch
from diffusers import DDIMScheduler
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from toys import FAMILIES, randn, tiny_model, tiny_unet

from asyrp_lib import api
from asyrp_lib.errors import WeightsError
from asyrp_lib.method.hspace import HSpaceUNet
from asyrp_lib.method.schedule import NoiseSchedule

X = randn(2, 3, 16, 16, seed=3)
EACH_FAMILY = pytest.mark.parametrize("family", list(FAMILIES))


@EACH_FAMILY
@pytest.mark.parametrize("t", [0, 400, 999, torch.tensor([999, 3])], ids=str)
def test_decoding_what_was_encoded_is_the_forward_pass_bit_for_bit(family, t):
    model = tiny_model(family)
    want = model.unet(X, t).sample[:, :3]
    assert torch.equal(model.decode(model.encode(X, t)), want)
    assert torch.equal(model(X, t), want)


@EACH_FAMILY
def test_h_is_the_output_of_the_mid_block(family):
    model, seen = tiny_model(family), []
    hook = model.unet.mid_block.register_forward_hook(lambda module, inputs, output: seen.append(output))
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
    hook = model.unet.mid_block.register_forward_hook(lambda module, inputs, output: output + shift)
    want = model.unet(X, 500).sample[:, :3]
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
    assert model.unet(X, 500).sample.shape == (2, 6, 16, 16) and model(X, 500).shape == (2, 3, 16, 16)


@pytest.mark.parametrize("t", [0, 1, 500, 999])
def test_v_prediction_gives_epsilon_as_sqrt_alpha_v_plus_sqrt_one_minus_alpha_x(t):
    model = tiny_model("embedded", "v_prediction")
    a, v = model.schedule.alpha_bar(t), model.unet(X, t).sample
    assert torch.allclose(model(X, t), a**0.5 * v + (1 - a) ** 0.5 * X, atol=1e-6)


def test_v_prediction_takes_the_noise_level_of_each_image():
    model, t = tiny_model("embedded", "v_prediction"), torch.tensor([10, 900])
    assert torch.allclose(model(X, t), torch.cat([model(X[:1], 10), model(X[1:], 900)]), atol=1e-5)


def test_the_network_is_frozen_and_h_still_carries_gradients():
    model = tiny_model()
    assert not any(p.requires_grad for p in model.parameters()) and not model.unet.training
    z = model.encode(X, 500)
    shift = torch.zeros_like(z.h, requires_grad=True)
    model.decode(z, z.h + shift).square().sum().backward()
    assert shift.grad.abs().max() > 0


def test_a_class_conditional_network_takes_labels():
    model = HSpaceUNet(tiny_unet(num_class_embeds=5), NoiseSchedule.linear())
    labels = torch.tensor([1, 4])
    assert torch.equal(
        model.decode(model.encode(X, 500, labels)), model.unet(X, 500, class_labels=labels).sample
    )


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
        ends.append(api.invert(SimpleNamespace(unet=model, resolution=16), X, steps=3, progress=False))
    assert len(list(tmp_path.iterdir())) == 2 and not torch.equal(*ends)


@pytest.mark.parametrize("resolution, pictures", [(32, 512), (64, 128), (256, 8), (1024, 1)])
def test_a_pass_takes_as_many_pictures_as_suit_the_resolution(resolution, pictures):
    assert HSpaceUNet(tiny_unet(sample_size=resolution), NoiseSchedule.linear()).batch_size == pictures
