"""Official checkpoint files through the public loader, against golden numbers and a second statement."""

import pytest
import torch
from diffusers import UNet2DModel
from reference_nets import Weights, adm, ddpm
from safetensors.torch import load_file
from toys import GOLDEN, randn, relative_error

from asyrp_lib.backbones.convert import load_ddpm_checkpoint, load_openai_checkpoint
from asyrp_lib.backbones.convert.infer import infer_ddpm, infer_openai
from asyrp_lib.backbones.convert.official import convert_state
from asyrp_lib.backbones.load import load_backbone
from asyrp_lib.errors import WeightsError
from asyrp_lib.method.hspace import HSpaceUNet
from asyrp_lib.method.schedule import NoiseSchedule

TOLERANCE = 1e-4
X, T, Y = randn(3, 3, 16, 16, seed=8), torch.tensor([0, 417, 999]), torch.tensor([4, 0, 2])
REFERENCE = {"ddpm": ddpm, "openai": adm}
#: what no tensor shows
SILENT = ("image_size", "num_head_channels", "num_heads", "use_new_attention_order", "norm_num_groups")

TINY_DDPM = dict(image_size=16, ch=32, ch_mult=(1, 2), num_res_blocks=1, attn_resolutions=(8,))
TINY_ADM = dict(
    image_size=16,
    num_channels=32,
    channel_mult=(1, 2),
    num_res_blocks=1,
    attention_ds=(2,),
    num_head_channels=16,
)
CASES = {
    "ddpm": [
        ("ddpm", {**TINY_DDPM, **change})
        for change in (
            {},
            dict(ch_mult=(1, 1, 2, 2), num_res_blocks=2, attn_resolutions=(4,)),
            dict(ch_mult=(1, 2, 3), num_res_blocks=3, attn_resolutions=(16, 4)),
            dict(attn_resolutions=()),
            dict(ch_mult=(1,), attn_resolutions=(16,)),
            dict(ch_mult=(2, 1)),
            dict(ch_mult=(2, 2, 4), num_res_blocks=2),
            dict(ch=16, norm_num_groups=8),
        )
    ],
    "adm": [
        ("openai", {**TINY_ADM, **change})
        for change in (
            {},
            dict(channel_mult=(1, 1, 2, 2), num_res_blocks=2, attention_ds=(2, 4, 8), num_classes=5),
            dict(resblock_updown=False),
            dict(use_scale_shift_norm=False),
            dict(resblock_updown=False, use_scale_shift_norm=False, out_channels=3, num_res_blocks=3),
            dict(use_new_attention_order=True, num_head_channels=8),
            dict(num_head_channels=None, num_heads=4),
            dict(num_head_channels=None, num_heads=4, attention_ds=(1, 2)),
            dict(
                num_head_channels=-1,
                num_heads=2,
                attention_ds=(1, 4),
                channel_mult=(1, 2, 3),
                use_new_attention_order=True,
            ),
            dict(channel_mult=(0.5, 1, 1), num_channels=64, num_classes=7),
            dict(channel_mult=(2, 1, 3), num_res_blocks=2, resblock_updown=False, attention_ds=(1, 4)),
            dict(channel_mult=(1,), attention_ds=(1,)),
            dict(attention_ds=()),
            dict(num_channels=16, norm_num_groups=8, num_res_blocks=2),
        )
    ],
}
ALL_CASES = [case for cases in CASES.values() for case in cases]


def reference(family, config, weights=None):
    """(official state dict, output, h) of the re-stated network with made-up weights."""
    weights = weights or Weights()
    more = {"y": Y} if config.get("num_classes") else {}
    settings = {k: (None if v == -1 else v) for k, v in config.items()}
    return weights, *REFERENCE[family](weights, X, T, **more, **settings)


def told(config):
    return {k: v for k, v in config.items() if k in SILENT}


def written(tmp_path, state, name="network.pt"):
    torch.save(dict(state), tmp_path / name)
    return tmp_path / name


