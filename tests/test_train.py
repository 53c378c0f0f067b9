"""Training of f_t: golden numbers of the original code, resumption, and what must not change."""

import os
import stat
from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from asyrp_lib import api
from asyrp_lib.deltas import ConvDelta, GlobalDelta
from asyrp_lib.domains.codec import Codec
from asyrp_lib.domains.edits import Edit
from asyrp_lib.errors import GridError, SettingsError, TrainingError
from asyrp_lib.method import reference
from asyrp_lib.method.clip import Clip, clip_loss, directional_distance, mean_direction
from asyrp_lib.method.process import generate, interval_pairs
from asyrp_lib.method.train import TrainSettings, train_delta

SETTINGS = TrainSettings(steps=6, t_edit=500, epochs=3, batch_size=2, lr=1e-2, seed=3)


def pictures(n=5):
    return torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


def noise(n=5):
    return torch.randn(n, 3, 16, 16, generator=torch.Generator().manual_seed(2))


def fresh(unet):
    torch.manual_seed(0)
    return ConvDelta(unet.h_channels, unet.temb_dim, groups=8)


def run(unet, clip, settings=SETTINGS, folder=None, **options):
    delta = fresh(unet)
    history = train_delta(
        unet,
        clip,
        delta,
        pictures(),
        noise(),
        "face",
        "smile",
        settings,
        folder=folder,
        progress=False,
        **options,
    )
    return delta, history


def test_resumed_training_equals_uninterrupted_training(unet, toy_clip, tmp_path):
    whole, history = run(unet, toy_clip)

    class Killed(Exception):
        pass

    def kill(epoch, _):
        if epoch == 1:
            raise Killed

    with pytest.raises(Killed):
        run(unet, toy_clip, folder=tmp_path, save_every=0, on_epoch=kill)
    resumed, again = run(unet, toy_clip, folder=tmp_path)
    for a, b in zip(whole.parameters(), resumed.parameters()):
        assert torch.equal(a, b)
    assert history.equals(again)


def test_the_bar_counts_optimiser_steps(unet, toy_clip, capfd):
    settings = replace(SETTINGS, epochs=1)
    train_delta(unet, toy_clip, fresh(unet), pictures(), noise(), "face", "smile", settings)
    assert "9/9" in capfd.readouterr().err


def test_more_epochs_carry_a_finished_run_on(unet, toy_clip, tmp_path):
    run(unet, toy_clip, replace(SETTINGS, epochs=1), tmp_path)
    resumed, _ = run(unet, toy_clip, SETTINGS, tmp_path)
    whole, _ = run(unet, toy_clip)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters()))


def test_a_folder_of_another_run_is_refused(unet, toy_clip, tmp_path):
    run(unet, toy_clip, replace(SETTINGS, epochs=1), tmp_path)
    with pytest.raises(TrainingError, match=r"another run \(other lr\)"):
        run(unet, toy_clip, replace(SETTINGS, lr=0.5), tmp_path)
    toy_clip.weight.mul_(2)
    with pytest.raises(TrainingError, match=r"\(other objective\)"):
        run(unet, toy_clip, SETTINGS, tmp_path)
    toy_clip.weight.div_(2)
    next(unet.parameters()).data.mul_(2)
    with pytest.raises(TrainingError, match=r"\(other unet\)"):
        run(unet, toy_clip, SETTINGS, tmp_path)


