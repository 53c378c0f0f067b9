"""Transfer: a run that begins with the f_t of another one, its folder, and grids that have such cells."""

import multiprocessing
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from test_grid import small
from tiny_domain import build_tiny
from torch import nn

from asyrp_lib import api
from asyrp_lib.deltas import load_delta
from asyrp_lib.domains.edits import Edit
from asyrp_lib.errors import FileError, SettingsError
from asyrp_lib.experiments import ablation
from asyrp_lib.experiments.ablation import measure_cell, table
from asyrp_lib.experiments.curves import curves, lead
from asyrp_lib.experiments.rows import pick
from asyrp_lib.method.train import TrainSettings
from asyrp_lib.runs import run as runs
from asyrp_lib.runs.grid import cells
from asyrp_lib.runs.run import RunConfig, config_for, folder_of, optimiser_steps, start_root, train_run
from asyrp_lib.store.files import lock
from asyrp_lib.store.weights import module_digest, read_weights

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["asyrp_lib.experiments.ablation", "test_grid"])


@pytest.fixture
def here(tiny, monkeypatch, tmp_path):
    """The tiny domain, with runs of its own, and of each training its edit and epochs."""
    return tiny, watched(tmp_path, monkeypatch.setattr)


def watched(folder: Path, put, note=lambda edit, epochs: None) -> list[tuple[str, int]]:
    """Let runs lie in a folder; the list gets (edit, epochs) of each training that is begun."""
    calls, real = [], runs.train_delta

    def train_delta(domain, edit, settings, **how):
        calls.append((edit.name, settings.epochs))
        note(*calls[-1])
        return real(domain, edit, settings, **how)

    for module in (runs, ablation):
        put(module, "runs_dir", lambda: folder)
    put(runs, "train_delta", train_delta)
    return calls


def started(domain, epochs: int = 2, of: int = 1, **how) -> RunConfig:
    """A run of "dark" that begins with "warm" after `of` epochs."""
    how = {"t_edit": 700, "images": 4, "batch_size": 2} | how
    start = config_for(domain, "warm", epochs=of, **how)
    return config_for(domain, "dark", start=start, epochs=epochs, **how)


def transfer(**changes):
    """A grid of "dark" from scratch and from "warm", one epoch each."""
    begin = {"scratch": {}, "transfer": {"start": {"edit": "warm"}}}
    vary = {"begin": begin, "training.seed": [0]}
    return small(**{"name": "transfer", "vary": vary, "edit": "dark", "epochs": [1], "faces": 1} | changes)


def test_a_run_without_a_start_keeps_the_digest_that_it_had_before_there_were_starts():
    clip = nn.Linear(2, 1)
    nn.init.zeros_(clip.weight)
    nn.init.zeros_(clip.bias)
    domain = SimpleNamespace(unet=SimpleNamespace(digest=lambda: "u"), clip=clip, corrections=1)
    edit, training = Edit("warm", "face", "warm face"), TrainSettings(lr=0.01, seed=3)
    config = RunConfig("tiny", edit, {"kind": "ConvDelta", "groups": 4}, training, 8)
    assert config.digest(domain) == "4a8562fe3b4b"  # of commit d6a37d7


def test_the_starts_epochs_are_part_of_the_digest_and_the_runs_own_are_not(tiny):
    digest = lambda **how: started(tiny, **how).digest(tiny)
    assert digest(epochs=2) == digest(epochs=5) != digest(of=2)
    assert replace(started(tiny), start=None).digest(tiny) != digest()