# --- equal outputs --------------------------------------------------------------------------------


@pytest.mark.parametrize("family, told", [("ddpm", {}), ("iddpm", {"num_head_channels": 16})])
def test_the_golden_networks_come_through_the_public_loader(tmp_path, family, told):
    gold = load_file(GOLDEN / f"{family}_tiny.safetensors")
    state = {k.removeprefix("weights."): v.float() for k, v in gold.items() if k.startswith("weights.")}
    state = {k: v for k, v in state.items() if not k.startswith("layer_")}
    model = load_backbone(written(tmp_path, state, "golden.ckpt"), image_size=32, **told)
    cases = [(1.0, t, f"fwd.t{t}") for t in (999, 500, 399, 120, 0)] + [(0.001, 500, "smallx.t500")]
    for factor, t, name in cases:
        z = model.encode(factor * gold["in.x"][:1], t)
        assert relative_error(z.h, gold[f"{name}.h"]) < TOLERANCE
        assert relative_error(model.decode(z), gold[f"{name}.eps"][:, :3]) < TOLERANCE


@pytest.mark.parametrize("family, config", ALL_CASES, ids=str)
def test_every_layout_gives_what_the_independent_network_gives(tmp_path, family, config):
    state, output, h = reference(family, config)
    model = load_backbone(written(tmp_path, state), **told(config))
    for k, label in enumerate(Y.tolist()):
        bound = model.for_class(label) if config.get("num_classes") else model
        z = bound.encode(X[k : k + 1], T[k : k + 1])
        assert relative_error(z.h, h[k : k + 1]) < TOLERANCE
        assert relative_error(bound.decode(z), output[k : k + 1, :3]) < TOLERANCE
    whole = model.unet(
        X, T, Y if config.get("num_classes") else None
    ).sample  # the variance is converted, too
    assert relative_error(whole, output) < TOLERANCE


@pytest.mark.parametrize("family, config", ALL_CASES, ids=str)
def test_the_weights_tell_all_settings_but_the_silent_ones(family, config):
    found = {"ddpm": infer_ddpm, "openai": infer_openai}[family](reference(family, config)[0], told(config))
    assert config.items() <= found.items()


@pytest.mark.parametrize(
    "wrong", [{"use_new_attention_order": True}, {"num_head_channels": 8}, {"norm_num_groups": 16}], ids=str
)
def test_each_setting_that_no_tensor_shows_is_seen_by_these_references(wrong):
    state, output, _ = reference("openai", TINY_ADM)
    unet = convert_state(state, **{**told(TINY_ADM), **wrong})
    assert relative_error(unet(X, T).sample, output) > 30 * TOLERANCE


@pytest.mark.parametrize("family, config", [CASES["ddpm"][5], *(CASES["adm"][i] for i in (1, 7, 9))], ids=str)
def test_a_converted_network_survives_saving(tmp_path, family, config):
    state, output, _ = reference(family, config)
    label = 1 if config.get("num_classes") else None
    model = HSpaceUNet(convert_state(state, **told(config)), NoiseSchedule.linear(), class_label=label)
    model.save(tmp_path / "net.safetensors", {})
    again = load_backbone(tmp_path / "net.safetensors")
    assert torch.equal(again(X, 300), model(X, 300))


def test_half_precision_files_become_float32(tmp_path):
    state, output, _ = reference("openai", TINY_ADM)
    model = load_backbone(written(tmp_path, {k: v.half() for k, v in state.items()}), **told(TINY_ADM))
    assert model.dtype == torch.float32 and relative_error(model(X, T), output[:, :3]) < 0.05


# --- full size ------------------------------------------------------------------------------------

