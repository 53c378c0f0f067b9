"""The shipped grids and notebooks on celeba_hq, rehearsed from first to last with a small stand-in."""

import shutil
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import stand_in
import torch
import yaml
from IPython.core.interactiveshell import InteractiveShell

import asyrp_lib as al
from asyrp_lib.cli import main
from asyrp_lib.errors import DomainError
from asyrp_lib.experiments import ablation, compare, store
from asyrp_lib.experiments.rows import COLUMNS
from asyrp_lib.runs.grid import Grid, cells, read_grid
from asyrp_lib.store import paths, results

ROOT = Path(__file__).resolve().parent.parent
GRIDS = [file for file in sorted((ROOT / "ablations").glob("*.yaml")) if file.stem != "slurm"]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("1[1-8]_*.ipynb"))
#: What makes a cell short.
SHORT = {"epochs": [1], "faces": 1, "train_images": 1, "strengths": [1.0]}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """celeba_hq's stand-in; all that is written lies beside it, and cells run in this process."""
    home = tmp_path_factory.mktemp("real")
    with pytest.MonkeyPatch.context() as put:
        stand_in.furnish(home, put)
        for name in ("runs_dir", "data_dir"):
            real = getattr(paths, name)
            for module in [m for n, m in sys.modules.items() if n.startswith("asyrp_lib")]:
                if getattr(module, name, None) is real:
                    put.setattr(module, name, lambda name=name: home / name)
        put.setattr(ablation, "in_stages", in_this_process)
        (home / "data_dir").mkdir()
        for name in ("published.json", "trial.json"):
            shutil.copy(ROOT / "data" / name, home / "data_dir")
        yield home


def in_this_process(todo, **how):
    """The tasks of a grid, one by one."""
    for task in todo:
        if task.state() != "done":
            yield task, "done" if main(list(task.command)) == 0 else "failed"


def last_cell(file: Path, to: Path) -> Path:
    """A grid with one cell, the last of each axis, and what makes it short."""
    table = yaml.safe_load(file.read_text())
    last = lambda choice: dict([list(choice.items())[-1]]) if isinstance(choice, dict) else choice[-1:]
    table["vary"] = {path: last(choice) for path, choice in table["vary"].items()}
    table["training"] = table["training"] | {"steps": stand_in.STEPS}
    (to / file.name).write_text(yaml.safe_dump(table | SHORT, sort_keys=False, allow_unicode=True))
    return to / file.name


@pytest.mark.parametrize("file", GRIDS, ids=lambda file: file.stem)
def test_a_cell_of_every_shipped_grid_runs_and_shows_what_can_be_known(home, file, tmp_path, capsys):
    short = last_cell(file, tmp_path)
    assert main(["--device", "cpu", "grid", str(short), "--domain", "celeba_hq", "--list"]) == 0
    assert "1 of 1 cells to do" in capsys.readouterr().out
    assert main(["--device", "cpu", "grid", str(short), "--domain", "celeba_hq"]) == 0
    said = capsys.readouterr().out
    assert "S_dir" in said and "loss" in said and "aimed" not in said.partition("wrote ")[0].partition(":")[2]
    split = yaml.safe_load(file.read_text()).get("split", "test")
    assert ("no validation images: measured on train images" in said) == (split == "validation")
    rows = compare.stored_grid(al.load_domain("celeba_hq", device="cpu"), file.stem)
    assert {"S_dir", "distance", "clip", "length", "parameters"} <= set(rows["score"])
    assert not {"aimed", "worst", "distance to target", "SC"} & set(rows["score"])
    assert rows["value"].notna().all()
    with pytest.warns(UserWarning, match="no aimed.*compare at strength 1"):
        assert compare.at_effect(rows).empty
    for ask in (compare.brought, lambda rows: compare.chosen(rows, "edit", "epoch")):
        with pytest.raises(DomainError, match="no aimed.*choose by eye or by S_dir"):
            ask(rows)


@pytest.fixture(scope="module")
def measured(home):
    """Rows of every shipped grid with all its cells, and of the bias of two groups, as the stand-in has them.

    One cell of a grid is measured; the others are it again, a little otherwise: the form of the rows.
    """
    domain = al.load_domain("celeba_hq", device="cpu")
    for file in GRIDS:
        grid = read_grid(file, "celeba_hq")
        short = SHORT | {"training": grid.training | {"steps": stand_in.STEPS}, "faces": 2}
        table, parts = cells(Grid(**vars(grid) | short), domain), []
        rows = ablation.measure_cell(domain, Grid(**vars(grid) | short), list(table)[-1], progress=False)
        for number, cell in enumerate(table.values()):
            axes = {axis: value for axis, value in cell.settings.items() if axis not in COLUMNS}
            about = {"edit": cell.config.edit.name, "seed": cell.config.training.seed} | axes
            noise = 1 + 0.1 * torch.rand(len(rows), generator=torch.Generator().manual_seed(number)).numpy()
            of = rows[[*COLUMNS]].assign(value=rows["value"] * noise, variant=cell.variant, **about)
            parts += [of.assign(epoch=epoch) for epoch in grid.epochs]
        name = f"celeba_hq_grid_{grid.name}"
        results.save_rows(name, pd.concat(parts), {}, started=0.0, replace=True)
    how = {"n": 2, "names": ["pixar", "smiling"], "groups": {"skin": [[20, 47], [21, 33]]}}
    store(domain, "bias", **how, progress=False, replace=True)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_of_the_study_runs_from_first_to_last(measured, path, monkeypatch, tmp_path):
    monkeypatch.chdir(path.parent)
    monkeypatch.setenv("ASYRP_FIGURES", str(tmp_path))
    shell = InteractiveShell()
    shell.user_ns["display"] = lambda *shown: None
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            shell.run_cell(cell.source).raise_error()
            if "parameters" in cell.metadata.get("tags", []):
                shell.user_ns["DOMAIN"] = "celeba_hq"
