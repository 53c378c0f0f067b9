"""Reference numbers of the original implementation, see golden/README.md."""

import json
from functools import cache

import pytest
import torch
from diffusers import UNet2DModel
from safetensors.torch import load_file
from toys import GOLDEN, official_folder, relative_error

from asyrp_lib.backbones.convert import (
    ddpm_arguments,
    ddpm_name,
    load_ddpm_checkpoint,
    load_openai_checkpoint,
    openai_arguments,
    openai_name,
)
from asyrp_lib.deltas import ConvDelta, PreNormConvDelta, combine, load_official_delta
from asyrp_lib.errors import WeightsError
from asyrp_lib.method import process
from asyrp_lib.method.hspace import HSpaceUNet
from asyrp_lib.method.process import boost_sigma, edit, generate, invert, step
from asyrp_lib.method.schedule import NoiseSchedule, generation_pairs, inversion_pairs, time_grid

TOLERANCE = 1e-4  # relative to max |want|
LOAD = {"ddpm": load_ddpm_checkpoint, "iddpm": load_openai_checkpoint}
LAYOUT = {"ddpm": ConvDelta, "iddpm": PreNormConvDelta}
PAIRS = generation_pairs(time_grid(6))
WORST: dict[str, float] = {}


def near(got, want, what=""):
    error = relative_error(got, want)
    WORST[what] = max(error, WORST.get(what, 0.0))
    return error < TOLERANCE


@pytest.fixture(scope="module", autouse=True)
def report_worst():
    yield
    print("\nworst relative errors:", {k: f"{v:.1e}" for k, v in sorted(WORST.items())})


class Golden:
    """One tiny network with its reference tensors."""

    def __init__(self, family):
        self.family = family
        self.config = json.loads((GOLDEN / f"{family}_tiny.json").read_text())["config"]
        tensors = load_file(GOLDEN / f"{family}_tiny.safetensors")
        weights = {
            k.removeprefix("weights."): v.float() for k, v in tensors.items() if k.startswith("weights.")
        }
        self.state = {k: v for k, v in weights.items() if not k.startswith("layer_")}
        self.tensors = {k: v for k, v in tensors.items() if not k.startswith("weights.")}
        self.model = HSpaceUNet(LOAD[family](self.state, self.config), NoiseSchedule.linear())
        self.x1 = self["in.x"][:1]
        self.deltas = []
        for i in range(2):
            layer = {
                k.removeprefix(f"layer_{i}."): v for k, v in weights.items() if k.startswith(f"layer_{i}.")
            }
            delta = LAYOUT[family](self.model.h_channels, self.model.temb_dim, t_edit=399, train_steps=6)
            delta.load_state_dict(layer)
            self.deltas.append(delta.eval().requires_grad_(False))

    def __getitem__(self, name):
        return self.tensors[name]

    def eps(self, name):
        """A stored output without the variance channels."""
        return self[name][:, :3]

    def epsilons(self, x, t, strength=1.0):
        """(edited, plain) ε with the first block."""
        z = self.model.encode(x, t)
        if t < 399:
            return (self.model.decode(z),) * 2
        return self.model.decode_pair(z, z.h + strength * self.deltas[0](z.h, z.emb, t))[::-1]

    def a(self, t):
        return self.model.schedule.alpha_bar(t)


golden_of = cache(Golden)


@pytest.fixture(scope="module", params=["ddpm", "iddpm"])
def gold(request):
    return golden_of(request.param)


def test_our_schedule_in_float64_agrees_with_the_original_in_float32(gold):
    ours = gold.model.schedule.alphas_cumprod
    assert torch.allclose(ours, gold["schedule.alphas_cumprod_f32"].double(), rtol=1e-5)


@pytest.mark.parametrize("t", [999, 500, 399, 120, 0])
def test_epsilon_and_h_are_those_of_the_original(gold, t):
    z = gold.model.encode(gold.x1, t)
    assert near(z.h, gold[f"fwd.t{t}.h"], "h") and near(
        gold.model.decode(z), gold.eps(f"fwd.t{t}.eps"), "eps"
    )


