"""`reproduce`: what is done, missing and stale, stages, lanes, and what a failing task does to the rest."""

import hashlib
import json
import shutil
import sys
from dataclasses import asdict, replace

import pytest

from asyrp_lib.errors import SettingsError
from asyrp_lib.experiments import judges, reproduce as module
from asyrp_lib.experiments.ablation import cells_digest, split_of
from asyrp_lib.experiments.reproduce import grids, hours, run_missing, states, tasks
from asyrp_lib.experiments.rows import numbers
from asyrp_lib.method.schedule import interval_pairs
from asyrp_lib.runs import launch
from asyrp_lib.runs.grid import cells, read_grid
from asyrp_lib.runs.launch import Task, in_stages
from asyrp_lib.runs.run import folder_of
from asyrp_lib.store import results


def task(name: str, stage: int, code: str) -> Task:
    return Task(name, stage, ("-c", code), lambda: "missing")


@pytest.fixture
def plain_python(monkeypatch, tmp_path):
    """Tasks are lines of Python, not commands of the library."""
    monkeypatch.setattr(launch, "COMMAND", (sys.executable,))
    monkeypatch.setattr(launch, "runs_dir", lambda: tmp_path)
    return tmp_path


def test_stages_run_one_after_another_and_a_stage_side_by_side(plain_python):
    note = plain_python / "order"
    write = f"open({str(note)!r}, 'a').write('{{}} ')"
    wait = "import time; time.sleep(0.3); "
    todo = [
        task("late", 2, write.format("late")),
        task("slow", 1, wait + write.format("slow")),
        task("quick", 1, write.format("quick")),
    ]
    said = dict(in_stages(todo, lanes=2))
    assert note.read_text().split() == ["quick", "slow", "late"]
    assert set(said.values()) == {"done"} and list(plain_python.glob("reproduce/slow_*.log"))


@pytest.mark.parametrize(("lanes", "is_set", "given"), [(2, None, "3"), (1, None, "6"), (2, "1", "1")])
def test_lanes_share_the_cores_but_a_number_of_threads_that_is_set_stays(
    plain_python, monkeypatch, lanes, is_set, given
):
    monkeypatch.setattr(launch.os, "cpu_count", lambda: 6)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False) if is_set is None else monkeypatch.setenv(name, is_set)
    note = plain_python / "threads"
    code = f"import os; open({str(note)!r}, 'w').write(os.environ['OMP_NUM_THREADS'])"
    assert dict(in_stages([task("one", 0, code)], lanes=lanes)).popitem()[1] == "done"
    assert note.read_text() == given


def test_a_failing_task_is_named_and_what_waits_is_left(plain_python):
    todo = [
        task("bad", 0, "raise SystemExit('error: no luck')"),
        task("good", 0, "pass"),
        task("later", 1, "pass"),
    ]
    said = {one.name: words for one, words in in_stages(todo)}
    assert said["good"] == "done" and "no luck" in said["bad"] and "later" not in said


def test_a_domain_lists_curve_f_t_of_every_seed_and_experiments_the_sealed_after_all_choices(toy):
    listed = tasks(toy, seeds=2)
    assert [one.name for one in listed if "green" in one.name] == [
        "f_t of green, seed 0",
        "f_t of green, seed 1",
    ]
    stage = {one.name: one.stage for one in listed}
    assert stage["curve"] < stage["experiment settings"] < stage["f_t of green, seed 1"]
    assert stage["f_t of green, seed 1"] < stage["experiment final"]
    assert len({one.name for one in listed}) == len(listed)
    assert "experiment choice" not in stage, "people make it, and no machine"


def test_no_setting_of_an_experiment_has_the_name_that_store_gives_to_f_t():
    from asyrp_lib.experiments import EXPERIMENTS, defaults

    assert not [name for name in EXPERIMENTS if "seeds" in defaults(name)], "it would be stale for ever"


def test_an_unknown_task_is_refused_with_the_known_ones(toy):
    with pytest.raises(SettingsError, match="--list shows them"):
        run_missing(toy, ["nonsense"])


def test_a_result_of_other_networks_or_settings_is_stale(toy, tmp_path, monkeypatch):
    from asyrp_lib import experiments
    from asyrp_lib.store import results

    monkeypatch.setattr(results, "data_dir", lambda: tmp_path)
    monkeypatch.setattr(experiments, "judges", lambda domain: {"unet": domain.unet.digest()})
    monkeypatch.setattr(module, "judges", lambda domain: {"unet": domain.unet.digest()})
    state = {one.name: one.state for one in tasks(toy)}["experiment linearity"]
    assert state() == "missing"
    experiments.store(toy, "linearity", names=["green"], progress=False)
    assert state() == "stale: other names"
    names = experiments.defaults("linearity") | {"names": ["green"]}
    monkeypatch.setattr(module, "defaults", lambda name: names)
    assert state() == "done"
    toy.seed_count = 4
    assert state() == "stale: other seeds of green"
    toy.seed_count, made = 3, toy.delta
    monkeypatch.setattr(toy, "delta", lambda name, seed=0: made(name, seed) if seed < 2 else made("grey"))
    assert state() == "waits: 1 f_t that it was made with are not here"
    toy.unet.mean = 0.4
    assert state() == "stale: other unet", "although an f_t is not here"
    monkeypatch.setattr(toy, "delta", made)
    assert state() == "stale: other unet"
    toy.unet.mean, toy.seed_count = 0.3, 3
    file = next(tmp_path.rglob("*.csv"))
    file.write_text(file.read_text().replace("green", "grey", 1))
    assert state().startswith("stale: ") and "make both" in state()


