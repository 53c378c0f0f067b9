"""Ablations: every cell of a grid (`runs.grid`) trained, and its f_t measured after each of its epochs.

What a cell has done lies in its run's folder, so that nothing is done again, by whichever grid.  Its rows
have no names there: those are the grid's that reads them.
"""

import hashlib
import inspect
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from .. import check
from ..api import invert
from ..deltas import Delta, load_delta, save_delta
from ..domains import Domain
from ..errors import FileError, ImageError, SettingsError, UnknownNameError, WeightsError
from ..measure import judge, scores
from ..method import distributed
from ..method.state import batches_done
from ..runs.grid import Cell, Grid, cells
from ..runs.launch import Task, in_stages
from ..runs.run import RunConfig, folder_of, networks, optimiser_steps, train_run
from ..store import results
from ..store.files import atomic_write, lock, locked
from ..store.paths import cache_dir, runs_dir
from ..store.weights import module_digest, read_weights
from . import judges
from .rows import COLUMNS, joined, numbers
from .teach import lengths
from .trial import Run, Trial, choosing
from .unseen import apart

#: Seconds for which a cell waits for another process that is at it, before it is left to that one: no more
#: than who asks whether it is locked holds it, so that two processes on one grid soon take different cells.
LOCK_WAIT = 5
#: The loss is given at this many times, from T down to t_edit.
LOSS_TIMES = 4


class Table(NamedTuple):
    """Of a grid: all rows, the file that keeps them, and label -> why, of the cells that failed."""

    rows: pd.DataFrame
    file: Path
    failed: dict[str, str]


def run_grid(
    file: str | Path, domain: Domain, grid: Grid, *, lanes=2, cluster=None, device=None, replace=False
) -> Table:
    """Run what is missing of a grid, `lanes` cells at a time, or as jobs of a `cluster`, and store all rows.

    A cell that fails, or whose rows are not there in the end, has a row "failed", and what it measured
    before; the next call tries it again.
    `device`: that the cells shall run on; `replace`: see `store.results.save_result`.  SettingsError,
    ImageError: a grid that makes no cells, or wants more faces than there are, or one whose name another
    has, unless `replace`; said before anything is run.
    """
    check.whole("lanes", lanes, 1, 64, error=SettingsError)
    name = f"{domain.name}_grid_{grid.name}"
    with suppress(WeightsError):  # nothing is stored
        then = results.load_result(name, "")["provenance"]["settings"]
        if not replace and (other := differing(domain, grid, then)):
            raise SettingsError(
                f"What is stored of a grid {grid.name!r} has other {', '.join(other)}; expected a name that "
                "no other grid has; give one, or say --replace to write over what is stored."
            )
    started, todo = time.monotonic(), tasks(file, grid, domain, device)
    Trial(domain, grid.faces, split=split_of(domain, grid)).x_0  # noqa: B018 (are there so many faces?)
    if grid.split not in (None, split := split_of(domain, grid)):
        seen = f"measured on {split} images, which f_t may have seen"
        print(f"{domain.name} has no {grid.split} images: {seen}")
    missing = sum(task.state() != "done" for task in todo)
    print(f"{missing} of {len(todo)} cells to do", flush=True)
    if missing and cache_dir() and not cluster:
        _make_shared(domain, grid)
    failed = {}
    outcomes = in_stages(todo, lanes=lanes, cluster=cluster, title=f"grid {grid.name}")
    for task, outcome in outcomes:
        label = task.name.removeprefix(f"{grid.name}: ")
        print(f"{label}: {outcome}", flush=True)
        failed |= {label: outcome} if outcome != "done" else {}
    for task in tasks(file, grid, domain):  # by the code of now, as `table` looks for their rows
        if task.state() != "done" and (label := task.name.removeprefix(f"{grid.name}: ")) not in failed:
            failed[label] = "its rows are not those of this grid: did its file, or code, change meanwhile?"
            print(f"{label}: {failed[label]}", flush=True)
    rows, f_t = table(domain, grid, failed)
    settings = asdict(grid) | {"split": split_of(domain, grid), "failed": failed}
    digests = judges(domain) | {"cells": cells_digest(domain, grid)} | f_t
    made_with = {"started": started, "device": domain.unet.device, "digests": digests}
    return Table(rows, results.save_rows(name, rows, settings, **made_with, replace=replace), failed)


def tasks(file: str | Path, grid: Grid, domain: Domain, device: str | None = None) -> list[Task]:
    """One for each cell, as `launch.side_by_side` runs them."""
    where, made, keys = ("--device", device) if device else (), [], _keys(domain, grid)
    for label, cell in cells(grid, domain).items():
        folder = folder_of(cell.config, domain)
        command = (*where, "grid", str(Path(file).absolute()), "--cell", label, "--domain", grid.domain)
        files = list(_files(folder, keys).values())
        state = lambda files=files: "done" if all(file.exists() for file in files) else "missing"
        busy = lambda folder=folder: locked(folder / "cell") or locked(folder)
        made.append(Task(f"{grid.name}: {label}", 0, command, state, busy))
    return made