def test_epsilon_of_a_small_input_shows_the_right_group_norm_epsilon(gold):
    z = gold.model.encode(0.001 * gold.x1, 500)
    assert near(z.h, gold["smallx.t500.h"], "small h")
    assert near(gold.model.decode(z), gold.eps("smallx.t500.eps"), "small eps")


@pytest.mark.parametrize(
    "family, wrong",
    [
        ("ddpm", {"downsample_padding": 1}),
        ("ddpm", {"flip_sin_to_cos": True}),
        ("ddpm", {"freq_shift": 0}),
        ("ddpm", {"norm_eps": 1e-5}),
        ("ddpm", {"attention_head_dim": 8}),
        ("iddpm", {"flip_sin_to_cos": False}),
        ("iddpm", {"freq_shift": 1}),
        ("iddpm", {"norm_eps": 1e-6}),
        ("iddpm", {"attention_head_dim": 8}),
    ],
    ids=str,
)
def test_each_wrong_setting_of_the_backbone_is_seen_by_these_references(family, wrong):
    gold = golden_of(family)
    arguments = {"ddpm": ddpm_arguments, "iddpm": openai_arguments}[family](gold.config)
    unet = UNet2DModel(**{**arguments, **wrong})
    unet.load_state_dict(gold.model.unet.state_dict())
    model = HSpaceUNet(unet, NoiseSchedule.linear())
    cases = [(gold.x1, "fwd.t999.eps"), (0.001 * gold.x1, "smallx.t500.eps")]
    errors = [
        relative_error(model(x, int(name[5:8] if name[0] == "f" else 500)), gold.eps(name))
        for x, name in cases
    ]
    assert max(errors) > 100 * TOLERANCE


@pytest.mark.parametrize(
    "t, h_factor, strength",
    [(999, 1.0, 1.0), (999, 1.0, 0.5), (500, 1.0, 1.0), (500, 1.0, 0.5), (500, 0.8, 1.0), (399, 1.0, 1.0)],
)
def test_one_edit_is_that_of_the_original(gold, t, h_factor, strength):
    z = gold.model.encode(gold.x1, t)
    shift = gold.deltas[0](z.h, z.emb, t)
    assert near(shift, gold[f"edit.t{t}.delta_h"], "delta_h")
    plain, edited = gold.model.decode_pair(z, h_factor * z.h + strength * shift)
    assert near(edited, gold.eps(f"edit.t{t}.hs{h_factor}_{strength}.eps_mod"), "edited eps")
    assert near(plain, gold.eps(f"fwd.t{t}.eps"), "eps")


def test_two_edits_add_up_as_in_the_original_once_its_missing_root_n_is_undone(gold):
    z, root = gold.model.encode(gold.x1, 500), 2**0.5
    shift = combine({gold.deltas[0]: 0.7 * root, gold.deltas[1]: -0.4 * root}, z.h, z.emb, 500, 6)
    assert near(
        gold.model.decode(z, z.h + shift), gold.eps("edit2.t500.hs1.0_0.7_-0.4.eps_mod"), "edited eps"
    )
    assert near(gold.deltas[1](z.h, z.emb, 500), gold["edit2.t500.delta_h_last"], "delta_h")


def test_an_edit_without_time_is_that_of_the_original(gold):
    z = gold.model.encode(gold.x1, 500)
    shift = gold.deltas[0](z.h, None, 500)
    assert near(shift, gold["edit.notime.t500.delta_h"], "delta_h")
    assert near(gold.model.decode(z, z.h + shift), gold.eps("edit.notime.t500.eps_mod"), "edited eps")


@pytest.mark.parametrize("times", [(700, 300), (300, 700)])
def test_a_batch_of_two_times_is_that_of_the_original(gold, times):
    name = f"mixed.t{times[0]}_{times[1]}"
    z = gold.model.encode(gold["in.x"], torch.tensor(times))
    assert near(gold.model.decode(z), gold.eps(f"{name}.eps"), "eps")
    shift = (
        gold.deltas[0](z.h, z.emb, times[0]) if times[0] >= 399 else 0
    )  # there the first time decides for all
    assert near(gold.model.decode(z, z.h + shift), gold.eps(f"{name}.eps_mod"), "edited eps")


