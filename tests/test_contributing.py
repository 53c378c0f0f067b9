"""The worked examples of CONTRIBUTING.md do what it says."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
import torch
from toys import tiny_unet

import asyrp_lib as al
from asyrp_lib.deltas import Delta, build_delta, load_delta, save_delta
from asyrp_lib.domains.edits import Edit
from asyrp_lib.errors import OfflineError
from asyrp_lib.experiments import ablation
from asyrp_lib.experiments.ablation import measure_cell
from asyrp_lib.experiments.rows import numbers, pick
from asyrp_lib.runs import run as runs
from asyrp_lib.runs.grid import Grid, cells, read_grid
from asyrp_lib.store import results

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = {
    title: code
    for part in (ROOT / "CONTRIBUTING.md").read_text().split("\n## ")[1:]
    for title in [part.splitlines()[0]]
    for code in re.findall(r"```python\n(.*?)```", part, re.DOTALL)
}


def names(title: str) -> dict:
    """What the example under a heading defines."""
    space = {"__name__": "example"}
    exec(compile(EXAMPLES[title], title, "exec"), space)
    return space


def test_the_domain_is_loaded_and_says_what_is_missing_when_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_unet().save_pretrained("cats/model/unet")
    domain = names("Add a domain")["load_cats"](torch.device("cpu"))
    assert domain.resolution == 16 and domain.edit_named("sleepy").t_edit == 500
    with pytest.raises(OfflineError, match="cats/images.*put some there"):
        domain.images("test", 1)


def test_the_delta_is_built_by_its_kind_starts_at_zero_and_is_read_as_it_was_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(Delta, "kinds", dict(Delta.kinds))
    names("Add a Δh")
    delta, h = build_delta({"kind": "LinearDelta"}, (8, 4, 4), 16), torch.randn(2, 8, 4, 4)
    assert not delta(h, None, 500).any()
    torch.nn.init.ones_(delta.conv.weight)
    save_delta(tmp_path / "linear.safetensors", delta, {})
    assert torch.equal(load_delta(tmp_path / "linear.safetensors")(h, None, 500), delta(h, None, 500))


def test_the_experiment_sees_twice_the_strength_go_farther(toy):
    rows = names("Add an experiment")["measure"](toy, n=3, names=["green"], progress=False)
    aimed = pick(rows, "aimed").groupby("strength")["value"].mean()
    assert aimed[2.0] > 1.5 * aimed[1.0] > 0


def test_the_ablation_is_a_grid_that_can_be_built_and_its_cell_shows_differences(
    tiny, tmp_path, monkeypatch, capsys
):
    text = re.search(r"```yaml\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)[1]
    (tmp_path / "width.yaml").write_text(text)
    grid = read_grid(tmp_path / "width.yaml")
    tiny.edits["smiling"] = Edit("smiling", "face", "smiling face", t_edit=700)
    table = cells(Grid(**vars(grid) | {"delta": {**grid.delta, "groups": 4}}), tiny)
    assert list(table)[:2] == ["feed_forward 512, seed 0", "feed_forward 512, seed 1"] and len(table) == 6
    scores = {"feed_forward 512": 0.25, "feed_forward 2048": 0.75}
    rows = [
        numbers({"loss": x + s}, variant=v, seed=s).assign(epoch=2)
        for v, x in scores.items()
        for s in range(3)
    ]
    monkeypatch.setattr(results, "load_rows", lambda name, command: (pd.concat(rows), {}))
    names("Add an ablation")
    assert "0.50 [0.50, 0.50]" in capsys.readouterr().out


def test_the_ablation_imports_what_there_is():
    nodes = [n for n in ast.walk(ast.parse(EXAMPLES["Add an ablation"])) if isinstance(n, ast.ImportFrom)]
    for node in nodes:
        assert all(hasattr(import_module(node.module), alias.name) for alias in node.names)


def test_readmes_own_question_is_one_file_and_one_cell(tiny, tmp_path, monkeypatch):
    part = (ROOT / "README.md").read_text().partition("### Ask something of your own\n")[2]
    (file := tmp_path / "batches.yaml").write_text(re.search(r"```yaml\n(.*?)```", part, re.DOTALL)[1])
    cell = re.search(r"```python\n(.*?)```", part, re.DOTALL)[1]
    tiny.name, tiny.edits["smiling"] = "synthfaces", Edit("smiling", "face", "smiling face", t_edit=700)
    monkeypatch.setattr(al, "load_domain", lambda name: {"synthfaces": tiny}[name])
    for module in (results, ablation, runs):
        monkeypatch.setattr(module, "runs_dir", lambda: tmp_path)
    monkeypatch.setattr(results, "data_dir", lambda: tmp_path)
    grid = read_grid(file)
    grid = Grid(**vars(grid) | {"delta": {**grid.delta, "groups": 4}, "faces": 2})  # sizes of a stand-in
    assert list(cells(grid, tiny))[0] == "batch_size 1, seed 0"

    def here(todo, **how):
        return [
            (task, measure_cell(tiny, grid, task.name.partition(": ")[2]) is None or "done") for task in todo
        ]

    monkeypatch.setattr(ablation, "in_stages", here)
    assert not ablation.run_grid(file, tiny, grid).failed
    *lines, last = ast.parse(cell).body
    assert isinstance(last, ast.Expr)
    space = {}
    exec(compile(ast.Module(lines, []), "README", "exec"), space)
    shown = eval(compile(ast.Expression(last.value), "README", "eval"), space)
    assert list(shown.index) == [("batch_size 1", 1), ("batch_size 4", 1)]
    assert {"S_dir", "loss"} <= set(shown.columns) and "[" in shown.loc["batch_size 4", "loss"].iloc[0]