def measure_cell(domain: Domain, grid: Grid, label: str, *, progress: bool = True) -> pd.DataFrame:
    """Train one cell and measure it after each of the grid's epochs; what is there already is read.

    Returns rows, see `table`: of each image `judge.scores`, where the domain draws targets "distance to
    target" and "error to target", and at strength 1 `teach.lengths`; of the cell "parameters", and "start
    steps" of the optimiser if it starts from another run; of each epoch its own "steps" and their "seconds"
    up to there, and the parts of the loss, their mean and "… at t" at a few t.  Other strengths and `curve`
    are of the last epoch.  UnknownNameError: no such cell; SettingsError: within a training on several
    processes; FileError: another process is at it.
    """
    if distributed.count() > 1:
        raise SettingsError("The cells of a grid are processes of their own; leave out accelerate launch.")
    if (cell := cells(grid, domain).get(label)) is None:
        raise UnknownNameError(f"The grid has no cell {label!r}; known are {', '.join(cells(grid, domain))}.")
    folder = folder_of(cell.config, domain)
    files = _files(folder, _keys(domain, grid))
    with lock(folder / "cell", wait=LOCK_WAIT):
        for epoch, file in files.items():
            if not file.exists():
                rows = _measured(domain, grid, cell.config, epoch, progress)
                with atomic_write(file) as temporary:
                    rows.drop(columns="variant").to_csv(temporary, index=False)
    return _rows(cell, files)


def table(domain: Domain, grid: Grid, failed: Mapping[str, str] = {}) -> tuple[pd.DataFrame, dict[str, str]]:
    """All rows of a grid that are there, and digests of the f_t that they are of.

    Beside `rows.COLUMNS` they have "epoch", and a column for each setting that the grid varies.  A cell that
    `failed` has a row of that score without an epoch.
    """
    parts, f_t, keys = [], {}, _keys(domain, grid)
    for label, cell in cells(grid, domain).items():
        folder = folder_of(cell.config, domain)
        files = {epoch: file for epoch, file in _files(folder, keys).items() if file.exists()}
        parts.append(_rows(cell, files, label in failed))
        for epoch in files:
            f_t[f"f_t {label}, epoch {epoch}"] = _snapshot(folder, epoch).with_suffix(".digest").read_text()
    return pd.concat(parts, ignore_index=True), f_t


def _rows(cell: Cell, files: Mapping[int, Path], failed: bool = False) -> pd.DataFrame:
    """What is in a cell's files, under the names of its grid."""
    parts = [_read(file).assign(epoch=epoch) for epoch, file in files.items()]
    if failed:
        where = {"edit": cell.config.edit.name, "seed": cell.config.training.seed}
        parts.append(numbers({"failed": 1.0}, **where).assign(epoch=None))
    rows = joined([part.reindex(columns=[*COLUMNS, "epoch"]) for part in parts])
    rows["variant"] = pd.array([cell.variant] * len(rows), dtype="string")
    axes = {axis: value for axis, value in cell.settings.items() if axis not in COLUMNS}
    return rows.assign(epoch=rows["epoch"].astype("Int64"), **axes)


def cells_digest(domain: Domain, grid: Grid) -> str:
    """Of all runs of a grid, with what the domain's edits say of them."""
    on = networks(domain)  # once: to digest them takes as long as all else
    runs = {k: folder_of(cell.config, domain, on=on).name for k, cell in cells(grid, domain).items()}
    return hashlib.sha256(json.dumps(runs, sort_keys=True).encode()).hexdigest()


def differing(domain: Domain, grid: Grid, stored: Mapping) -> list[str]:
    """What a grid says otherwise than the settings of stored rows."""
    said = json.loads(json.dumps(asdict(grid) | {"split": split_of(domain, grid)}))  # tuples are lists there
    return [key for key in said if key != "domain" and stored.get(key) != said[key]]  # it may be a path


def _read(file: Path) -> pd.DataFrame:
    """What `to_csv` wrote; FileError: not all of it, as when a copy of runs/ was interrupted."""
    if not file.read_bytes().endswith(b"\n"):
        raise FileError(f"{file} is not whole; expected all its rows; delete it, and run the grid again.")
    return pd.read_csv(file, float_precision="round_trip")


def split_of(domain: Domain, grid: Grid) -> str:
    """The faces of a grid's measurement; "train" where it asks for validation faces and there are none."""
    if grid.split == "test":
        return grid.split
    split = choosing(domain)
    return "test" if split == "train" and not grid.split else split


def _keys(domain: Domain, grid: Grid) -> dict[int, str]:
    """epoch -> key of all that measuring a cell after it depends on besides its run, the code included."""
    asked = [grid.faces, split_of(domain, grid), judges(domain)]
    asked += [inspect.getsource(part) for part in (judge, scores, _measured, curve, lengths, apart)]
    text = {e: [*asked, _strengths(grid, e), e == grid.epochs[-1]] for e in grid.epochs}
    digest = lambda part: hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()[:12]
    return {epoch: digest(part) for epoch, part in text.items()}


