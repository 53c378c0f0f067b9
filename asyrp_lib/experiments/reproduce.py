"""Everything behind `data/results` of a domain, from a declared list: what is there, stale, and to do."""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path

from .. import check
from ..domains import Domain
from ..errors import AsyrpError, DomainError, SettingsError, TrainingError, WeightsError
from ..measure.curve import CURVE, curve_digests
from ..progress import tqdm
from ..runs.grid import Grid, cells, read_grid
from ..runs.launch import Task, in_stages
from ..runs.run import RunConfig, config_for, optimiser_steps
from ..store.paths import in_checkout, repo_root
from ..store.results import load_result, load_rows, result_file
from ..store.weights import module_digest, read_weights
from . import EXPERIMENTS, PEOPLE, READS, ablation, defaults, judges, provenance, read_by

#: Experiments at another stage: settings come before the f_t that are trained with them, robustness reads
#: the lengths that homogeneity measures, and sealed faces are read when all else has come out well.
STAGES = {"settings": 1, "robustness": 4, "final": 5}


def tasks(domain: Domain, seeds: int = 5) -> list[Task]:
    """All of a domain: curve, f_t of every edit from every seed, experiments but those that people make, and
    the grids of `ablations/` whose edits it has.

    `seeds`: of each edit, 0 … seeds − 1.
    """
    here = ("--domain", domain.name)
    found = [Task("curve", 0, ("curve", *here, "--replace"), lambda: _curve(domain))]
    for name in domain.edits:
        for seed in range(seeds):
            command = ("train", name, *here, "--seed", str(seed), "--replace", "--keep-weak")
            state = lambda name=name, seed=seed: _f_t(domain, name, seed)
            found.append(Task(f"f_t of {name}, seed {seed}", 2, command, state))
    left_out = PEOPLE if domain.target_source else PEOPLE | {"settings"}
    for name in [name for name in EXPERIMENTS if name not in left_out]:
        command = ("experiment", name, *here, "--replace")
        state = lambda name=name: _experiment(domain, name)
        found.append(Task(f"experiment {name}", STAGES.get(name, 3), command, state))
    for file, grid in grids(domain).items():
        command = ("grid", str(file), *here, "--replace", "--lanes", "1")  # several grids are side by side
        state = lambda grid=grid: _grid(domain, grid)
        found.append(Task(f"grid {grid.name}", 3, command, state))
    return found


def states(some: Sequence[Task]) -> dict[Task, str]:
    """task -> its state, under a bar: to ask all of them takes a while."""
    return {task: task.state() for task in tqdm(some, desc="what is there", unit="task", leave=False)}


def check_fresh(domain: Domain) -> None:
    """AsyrpError: rows or f_t of a domain are stale."""
    if stale := [task.name for task, state in states(tasks(domain)).items() if state.startswith("stale")]:
        wanted = "expected what the networks of today do; reproduce them"
        raise AsyrpError(f"{', '.join(stale)}: stale; {wanted}: python -m asyrp_lib reproduce.")


def grids(domain: Domain) -> dict[Path, Grid]:
    """file -> the grid that it declares on a domain, of the repository's `ablations/`: those whose edits the
    domain has.  SettingsError: two of one name, whose rows would be one result.
    """
    files = sorted((repo_root() / "ablations").glob("*.yaml")) if in_checkout() else []
    declared = [file for file in files if "vary" in check.yaml_table(file, "a grid")]  # others: of a cluster
    found = {file: read_grid(file, domain.name) for file in declared}
    for (a, one), (b, other) in combinations(found.items(), 2):
        if one.name == other.name:
            raise SettingsError(f"{a} and {b} both have the name {one.name!r}; expected two; rename one.")
    return {file: grid for file, grid in found.items() if _edits(grid) <= domain.edits.keys()}


def _edits(grid: Grid) -> set[str]:
    """All edits that a grid names, those of starts among them."""
    tables = [table for choice in grid.vary.values() if isinstance(choice, dict) for table in choice.values()]
    tables += [{"edit": edit} for edit in grid.vary.get("edit", [grid.edit])]
    starts = [grid.start, *(table.get("start") for table in tables)]
    return {table["edit"] for table in [*tables, *starts] if table and "edit" in table}


