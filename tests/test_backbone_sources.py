"""Folders in diffusers format, Hub ids, class labels: what `load_backbone` takes besides official files."""

import json
import re
import shutil

import huggingface_hub.constants
import pytest
import torch
from diffusers import DDIMScheduler
from reference_nets import Weights, adm, ddpm
from safetensors.torch import save_file
from test_backbones import TINY_DDPM
from toys import randn, randomised, tiny_unet

from asyrp_lib.backbones import hub, native as native_module
from asyrp_lib.backbones.convert.official import convert_state
from asyrp_lib.backbones.load import load_backbone, own_name
from asyrp_lib.deltas import PreNormConvDelta
from asyrp_lib.domains import load_domain
from asyrp_lib.errors import AsyrpError, OfflineError, WeightsError
from asyrp_lib.method.hspace import HSpaceUNet
from asyrp_lib.method.process import edit, generate, invert
from asyrp_lib.method.schedule import NoiseSchedule
from asyrp_lib.store.weights import digest, read_weights, save_weights

X = randn(2, 3, 16, 16, seed=3)


def folder_of(root, layout, old_pickle=False):
    """A network in diffusers format: a pipeline's folder, or all side by side as in the Hub's DDPMs."""
    unet, scheduler = (
        tiny_unet(),
        DDIMScheduler(beta_schedule="scaled_linear", prediction_type="v_prediction"),
    )
    pipeline = layout == "pipeline"
    unet.save_pretrained(root / "unet" if pipeline else root, safe_serialization=not old_pickle)
    scheduler.save_pretrained(root / "scheduler" if pipeline else root)
    return HSpaceUNet(unet, NoiseSchedule.from_config(dict(scheduler.config)), "v_prediction")


# --- folders --------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout, inside", [("pipeline", ""), ("pipeline", "unet"), ("flat", "")])
def test_a_folder_is_read_with_its_schedule_wherever_one_points(tmp_path, layout, inside):
    want = folder_of(tmp_path, layout)
    model = load_backbone(tmp_path / inside)
    assert torch.equal(model(X, 300), want(X, 300)) and model.prediction_type == "v_prediction"


def test_settings_are_for_official_files_only(tmp_path):
    folder_of(tmp_path, "flat")
    with pytest.raises(WeightsError, match="brings its own configuration; expected no family, image_size"):
        load_backbone(tmp_path, family="ddpm", image_size=16)


def test_a_network_that_a_folder_cannot_express_is_refused(tmp_path):
    config = dict(
        image_size=16,
        num_channels=32,
        channel_mult=(1, 2),
        num_res_blocks=1,
        attention_ds=(1, 2),
        num_heads=2,
    )
    weights = Weights()
    adm(weights, X, torch.tensor([1, 2]), **config)
    unet = convert_state(weights, image_size=16, num_heads=2)
    unet.save_pretrained(tmp_path)  # diffusers would build it with other heads, and say nothing
    with pytest.raises(WeightsError, match="keep it with HSpaceUNet.save"):
        load_backbone(tmp_path)


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"out_channels": 5}, "gives 5 channels for 3"),
        ({"class_embed_type": "timestep"}, "embeds classes by 'timestep'"),
    ],
    ids=str,
)
def test_networks_of_another_kind_are_refused(changes, sentence):
    with pytest.raises(WeightsError, match=sentence):
        HSpaceUNet(tiny_unet(**changes), NoiseSchedule.linear())


# --- files and folders that lie -------------------------------------------------------------------


def refused(source, match: str, **settings) -> None:
    with pytest.raises(WeightsError, match=match) as caught:
        load_backbone(source, **settings)
    assert "\n" not in str(caught.value)


def rewritten(path, **changes):
    """A file of the suite with other metadata; a change to None takes an entry out."""
    state, config = read_weights(path)
    save_weights(path, state, {key: value for key, value in (config | changes).items() if value is not None})
    return path