def test_a_started_run_begins_with_the_weights_of_its_start_and_their_loss(here, monkeypatch):
    domain, calls = here
    config, seen, real = started(domain), [], api.training.train_delta

    def look(unet, clip, delta, *a, **how):
        seen.append((delta.name, module_digest(delta)))
        return real(unet, clip, delta, *a, **how)

    monkeypatch.setattr(api.training, "train_delta", look)
    run = train_run(config, domain, progress=False)
    assert calls == [("warm", 1), ("dark", 2)]
    source = runs._whole(config, domain).start
    start = load_delta(folder_of(source, domain, start_root(source, domain)) / "delta.safetensors")
    weights = module_digest(start)
    assert seen[1] == ("dark", weights) and seen[0][1] != weights != module_digest(run.delta)
    # the loss of the start's f_t itself: the first of a training that does not move
    x_0 = domain.images("train", 4)
    x_T = api.invert(domain, x_0, steps=config.training.steps)
    still = replace(config.training, lr=1e-30)
    aim = x_0, x_T, config.edit.source, config.edit.target
    alone = real(domain.unet, domain.clip, start, *aim, still, progress=False)
    assert run.history["loss"][0] == alone["loss"][0]
    scratch = train_run(replace(config, start=None), domain, progress=False)
    assert scratch.history["loss"][0] != run.history["loss"][0]
    assert (run.delta.name, run.delta.t_edit) == ("dark", 700)
    card = read_weights(run.file)[1]["card"]
    assert card["start"] == {"edit": "warm", "epochs": 1, "weights": weights}
    assert card["provenance"]["settings"]["start"]["edit"]["name"] == "warm"
    assert "start" not in read_weights(scratch.file)[1]["card"]


def test_a_start_of_other_epochs_is_another_run_and_a_longer_one_is_not_in_the_way(here):
    domain, calls = here
    long, short = (train_run(started(domain, 1, of=of), domain, progress=False) for of in (2, 1))
    assert calls == [("warm", 2), ("dark", 1), ("warm", 1), ("dark", 1)] and long.folder != short.folder
    both = [read_weights(run.file)[1]["card"]["start"]["weights"] for run in (long, short)]
    assert both[0] != both[1]
    train_run(started(domain, of=3).start, domain, progress=False)
    train_run(started(domain, 2, of=1), domain, progress=False)
    assert calls[4:] == [("warm", 3), ("dark", 2)], "its start is there"


def test_open_settings_of_the_start_are_those_of_its_own_edit(tiny):
    tiny.edits["warm"] = replace(tiny.edits["warm"], lambda_recon=7.0, t_edit=800)
    table = cells(transfer(training={}, vary={"start.edit": ["warm"], "training.t_edit": [700]}), tiny)
    (cell,) = table.values()
    assert cell.settings == {"start.edit": "warm", "t_edit": 700}
    tiny.edits["dark"] = replace(tiny.edits["dark"], t_edit=900)
    (cell,) = cells(transfer(training={}, vary={"start.edit": ["warm"]}), tiny).values()
    assert (cell.config.training.t_edit, cell.config.training.lambda_recon) == (900, 3.0)
    assert (cell.config.start.training.t_edit, cell.config.start.training.lambda_recon) == (800, 7.0)


def test_a_grid_says_the_start_once_or_in_an_alternative(tiny):
    table = cells(transfer(epochs=[1, 3], delta={"groups": 2}, training={"t_edit": 700, "lr": 0.5}), tiny)
    scratch, begun = (table[f"begin {name}, seed 0"].config for name in ("scratch", "transfer"))
    assert scratch.start is None and replace(begun, start=None) == scratch
    start = begun.start
    assert (start.edit.name, start.training, start.delta) == ("warm", begun.training, begun.delta)
    assert start.training.epochs == 3 and start.images == begun.images == 2
    asked = {"edit": "warm", "epochs": 2, "train_images": 3}
    seeds = cells(transfer(start=asked, vary={"training.seed": [0, 1], "start.epochs": [1, 2]}), tiny)
    assert list(seeds) == [f"start.epochs {e}, seed {s}" for e in (1, 2) for s in (0, 1)]
    last = list(seeds.values())[-1].config.start
    assert (last.training.epochs, last.images, last.training.seed) == (2, 3, 1)


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ({"edit": "dark"}, "'dark' would start from itself"),
        ({"epochs": 2}, "A start says epochs; expected the name of an edit"),
        ({"edit": "warm", "lr": 2}, "A start says edit, lr"),
        ({"edit": "warm", "epochs": None}, "A start says edit, epochs"),
        ({"edit": "warm", "epochs": 0}, "epochs = 0"),
        ({"edit": "warm", "train_images": -1}, "images = -1"),
        ({"edit": ["warm"]}, "A start says edit;"),
        ({"edit": "cold"}, "cold"),
        ("warm", "'transfer' of 'begin' sets start"),
    ],
)
def test_a_start_that_cannot_be_is_one_sentence(tiny, start, words):
    with pytest.raises((SettingsError, KeyError), match=words) as error:
        cells(transfer(vary={"begin": {"scratch": {}, "transfer": {"start": start}}}), tiny)
    assert "\n" not in str(error.value)