GRID = """name: own
edit: warm
vary: {training.seed: [0, 1]}
training: {t_edit: 700}
epochs: [1, 2]
faces: 3
"""


@pytest.fixture
def shipped(tiny, tmp_path, monkeypatch):
    """The tiny domain, with one grid for it, one whose edit it lacks, and the settings of a cluster."""
    (folder := tmp_path / "ablations").mkdir()
    (folder / "own.yaml").write_text(GRID)
    (folder / "others.yaml").write_text(GRID.replace("warm", "smiling").replace("own", "others"))
    (folder / "starts.yaml").write_text(GRID.replace("own", "starts") + "start: {edit: smiling}\n")
    (folder / "slurm.yaml").write_text("cluster: slurm\n")
    monkeypatch.setattr(module, "repo_root", lambda: tmp_path)
    for place in ("data_dir", "runs_dir"):
        monkeypatch.setattr(results, place, lambda: tmp_path)
    return tiny


def test_grids_whose_edits_a_domain_has_are_tasks_and_stale_by_file_judges_edit_and_failures(
    shipped, monkeypatch
):
    (grid,) = [one for one in tasks(shipped, seeds=1) if one.name.startswith("grid ")]
    assert grid.name == "grid own" and grid.command[-3:] == ("--replace", "--lanes", "1")
    assert grid.state() == "missing"
    grid_of = read_grid(grid.command[1], "tiny")
    told = asdict(grid_of) | {"split": split_of(shipped, grid_of), "failed": {}}
    rows = numbers({"loss": 1.0}, edit="warm", seed=0)

    def store(**changes):
        digests = judges(shipped) | {"cells": cells_digest(shipped, grid_of)}
        digests |= {key: changes.pop(key) for key in digests.keys() & changes.keys()}
        made_by = {"started": 0.0, "digests": digests, "replace": True}
        results.save_rows("tiny_grid_own", rows, told | changes, **made_by)
        return grid.state()

    assert store() == "done"
    assert store(faces=4) == "stale: other faces"
    assert store(unet="another") == "stale: other unet"
    assert store(cells="another") == "stale: other cells"
    store()
    edit = shipped.edits["warm"]
    monkeypatch.setitem(shipped.edits, "warm", replace(edit, target="a very warm face"))
    assert grid.state() == "stale: other cells"
    assert store(failed={"seed 1": "no luck"}) == "missing: 1 cells failed"


def test_to_look_at_a_grid_digests_the_networks_once_and_finds_the_folders_of_its_runs(shipped, monkeypatch):
    (grid,) = grids(shipped).values()
    runs, asked = {k: folder_of(c.config, shipped).name for k, c in cells(grid, shipped).items()}, []
    assert len(runs) > 1
    net = shipped.unet.digest
    monkeypatch.setattr(shipped.unet, "digest", lambda: asked.append(1) or net())
    assert (
        cells_digest(shipped, grid) == hashlib.sha256(json.dumps(runs, sort_keys=True).encode()).hexdigest()
    )
    assert len(asked) == 1


def test_a_look_at_all_states_has_a_bar(capsys):
    assert list(states([task("one", 1, "")]).values()) == ["missing"]
    assert "what is there" in capsys.readouterr().err


def test_two_files_of_one_name_are_refused_for_they_would_take_turns(shipped):
    (file,) = grids(shipped)
    shutil.copy(file, file.with_name("mine.yaml"))
    with pytest.raises(SettingsError, match="mine.yaml and .* both have the name 'own'; .* rename one"):
        tasks(shipped)


def test_hours_are_those_of_the_stored_bench_and_unknown_without(shipped, capsys, monkeypatch):
    run_missing(shipped, ["grid own"], dry=True)
    assert "not known here: python -m asyrp_lib bench --domain tiny" in capsys.readouterr().out
    figures = {"training of f_t, batch 8": 2.0, "edit, 40 steps, batch 8": 100.0}
    figures |= {f"{figure}, 1 thread": value * 1.5 for figure, value in figures.items()}
    monkeypatch.setattr(module.os, "cpu_count", lambda: 4)
    rows = [{"figure": figure, "value": value} for figure, value in figures.items()]
    bench = lambda domain: results.save_result(
        "bench_cpu", {"rows": rows}, {"domain": domain}, started=0.0, replace=True
    )
    bench("another")
    assert hours(shipped, tasks(shipped, seeds=1), 2) is None
    bench("tiny")
    todo = [one for one in tasks(shipped, seeds=1) if one.name == "grid own"]
    times = len(interval_pairs(40, 700, 1000, last=True))
    steps = 2 * 2 * 2 * times  # two seeds, two epochs, two images
    images = 2 * 3 * (2 + 1)  # two seeds, three faces, at strengths 0 and 1, and at 1 after the first epoch
    wanted = (steps / 2 + images * 100) / 3600
    assert hours(shipped, todo, 2) == pytest.approx((wanted, wanted))
    assert hours(shipped, [], 2)[0] == 0 and hours(shipped, todo + todo, 2)[0] == pytest.approx(wanted)
    side_by_side = (steps / 3 + images * 150) / 4 / 3600  # four processes of one thread
    assert hours(shipped, todo, 4)[0] == pytest.approx(side_by_side)
    run_missing(shipped, ["grid own"], dry=True)
    assert f"at most about {wanted:.1f} hours" in capsys.readouterr().out