CELEBA = dict(image_size=256, ch=128, ch_mult=(1, 1, 2, 2, 4, 4), num_res_blocks=2, attn_resolutions=(16,))
P2 = dict(
    image_size=256,
    num_channels=128,
    channel_mult=(1, 1, 2, 2, 4, 4),
    num_res_blocks=1,
    attention_ds=(16,),
    num_head_channels=64,
)
ADM = {**P2, "num_channels": 256, "num_res_blocks": 2, "attention_ds": (8, 16, 32)}
FULL_SIZE = pytest.mark.parametrize(
    "family, config, parameters, h",
    [
        ("ddpm", CELEBA, 113_673_219, (1, 512, 8, 8)),
        ("openai", P2, 93_563_910, (1, 512, 8, 8)),
        ("openai", ADM, 552_814_086, (1, 1024, 8, 8)),
        ("openai", {**ADM, "num_classes": 1000}, 553_838_086, (1, 1024, 8, 8)),
    ],
    ids=["celeba_hq", "p2", "adm", "adm_cond"],
)


def full_size(family, config):
    """Official state dict of a full-size network without its numbers, and the shape of h."""
    weights, t = Weights(device="meta"), torch.zeros(1, dtype=torch.long, device="meta")
    _, h = REFERENCE[family](
        weights,
        torch.empty(1, 3, 256, 256, device="meta"),
        t,
        **{"y": t} if family == "openai" else {},
        **config,
    )
    return weights, tuple(h.shape)


@FULL_SIZE
def test_at_full_size_the_weights_alone_give_the_network_with_the_published_number_of_parameters(
    family, config, parameters, h
):
    state, shape = full_size(family, config)
    assert shape == h and sum(v.numel() for v in state.values()) == parameters
    unet = convert_state(state)  # nothing told; strict: every name and shape fits, and nothing is left over
    assert sum(p.numel() for p in unet.parameters()) == parameters
    model = HSpaceUNet(unet, NoiseSchedule.linear())
    assert (model.resolution, model.h_channels, model.temb_dim) == (
        256,
        h[1],
        2 * h[1] if h[1] < 512 else h[1],
    )
    if family == "openai":
        assert unet.config.attention_head_dim == 64 and unet.config.num_class_embeds == config.get(
            "num_classes"
        )


