"""Folders in diffusers format, Hub ids, class labels: what `load_backbone` takes besides official files."""

import shutil

import huggingface_hub.constants
import pytest
import torch
from diffusers import DDIMScheduler
from reference_nets import Weights, adm
from toys import randn, randomised, tiny_unet

from asyrp_lib.backbones import hub
from asyrp_lib.backbones.convert.official import convert_state
from asyrp_lib.backbones.load import load_backbone
from asyrp_lib.deltas import PreNormConvDelta
from asyrp_lib.domains import load_domain
from asyrp_lib.errors import AsyrpError, OfflineError, WeightsError
from asyrp_lib.method.hspace import HSpaceUNet
from asyrp_lib.method.process import edit, generate, invert
from asyrp_lib.method.schedule import NoiseSchedule
from asyrp_lib.store.weights import digest

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
    assert torch.equal(conditional.decode(conditional.encode(X, 500, torch.tensor([label] * 2))), want)
    assert torch.equal(
        bound.encode(X, 500, torch.tensor([1, 3])).emb, conditional.encode(X, 500, torch.tensor([1, 3])).emb
    )


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


@pytest.mark.parametrize(
    "labels",
    [torch.tensor([1, 5]), torch.tensor(-1), torch.tensor([1, 2, 3]), torch.tensor([1.0, 2.0])],
    ids=str,
)
def test_labels_that_the_network_does_not_know_are_refused(conditional, labels):
    with pytest.raises(AsyrpError, match="do not fit 2 pictures; expected whole numbers from 0 to 4"):
        conditional.encode(X, 500, labels)


def test_a_label_for_an_unconditional_network_is_refused(unet):
    for run in (lambda: unet.for_class(0), lambda: unet.encode(X, 500, torch.tensor([0, 0]))):
        with pytest.raises(AsyrpError, match="not class-conditional"):
            run()


def test_a_bound_label_is_saved_and_tells_cached_results_apart(conditional, tmp_path):
    bound = conditional.for_class(3)
    bound.save(tmp_path / "net.safetensors", {})
    again = load_backbone(tmp_path / "net.safetensors")
    assert torch.equal(again(X, 500), bound(X, 500))
    assert torch.equal(
        load_backbone(tmp_path / "net.safetensors", class_label=1)(X, 500), conditional.for_class(1)(X, 500)
    )
    assert len({digest(*conditional.for_class(label).state_dict().values()) for label in range(5)}) == 5