def _strengths(grid: Grid, epoch: int) -> list[float]:
    """Those that are measured after an epoch, rising; 0 is the reconstruction, where every curve begins."""
    return sorted({*grid.strengths, 0.0, 1.0}) if epoch == grid.epochs[-1] else [1.0]


def _files(folder: Path, keys: Mapping[int, str]) -> dict[int, Path]:
    """epoch -> file of its rows."""
    return {epoch: folder / f"{key}-{epoch}.csv" for epoch, key in keys.items()}


def _measured(domain: Domain, grid: Grid, config: RunConfig, epoch: int, progress: bool) -> pd.DataFrame:
    """The rows of one epoch of a cell."""
    delta, history, seconds = _after(domain, config, epoch, progress)
    name, split = config.edit.name, split_of(domain, grid)
    trial = Trial(domain, grid.faces, config.training.steps, split=split, progress=progress)
    where, parts = {"edit": name, "seed": config.training.seed}, []
    target = domain.targets(name, split, grid.faces) if domain.target_source else None
    for strength in _strengths(grid, epoch):
        edited, sizes, _ = lengths(trial, delta) if strength == 1 else (trial.edit({delta: strength}), {}, {})
        sizes = sizes if target is None else sizes | apart(domain.distance, edited, {"target": target})
        run = Run(trial, {delta: strength}, {**where, "strength": strength})
        parts.append(run.rows(trial.scores(name, edited).assign(**sizes)))
        if domain.oracle is not None:
            worst = judge.worst(domain, config.edit, trial.plain, edited)
            parts.append(numbers({"worst": worst}, **run.where))
    single = {"parameters": sum(p.numel() for p in delta.parameters()), "steps": len(history)}
    single |= {} if seconds is None else {"seconds": seconds}
    single |= {"start steps": optimiser_steps(config.start, domain)} if config.start else {}
    single |= curve(history) if epoch == grid.epochs[-1] else {}
    last = history[history["epoch"] == epoch - 1].drop(columns=["epoch", "batch"])
    single |= last.drop(columns="t").mean().to_dict()
    times = sorted(last["t"].unique(), reverse=True)
    for t in {times[round(k * (len(times) - 1) / (LOSS_TIMES - 1))]: None for k in range(LOSS_TIMES)}:
        at = last[last["t"] == t].drop(columns="t").mean()
        single |= {f"{part} at {t}": value for part, value in at.items()}
    return joined([*parts, numbers(single, **where)])


def curve(history: pd.DataFrame) -> dict[str, float]:
    """ "loss of batch k", k from 1 over the whole training, -> the mean over the batch's times; of its parts
    likewise.
    """
    means = history.drop(columns="t").groupby(["epoch", "batch"]).mean()
    return {f"{part} of batch {k}": float(v) for part in means for k, v in enumerate(means[part], 1)}


def after(domain: Domain, config: RunConfig, epoch: int, progress: bool = False) -> Delta:
    """f_t of a run after an epoch, as a grid's cell has it: read where it is there, trained where not."""
    return _after(domain, config, epoch, progress)[0]


def _after(
    domain: Domain, config: RunConfig, epoch: int, progress: bool
) -> tuple[Delta, pd.DataFrame, float | None]:
    """f_t after an epoch, its history, and the seconds of its optimiser steps; kept beside the run."""
    file = _snapshot(folder_of(config, domain), epoch)
    curve = file.with_suffix(".csv")
    if not (file.exists() and curve.exists()):
        root, batches = None, -(-config.images // config.training.batch_size)
        while batches_done(folder := folder_of(config, domain, root)) > epoch * batches:
            root = folder / "again"  # that run has gone past this epoch: train it anew up to there
        config = replace(config, training=replace(config.training, epochs=epoch))
        run = train_run(config, domain, root=root, starts=runs_dir(), progress=progress)
        with atomic_write(curve) as temporary:
            run.history.to_csv(temporary, index=False)
        digest = file.with_suffix(".digest")  # rows need it, also where f_t is not kept
        with atomic_write(digest) as temporary:
            temporary.write_text(module_digest(run.delta))
        save_delta(file, run.delta, read_weights(run.file)[1]["card"])
    seconds = read_weights(file)[1]["card"]["step_seconds"]
    return load_delta(file).to(domain.unet.device), _read(curve), seconds


def _snapshot(folder: Path, epoch: int) -> Path:
    return folder / f"epoch {epoch}.safetensors"


def _make_shared(domain: Domain, grid: Grid) -> None:
    """What cells share and the cache keeps, made once before they run side by side: inversions, and the
    faces' reconstructions.
    """
    configs = [cell.config for cell in cells(grid, domain).values()]
    configs += [config.start for config in configs if config.start]
    for steps in {config.training.steps for config in configs}:
        Trial(domain, grid.faces, steps, split_of(domain, grid), progress=True).plain  # noqa: B018
    for n, steps in {(c.images, c.training.steps) for c in configs if not c.from_noise}:
        with suppress(ImageError):  # too few of them: its cells will say so
            invert(domain, domain.images("train", n), steps=steps)