@pytest.mark.parametrize("t, t_next", [(599, 399), (199, 0), (0, -1), (0, 199), (799, 999)])
def test_a_plain_step_is_that_of_the_original(gold, t, t_next):
    eps = gold.model(gold.x1, t)
    x_next, P = step(gold.x1, eps, eps, gold.a(t), gold.a(t_next))
    assert near(x_next, gold[f"step.plain.{t}_{t_next}.x_next"], "step")
    assert near(P, gold[f"step.plain.{t}_{t_next}.x0_t"], "step")


def test_an_edited_step_is_that_of_the_original(gold):
    x_next, P = step(gold.x1, *gold.epsilons(gold.x1, 599), gold.a(599), gold.a(399))
    assert near(x_next, gold["step.edit.599_399.x_next"], "step") and near(
        P, gold["step.edit.599_399.x0_t"], "step"
    )


@pytest.mark.parametrize(
    "name, t, t_next, eta",
    [("eta1", 199, 0, 1.0), ("eta1edit", 599, 399, 1.0), ("eta0.3edit", 599, 399, 0.3)],
)
def test_a_step_with_the_stored_noise_is_that_of_the_original(gold, name, t, t_next, eta):
    a, b, stored = gold.a(t), gold.a(t_next), f"step.{name}.{t}_{t_next}"
    x_next, _ = step(
        gold.x1, *gold.epsilons(gold.x1, t), a, b, sigma=boost_sigma(a, b, eta), noise=gold[f"{stored}.noise"]
    )
    assert near(x_next, gold[f"{stored}.x_next"], "noisy step")


def test_a_step_with_a_damped_direction_is_that_of_the_original(gold):
    eps_edit, eps = gold.epsilons(gold.x1, 999)
    x_next, _ = step(gold.x1, eps_edit, 0.98 * eps, gold.a(999), gold.a(799))
    assert near(x_next, gold["step.dt_lambda0.98edit.999_799.x_next"], "step")


def test_the_inversion_is_that_of_the_original(gold):
    seen, want = [], gold["loop.inversion.x"]
    x_T = invert(gold.model, gold["in.image"], steps=6, progress=False, callback=seen.append)
    assert [(s["t"], s["t_next"]) for s in seen] == inversion_pairs([0, 199, 399, 599, 799, 999])
    for s, x in zip(seen, want, strict=True):
        assert near(s["x"], x, "inversion")
    assert near(x_T, want[-1], "inversion")


@pytest.mark.parametrize("name, strength", [("recon", None), ("edit", 1.0), ("edit_hs0.5", 0.5)])
def test_the_generation_loops_are_those_of_the_original(gold, name, strength):
    seen, start, want = [], gold["loop.inversion.x"][-1], gold[f"loop.{name}.x"]
    if strength is None:
        generate(gold.model, start, steps=6, progress=False, callback=seen.append)
    else:
        edit(gold.model, start, {gold.deltas[0]: strength}, steps=6, progress=False, callback=seen.append)
    for k, s in enumerate(seen):
        assert near(s["x"], want[k], f"loop {name}")
        if f"loop.{name}.x0_t" in gold.tensors:
            assert near(s["P"], gold[f"loop.{name}.x0_t"][k], f"loop {name}")
    assert len(seen) == len(want)


@pytest.mark.parametrize("name, strength", [("recon", 0.0), ("edit", 1.0), ("edit_hs0.5", 0.5)])
def test_each_generation_step_from_the_stored_x_is_that_of_the_original(gold, name, strength):
    want = gold[f"loop.{name}.x"]
    for k, (t, t_next) in enumerate(PAIRS):
        x = want[k - 1] if k else gold["loop.inversion.x"][-1]
        x_next, _ = step(x, *gold.epsilons(x, t, strength), gold.a(t), gold.a(t_next))
        assert near(x_next, want[k], "loop step")


def test_the_loop_with_quality_boosting_is_that_of_the_original(gold, monkeypatch):
    noise, seen = iter(gold["loop.edit_addnoise.noise"]), []
    monkeypatch.setattr(process, "_draw", lambda streams, shape: next(noise))
    edit(
        gold.model,
        gold["loop.inversion.x"][-1],
        {gold.deltas[0]: 1.0},
        steps=6,
        t_boost=250,
        progress=False,
        callback=seen.append,
    )
    for s, x in zip(seen, gold["loop.edit_addnoise.x"], strict=True):
        assert near(s["x"], x, "loop edit_addnoise")