@pytest.fixture
def native(unet, tmp_path):
    unet.save(tmp_path / "net.safetensors", {})
    return tmp_path / "net.safetensors"


LIES = [
    {"block_out_channels": [10**9, 10**9]},
    {"block_out_channels": [32, 10**7]},
    {"block_out_channels": [32] * 10**5},
    {"block_out_channels": "wide"},
    {"layers_per_block": 10**8},
    {"layers_per_block": [1]},
    {"num_class_embeds": 10**11},
    {"time_embedding_dim": 10**8},
    {"sample_size": 10**9},
    {"sample_size": [16, 16]},
    {"sample_size": True},
    {"down_block_types": ["DownBlock2D", "NoSuchBlock2D"]},
    {"down_block_types": {"DownBlock2D": 1}},
    {"attention_head_dim": 0},
    {"no_such_setting": 3},
]


@pytest.mark.parametrize("lie", LIES, ids=str)
def test_settings_are_not_believed_before_the_weights_bear_them_out(native, unet, lie, tmp_path, monkeypatch):
    monkeypatch.setattr(native_module, "build_unet", lambda config: pytest.fail("it was built"))
    refused(rewritten(native, unet=unet.unet_config | lie), "settings in .* make")
    if "no_such_setting" in lie:
        return  # diffusers ignores it in a folder
    folder_of(tmp_path / "folder", "flat")
    file = tmp_path / "folder" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | lie))
    refused(tmp_path / "folder", "settings in .* make")


@pytest.mark.parametrize(
    "changes",
    [{"betas": None}, {"betas": []}, {"betas": [0.1, "x"]}, {"betas": {"0": 0.1}}, {"betas": 0.1}]
    + [{"betas": [0.1, float("nan")]}, {"betas": [[0.1]]}, {"betas": [2.0]}, {"unet": [1]}, {"unet": None}]
    + [{"unet": "net"}, {"prediction_type": None}, {"prediction_type": ["epsilon"]}, {"class_label": "cat"}]
    + [{"class_label": 1.5}],
    ids=str,
)
def test_metadata_that_is_not_whole_is_one_sentence(native, changes):
    refused(rewritten(native, **changes), "")


def test_nested_metadata_is_one_sentence(native, unet, tmp_path):
    save_file(unet.unet.state_dict(), native, metadata={"unet": "[" * 10**5})
    refused(native, "nested metadata|damaged")
    folder_of(tmp_path / "folder", "flat")
    for name in ("scheduler_config.json", "config.json"):
        (tmp_path / "folder" / name).write_text("[" * 10**5)
        refused(tmp_path / "folder", rf"{name} is missing or damaged")


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "\x00"])
@pytest.mark.parametrize("name", ["config.json", "scheduler_config.json"])
def test_a_damaged_configuration_is_named(tmp_path, name, content):
    folder_of(tmp_path, "flat")
    (tmp_path / name).write_text(content)
    refused(tmp_path, f"{name} is missing or damaged")


@pytest.mark.parametrize(
    "lie",
    [{"num_train_timesteps": 10**11}, {"num_train_timesteps": "many"}, {"num_train_timesteps": 0}]
    + [
        {"beta_start": "x"},
        {"beta_end": float("inf")},
        {"beta_start": -1},
        {"trained_betas": [0.1] * 100_001},
    ]
    + [{"trained_betas": "x"}, {"beta_schedule": ["linear"]}, {"prediction_type": ["epsilon"]}],
    ids=lambda lie: str(lie)[:50],
)
def test_a_schedule_that_cannot_be_is_one_sentence(tmp_path, lie):
    folder_of(tmp_path, "flat")
    (tmp_path / "scheduler_config.json").write_text(json.dumps(lie))
    refused(tmp_path, "")


