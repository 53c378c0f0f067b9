"""Grids: one f_t for every combination of settings, each measured after its epochs, side by side, resumable.

A grid is declared in a file, see `Grid`.  A *cell* is one combination: a run (`runs.run`) whose folder also
keeps the rows of every epoch that is measured, so that nothing that was done is done again.
"""

import hashlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import yaml
from pydantic import Field

from .. import check
from ..check import Real64, Whole
from ..deltas import Delta, load_delta, save_delta
from ..domains import Domain
from ..errors import SettingsError, TrainingError
from ..measure.stats import over_seeds
from ..method.train import TrainSettings
from ..progress import tqdm
from ..runs.run import RunConfig, config_for, folder_of, train_run
from ..store import results
from ..store.files import atomic_write, lock
from ..store.paths import runs_dir
from ..store.weights import read_weights
from . import judges
from .reproduce import Task, reproduce
from .rows import COLUMNS, joined, numbers
from .teach import lengths
from .trial import Run, Trial

#: Seconds for which a process waits for a cell that another one is computing.
PATIENCE = 86_400
#: Losses are followed at this many times, from T down to t_edit.
FOLLOWED = 4

Count = Annotated[Whole, Field(ge=1, le=10_000)]


@check.settings
class Grid:
    """What a grid's file says, YAML or JSON.

    Attributes:
        name: of the result, `<domain>_grid_<name>`.
        vary: path of a setting -> its values, e.g. "delta.heads": [1, 2], "training.seed": [0, 1, 2], "edit",
            "images"; every combination is a cell.
        edit, delta, training, images: what the cells share; see `RunConfig`.
        epochs: after which f_t are measured, rising; the last is how long they are trained.
        n, split, strengths: faces and strengths of the measurement.
    """

    name: str
    vary: dict[str, list]
    domain: str = "synthfaces"
    edit: str = "smiling"
    delta: dict | None = None
    training: dict = Field(default_factory=dict)
    images: Count | None = None
    epochs: list[Count] = Field(default_factory=lambda: [1, 2, 3, 4])
    n: Count = 12
    split: str = "test"
    strengths: list[Real64] = Field(default_factory=lambda: [1.0])

    @property
    def result(self) -> str:
        """Name of the stored rows."""
        return f"{self.domain}_grid_{self.name}"


def read_grid(file: str | Path) -> Grid:
    """The grid that a file declares; SettingsError: it says nothing that makes one."""
    table, known = _yaml(file, "a grid"), Grid.__dataclass_fields__
    if unknown := [str(key) for key in table if key not in known]:
        raise SettingsError(f"{file} says {', '.join(unknown)}; expected {', '.join(known)}; mend it.")
    if missing := [name for name in ("name", "vary") if name not in table]:
        raise SettingsError(
            f"{file} lacks {' and '.join(missing)}; expected at least name and vary; add them."
        )
    return Grid(**table)


def _yaml(file: str | Path, what: str) -> dict:
    file = check.path(file, error=SettingsError)
    try:
        table = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        why = " ".join(str(error).split())[:200]
        raise SettingsError(f"{file} can't be read as YAML ({why}); expected {what}; check it.") from error
    if not isinstance(table, dict):
        raise SettingsError(f"{file} holds a {type(table).__name__}; expected {what} as a table; mend it.")
    return table


