"""Ablations: what a cell keeps, what is done again, whose names rows have, kills, two at once, failures."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from test_grid import small
from tiny_domain import build_tiny

from asyrp_lib.errors import FileError, SettingsError, TrainingError, UnknownNameError
from asyrp_lib.experiments import ablation
from asyrp_lib.experiments.ablation import (
    measure_cell,
    run_grid,
    split_of,
    table,
    tasks,
)
from asyrp_lib.experiments.compare import differences, summary
from asyrp_lib.experiments.rows import COLUMNS, numbers, pick
from asyrp_lib.measure.stats import crossed, paired
from asyrp_lib.method import distributed
from asyrp_lib.runs import run as runs
from asyrp_lib.runs.grid import cells
from asyrp_lib.runs.run import folder_of
from asyrp_lib.store import results
from asyrp_lib.store.files import lock
from asyrp_lib.store.weights import read_weights

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["asyrp_lib.experiments.ablation", "test_grid"])


@pytest.fixture
def here(tiny, monkeypatch, tmp_path):
    """The tiny domain, with runs of its own, and of each training how many epochs it was asked for."""
    monkeypatch.setattr(runs, "runs_dir", lambda: tmp_path)
    monkeypatch.setattr(results, "_places", lambda name: (tmp_path / "data" / f"{name}.json",) * 2)
    calls, real = [], ablation.train_run
    note = lambda config, *a, **how: calls.append(config.training.epochs) or real(config, *a, **how)
    monkeypatch.setattr(ablation, "train_run", note)
    return tiny, calls


def in_process(domain, grid, monkeypatch) -> None:
    """Let `run_grid` run its cells here, and tell of errors as it tells of a process's."""

    def reproduce(todo, **how):
        for task in todo:
            try:
                measure_cell(domain, grid, task.command[task.command.index("--cell") + 1], progress=False)
                yield task, "done"
            except Exception as error:
                yield task, f"error: {error}"

    monkeypatch.setattr(ablation, "in_stages", reproduce)


def test_a_cell_is_measured_after_every_epoch_and_never_again(here):
    domain, calls = here
    rows = measure_cell(domain, small(), "groups 2, seed 1", progress=False)
    assert list(rows.columns) == [*COLUMNS, "epoch", "groups"]
    assert set(rows["variant"]) == {"groups 2"} and set(rows["seed"]) == {1} and set(rows["groups"]) == {2}
    for epoch in (1, 2):
        at = {"epoch": epoch}
        assert list(pick(rows, "S_dir", strength=1.0, **at)["image"]) == [0, 1]
        assert set(pick(rows, "S_dir", **at)["strength"]) == ({1.0} if epoch == 1 else {0.0, 1.0})
        assert (pick(rows, "length", **at)["value"] > 0).all()
        for score in ("parameters", "clip", "seconds"):
            assert len(pick(rows, score, **at)) == 1, score
        assert list(pick(rows, "steps", **at)["value"]) == [len(pick(rows, "steps", **at)) * 12 * epoch]
        assert len(rows[(rows["epoch"] == epoch) & rows["score"].str.startswith("clip at ")]) == 4
        assert (pick(rows, "error to target", **at)["value"] > 0).all(), "what an unseen edit means is known"
    n = len(calls)
    again = measure_cell(domain, small(), "groups 2, seed 1", progress=False)
    pd.testing.assert_frame_equal(again, rows, check_exact=True)
    assert len(calls) == n == 2
    other = measure_cell(domain, small(faces=1), "groups 2, seed 1", progress=False)
    assert len(calls) == n and pick(other, "S_dir")["image"].max() == 0, "other faces, the same trainings"


def test_rows_have_the_names_of_the_grid_that_reads_them(here):
    domain, calls = here
    first, _ = table(domain, small(), {}) if measure_all(domain, small()) else None
    n = len(calls)
    longer = small(vary={"train_images": [2], "delta.groups": [2, 4], "training.seed": [0, 1]})
    measure_all(domain, longer)
    second, _ = table(domain, longer)
    assert len(calls) == n, "the same runs"
    assert set(first["variant"]) == {"groups 2", "groups 4"}
    assert set(second["variant"]) == {"train_images 2, groups 2", "train_images 2, groups 4"}
    assert list(second["value"]) == list(first["value"]) and set(second["train_images"]) == {2}