def test_weights_that_are_not_finite_are_refused_by_name(native, unet, tmp_path):
    state = {name: tensor.clone() for name, tensor in unet.unet.state_dict().items()}
    state["conv_out.bias"][0] = torch.nan
    config = read_weights(native)[1]
    save_file(state, native, metadata={key: json.dumps(value) for key, value in config.items()})
    refused(native, "'conv_out.bias' .* has NaN or infinity")
    torch.save(state, tmp_path / "net.pt")
    refused(tmp_path / "net.pt", "'conv_out.bias' is not finite")


def test_expanded_tensors_of_an_official_file_are_refused(tmp_path):
    torch.save({"temb.dense.0.weight": torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "net.pt")
    refused(tmp_path / "net.pt", "'temb.dense.0.weight' is larger than its data")
    torch.save({3: torch.zeros(1)}, tmp_path / "net.pt")
    refused(tmp_path / "net.pt", "expected names and tensors only")


@pytest.mark.parametrize("settings", [{"image_size": "large"}, {"image_size": 16, "ch_mult": 3}], ids=str)
def test_settings_of_another_kind_are_one_sentence(tmp_path, settings):
    weights = Weights()
    ddpm(weights, X, torch.tensor([1, 2]), **TINY_DDPM)
    torch.save(dict(weights), tmp_path / "net.pt")
    load_backbone(tmp_path / "net.pt", image_size=16)
    refused(tmp_path / "net.pt", "make no network", **settings)


def latent(root, part="vae", index=False):
    folder_of(root, "pipeline")
    if index:
        (root / "model_index.json").write_text(
            json.dumps({"_class_name": "LDMPipeline", part: ["diffusers", "x"]})
        )
    else:
        (root / part).mkdir()
    return root


@pytest.mark.parametrize("part, index", [("vae", False), ("vqvae", True)])
@pytest.mark.parametrize("inside", ["", "unet"])
def test_a_latent_pipeline_is_no_pixel_model(tmp_path, part, index, inside):
    refused(latent(tmp_path, part, index) / inside, f"latent pipeline .its {part}")


def test_a_network_of_texts_is_refused_by_its_class(tmp_path):
    folder_of(tmp_path, "flat")
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"_class_name": "UNet2DConditionModel"}))
    refused(tmp_path, "holds a UNet2DConditionModel; expected a UNet2DModel")


def test_own_names_tell_equal_last_folders_apart(tmp_path, monkeypatch):
    for place in ("a", "b"):
        (tmp_path / place / "my model").mkdir(parents=True)
    names = {own_name(tmp_path / place / "my model") for place in ("a", "b")}
    names |= {own_name("google/model"), own_name("someone/model")}
    assert len(names) == 4 and all(re.fullmatch(r"own_(my_)?model_[0-9a-f]{6}", name) for name in names)
    monkeypatch.chdir(tmp_path / "a")
    assert own_name("my model") == own_name("../a/my model/") == own_name(tmp_path / "a" / "my model")