def hours(domain: Domain, todo: Iterable[Task], lanes: int) -> tuple[float, float] | None:
    """About how long f_t and grids of some tasks take, if nothing of them is there, and all shipped grids;
    each run once, at the speed that `bench` stored for the domain on this kind of device; None: it did not.

    On a CPU `lanes` that leave one core to each are as fast as a process of one thread, times the cores.
    """
    try:
        bench = load_result(f"bench_{domain.unet.device.type}", "python -m asyrp_lib bench")
    except WeightsError:
        return None
    if bench["provenance"]["settings"].get("domain") != domain.name:
        return None
    speed = {row["figure"]: row["value"] for row in bench["data"]["rows"]}
    cores, one = os.cpu_count() or 1, ", 1 thread"
    if lanes < cores or f"edit, 40 steps, batch 8{one}" not in speed:
        cores, one = 1, ""
    step, image = 1 / speed[f"training of f_t, batch 8{one}"], speed[f"edit, 40 steps, batch 8{one}"]
    names, declared = {task.name for task in todo}, grids(domain).values()
    f_t = [name.removeprefix("f_t of ").rpartition(", seed ") for name in names if name.startswith("f_t of ")]
    runs = [(config_for(domain, edit, seed=int(seed)), {int(seed)}) for edit, _, seed in f_t]
    asked = _work(domain, [grid for grid in declared if f"grid {grid.name}" in names], runs)
    in_hours = lambda steps, images: (steps * step + images * image) / cores / 3600
    return in_hours(*asked), in_hours(*_work(domain, declared))


def _work(
    domain: Domain, of: Iterable[Grid], runs: Iterable[tuple[RunConfig, set[int]]] = ()
) -> tuple[int, int]:
    """(image-steps of training, edited images) of grids and other runs, what they share once."""
    trained: dict[str, tuple[int, set[int]]] = {}  # but for the seed -> image-steps, seeds
    edited: dict[str, tuple[int, set[int]]] = {}  # the same, and how it is measured -> images, seeds

    def add(run: RunConfig, seeds: set[int]) -> str:
        plain = replace(run, training=replace(run.training, seed=0))
        key = json.dumps(asdict(plain), sort_keys=True)
        steps = optimiser_steps(run, domain) * run.training.batch_size
        trained.setdefault(key, (steps, set()))[1].update(seeds)
        return key

    for run, seeds in runs:
        add(run, seeds)
    for grid in of:
        seeds = set(grid.vary.get("training.seed", [0]))
        one = Grid(**vars(grid) | {"vary": grid.vary | {"training.seed": [min(seeds)]}})
        strengths = {*grid.strengths, 0.0, 1.0}
        images = grid.faces * (len(strengths) + len(grid.epochs) - 1)
        how = f"{sorted(strengths)} {grid.epochs} {grid.faces} {grid.split}"
        for cell in cells(one, domain).values():
            if cell.config.start:
                add(cell.config.start, seeds)
            edited.setdefault(how + add(cell.config, seeds), (images, set()))[1].update(seeds)
    whole = lambda table: sum(n * len(seeds) for n, seeds in table.values())
    return whole(trained), whole(edited)


def run_missing(domain: Domain, words: Sequence[str] = (), *, seeds=5, lanes=2, dry=False) -> None:
    """Say what is done, missing and stale, and run what is not done; the command `reproduce`.

    `words`: only tasks whose name has one of them; `dry`: say it and stop.
    Raises SettingsError: no such task, or a number out of range; TrainingError: some failed.
    """
    check.whole("lanes", lanes, 1, 64, error=SettingsError)
    known = tasks(domain, check.whole("seeds", seeds, 1, 100, error=SettingsError))
    asked = [task for task in known if not words or any(word in task.name for word in words)]
    if not asked:
        text = f"No task is called like {', '.join(words)}; there are curve, 'f_t of <edit>, seed <number>', "
        raise SettingsError(f"{text}'experiment <name>' and 'grid <name>'; --list shows them all.")
    now = states(asked)
    todo = [task for task, state in now.items() if state != "done"]
    for task, state in now.items():
        if dry or state != "done":
            print(f"{task.name:<32} {state}")
    print(f"{len(todo)} of {len(asked)} tasks to do", flush=True)
    _say_hours(domain, todo, lanes)
    failed = []
    for task, outcome in () if dry else in_stages(asked, lanes=lanes):
        print(f"{task.name}: {outcome}", flush=True)
        failed += [task.name] * (outcome != "done")
    if failed:
        raise TrainingError(f"{', '.join(failed)} failed, and what waits for them was left; see the logs.")