def test_a_start_has_the_same_kind_of_f_t(tiny):
    other = config_for(tiny, "warm", delta={"groups": 2}, t_edit=700)
    with pytest.raises(SettingsError, match="f_t of the same options is expected"):
        config_for(tiny, "dark", start=other, t_edit=700)


def test_a_started_cell_says_what_its_start_cost_and_is_read_by_other_grids(here):
    domain, calls = here
    for label in cells(transfer(epochs=[1, 2]), domain):
        measure_cell(domain, transfer(epochs=[1, 2]), label, progress=False)
    assert calls == [("dark", 1), ("dark", 2), ("warm", 2), ("dark", 1), ("dark", 2)]
    rows, _ = table(domain, transfer(epochs=[1, 2]))
    config = cells(transfer(epochs=[1, 2]), domain)["begin transfer, seed 0"].config
    cost = pick(rows, "start steps")
    assert list(cost["value"]) == [optimiser_steps(config.start, domain)] * 2 == [24, 24]
    assert set(cost["variant"]) == {"begin transfer"} and set(rows["begin"]) == {"scratch", "transfer"}
    assert list(pick(rows, "steps", epoch=2)["value"]) == [24, 24], "its own alone"
    sooner = curves(rows, 1)
    assert list(sooner["steps"]) == [12, 24] * 2 and list(sooner["start steps"]) == [0, 0, 24, 24]
    assert set(lead(sooner, "begin", "scratch", "transfer")["batch"]) == {1, 2}
    plain = transfer(name="other", start={"edit": "warm"}, vary={"training.seed": [0]}, epochs=[1, 2])
    again = measure_cell(domain, plain, "seed 0", progress=False)
    assert len(calls) == 5
    assert list(again["value"]) == list(rows[rows["begin"] == "transfer"]["value"])


def test_two_edits_share_one_start_and_an_earlier_epoch_needs_no_other(here):
    domain, calls = here
    domain.edits["cold"] = Edit("cold", "face", "cold face")
    asked = {"start": {"edit": "warm", "epochs": 1}, "vary": {"edit": ["dark", "cold"]}}
    for epochs in ([2], [1, 2]):
        for label in ("edit dark", "edit cold"):
            measure_cell(domain, transfer(epochs=epochs, **asked), label, progress=False)
    assert calls == [("warm", 1), ("dark", 2), ("cold", 2), ("dark", 1), ("cold", 1)]