def measure_all(domain, grid) -> bool:
    for label in cells(grid, domain):
        measure_cell(domain, grid, label, progress=False)
    return True


def test_epochs_in_steps_are_those_of_one_training_weight_for_weight(here):
    domain, _ = here
    measure_cell(domain, small(), "groups 2, seed 0", progress=False)
    config = cells(small(), domain)["groups 2, seed 0"].config
    whole = runs.train_run(config, domain, progress=False, root=runs.runs_dir() / "other")
    assert runs.optimiser_steps(config, domain) == len(whole.history)
    kept = load_file(folder_of(config, domain) / "epoch 2.safetensors")
    assert all(torch.equal(kept[name], tensor) for name, tensor in whole.delta.state_dict().items())


def test_an_earlier_epoch_is_added_to_a_run_that_has_gone_past_it(here):
    domain, calls = here
    one = {"training.seed": [0]}
    late = measure_cell(domain, small(vary=one, epochs=[2]), "seed 0", progress=False)
    both = measure_cell(domain, small(vary=one, epochs=[1, 2]), "seed 0", progress=False)
    assert calls == [2, 1]
    pd.testing.assert_frame_equal(both[both["epoch"] == 2].reset_index(drop=True), late)
    apart = small(vary=one, epochs=[1])
    domain.name = "elsewhere"
    alone = measure_cell(domain, apart, "seed 0", progress=False)
    scored = lambda rows: pick(rows, epoch=1, strength=1.0).dropna(subset="image")["value"].to_numpy()
    assert (scored(alone) == scored(both)).all() and len(scored(alone))


def test_seconds_are_those_of_the_optimisers_steps_kept_over_sessions(here, monkeypatch):
    domain, _ = here
    config = cells(small(), domain)["groups 2, seed 0"].config
    clock = iter(range(10_000))
    import asyrp_lib.method.train as train_module

    monkeypatch.setattr(train_module.time, "monotonic", lambda: float(next(clock)))
    stop = lambda epoch, history: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        runs.train_run(config, domain, progress=False, on_epoch=stop)
    run = runs.train_run(config, domain, progress=False)
    assert run.history.attrs["seconds"] == 2.0, "a batch is between two looks at the clock"
    again = runs.train_run(config, domain, progress=False)
    assert again.history.attrs["seconds"] == read_weights(again.file)[1]["card"]["step_seconds"] == 2.0


def test_a_cell_that_something_else_judges_is_measured_again_without_a_training(here):
    domain, calls = here
    grid = small(vary={"training.seed": [0]}, epochs=[1])
    states = lambda grid: [task.state() for task in tasks("file.yaml", grid, domain)]
    assert states(grid) == ["missing"]
    measure_cell(domain, grid, "seed 0", progress=False)
    assert states(grid) == ["done"] and states(small(vary=grid.vary, epochs=[1], split="test")) == ["missing"]
    domain.second_clip = build_tiny().clip
    domain.second_clip.weight *= -1
    assert states(grid) == ["missing"]
    measure_cell(domain, grid, "seed 0", progress=False)
    assert states(grid) == ["done"] and calls == [1]


def test_settings_are_chosen_on_validation_faces_where_there_are_any(here):
    domain, _ = here
    assert (split_of(domain, small()), split_of(domain, small(split="test"))) == ("validation", "test")
    images = domain.image_source

    def without(split, n, first):
        if split == "validation":
            raise UnknownNameError("none")
        return images(split, n, first)

    domain.image_source = without
    assert split_of(domain, small()) == "test"


def test_a_cell_is_refused_that_is_not_there_is_in_use_or_is_one_of_several_processes(here, monkeypatch):
    domain, _ = here
    with pytest.raises(UnknownNameError, match="no cell ''; known are groups 2"):
        measure_cell(domain, small(), "")
    monkeypatch.setattr(ablation, "LOCK_WAIT", 0)
    folder = folder_of(cells(small(), domain)["groups 2, seed 0"].config, domain)
    states = lambda: [task.busy() for task in tasks("file.yaml", small(), domain)]
    with lock(folder / "cell"):
        with pytest.raises(FileError, match="in use"):
            measure_cell(domain, small(), "groups 2, seed 0")
        assert states() == [True, False, False, False]
    assert states() == [False] * 4
    monkeypatch.setattr(distributed, "count", lambda: 2)
    with pytest.raises(SettingsError, match="leave out accelerate launch"):
        measure_cell(domain, small(), "groups 2, seed 0")