def _say_hours(domain: Domain, todo: Sequence[Task], lanes: int) -> None:
    """Print what f_t and grids will take, where there are any to make."""
    if not any(task.name.startswith(("f_t of ", "grid ")) for task in todo):
        return
    if (found := hours(domain, todo, lanes)) is None:
        text = f"how long they take is not known here: python -m asyrp_lib bench --domain {domain.name}"
        print(f"{text} measures the speed", flush=True)
    else:
        text = f"f_t and grids: at most about {found[0]:.1f} hours at the speed that bench stored (all "
        print(f"{text}shipped grids from nothing: {found[1]:.1f}); experiments come on top", flush=True)


def _unread(name: str, error: WeightsError) -> str:
    return f"stale: {error}" if result_file(name).exists() else "missing"


def _curve(domain: Domain) -> str:
    name = f"{domain.name}_curve"
    try:
        made_by = load_result(name, "python -m asyrp_lib curve")["provenance"]
    except WeightsError as error:
        return _unread(name, error)
    now = curve_digests(domain)
    changed = [key for key in now if made_by["digests"].get(key) != now[key]]
    changed += [key for key, value in CURVE.items() if made_by["settings"].get(key) != value]
    return f"stale: other {', '.join(changed)}" if changed else "done"


def _f_t(domain: Domain, name: str, seed: int) -> str:
    file = domain.direction_file(name, seed)
    if not file.exists():
        return "missing"
    try:
        config = read_weights(file)[1]
        made_by = config["card"]["provenance"]
    except (WeightsError, KeyError) as error:
        return f"stale: {error}"
    if config["about"].get("unet_digest") != domain.unet.digest():
        return "stale: another U-Net"
    if made_by.get("digests", {}).get("clip") not in (None, module_digest(domain.clip)):
        return "stale: another CLIP"
    try:
        wanted = asdict(config_for(domain, name, seed=seed))
    except DomainError as error:  # no curve yet
        return f"stale: {error}"
    changed = [key for key in wanted if made_by["settings"].get(key) != wanted[key]]
    return f"stale: other {', '.join(changed)}" if changed else "done"


def _experiment(domain: Domain, name: str) -> str:
    try:
        made_by = provenance(domain, name)
    except WeightsError as error:
        return _unread(f"{domain.name}_{name}", error)
    wanted = json.loads(json.dumps({"domain": domain.name, **defaults(name)}))  # tuples are lists there
    changed = [key for key in wanted if made_by["settings"].get(key) != wanted[key]]
    for edit, n in made_by["settings"].get("seeds", {}).items():
        if edit in domain.edits and len(domain.seeds(edit)) > n:
            changed.append(f"seeds of {edit}")
    now, then = judges(domain) | (read_by(domain, name) if name in READS else {}), made_by["digests"]
    for key in then:
        if key.startswith("f_t "):
            edit, _, seed = key[4:].rpartition(" ")
            now[key] = _digest_of(domain, edit, int(seed))
    absent = [key for key in now if now[key] == "missing"]
    changed += [key for key in now if key not in absent and now[key] != then.get(key)]
    if changed:
        return f"stale: other {', '.join(changed)}"
    return f"waits: {len(absent)} f_t that it was made with are not here" if absent else "done"


def _grid(domain: Domain, grid: Grid) -> str:
    name = f"{domain.name}_grid_{grid.name}"
    try:
        made_by = load_rows(name, f"python -m asyrp_lib grid {grid.name}.yaml")[1]
    except WeightsError as error:
        return _unread(name, error)
    changed = ablation.differing(domain, grid, made_by["settings"])
    now = judges(domain) | {"cells": ablation.cells_digest(domain, grid)}
    changed += [key for key in now if now[key] != made_by["digests"].get(key)]
    if changed:
        return f"stale: other {', '.join(changed)}"
    failed = made_by["settings"].get("failed")
    return f"missing: {len(failed)} cells failed" if failed else "done"


def _digest_of(domain: Domain, edit: str, seed: int) -> str:
    try:
        return module_digest(domain.delta(edit, seed))
    except AsyrpError:
        return "missing"
