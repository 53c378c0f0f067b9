"""`pretrain --replace`: a network takes the place of the shipped one only if it is finite and as good."""

import pytest
import torch

from asyrp_lib.cli import main
from asyrp_lib.domains import synthfaces
from asyrp_lib.domains.synthfaces import pretrain
from asyrp_lib.domains.synthfaces.networks import Oracle, load_oracle, save_network
from asyrp_lib.domains.synthfaces.pretrain import ddpm, shipped as place
from asyrp_lib.domains.synthfaces.pretrain.loop import Budget, Job
from asyrp_lib.method.hspace import HSpaceUNet
from asyrp_lib.method.schedule import NoiseSchedule
from asyrp_lib.store import weights


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A data/ with an oracle that scores 0.8, and a command that trains one of the score it is given."""
    for module in (weights, synthfaces):
        monkeypatch.setattr(module, "data_dir", lambda: tmp_path / "data")
    file = synthfaces.weights_file("oracle")
    oracle(file, 0.8)
    weights.record_shipped()

    def command(score: float, *, resolution: int = 32, bias: float = 1.0) -> int:
        trainer = lambda job: oracle(job.export, score, job.resolution, bias)
        monkeypatch.setitem(pretrain.RECIPES, "oracle", (trainer, Budget(8), 4))
        runs = ["--runs", str(tmp_path / "runs"), "--resolution", str(resolution)]
        return main(["--device", "cpu", "pretrain", "oracle", "--replace", *runs])

    return file, command


def oracle(file, score: float, resolution: int = 32, bias: float = 0.0) -> None:
    network = Oracle(resolution, width=8)
    network.head[-1].bias.data.fill_(bias)
    file.parent.mkdir(parents=True, exist_ok=True)
    save_network(network, file, {"resolution": resolution, "r2_disturbed": {"smile": score, "age": score}})


def test_a_better_network_is_put_in_place_and_its_line_of_the_list_follows(shipped, capsys):
    file, command = shipped
    assert command(0.9) == 0 and str(file) in capsys.readouterr().out
    assert (load_oracle(file).head[-1].bias == 1).all()  # reads what the list says, or raises


@pytest.mark.parametrize("score", [0.7, -0.1, float("nan")])
def test_a_worse_network_is_refused_in_one_sentence(shipped, capsys, score):
    file, command = shipped
    before = file.read_bytes()
    assert command(score) == 2
    error = capsys.readouterr().err
    assert "expected over 0.0 and no less than 0.8000" in error and error.count("\n") == 1
    assert file.read_bytes() == before


def test_another_resolution_needs_only_to_be_better_than_nothing(shipped):
    file, command = shipped
    assert command(0.1, resolution=64) == 0 and load_oracle(file).config["resolution"] == 64
    assert command(0.0, resolution=64) == 2


def test_a_network_that_was_never_shipped_gets_a_line(shipped):
    file, command = shipped
    file.unlink()
    assert command(0.5) == 0
    assert file.name in (file.parents[2] / "SHA256SUMS").read_text()
    assert (load_oracle(file).head[-1].bias == 1).all()


def test_outside_a_checkout_nothing_shipped_is_written(shipped, monkeypatch, capsys):
    file, command = shipped
    monkeypatch.setattr(pretrain, "in_checkout", lambda: False)
    assert command(0.9) == 2 and "checkout" in capsys.readouterr().err
    assert (load_oracle(file).head[-1].bias == 0).all()


def test_an_untrained_ddpm_explains_nothing_of_v(tmp_path):
    torch.manual_seed(0)
    file = tmp_path / "ddpm.safetensors"
    HSpaceUNet(ddpm.build_unet(32), NoiseSchedule.linear(), "v_prediction").save(file, {})
    job = Job(32, Budget(1), tmp_path, file, 1, torch.device("cpu"))
    assert place._score("ddpm", file, job) < 0.2 < place._score("ddpm", synthfaces.weights_file("ddpm"), job)