def test_two_kinds_of_f_t_with_equal_shapes_are_told_apart(unet, toy_clip, tmp_path):
    class Louder(ConvDelta):
        def forward(self, h, temb, t):
            return 2 * super().forward(h, temb, t)

    run(unet, toy_clip, replace(SETTINGS, epochs=1), tmp_path)
    how = {"folder": tmp_path, "progress": False}
    for other in (Louder, lambda *a, groups: ConvDelta(*a, groups=groups // 2)):
        torch.manual_seed(0)
        delta = other(unet.h_channels, unet.temb_dim, groups=8)
        with pytest.raises(TrainingError, match=r"\(other delta\)"):
            train_delta(unet, toy_clip, delta, pictures(), noise(), "face", "smile", SETTINGS, **how)


def test_words_that_clip_does_not_know_are_warned_of(unet, toy_clip, monkeypatch):
    monkeypatch.setattr(type(toy_clip), "prompt_cosine", lambda self, source, target: 0.999)
    with pytest.warns(UserWarning, match="hardly tells 'smile' from 'face'"):
        run(unet, toy_clip, replace(SETTINGS, epochs=1))


def test_fewer_epochs_than_are_done_are_refused(unet, toy_clip, tmp_path):
    run(unet, toy_clip, SETTINGS, tmp_path)
    with pytest.raises(TrainingError, match="holds 3 epochs, 1 were asked for"):
        run(unet, toy_clip, replace(SETTINGS, epochs=1), tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a state", b"PK\x03\x04"])
def test_a_damaged_state_is_one_sentence(unet, toy_clip, tmp_path, content):
    (tmp_path / "state.pt").write_bytes(content)
    with pytest.raises(TrainingError, match="state.pt is damaged"):
        run(unet, toy_clip, SETTINGS, tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"optimiser": "x"},
        {"batch_size": 0},
        {"batch_size": -1},
        {"lr": -1},
        {"lr": float("nan")},
        {"epochs": 0},
    ]
    + [
        {"lr_decay": float("nan")},
        {"steps": 1001},
        {"t_edit": 1000},
        {"epochs": True},
        {"lambda_clip": -1.0},
    ],
)
def test_settings_outside_their_range_are_one_sentence(wrong):
    with pytest.raises(SettingsError, match=rf"TrainSettings: {next(iter(wrong))}\b.* = .* is not usable"):
        TrainSettings(**wrong)


def test_a_nan_loss_stops_with_one_sentence_and_keeps_the_checkpoint(unet, toy_clip, tmp_path):
    run(unet, toy_clip, replace(SETTINGS, epochs=1), tmp_path)
    kept = (tmp_path / "state.pt").read_bytes()
    toy_clip.encode_images = lambda images: images.flatten(1)[:, :16] * float("nan")
    with pytest.raises(TrainingError, match="lower lr"):
        run(unet, toy_clip, SETTINGS, tmp_path)
    assert (tmp_path / "state.pt").read_bytes() == kept


def test_training_lowers_the_loss_and_touches_f_t_alone(unet, toy_clip):
    before = {name: p.clone() for name, p in unet.state_dict().items()}
    _, history = run(unet, toy_clip, replace(SETTINGS, epochs=8, lambda_recon=0.0))
    by_epoch = history.groupby("epoch")["loss"].mean()
    assert by_epoch.iloc[-1] < by_epoch.iloc[0]
    assert all(torch.equal(before[name], p) for name, p in unet.state_dict().items())


def test_the_training_grid_holds_the_times_from_T_down_to_t_edit():
    assert interval_pairs(6, 399, last=True) == [(999, 799), (799, 599), (599, 399), (399, -1)]
    with pytest.raises(GridError, match="lower t_edit"):
        interval_pairs(6, 1000, last=True)


def test_a_picture_along_the_text_direction_costs_nothing():
    direction = torch.tensor([1.0, 0, 0])
    reference, moved = torch.tensor([[0.0, 1, 0]]), torch.tensor([[1.0, 1e-6, 0]])
    opposite = torch.tensor([[-1.0, 1e-6, 0]])
    assert directional_distance(reference, moved, direction) < directional_distance(
        reference, opposite, direction
    )
    assert float(clip_loss(torch.tensor(0.0))) == 0
    assert (
        float(directional_distance(reference, reference, direction)) == 1
    )  # no direction: neither good nor bad


class GoldenClip(Clip):
    """The toy encoder behind the golden training run: pooled pixels through a stored projection."""

    def __init__(self, tensors):
        def encode_image(x):
            return torch.nn.functional.avg_pool2d(x, 32).flatten(1) @ tensors["train.clip.image_proj"]

        super().__init__(SimpleNamespace(encode_image=encode_image), None, image_size=224)
        self.tensors = tensors

    def text_direction(self, source, target):
        return mean_direction(
            self.tensors["train.clip.text_features_src"], self.tensors["train.clip.text_features_trg"]
        )

    def prompt_cosine(self, source, target):
        a, b = self.tensors["train.clip.prompt_features"]
        return float(torch.nn.functional.cosine_similarity(a, b, dim=0))


@pytest.mark.parametrize("family", ["ddpm", "iddpm"])
def test_training_reproduces_the_golden_losses_and_weights(family, golden, golden_unet, golden_delta):
    g = golden(family)
    unet, delta, clip = golden_unet(family), golden_delta(family), GoldenClip(g.tensors)
    want = g.facts["train"]
    assert clip.prompt_cosine("", "") == pytest.approx(want["cosine"], rel=1e-5)
    torch.testing.assert_close(
        clip.text_direction("", ""), g.tensors["train.clip.text_direction"][0], atol=1e-5, rtol=1e-4
    )
    settings = TrainSettings(
        steps=6,
        t_edit=399,
        lambda_clip=want["clip_loss_w"],
        lambda_recon=want["l1_loss_w"],
        optimiser="sgd",
        lr=want["lr"],
        epochs=1,
        batch_size=1,
    )
    history = train_delta(
        unet,
        clip,
        delta,
        g.tensors["in.image"],
        g.tensors["loop.inversion.x"][-1],
        "face",
        "smiling face",
        settings,
        progress=False,
    )
    for row, step in zip(history.itertuples(), want["steps"], strict=True):
        assert row.t == step["t"]
        assert row.clip == pytest.approx(step["clip_log"], rel=1e-4)
        assert row.recon == pytest.approx(step["l1"], rel=1e-4)
        assert row.loss == pytest.approx(step["loss"], rel=1e-4)
    for name, weight in delta.state_dict().items():
        expected = g.tensors[f"train.final.{name}"]
        # the losses agree to 1e-6; the weights to 1e-3, because |·|₁ has a kink: rounding flips the sign of
        # the difference at the odd pixel, and at t = 999 P_t reaches 650
        assert (weight - expected).abs().max() <= 1e-3 * expected.abs().max()


def test_a_large_reference_is_a_private_entry_of_the_cache_within_its_limit(unet, tmp_path, monkeypatch):
    pairs, asked = interval_pairs(6, 500, last=True), []
    ask = lambda: reference.reference_trajectory(unet, noise(), pairs, progress=False).clone()
    want = ask()
    folder = tmp_path / "tensors"
    compute = reference.by_batches
    monkeypatch.setattr(reference, "IN_MEMORY", 0)
    monkeypatch.setattr(reference, "by_batches", lambda *a, **k: asked.append(1) or compute(*a, **k))
    monkeypatch.setattr(reference, "runs_dir", lambda: tmp_path / "runs")
    monkeypatch.setenv("ASYRP_CACHE", str(tmp_path))
    assert torch.equal(ask(), want) and torch.equal(ask(), want) and len(asked) == 1
    (file,) = folder.iterdir()
    half = deepcopy(unet).to_precision("bf16")
    rounded = reference.reference_trajectory(half, noise(), pairs, progress=False)
    assert len(asked) == 2 and not torch.equal(rounded, want)
    next(other for other in folder.iterdir() if other != file).unlink()
    with unet.net.conv_out.register_forward_hook(lambda module, given, out: 2 * out):
        assert not torch.equal(ask(), want) and len(asked) == 3 and list(folder.iterdir()) == [file]
    assert [stat.S_IMODE(p.stat().st_mode) for p in (file, folder)] == [0o600, 0o700]
    monkeypatch.setenv("ASYRP_CACHE_LIMIT", str(1.5 * file.stat().st_size / 1e6))
    os.utime(file, (0, 0))
    reference.reference_trajectory(unet, noise() + 1, pairs, progress=False)
    assert len(list(folder.iterdir())) == 1 and not file.exists()
    for switch, value in (("ASYRP_CACHE_LIMIT", "0"), ("ASYRP_CACHE", "off")):
        monkeypatch.setenv(switch, value)
        assert torch.equal(ask(), want) and len(list(folder.iterdir())) == 1
        assert not [p for p in tmp_path.glob("*") if p.is_file()] + list(tmp_path.glob("runs/*"))


def test_a_small_reference_is_made_once_for_all_f_t(unet, tmp_path, monkeypatch):
    monkeypatch.setenv("ASYRP_CACHE", str(tmp_path))
    pairs, asked, compute = interval_pairs(6, 500, last=True), [], reference.by_batches
    monkeypatch.setattr(reference, "by_batches", lambda *a, **k: asked.append(1) or compute(*a, **k))
    ask = lambda pairs: reference.reference_trajectory(unet, noise(), pairs, progress=False).clone()
    assert torch.equal(ask(pairs), ask(pairs)) and len(asked) == 1
    assert len(ask(interval_pairs(6, 300, last=True))) == len(noise()) and len(asked) == 2


def test_training_from_noise_takes_the_generated_pictures_for_originals_and_needs_no_others(unet, toy_clip):
    domain = SimpleNamespace(unet=unet, clip=toy_clip, codec=Codec(), delta_config={})  # no images
    _, history = api.train_delta(
        domain, Edit("smile", "face", "smile"), SETTINGS, x_T=noise(), progress=False
    )
    torch.manual_seed(SETTINGS.seed)
    delta = ConvDelta(unet.h_channels, unet.temb_dim)
    x_0 = generate(unet, noise(), steps=SETTINGS.steps, progress=False)
    want = train_delta(unet, toy_clip, delta, x_0, noise(), "face", "smile", SETTINGS, progress=False)
    assert history.equals(want)


def test_a_shift_without_weights_cannot_be_trained(unet, toy_clip):
    shift = GlobalDelta(torch.zeros(unet.h_channels, *unet.h_shape[1:]))
    with pytest.raises(TrainingError, match="GlobalDelta has nothing to train; expected an f_t"):
        train_delta(unet, toy_clip, shift, pictures(), noise(), "face", "smile", SETTINGS, progress=False)
