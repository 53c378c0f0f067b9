"""The paper's own domains: complete and true rows, strict loading, one sentence for what is missing."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from diffusers import UNet2DModel
from PIL import Image
from toys import tiny_unet

import asyrp_lib as al
from asyrp_lib.backbones.convert import ddpm_arguments, openai_arguments
from asyrp_lib.cli import main
from asyrp_lib.deltas import ConvDelta, save_delta
from asyrp_lib.domains.photos import fetch, paper
from asyrp_lib.domains.photos.published import FACES, published_curve
from asyrp_lib.domains.photos.registry import ALEXNET, ROWS, Remote
from asyrp_lib.errors import DomainError, OfflineError, WeightsError
from asyrp_lib.measure import lpips
from asyrp_lib.method.interval import t_edit_from_curve
from asyrp_lib.store.results import provenance

ROOT = Path(__file__).resolve().parent.parent
EVERY = pytest.mark.parametrize("entry", ROWS.values(), ids=lambda entry: entry.name)


@EVERY
def test_a_row_says_where_everything_comes_from(entry):
    assert (
        entry.title
        and entry.paper
        and entry.licence
        and entry.pictures.licence
        and entry.edits
        and entry.pictures.files
    )
    for file in (*entry.network, *entry.directions.values(), *entry.pictures.files):
        assert file.url or file.pages, f"{file.name} comes from nowhere"
        assert all(
            link.startswith(("https://", "http://dl.yf.io/")) for link in (file.url, *file.pages) if link
        )
    assert all(file.megabytes for file in entry.network if not file.name.endswith(".json"))
    for name, edit in entry.edits.items():
        assert (
            name == edit.name
            and edit.source
            and edit.target
            and 0.8 <= edit.lambda_clip <= 1.2
            and edit.lambda_recon == 3
        )
    assert entry.directions.keys() <= entry.edits.keys(), "an f_t of no edit"
    assert entry.curve and entry.t_boost or entry.note, "neither a curve nor a word about it"


@EVERY
def test_the_network_of_a_row_is_the_one_that_was_published(entry):
    if entry.family == "diffusers":
        return  # its own config.json says it
    arguments = {"ddpm": ddpm_arguments, "openai": openai_arguments}[entry.family](entry.config)
    with torch.device("meta"):  # shapes only
        unet = UNet2DModel(**arguments)
    assert sum(p.numel() for p in unet.parameters()) == entry.parameters
    assert unet.config.sample_size == 256 and unet.config.block_out_channels[-1] == (
        1024 if entry.name == "imagenet" else 512
    )
    assert abs(4 * entry.parameters / 1e6 / entry.network[0].megabytes - 1) < 0.01


def test_texts_lambda_and_t_edit_of_faces_are_those_of_the_study():
    table = json.loads((ROOT / "data" / "published.json").read_text())["study_table_1"]
    for printed in table:
        edit = FACES[printed["edit"]]
        assert (edit.source, edit.target, edit.lambda_clip, edit.t_edit) == (
            printed["source_text"],
            printed["target_text"],
            printed["lambda_clip"],
            printed["t_edit"],
        )
        assert edit.in_domain == (printed["domain"] == "IN")
    assert sum(edit.t_edit is not None for edit in FACES.values()) == len(table) == 13


def test_t_edit_and_t_boost_are_those_that_the_original_code_chooses():
    golden = json.loads((ROOT / "tests" / "golden" / "t_edit_official.json").read_text())
    rows = {entry.curve: entry for entry in ROWS.values() if entry.directions}
    checked = 0
    for case in golden:
        if case["lpips_edit_th"] == 0.33 and case["add_noise_from_xt"]:
            curve = published_curve(case["dataset"])
            assert (
                t_edit_from_curve(curve["t"].tolist(), curve["P_t"].tolist(), round(case["cosine"], 6))
                == case["t_edit"]
            )
            assert rows[case["dataset"]].t_boost == case["t_addnoise"]
            checked += 1
    assert checked == 25


def test_the_runner_ends_at_once_with_the_command_that_gets_the_weights(tmp_path):
    command = [sys.executable, str(ROOT / "notebooks" / "run_all.py"), "--domain", "celeba_hq"]
    environment = {**__import__("os").environ, "ASYRP_WEIGHTS": str(tmp_path), "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert ended.returncode == 2 and ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1 and ended.stderr.startswith("error: ")
    assert ended.stderr.endswith("get it with: python -m asyrp_lib fetch celeba_hq\n")
    assert not list(tmp_path.iterdir())


@EVERY
def test_missing_weights_are_one_sentence_that_ends_with_the_command(entry, tmp_path, monkeypatch):
    monkeypatch.setenv("ASYRP_WEIGHTS", str(tmp_path))
    with pytest.raises(OfflineError, match=f"python -m asyrp_lib fetch {entry.name}$"):
        al.load_domain(entry.name)


@pytest.fixture
def home(tmp_path, monkeypatch, golden):
    """celeba_hq and afhq_dog with the golden tiny networks for the large ones, and nothing else at hand."""
    monkeypatch.setenv("ASYRP_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("ASYRP_DATASETS", str(tmp_path / "datasets"))
    monkeypatch.setenv("ASYRP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(paper, "lasting_dir", lambda kind: tmp_path / "data" / kind)
    monkeypatch.setattr("asyrp_lib.store.results.data_dir", lambda: tmp_path / "data")
    monkeypatch.setattr("asyrp_lib.store.results.runs_dir", lambda: tmp_path / "runs")
    monkeypatch.setattr(paper, "load_open_clip", lambda: pytest.fail("nobody asked for CLIP"))
    for name, family in (("celeba_hq", "ddpm"), ("afhq_dog", "iddpm")):
        g, network = golden(family), Remote("tiny.pt", pages=("https://example.org",))
        state = {
            key.removeprefix("weights."): tensor.float()
            for key, tensor in g.tensors.items()
            if key.startswith("weights.") and not key.startswith("weights.layer_")
        }
        (tmp_path / "weights" / name).mkdir(parents=True)
        torch.save(state, tmp_path / "weights" / name / "tiny.pt")
        monkeypatch.setitem(
            ROWS, name, replace(ROWS[name], config=g.facts["config"], network=(network,), directions={})
        )
    return tmp_path


def test_a_domain_is_built_from_its_files_and_computes_what_the_original_computes(home, golden):
    for name, family in (("celeba_hq", "ddpm"), ("afhq_dog", "iddpm")):
        domain, g = al.load_domain(name, device="cpu"), golden(family).tensors
        assert domain.resolution == 32 and domain.edits == ROWS[name].edits and domain.t_boost == 167
        eps = domain.unet(g["in.x"][:1], 500)
        assert (eps - g["fwd.t500.eps"][:, :3]).abs().max() < 1e-5 * g["fwd.t500.eps"].abs().max()
        assert (home / "weights" / name / fetch.RECORD).exists(), "its hash was not recorded at its first use"


def test_a_network_that_was_exchanged_or_is_none_is_refused(home):
    al.load_domain("celeba_hq", device="cpu")
    file = home / "weights" / "celeba_hq" / "tiny.pt"
    file.write_bytes(file.read_bytes()[:-1] + b"\1")
    with pytest.raises(WeightsError, match="recorded at its first use"):
        al.load_domain("celeba_hq", device="cpu")
    for content in (b"pickle?", {"step": 3}, [torch.ones(1)]):
        (home / "weights" / "celeba_hq" / fetch.RECORD).unlink(missing_ok=True)
        file.write_bytes(content) if isinstance(content, bytes) else torch.save(content, file)
        with pytest.raises(WeightsError, match="fetch it again|state dict"):
            al.load_domain("celeba_hq", device="cpu")


def test_own_photo_is_edited_by_one_command_and_in_two_lines(home, capsys):
    Image.linear_gradient("L").resize((90, 70)).convert("RGB").save(home / "photo.jpg")
    delta = ConvDelta(64, 128, name="smiling", t_edit=500)
    torch.nn.init.normal_(delta.conv2.weight)
    save_delta(home / "data" / "directions" / "celeba_hq" / "smiling.safetensors", delta, {})
    command = [
        "edit",
        str(home / "photo.jpg"),
        "--domain",
        "celeba_hq",
        "--edit",
        "smiling",
        "--strength",
        "1.0",
        "--steps",
        "4",
    ]
    assert main(["--device", "cpu", *command, "--out", str(home / "out.png")]) == 0

    domain = al.load_domain("celeba_hq", device="cpu")
    al.write_image(
        home / "two_lines.png", domain.edit_photo(home / "photo.jpg", {"smiling": 1.0}, steps=4)[0]
    )
    assert (home / "two_lines.png").read_bytes() == (home / "out.png").read_bytes()
    with Image.open(home / "out.png") as written:
        assert written.size == (32, 32)
    plain = domain.edit_photo(home / "photo.jpg", {"smiling": 0.0}, steps=4)
    assert not torch.equal(plain, domain.edit_photo(home / "photo.jpg", {"smiling": 1.0}, steps=4))
    assert main(["--device", "cpu", *command, "--align", "--out", str(home / "no.png")]) == 2
    assert "error: " in capsys.readouterr().err and not (home / "no.png").exists()


def official(home, name: str, file: str) -> Remote:
    """A tiny f_t in the official layout, already fetched."""
    state = {key: tensor.clone() for key, tensor in ConvDelta(64, 128).state_dict().items()}
    torch.save({"0": state}, home / "weights" / name / file)
    return Remote(file, "https://example.org/f_t")


def test_an_official_f_t_serves_until_one_is_trained_here(home, monkeypatch):
    remote = official(home, "celeba_hq", "s.pth")
    monkeypatch.setitem(
        ROWS,
        "celeba_hq",
        replace(
            ROWS["celeba_hq"],
            directions={
                "smiling": remote,
                "makeup": official(home, "celeba_hq", "m.pth"),
                "sad": Remote("unfetched.pth", "https://example.org"),
            },
        ),
    )
    domain = al.load_domain("celeba_hq", device="cpu")
    assert (domain.delta("smiling").t_edit, domain.delta("smiling").train_steps) == (513, 40)
    with pytest.raises(OfflineError, match="python -m asyrp_lib fetch celeba_hq$"):
        domain.delta("sad")
    with pytest.raises(
        WeightsError,
        match="none was published .*; train it: python -m asyrp_lib train 'elf' --domain celeba_hq",
    ):
        domain.delta("elf")
    with pytest.raises(al.UnknownNameError, match="known are smiling"):
        domain.delta("wink")

    def offline():
        raise OfflineError("no CLIP")

    monkeypatch.setattr(paper, "load_open_clip", offline)
    assert domain.delta("makeup").t_edit is None, "its interval follows from CLIP's cosine and must be given"
    save_delta(domain.direction_file("smiling"), ConvDelta(64, 128, name="smiling", t_edit=77), {})
    assert domain.delta("smiling").t_edit == 77


def test_t_edit_follows_from_the_published_curve_and_the_cosine(home, toy_clip):
    domain = al.load_domain("celeba_hq", device="cpu")
    domain.clip = toy_clip  # whose cosine is 0.8
    assert al.t_edit_of(domain, domain.edits["makeup"]) == 489
    assert al.t_edit_of(domain, domain.edits["smiling"]) == 513, "fixed by the study's table"


def test_a_domain_without_a_curve_says_how_to_get_one_and_takes_one_measured_here(home, monkeypatch):
    monkeypatch.setitem(ROWS, "celeba_hq", replace(ROWS["celeba_hq"], name="ffhq", curve="", t_boost=0))
    domain = al.load_domain("celeba_hq", device="cpu")
    with pytest.raises(DomainError, match="python -m asyrp_lib curve --domain ffhq$"):
        al.t_edit_of(domain, replace(domain.edits["smiling"], t_edit=None))
    (home / "data" / "results").mkdir(parents=True)
    (home / "data" / "results" / "ffhq_curve.json").write_text(
        json.dumps(
            {
                "data": {
                    "curve": {"t": [0, 9], "x_t": [0.0, 1.5], "P_t": [0.0, 0.7]},
                    "t_boost": 9,
                    "scale": 2.5,
                },
                "provenance": provenance({}, 1.0),
            }
        )
    )
    domain = al.load_domain("celeba_hq", device="cpu")
    assert (
        isinstance(domain.curve, pd.DataFrame)
        and domain.curve["P_t"].tolist() == [0.0, 0.7]
        and domain.t_boost == 9
    )
    with pytest.warns(UserWarning, match="LPIPS is not at hand"):
        assert domain.distance.scale == 2.5


def test_the_hub_layout_is_read_from_the_files_that_fetch_gets(home, monkeypatch):
    files = ROWS["celeba_hq_hub"].network
    tiny_unet().save_pretrained(home / "weights" / "celeba_hq_hub", safe_serialization=False)
    (home / "weights" / "celeba_hq_hub" / "scheduler_config.json").write_text(
        json.dumps({"beta_start": 1e-4, "beta_end": 0.02})
    )
    monkeypatch.setitem(
        ROWS,
        "celeba_hq_hub",
        replace(ROWS["celeba_hq_hub"], network=tuple(replace(f, megabytes=0) for f in files)),
    )
    domain = al.load_domain("celeba_hq_hub", device="cpu")
    assert torch.equal(domain.unet.unet.conv_in.weight, tiny_unet().conv_in.weight)
    assert repr(domain) == "Domain('celeba_hq_hub', 16 px)", "showing a domain must not load its parts"
    assert domain.edits["smiling"].t_edit is None and len(domain.curve) == 601


def test_pictures_are_asked_for_only_when_they_are_needed(home):
    domain = al.load_domain("afhq_dog", device="cpu")
    with pytest.raises(
        OfflineError, match=r"no images at .*afhq; .*says: python -m asyrp_lib fetch afhq_dog$"
    ):
        domain.images("test", 1)
    folder = home / "datasets" / "afhq" / "train"
    folder.mkdir(parents=True)
    for name in ("cat_1", "dog_2"):
        Image.new("RGB", (50, 40), (255, 255, 255) if "dog" in name else (0, 0, 0)).save(
            folder / f"{name}.png"
        )
    assert (domain.images("train", 1) == 1).all(), "the cat was taken"


def test_any_folder_in_diffusers_format_is_a_domain_that_can_be_edited(tmp_path, monkeypatch):
    monkeypatch.setenv("ASYRP_CACHE", str(tmp_path / "cache"))
    tiny_unet().save_pretrained(tmp_path / "mine")
    (tmp_path / "mine" / "images").mkdir()
    for i in range(5):
        Image.new("RGB", (20, 16), (i, i, i)).save(tmp_path / "mine" / "images" / f"{i}.png")
    domain = al.load_domain(str(tmp_path / "mine"), device="cpu")
    assert domain.name.startswith("own_mine_") and domain.images("train", 4).shape == (4, 3, 16, 16)
    assert not domain.edits
    with pytest.raises(DomainError, match="no f_t of smiling"):
        domain.trained_like(["smiling"])
    save_delta(
        domain.direction_file("wink"),
        ConvDelta(64, 128, name="wink", t_edit=500),
        {"source": "face", "target": "winking face"},
    )
    save_delta(
        domain.direction_file("old one"), ConvDelta(64, 128, name="old one", t_edit=500), {}
    )  # says no texts
    texts = {"source": "face", "target": "winking face"}
    save_delta(
        domain.direction_file("wink from noise"), ConvDelta(64, 128, name="wink", t_edit=500), texts
    )  # not an edit of its own
    domain = al.load_domain(str(tmp_path / "mine"), device="cpu")
    assert (
        list(domain.trained_like(["smiling"])) == ["wink"] == list(domain.edits)
        and domain.edits["wink"].target == "winking face"
    )
    out = tmp_path / "out.png"
    assert (
        main(
            [
                "--device",
                "cpu",
                "edit",
                "test:0",
                "--domain",
                str(tmp_path / "mine"),
                "--edit",
                "wink",
                "--steps",
                "3",
                "--out",
                str(out),
            ]
        )
        == 0
    )
    assert out.exists()


@pytest.mark.filterwarnings(
    "ignore:.*pretrained:UserWarning", "ignore:Arguments other than a weight enum:UserWarning"
)
def test_lpips_is_the_original_one_where_it_is_at_hand(tmp_path, monkeypatch, unet):
    import lpips as package
    from torchvision.models import alexnet

    torch.manual_seed(0)
    state = alexnet(weights=None).state_dict()
    (tmp_path / "lpips").mkdir()
    torch.save(state, tmp_path / "lpips" / ALEXNET.name)
    monkeypatch.setenv("ASYRP_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    with pytest.raises(WeightsError, match="7be5be79"):
        lpips.perceptual_distance(unet)
    monkeypatch.setattr(lpips, "ALEXNET", replace(ALEXNET, sha256=""))
    ours = lpips.perceptual_distance(unet)
    assert isinstance(ours, lpips.LpipsDistance)

    theirs = package.LPIPS(net="alex", pnet_rand=True, verbose=False)
    layers = [
        layer
        for slice_ in (
            theirs.net.slice1,
            theirs.net.slice2,
            theirs.net.slice3,
            theirs.net.slice4,
            theirs.net.slice5,
        )
        for layer in slice_
        if hasattr(layer, "weight")
    ]
    for layer, number in zip(
        layers, (0, 3, 6, 8, 10), strict=True
    ):  # AlexNet's five convolutions, by torchvision's numbers
        layer.weight.data, layer.bias.data = (
            state[f"features.{number}.weight"],
            state[f"features.{number}.bias"],
        )
    a, b = torch.rand(2, 2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    assert (
        torch.equal(ours(a, b), theirs.eval()(a, b).flatten().detach())
        and (ours(a, b) > 0).all()
        and (ours(a, a) == 0).all()
    )


def test_an_alexnet_that_is_none_is_one_sentence(tmp_path, monkeypatch, unet):
    monkeypatch.setenv("ASYRP_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(lpips, "ALEXNET", Remote(ALEXNET.name, pages=("https://example.org",)))
    (tmp_path / "lpips").mkdir()
    for content in (b"", b"no pickle", {"features.0.weight": torch.zeros(2)}, [1]):
        (tmp_path / "lpips" / fetch.RECORD).unlink(missing_ok=True)
        file = tmp_path / "lpips" / ALEXNET.name
        file.write_bytes(content) if isinstance(content, bytes) else torch.save(content, file)
        with pytest.raises(WeightsError, match="no AlexNet of torchvision"):
            lpips.perceptual_distance(unet)


def test_without_lpips_our_own_distance_serves_and_says_so(tmp_path, monkeypatch, unet):
    monkeypatch.setenv("ASYRP_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    with pytest.warns(UserWarning, match="AlexNet's weights are not here"):
        distance = lpips.perceptual_distance(unet)
    a, b = torch.rand(2, 2, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    assert distance(a, b).shape == (2,) and (distance(a, b) > 0).all() and (distance(a, a) == 0).all()
    distance = distance.calibrated(a, b)
    assert float(distance(a, b).mean()) == pytest.approx(distance.NOISE_DISTANCE, rel=1e-4)


def test_fetch_without_a_name_lists_every_domain_with_its_licence(capsys):
    assert main(["fetch"]) == 0
    printed = capsys.readouterr().out
    assert all(f"{entry.name} " in printed and entry.licence in printed for entry in ROWS.values())