@FULL_SIZE
@pytest.mark.parametrize("harm", ["missing", "extra", "misshapen"])
def test_at_full_size_one_wrong_tensor_is_refused_by_name(family, config, parameters, h, harm):
    state, _ = full_size(family, config)
    for key in (list(state)[7], list(state)[len(state) // 2], list(state)[-3]):
        with pytest.raises(WeightsError, match=repr(harmed(state, key, harm)[1]).replace(".", r"\.")):
            convert_state(harmed(state, key, harm)[0])


# --- strictness -----------------------------------------------------------------------------------


def harmed(state, key, harm):
    """A copy of the state with one wrong tensor, and its name."""
    state = dict(state)
    if harm == "missing":
        del state[key]
    elif harm == "extra":
        key += "_ema"
        state[key] = torch.zeros(3)
    else:
        state[key] = torch.cat([state[key], state[key][:1]])
    return state, key


@pytest.mark.parametrize("family, config", [CASES["ddpm"][0], CASES["adm"][2], CASES["adm"][6]], ids=str)
def test_whichever_tensor_is_wrong_it_is_the_one_named(family, config):
    state, _, _ = reference(family, config)
    for i, key in enumerate(state):  # the harms take turns
        wrong, name = harmed(state, key, ("missing", "misshapen", "extra")[i % 3])
        with pytest.raises(WeightsError) as caught:
            convert_state(wrong, **told(config))
        assert repr(name) in str(caught.value)


@pytest.mark.parametrize(
    "family, extra",
    [
        ("ddpm", "down.2.block.0.norm1.weight"),
        ("ddpm", "down.0.block.1.norm1.bias"),
        ("ddpm", "down.0.attn.0.norm.weight"),
        ("ddpm", "input_blocks.0.0.weight"),
        ("openai", "input_blocks.1.1.qkv.weight"),
        ("openai", "output_blocks.0.1.conv.weight"),
        ("openai", "output_blocks.4.0.in_layers.0.weight"),
        ("openai", "input_blocks.2.0.op.bias"),
        ("openai", "layer_0.conv1.weight"),
    ],
)
def test_an_extra_tensor_that_looks_like_another_depth_is_still_the_one_named(family, extra):
    config = TINY_DDPM if family == "ddpm" else TINY_ADM
    state, _, _ = reference(family, config)
    with pytest.raises(WeightsError, match=repr(extra).replace(".", r"\.")):
        convert_state({**state, extra: torch.zeros(32)}, **told(config))


def test_a_label_table_of_another_size_than_told_is_refused():
    state, _, _ = reference("openai", {**TINY_ADM, "num_classes": 5})
    with pytest.raises(WeightsError, match="'label_emb.weight' has shape"):
        convert_state(state, **told(TINY_ADM), num_classes=6)


@pytest.mark.parametrize(
    "family, sentence", [("ddpm", "pass image_size="), ("openai", "pass image_size= and num_head_channels=")]
)
def test_what_the_weights_do_not_say_must_be_told(family, sentence):
    with pytest.raises(WeightsError, match=sentence):
        convert_state(reference(family, TINY_DDPM if family == "ddpm" else TINY_ADM)[0])


def test_the_family_may_be_told_and_a_wrong_one_is_refused():
    state, output, _ = reference("ddpm", TINY_DDPM)
    assert relative_error(convert_state(state, "ddpm", image_size=16)(X, T).sample, output) < TOLERANCE
    with pytest.raises(WeightsError, match="expected a network of the openai family"):
        convert_state(state, "openai", image_size=16, num_heads=1)
    with pytest.raises(WeightsError, match="Unknown family 'ldm'; expected one of ddpm, openai"):
        convert_state(state, "ldm")


@pytest.mark.parametrize(
    "told, sentence",
    [
        ({"dropout": 0.1}, "does not know 'dropout'"),
        ({"num_head_channels": 24}, "no whole number of channels per head"),
        ({"num_head_channels": None, "num_heads": 5}, "no whole number of heads with 5"),
        ({"norm_num_groups": 7}, "make no network"),
        ({"num_channels": 64}, "belongs to another checkpoint"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused(told, sentence):
    state, _, _ = reference("openai", TINY_ADM)
    with pytest.raises(WeightsError, match=sentence):
        convert_state(state, **{**TINY_ADM, **told})


@pytest.mark.parametrize(
    "convert, config", [(load_ddpm_checkpoint, TINY_DDPM), (load_openai_checkpoint, TINY_ADM)]
)
def test_a_configuration_without_depth_is_refused(convert, config):
    with pytest.raises(WeightsError, match="lacks 'num_res_blocks'"):
        convert({}, {k: v for k, v in config.items() if k != "num_res_blocks"})


@pytest.mark.parametrize(
    "content, sentence",
    [
        ({"0": {"conv1.weight": torch.zeros(2)}}, "expected names and tensors only"),
        ([torch.zeros(2)], r"\(list\)"),
        ({}, "expected names and tensors only"),
        ({"conv.weight": torch.zeros(2)}, "has the tensors conv.weight, …; expected a network"),
        ({"down.x": torch.zeros(2)}, "not its levels"),
        (UNet2DModel, "no file of tensors"),
    ],
    ids=str,
)
def test_a_file_of_something_else_is_refused(tmp_path, content, sentence):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(WeightsError, match=sentence):
        load_backbone(tmp_path / "x.pt")


def test_a_missing_or_truncated_file_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="No weights at"):
        load_backbone(tmp_path / "celeba_hq.ckpt")
    file = written(tmp_path, reference("ddpm", TINY_DDPM)[0])
    file.write_bytes(file.read_bytes()[:-3000])
    with pytest.raises(WeightsError, match="damaged"):
        load_backbone(file, image_size=16)