def test_strengths_and_the_loss_curve_are_of_the_last_epoch_whatever_was_measured_before(here):
    domain, calls = here
    grid = lambda epochs, strengths: transfer(
        vary={"training.seed": [0]}, epochs=epochs, strengths=strengths, train_images=4
    )
    rows = measure_cell(domain, grid([1, 2], [0.5]), "seed 0", progress=False)
    assert set(rows[rows["epoch"] == 1]["strength"].dropna()) == {1.0}
    assert set(rows[rows["epoch"] == 2]["strength"].dropna()) == {0.0, 0.5, 1.0}
    curve = rows[rows["score"].str.startswith("loss of batch")]
    assert list(curve["score"]) == [f"loss of batch {k}" for k in (1, 2, 3, 4)] and set(curve["epoch"]) == {2}
    (file,) = folder_of(cells(grid([1, 2], [0.5]), domain)["seed 0"].config, domain).glob("epoch 2.csv")
    history = pd.read_csv(file)
    first = history[(history["epoch"] == 0) & (history["batch"] == 0)]["loss"].mean()
    last = history[(history["epoch"] == 1) & (history["batch"] == 1)]["loss"].mean()
    assert curve["value"].iloc[0] == pytest.approx(first) and curve["value"].iloc[3] == pytest.approx(last)
    mean = pick(rows, "loss", epoch=2)["value"].iloc[0]
    assert curve["value"].iloc[2:].mean() == pytest.approx(mean)
    n = len(calls)
    other = measure_cell(domain, grid([1, 2], [2.0]), "seed 0", progress=False)
    assert set(other[other["epoch"] == 2]["strength"].dropna()) == {0.0, 1.0, 2.0}
    short = measure_cell(domain, grid([1], [2.0]), "seed 0", progress=False)
    assert set(short["strength"].dropna()) == {0.0, 1.0, 2.0}
    assert sum(short["score"].str.startswith("loss of batch")) == 2 and len(calls) == n
    keys = lambda *a: ablation._keys(domain, grid(*a))
    assert keys([1, 2], [0.5])[1] == keys([1, 3], [2.0])[1] != keys([1], [1.0])[1]
    assert len({keys([1, 2], [0.5])[2], keys([1, 2], [2.0])[2], keys([1, 2, 3], [0.5])[2]}) == 3


def train_in(folder: Path, note: Path, name: str, epochs: int) -> None:
    """A started run in a process of its own, which notes every training that it begins."""
    os.environ["ASYRP_CACHE"] = "off"
    torch.set_num_threads(1)

    def write(edit, epochs):
        with open(note, "a") as file:
            file.write(f"{edit} {epochs}\n")

    watched(folder, setattr, write)
    domain = build_tiny()
    config = replace(started(domain, epochs, of=8), edit=Edit(name, "face", f"{name} face"))
    train_run(config, domain, progress=False, save_every=0)


def lines(note: Path) -> list[str]:
    return note.read_text().splitlines() if note.exists() else []


def test_killed_in_its_start_and_after_it_ends_with_the_weights_of_one_that_was_not(tmp_path):
    whole = FORKS.Process(target=train_in, args=(tmp_path / "whole", tmp_path / "w", "dark", 9))
    whole.start()
    note = tmp_path / "k"
    for begun in (1, 3, None):  # trainings that have begun when the kill comes: in the start, then in the run
        process = FORKS.Process(target=train_in, args=(tmp_path / "killed", note, "dark", 9))
        process.start()
        while begun and len(lines(note)) < begun:
            assert process.is_alive()
            time.sleep(0.005)
        if begun:
            time.sleep(0.05)
            os.kill(process.pid, signal.SIGKILL)
        process.join()
    whole.join()
    assert whole.exitcode == process.exitcode == 0
    assert set(lines(note)) == {"warm 8", "dark 9"} and len(lines(note)) > 2
    files = [next(tmp_path.glob(f"{name}/tiny/dark/*/delta.safetensors")) for name in ("whole", "killed")]
    one, other = (module_digest(load_delta(file)) for file in files)
    assert one == other


def test_two_at_once_train_their_start_once_and_the_other_waits_for_it(tmp_path):
    note, domain = tmp_path / "n", build_tiny()
    args = [(tmp_path / "runs", note, name, 1) for name in ("dark", "cold")]
    both = [FORKS.Process(target=train_in, args=one) for one in args]
    with lock(start_root(started(domain, of=8).start, domain, tmp_path / "runs")):
        for process in both:
            process.start()
        time.sleep(3)
        assert all(process.is_alive() for process in both) and lines(note) == [], "both wait"
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert sorted(lines(note)) == ["cold 1", "dark 1", "warm 8"]


def test_a_folder_that_cannot_be_written_is_said_before_the_start_is_trained(here, tmp_path):
    domain, calls = here
    folder = folder_of(started(domain), domain)
    folder.parent.mkdir(parents=True)
    folder.write_text("a file")
    with pytest.raises(FileError, match="Cannot write"):
        train_run(started(domain), domain, progress=False)
    assert not calls