@pytest.mark.parametrize("name", ["smiling", "pixar", "church_gothic", "dog_happy", "metface_smiling"])
def test_a_published_f_t_gives_the_stored_shift(name):
    folder = official_folder("ASYRP_OFFICIAL_DELTAS", "official_deltas")
    files = sorted(folder.glob(f"{name}_LC_*.pth"))
    if not files:
        pytest.skip(f"no published file {name}_LC_*.pth in {folder.name}")
    stored = load_file(GOLDEN / "delta_official.safetensors")
    delta = load_official_delta(files[0])
    with torch.inference_mode():
        got = delta(stored["in.h"], stored["in.temb"], 500)
        assert near(got, stored[f"out.{name}.delta_h"], "published f_t")
        assert near(delta(stored["in.h"], None, 500), stored[f"out.{name}.delta_h_notime"], "published f_t")


# --- conversion of official checkpoints -----------------------------------------------------------


def full_size(dataset):
    keymap = json.loads((GOLDEN / f"keymap_{dataset}.json").read_text())
    config = keymap["config"]
    if dataset == "celeba":
        return keymap, ddpm_arguments(config), lambda name: ddpm_name(name, len(config["ch_mult"]))
    attention = [2**i in config["attention_ds"] for i in range(len(config["channel_mult"]))]
    return (
        keymap,
        openai_arguments(config),
        lambda name: openai_name(name, config["num_res_blocks"], attention),
    )


@pytest.mark.parametrize("dataset", ["celeba", "afhq"])
def test_every_tensor_of_a_full_size_network_has_its_official_name(dataset):
    keymap, arguments, official = full_size(dataset)
    with torch.device("meta"):
        shapes = {k: list(v.shape) for k, v in UNet2DModel(**arguments).state_dict().items()}
    assert {ours: (theirs, shape) for theirs, _, ours, shape, _ in keymap["entries"]} == {
        name: (official(name), shape) for name, shape in shapes.items()
    }


@pytest.mark.parametrize("dataset", ["celeba", "afhq"])
def test_the_arguments_of_a_full_size_network_are_the_proven_ones(dataset):
    keymap, arguments, _ = full_size(dataset)
    with torch.device("meta"):
        ours, proven = (dict(UNet2DModel(**a).config) for a in (arguments, keymap["unet2d_kwargs"]))
    # not settings; and residual downsamplers pad by themselves
    unread = {"_use_default_values"} | ({"downsample_padding"} if dataset == "afhq" else set())
    differ = {k for k in ours | proven if json.dumps(ours.get(k)) != json.dumps(proven.get(k))}
    assert differ <= unread


@pytest.mark.parametrize("harm", ["missing", "extra", "misshapen"])
@pytest.mark.parametrize(
    "family, key",
    [
        ("ddpm", "down.1.block.0.temb_proj.weight"),
        ("ddpm", "mid.attn_1.q.weight"),
        ("iddpm", "middle_block.1.qkv.weight"),
        ("iddpm", "output_blocks.1.1.in_layers.2.bias"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_with_the_official_key_named(family, key, harm):
    gold = golden_of(family)
    state = dict(gold.state)
    if harm == "missing":
        del state[key]
    elif harm == "extra":
        key = key + "_ema"
        state[key] = torch.zeros(1)
    else:
        state[key] = state[key][..., :-1, :] if state[key].ndim > 2 else state[key][:-1]
    with pytest.raises(WeightsError, match=key.replace(".", r"\.")):
        LOAD[family](state, gold.config)


def test_a_configuration_of_another_size_is_refused():
    gold = golden_of("ddpm")
    with pytest.raises(WeightsError, match="belongs to another checkpoint"):
        load_ddpm_checkpoint(gold.state, {**gold.config, "ch": 64})


def test_class_conditional_checkpoints_bring_their_embedding():
    gold = golden_of("iddpm")
    state = {**gold.state, "label_emb.weight": torch.randn(7, gold.model.temb_dim)}
    unet = load_openai_checkpoint(state, {**gold.config, "num_classes": 7})
    assert torch.equal(unet.class_embedding.weight, state["label_emb.weight"])