# --- the Hub --------------------------------------------------------------------------------------


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """A Hub cache of its own, and no way out."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("layout", ["pipeline", "flat"])
def test_a_cached_hub_network_loads_without_a_connection(offline, layout):
    repo = offline / "models--someone--tiny-faces"
    want = folder_of(repo / "snapshots" / ("0" * 40), layout)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("0" * 40)
    assert torch.equal(load_backbone("someone/tiny-faces")(X, 300), want(X, 300))


def test_a_hub_network_that_is_not_cached_is_one_sentence_without_a_connection(offline):
    with pytest.raises(
        OfflineError, match="google/ddpm-celebahq-256 is neither in the Hub's cache nor could it be fetched"
    ) as caught:
        load_backbone("google/ddpm-celebahq-256")
    assert "\n" not in str(caught.value)


def test_a_hub_id_is_the_name_of_a_domain_too(offline):
    with pytest.raises(OfflineError, match="google/ddpm-celebahq-256 is neither in the Hub's cache"):
        load_domain("google/ddpm-celebahq-256", device="cpu")


@pytest.mark.parametrize("old_pickle", [False, True])
def test_pickles_are_fetched_only_where_there_is_nothing_else(tmp_path, monkeypatch, old_pickle):
    want, asked = folder_of(tmp_path / "there", "pipeline", old_pickle), []

    def fetch(repo, revision, allow_patterns):
        asked.append(any("bin" in pattern for pattern in allow_patterns))
        for file in (tmp_path / "there").rglob("*.*"):
            name = file.relative_to(tmp_path / "there")
            if any(name.match(pattern) for pattern in allow_patterns):
                (tmp_path / "here" / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, tmp_path / "here" / name)
        return tmp_path / "here"

    monkeypatch.setattr(hub, "snapshot_download", fetch)
    assert torch.equal(load_backbone("someone/faces", revision="v1")(X, 300), want(X, 300))
    assert asked == ([False, True] if old_pickle else [False])


def test_a_hub_repository_without_a_network_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "snapshot_download", lambda *args, **more: tmp_path)
    with pytest.raises(WeightsError, match="holds no U-Net in diffusers format"):
        load_backbone("someone/texts")


@pytest.mark.parametrize("source", ["celeba_hq.ckpt", "weights/celeba_hq.ckpt", "a/b/c", "no such thing"])
def test_what_is_neither_a_path_nor_a_hub_id_is_refused_as_missing(source):
    with pytest.raises(WeightsError, match="No weights at"):
        load_backbone(source)


# --- class labels ---------------------------------------------------------------------------------


@pytest.fixture
def conditional():
    return HSpaceUNet(tiny_unet("iddpm", num_class_embeds=5), NoiseSchedule.linear())


@pytest.mark.parametrize("label", [0, 4])
def test_a_bound_label_is_that_of_every_picture(conditional, label):
    want = conditional.unet(X, 500, class_labels=torch.tensor([label, label])).sample[:, :3]
    bound = conditional.for_class(label)
    assert torch.equal(bound(X, 500), want) and bound.unet is conditional.unet


def test_inversion_and_editing_run_on_a_bound_network_and_the_class_matters(conditional):
    f_t = randomised(PreNormConvDelta(64, 128, t_edit=0, train_steps=3))
    ends = []
    for label in (1, 2):
        bound = conditional.for_class(label)
        x_T = invert(bound, X, steps=3, progress=False)
        ends.append(edit(bound, x_T, {f_t: 1.0}, steps=3, progress=False))
        assert not torch.equal(ends[-1], generate(bound, x_T, steps=3, progress=False))
    assert not torch.allclose(*ends, atol=1e-3)


def test_without_a_label_one_sentence_says_what_to_do(conditional):
    for run in (lambda: conditional(X, 500), lambda: invert(conditional, X, steps=3, progress=False)):
        with pytest.raises(
            AsyrpError,
            match=r"one of 5 classes and got none; expected a label; bind one with for_class\(label\)",
        ):
            run()


@pytest.mark.parametrize("label", [5, -1, 1.0, True, [1], "1", None], ids=str)
def test_a_label_that_the_network_does_not_know_is_refused(conditional, label):
    with pytest.raises(AsyrpError, match="class label = .* expected a whole number from 0 to 4"):
        conditional.for_class(label)


def test_a_label_for_an_unconditional_network_is_refused(unet):
    with pytest.raises(AsyrpError, match="not class-conditional"):
        unet.for_class(0)


def test_a_bound_label_is_saved_and_tells_cached_results_apart(conditional, tmp_path):
    bound = conditional.for_class(3)
    bound.save(tmp_path / "net.safetensors", {})
    again = load_backbone(tmp_path / "net.safetensors")
    assert torch.equal(again(X, 500), bound(X, 500))
    assert torch.equal(
        load_backbone(tmp_path / "net.safetensors", class_label=1)(X, 500), conditional.for_class(1)(X, 500)
    )
    assert len({digest(*conditional.for_class(label).state_dict().values()) for label in range(5)}) == 5