def test_a_cell_that_fails_is_a_row_the_rest_goes_on_and_the_table_is_that_which_was_made(
    here, monkeypatch, capsys
):
    domain, _ = here
    grid = small(vary={"training.lr": [1e-3, 5.0], "training.optimiser": ["sgd"]})
    in_process(domain, grid, monkeypatch)
    real = ablation.train_run

    def train_run(config, *a, **how):
        if config.training.lr == 5 and config.training.epochs == 2:
            raise TrainingError("The loss of f_t became nan")
        return real(config, *a, **how)

    monkeypatch.setattr(ablation, "train_run", train_run)
    rows, file, failed = run_grid("file.yaml", domain, grid)
    label = "lr 5.0, optimiser sgd"
    assert failed == {label: "error: The loss of f_t became nan"}
    text = capsys.readouterr().out
    assert "2 of 2 cells to do" in text and f"{label}: error: The loss of f_t became nan" in text
    bad = rows[rows["lr"] == 5]
    assert set(bad["epoch"].dropna()) == {1} and set(rows[rows["lr"] == 1e-3]["epoch"]) == {1, 2}
    assert list(bad[bad["epoch"].isna()]["score"]) == ["failed"]
    stored, made_by = results.load_rows("tiny_grid_groups", "grid")
    assert len(stored) == len(rows) and made_by["settings"]["failed"] == failed
    assert made_by["settings"]["split"] == "validation"
    f_t = [key.removeprefix("f_t ") for key in made_by["digests"] if key.startswith("f_t ")]
    assert f_t == [f"lr 0.001, optimiser sgd, epoch {k}" for k in (1, 2)] + [f"{label}, epoch 1"]
    assert len(summary(rows, "S_dir")) == 3


def test_more_faces_than_there_are_and_wrong_cells_are_said_before_anything_runs(here, monkeypatch):
    domain, calls = here
    in_process(domain, small(), monkeypatch)

    def few(split, n, first):
        raise UnknownNameError(f"only 3 {split} images")

    domain.image_source = few
    with pytest.raises(UnknownNameError, match="only 3 test images"):
        run_grid("file.yaml", domain, small())
    with pytest.raises(SettingsError, match="colour"):
        run_grid("file.yaml", domain, small(vary={"training.colour": [1]}))
    with pytest.raises(SettingsError, match="lanes = 0"):
        run_grid("file.yaml", domain, small(), lanes=0)
    assert not calls


def test_a_cell_that_says_done_without_rows_of_this_grid_is_told_of(here, monkeypatch, capsys):
    domain, _ = here
    monkeypatch.setattr(ablation, "in_stages", lambda todo, **how: ((task, "done") for task in todo))
    grid = small(vary={"training.seed": [0]}, epochs=[1])  # another file, or code, by the time it ran
    rows, file, failed = run_grid("file.yaml", domain, grid)
    assert list(failed) == ["seed 0"] and "seed 0: its rows are not those" in capsys.readouterr().out
    assert list(rows["score"]) == ["failed"] and "seed 0" in file.read_text()


def test_another_grid_of_the_same_name_is_refused_before_it_runs_unless_it_shall_replace(here, monkeypatch):
    domain, calls = here
    one, more = (small(vary={"training.seed": seeds}, epochs=[1]) for seeds in ([0], [0, 1]))
    in_process(domain, one, monkeypatch)
    file = run_grid("ablations/groups.yaml", domain, one).file
    stored = file.read_bytes()
    with pytest.raises(SettingsError, match="grid 'groups' has other vary; expected a name that no other"):
        run_grid("mine/groups.yaml", domain, more)
    assert file.read_bytes() == stored and len(calls) == 1
    where = small(vary=one.vary, epochs=[1], domain="./tiny")  # the same, said otherwise
    assert len(run_grid("mine/groups.yaml", domain, where).rows) == len(pd.read_csv(file.with_suffix(".csv")))
    in_process(domain, more, monkeypatch)
    assert set(run_grid("mine/groups.yaml", domain, more, replace=True).rows["seed"]) == {0, 1}


