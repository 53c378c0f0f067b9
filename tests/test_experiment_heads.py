"""Heads at run time: the runs are those of the grid, and what another head count changes is measured."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toys import randomised

from asyrp_lib.deltas import StudyDelta
from asyrp_lib.errors import AsyrpError, SettingsError
from asyrp_lib.experiments import ablation, defaults, heads
from asyrp_lib.experiments.rows import joined, numbers, pick
from asyrp_lib.experiments.trial import Trial
from asyrp_lib.method.state import batches_done
from asyrp_lib.method.train import TrainSettings
from asyrp_lib.runs import run as runs
from asyrp_lib.runs.grid import Grid, cells, read_grid
from asyrp_lib.runs.run import config_for, folder_of

ROOT = Path(__file__).parents[1]
DELTA = {"layout": "pc", "groups": 4, "feed_forward": 8}
SMALL = {"n": 2, "names": ["warm"], "heads": (2, 4), "trainings": 2, "delta": DELTA, "images": 2, "epochs": 1}


@pytest.fixture
def here(tiny, monkeypatch, tmp_path):
    """The tiny domain with runs of its own and a short interval."""
    monkeypatch.setattr(runs, "runs_dir", lambda: tmp_path)
    tiny.edits["warm"] = replace(tiny.edits["warm"], t_edit=900)
    return tiny


def f_t(count: int, seed: int = 0, h_shape=(8, 4, 4), temb: int = 16) -> StudyDelta:
    about = {"name": "warm", "t_edit": 900}
    delta = StudyDelta(h_shape, temb, heads=count, **DELTA, **about)
    return randomised(delta, seed).eval().requires_grad_(False)


def grid(**changes) -> Grid:
    """Of the same runs as `SMALL`."""
    vary = {"delta.heads": [2, 4], "training.seed": [0, 1]}
    training = {"optimiser": "adamw", "lr": 1e-4, "batch_size": 4}
    plain = {"name": "heads", "vary": vary, "domain": "tiny", "edit": "warm", "train_images": 2, "faces": 2}
    return Grid(
        **plain | {"delta": {"kind": "StudyDelta", **DELTA}, "training": training, "epochs": [1]} | changes
    )


def test_every_f_t_edits_the_same_faces_with_its_own_count_and_with_one(here):
    rows = heads.measure(here, **SMALL, progress=False)
    assert set(rows["variant"]) == {f"{h} heads, run with {k}" for h in (2, 4) for k in (h, 1)}
    for variant in set(rows["variant"]):
        for seed in (0, 1):
            assert list(pick(rows, "distance", variant=variant, seed=seed)["image"]) == [0, 1]
            assert (pick(rows, "length", variant=variant, seed=seed)["value"] > 0).all()
    differing = pick(rows, "difference")
    assert set(differing["variant"]) == {"2 heads, run with 1", "4 heads, run with 1"}
    assert (differing["value"] > 0.001).all() and (differing["value"] < 2).all()
    again = heads.measure(here, **SMALL, progress=False)
    assert again.equals(rows), "the trainings are read"


def test_the_runs_are_those_of_the_grid_with_the_same_settings(here, monkeypatch):
    folders = {folder_of(cell.config, here) for cell in cells(grid(), here).values()}
    for label in cells(grid(epochs=[1, 2]), here):
        ablation.measure_cell(here, grid(epochs=[1, 2]), label, progress=False)
    assert all((folder / "epoch 1.safetensors").exists() for folder in folders) and len(folders) == 4
    monkeypatch.setattr(ablation, "train_run", lambda *a, **how: pytest.fail("a run is made again"))
    rows = heads.measure(here, **SMALL, progress=False)
    assert all(batches_done(folder) == 2 for folder in folders), "they went on to a second epoch"
    cell = ablation.measure_cell(here, grid(split="test"), "heads 4, seed 1", progress=False)
    same = lambda rows, variant: pick(rows, "length", variant=variant, seed=1, strength=1.0)["value"].tolist()
    assert same(rows, "4 heads, run with 4") == pytest.approx(same(cell, "heads 4"))


def test_by_default_the_cells_of_the_shipped_grid_are_read(tiny, tmp_path):
    own = defaults("heads")
    tiny.edits["smiling"] = replace(tiny.edits["warm"], name="smiling", t_edit=900)
    tiny.train_images, tiny.training = own["images"], TrainSettings()
    text = (ROOT / "ablations" / "heads.yaml").read_text().replace("layout: pc", "layout: pc, groups: 4")
    # a rate that is still to be chosen is a name between @
    (tmp_path / "heads.yaml").write_text(re.sub(r"@\w+@", str(own["lr"]), text))
    table = cells(read_grid(tmp_path / "heads.yaml", "tiny"), tiny)
    how = {key: own[key] for key in ("optimiser", "lr", "batch_size", "images")}
    for count in own["heads"]:
        for seed in range(own["trainings"]):
            delta = {"kind": "StudyDelta", **own["delta"], "groups": 4, "heads": count}
            config = config_for(tiny, "smiling", delta=delta, seed=seed, **how)
            assert config.digest(tiny) == table[f"heads {count}, seed {seed}"].config.digest(tiny)


def test_the_difference_is_that_of_both_shifts_of_the_same_h(here):
    trial = Trial(here, 2)
    right = f_t(4, h_shape=here.unet.h_shape, temb=here.unet.temb_dim)
    seen = []
    asking = right.register_forward_hook(lambda _, given, dh: seen.append((given, dh)))
    (_, _, own), (_, sizes, other) = heads.beside(trial, right, 1)
    asking.remove()
    assert (own, other) == (4, 1) and not right._forward_hooks
    wrong = right.with_heads(1)
    each = [(wrong(*given) - dh).flatten(1).norm(dim=1) / dh.flatten(1).norm(dim=1) for given, dh in seen]
    assert len(each) > 2, "of every time of the interval"
    assert sizes["difference"] == pytest.approx(torch.stack(each).mean(0).tolist(), rel=1e-4)
    assert min(sizes["difference"]) > 0.001


def test_an_f_t_whose_count_is_the_other_one_is_measured_once(here):
    trial, right = Trial(here, 1), f_t(1, h_shape=here.unet.h_shape, temb=here.unet.temb_dim)
    ((_, sizes, count),) = heads.beside(trial, right, 1)
    assert count == 1 and "difference" not in sizes


def rows_of(values: dict[tuple[int, int], float], score: str = "aimed"):
    parts = [
        numbers(
            {score: value + 0.01 * seed + 0.1 * image}, edit="a", variant=heads.called(*pair), seed=seed
        ).assign(image=image)
        for pair, value in values.items()
        for seed in range(3)
        for image in range(4)
    ]
    return joined(parts)


def test_what_is_lost_is_right_less_wrong_on_the_same_seeds_and_faces():
    rows = rows_of({(2, 2): 1.0, (2, 1): 0.75, (8, 8): 1.0, (8, 1): 1.5, (1, 1): 3.0})
    found = heads.lost(rows)["a"]
    assert list(found) == [2, 8]
    assert found[2].mean == pytest.approx(0.25) and found[8].mean == pytest.approx(-0.5)
    assert (found[2].seeds, found[2].faces) == (3, 4) and found[2].above(0) and found[8].below(0)
    assert heads.means(rows, "aimed", right=True)["a"][8].mean == pytest.approx(1.16)
    assert heads.means(rows, "aimed", right=False)["a"][8].mean == pytest.approx(1.66)
    assert heads.means(rows, "SC", right=True) == {}
    noisy = rows.copy()
    noisy.loc[noisy["variant"] == "2 heads, run with 1", "value"] = [3.0, -2.0] * 6
    assert not heads.lost(noisy)["a"][2].above(0), "what differs from face to face is not sure"


def test_head_counts_that_cannot_be_are_named(here):
    ask = lambda **how: heads.measure(here, **{**SMALL, **how}, progress=False)
    for bad in ((0,), (2.0,), ("two",)):
        with pytest.raises(SettingsError, match="heads = .*expected a whole number from 1"):
            ask(heads=bad)
    with pytest.raises(SettingsError, match="No head count is given"):
        ask(heads=())
    with pytest.raises(AsyrpError, match="3 heads do not divide"):
        ask(heads=(3,))