def cells(grid: Grid, domain: Domain) -> dict[str, RunConfig]:
    """label -> run of each combination, in the order of the file; the seed stands last in a label.

    SettingsError: a path that leads nowhere, or two combinations that are one run.
    """
    paths = sorted(grid.vary, key=lambda path: path == "training.seed")
    found: dict[str, RunConfig] = {}
    for values in product(*(grid.vary[path] for path in paths)):
        own: dict[str, Any] = {"edit": grid.edit, "images": grid.images, "delta": dict(grid.delta or {})}
        own["training"] = {"epochs": grid.epochs[-1], **grid.training}
        for path, value in zip(paths, values):
            part, _, key = path.partition(".")
            if part not in own or bool(key) != isinstance(own[part], dict):
                raise SettingsError(
                    f"The grid varies {path!r}; expected edit, images, delta.<option> or training.<setting>."
                )
            if key:
                own[part][key] = value
            else:
                own[part] = value
        training, delta = own.pop("training"), own.pop("delta")
        if unknown := training.keys() - TrainSettings.__dataclass_fields__.keys():
            raise SettingsError(f"A training has no setting {', '.join(sorted(unknown))}; mend the grid.")
        config = config_for(domain, own.pop("edit"), delta=delta or None, **own, **training)
        label = ", ".join(f"{path.rpartition('.')[2]} {value}" for path, value in zip(paths, values))
        if config in found.values():
            raise SettingsError(f"The cell {label!r} is the same run as another; leave one of them out.")
        found[label] = config
    return found


def variant(label: str, epoch: int) -> str:
    """How the rows of a cell after an epoch are called: without its seed, which has a column of its own."""
    settings = [part for part in label.split(", ") if not part.startswith("seed ")]
    return ", ".join([*settings, f"epoch {epoch}"])


def measure_cell(domain: Domain, grid: Grid, label: str, *, progress: bool = True) -> pd.DataFrame:
    """Train one cell and measure it after each of the grid's epochs; what is there already is read.

    Returns rows by `variant`: of each image `judge.scores`, and at strength 1 `teach.lengths`; of the cell
    "parameters", and of each epoch "seconds" and the parts of the loss, their mean and "… at t" at a few t.
    """
    config = cells(grid, domain)[label]
    folder, parts = folder_of(config, domain), []
    with lock(folder / "cell", wait=PATIENCE):
        for epoch in sorted(grid.epochs):
            file = folder / f"{_key(domain, grid)}-{epoch}.csv"
            if not file.exists():
                rows = _measured(domain, grid, label, config, epoch, progress)
                with atomic_write(file) as temporary:
                    rows.to_csv(temporary, index=False)
            parts.append(pd.read_csv(file).reindex(columns=COLUMNS))
    return joined(parts)


def _key(domain: Domain, grid: Grid) -> str:
    """Of all that measuring a cell depends on besides its run."""
    asked = [grid.n, grid.split, sorted(grid.strengths), judges(domain)]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]


def _measured(domain, grid: Grid, label: str, config: RunConfig, epoch: int, progress: bool) -> pd.DataFrame:
    """The rows of one epoch of a cell."""
    delta, history, seconds = _after(domain, config, epoch, progress)
    trial = Trial(domain, grid.n, config.training.steps, split=grid.split, progress=progress)
    where = {"edit": config.edit.name, "variant": variant(label, epoch), "seed": config.training.seed}
    parts = []
    for strength in sorted({*grid.strengths, 1.0}):
        edited, sizes, _ = lengths(trial, delta) if strength == 1 else (trial.edit({delta: strength}), {}, {})
        run = Run(trial, {delta: strength}, {**where, "strength": strength})
        parts.append(run.rows(trial.scores(config.edit.name, edited).assign(**sizes)))
    about = {"parameters": sum(p.numel() for p in delta.parameters()), "seconds": seconds}
    last = history[history["epoch"] == epoch - 1].drop(columns=["epoch", "batch"])
    about |= last.drop(columns="t").mean().to_dict()
    times = sorted(last["t"].unique(), reverse=True)
    for t in {times[round(k * (len(times) - 1) / (FOLLOWED - 1))]: None for k in range(FOLLOWED)}:
        at = last[last["t"] == t].drop(columns="t").mean()
        about |= {f"{part} at {t}": value for part, value in at.items()}
    return joined([*parts, numbers(about, **where)])