def test_half_a_file_of_rows_is_no_smaller_result_and_can_be_made_again(here):
    domain, _ = here
    grid = small(vary={"training.seed": [0]}, epochs=[1])
    rows = measure_cell(domain, grid, "seed 0", progress=False)
    folder = folder_of(cells(grid, domain)["seed 0"].config, domain)
    (rows_file,) = folder.glob("*-1.csv")
    for file in (rows_file, folder / "epoch 1.csv"):
        whole = file.read_bytes()
        for part in (b"", whole[: len(whole) // 2]):
            file.write_bytes(part)
            if file.stem == "epoch 1":
                rows_file.unlink(missing_ok=True)
            with pytest.raises(FileError, match="is not whole; .*delete it"):
                measure_cell(domain, grid, "seed 0", progress=False)
        file.unlink()
        again = measure_cell(domain, grid, "seed 0", progress=False)
        pd.testing.assert_frame_equal(again, rows, check_exact=True)


def effects(variant: str, by_seed, by_face, offset=0.0) -> pd.DataFrame:
    """A score of a variant at epoch 1, the sum of an effect of the seed and one of the face."""
    parts = [
        numbers({"S_dir": a + b + offset}, variant=variant, seed=s, image=i, strength=1.0)
        for s, a in enumerate(by_seed)
        for i, b in enumerate(by_face)
    ]
    return pd.concat(parts, ignore_index=True).assign(epoch=1)


def test_an_interval_over_crossed_seeds_and_faces_has_both_spreads_and_covers_the_truth():
    rng, covered, n = torch.Generator().manual_seed(0), 0, 400
    for _ in range(n):
        draw = lambda k, rng=rng: torch.randn(k, generator=rng).tolist()
        covered += (found := crossed(effects("a", draw(5), draw(12)))).low < 0 < found.high
    assert 0.93 <= covered / n <= 0.99
    seeds, faces = (
        crossed(effects("a", [0.0, 1, 2], [0.0] * 4)),
        crossed(effects("a", [1.0] * 3, [0.0, 2, 4, 2])),
    )
    assert (seeds.mean, seeds.seeds, seeds.faces) == (1, 3, 4)
    assert seeds.high - 1 == pytest.approx(4.303 / 3**0.5, rel=1e-3), "Student's t of three seeds"
    assert faces.high - 3 == pytest.approx(3.182 * (8 / 3 / 4) ** 0.5, rel=1e-3), "of four faces"
    alone = crossed(effects("a", [1.0], [0.0, 2, 4, 2]))
    assert alone.seeds == 1 and alone.high == pytest.approx(faces.high)


def test_differences_are_of_the_same_seeds_and_faces_and_so_narrow():
    seeds, faces = [0.0, 3, -2], [1.0, -4, 5, 0]
    rows = pd.concat([effects("a", seeds, faces), effects("b", seeds, faces, offset=0.25)])
    found = differences(rows, "S_dir").loc[("b", 1), "S_dir"]
    assert (found.mean, found.seeds, found.faces) == (0.25, 3, 4)
    assert found.low == pytest.approx(0.25) == found.high
    assert crossed(effects("b", seeds, faces)).high > 3
    fewer = paired(effects("b", seeds, faces, 0.25), effects("a", seeds[:2], faces))
    assert len(fewer) == 8, "a seed that failed is left out on both sides"
    loss = [
        numbers({"loss": s + k}, variant=v, seed=s).assign(epoch=1)
        for k, v in enumerate("ab")
        for s in range(3)
    ]
    assert differences(pd.concat(loss), "loss").loc[("b", 1), "loss"].mean == 1, "also without a face"


def test_the_summary_has_a_line_for_each_variant_and_epoch(here):
    domain, _ = here
    measure_all(domain, small())
    rows, _ = table(domain, small())
    lines = summary(rows, "S_dir", "loss", "aimed")
    assert list(lines.columns) == ["S_dir", "loss"] and len(lines) == 4
    one = lines.loc[("groups 4", 2), "S_dir"]
    there = pick(rows, "S_dir", variant="groups 4", epoch=2, strength=1.0)
    assert one.mean == pytest.approx(there["value"].mean()) and (one.seeds, one.faces) == (2, 2)
    assert one.low < one.mean < one.high
    assert json.dumps(lines.map(str).to_dict(orient="split"))


def run_cells(folder: Path, note: Path) -> None:
    """All cells of a grid, one after another, in a process of its own, which notes every training."""
    os.environ["ASYRP_CACHE"] = "off"
    torch.set_num_threads(1)
    runs.runs_dir = lambda: folder
    domain, real = build_tiny(), ablation.train_run

    def train_run(config, *a, **how):
        with open(note, "a") as file:
            file.write(f"{config.delta['groups']} {config.training.seed} {config.training.epochs}\n")
        return real(config, *a, **how, save_every=0)

    ablation.train_run = train_run
    for task in tasks("file.yaml", small(), domain):
        while task.busy():  # as `side_by_side` leaves it to the other
            time.sleep(0.01)
        if task.state() != "done":
            measure_cell(domain, small(), task.name.removeprefix("groups: "), progress=False)


def values(folder: Path, monkeypatch, tiny) -> pd.DataFrame:
    monkeypatch.setattr(runs, "runs_dir", lambda: folder)
    rows, _ = table(tiny, small())
    return rows[rows["score"] != "seconds"].reset_index(drop=True)


def test_killed_twice_it_ends_with_the_table_of_one_that_was_not(tmp_path, monkeypatch, tiny):
    whole, note = FORKS.Process(target=run_cells, args=(tmp_path / "whole", tmp_path / "w")), tmp_path / "k"
    whole.start()
    for trainings in (2, 5, None):  # of the 8 those that have begun when the kill comes
        process = FORKS.Process(target=run_cells, args=(tmp_path / "killed", note))
        process.start()
        while trainings and not (note.exists() and len(note.read_text().splitlines()) >= trainings):
            assert process.is_alive()
            time.sleep(0.005)
        if trainings:
            time.sleep(random.Random(trainings).uniform(0, 0.2))
            os.kill(process.pid, signal.SIGKILL)
        process.join()
    whole.join()
    assert whole.exitcode == process.exitcode == 0 and len(note.read_text().splitlines()) > 8
    one, other = (values(tmp_path / name, monkeypatch, tiny) for name in ("whole", "killed"))
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_two_processes_on_one_grid_compute_no_cell_twice(tmp_path, monkeypatch, tiny):
    both = [FORKS.Process(target=run_cells, args=(tmp_path / "runs", tmp_path / f"{k}.txt")) for k in (1, 2)]
    for k, process in enumerate(both, 1):
        (tmp_path / f"{k}.txt").touch()  # where one comes so late that it has nothing to do
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    trained = [line for k in (1, 2) for line in (tmp_path / f"{k}.txt").read_text().splitlines()]
    assert sorted(trained) == sorted(f"{g} {s} {e}" for g in (2, 4) for s in (0, 1) for e in (1, 2))
    assert len(values(tmp_path / "runs", monkeypatch, tiny))


def test_the_command_runs_cells_on_the_domain_it_was_given_and_ends_with_2_if_one_failed(tmp_path):
    text = "name: size\ndomain: nowhere\nedit: warm\nfaces: 1\nepochs: [1]\ntraining: {t_edit: 700}\n"
    (tmp_path / "size.yaml").write_text(text + "vary: {train_images: [2, 3]}\n")
    command = [sys.executable, str(Path(__file__).parent / "tiny_cli.py"), "--device", "cpu", "grid"]
    how = {"cwd": tmp_path, "capture_output": True, "text": True}
    how["env"] = {**os.environ, "ASYRP_CACHE": str(tmp_path / "cache")}
    done = subprocess.run([*command, "size.yaml", "--domain", "two images"], **how)
    assert done.returncode == 2, done.stdout + done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: 1 cells failed") and "train_images 3" in last, done.stderr
    assert "2 of 2 cells to do" in done.stdout and "train_images 2: done" in done.stdout
    assert "train_images 3: error: There are 2 training images" in done.stdout
    assert "wrote runs/results/two images_grid_size.json" in done.stdout
    assert len(list(tmp_path.glob("runs/two images/warm/*/epoch 1.safetensors"))) == 1
    assert {folder.name for folder in tmp_path.glob("runs/*")} == {"two images", "reproduce", "results"}