def _after(domain, config: RunConfig, epoch: int, progress: bool) -> tuple[Delta, pd.DataFrame, float]:
    """f_t after an epoch, its history, and the seconds of its training up to there; kept beside the run."""
    folder = folder_of(config, domain)
    file, about = folder / f"epoch {epoch}.safetensors", folder / f"epoch {epoch}.csv"
    if not file.exists():
        run = train_run(
            replace(config, training=replace(config.training, epochs=epoch)), domain, progress=progress
        )
        with atomic_write(about) as temporary:
            run.history.to_csv(temporary, index=False)
        save_delta(file, run.delta, read_weights(run.file)[1]["card"])
    card = read_weights(file)[1]["card"]
    return load_delta(file).to(domain.unet.device), pd.read_csv(about), card["provenance"]["seconds"]


def tasks(file: Path, grid: Grid, domain: Domain) -> list[Task]:
    """One for each cell, as `reproduce` runs them."""
    found = []
    for label, config in cells(grid, domain).items():
        rows = [folder_of(config, domain) / f"{_key(domain, grid)}-{epoch}.csv" for epoch in grid.epochs]
        state = lambda rows=rows: "done" if all(row.exists() for row in rows) else "missing"
        found.append(Task(f"{grid.name}: {label}", 0, ("grid", str(file), "--cell", label), state))
    return found


def on_cluster(todo: list[Task], file: Path) -> Iterator[tuple[Task, str]]:
    """As `reproduce`, by jobs of submitit: `file` says which cluster and what its executor is told.

    SettingsError: the file or submitit is missing, or it does not know what the file says.
    """
    table = _yaml(file, "the settings of a cluster")
    try:
        import submitit

        executor = submitit.AutoExecutor(runs_dir() / "cluster", cluster=table.pop("cluster", None))
        executor.update_parameters(**table)
    except (ImportError, TypeError, ValueError, NameError, RuntimeError) as error:
        raise SettingsError(
            f"{file} starts no cluster ({error}); install submitit, or mend the file."
        ) from error
    todo = [task for task in todo if task.state() != "done"]
    with executor.batch():
        run = lambda task: submitit.helpers.CommandFunction(
            [sys.executable, "-m", "asyrp_lib", *task.command]
        )
        jobs = [executor.submit(run(task)) for task in todo]
    for task, job in zip(todo, tqdm(jobs, unit="cell", desc="cluster")):
        error = job.exception()
        yield (
            task,
            "done" if error is None else f"{str(error).strip().splitlines()[-1]} (see {job.paths.stderr})",
        )


def run_grid(
    file: str | Path, domain: Domain, grid: Grid, *, lanes=2, cluster: Path | None = None, replace=False
) -> Path:
    """Run what is missing of a grid, `lanes` cells at a time, or on a cluster, and store all rows.

    TrainingError: some cells failed; the others are kept, and the next call goes on with those.
    """
    check.whole("lanes", lanes, 1, 64, error=SettingsError)
    started, failed, todo = time.monotonic(), {}, tasks(Path(file), grid, domain)
    for task, said in on_cluster(todo, cluster) if cluster else reproduce(todo, lanes=lanes):
        print(f"{task.name}: {said}", flush=True)
        failed |= {task.name: said} if said != "done" else {}
    if failed:
        raise TrainingError(
            f"{len(failed)} cells failed: {', '.join(failed)}; the others are kept; see above."
        )
    return store_grid(domain, grid, started, replace=replace)


def store_grid(domain: Domain, grid: Grid, started: float, *, replace: bool = False) -> Path:
    """All rows of a grid whose cells are done, with what made them."""
    rows = joined([measure_cell(domain, grid, label, progress=False) for label in cells(grid, domain)])
    made_by = {"started": started, "device": domain.unet.device, "digests": judges(domain)}
    return results.save_rows(grid.result, rows, asdict(grid), **made_by, replace=replace)


def summary(rows: pd.DataFrame, *scores: str) -> pd.DataFrame:
    """variant × score at strength 1, or of none: `over_seeds`."""
    table = {}
    for (name, score), part in rows[rows["score"].isin(scores)].groupby(["variant", "score"], sort=False):
        part = part[part["strength"].isna() | (part["strength"] == 1)]
        table.setdefault(str(name), {})[str(score)] = over_seeds(part)
    return pd.DataFrame.from_dict(
        table, orient="index", columns=[s for s in scores if s in set(rows["score"])]
    )
