"""Everything behind `data/results` of a domain, from a declared list: what is there, stale, and to do."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from .. import check
from ..domains import Domain
from ..errors import AsyrpError, DomainError, SettingsError, TrainingError, WeightsError
from ..measure.curve import CURVE, curve_digests
from ..progress import tqdm
from ..runs.launch import Task, side_by_side
from ..runs.run import config_for
from ..store.results import load_result, result_file
from ..store.weights import module_digest, read_weights
from . import EXPERIMENTS, PEOPLE, READS, defaults, judges, provenance, read_by

#: Experiments at another stage: settings come before the f_t that are trained with them, robustness reads
#: the lengths that homogeneity measures, and sealed faces are read when all else has come out well.
STAGES = {"settings": 1, "robustness": 4, "final": 5}


def tasks(domain: Domain, seeds: int = 5) -> list[Task]:
    """All of a domain: curve, f_t of every edit from every seed, experiments but those that people make.

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
    return found


def reproduce(
    todo: Iterable[Task],
    *,
    lanes: int = 2,
    progress: bool = True,
    cluster: Path | None = None,
    title="reproduce",
) -> Iterator[tuple[Task, str]]:
    """Run tasks as `launch.side_by_side` does, stage by stage, under a bar; each with "done" or why not.

    Which are done already is asked when their stage begins.  After a stage in which one failed the rest is
    left.
    """
    todo = list(todo)
    with tqdm(total=len(todo), unit="task", desc=title, disable=not progress) as bar:
        for stage in sorted({task.stage for task in todo}):
            here = [task for task in todo if task.stage == stage]
            missing = [task for task in here if task.state() != "done"]
            bar.total -= len(here) - len(missing)  # so that the time left is that of what is run
            failed = False
            for task, outcome in side_by_side(missing, lanes, cluster):
                failed |= outcome != "done"
                bar.update()
                yield task, outcome
            if failed:
                return


def run_missing(domain: Domain, words: Sequence[str] = (), *, seeds=5, lanes=2, dry=False) -> None:
    """Say what is done, missing and stale, and run what is not done; the command `reproduce`.

    `words`: only tasks whose name has one of them; `dry`: say it and stop.
    Raises SettingsError: no such task, or a number out of range; TrainingError: some failed.
    """
    check.whole("lanes", lanes, 1, 64, error=SettingsError)
    known = tasks(domain, check.whole("seeds", seeds, 1, 100, error=SettingsError))
    asked = [task for task in known if not words or any(word in task.name for word in words)]
    if not asked:
        text = (
            f"No task is called like {', '.join(words)}; there are curve, 'f_t of <edit>, seed <number>' and "
        )
        raise SettingsError(f"{text}'experiment <name>'; --list shows them all.")
    states = [(task, task.state()) for task in asked]
    todo = [task for task, state in states if state != "done"]
    for task, state in states:
        if dry or state != "done":
            print(f"{task.name:<32} {state}")
    print(f"{len(todo)} of {len(asked)} tasks to do", flush=True)
    failed = []
    for task, outcome in () if dry else reproduce(asked, lanes=lanes):
        print(f"{task.name}: {outcome}", flush=True)
        failed += [task.name] * (outcome != "done")
    if failed:
        raise TrainingError(f"{', '.join(failed)} failed, and what waits for them was left; see the logs.")


def _curve(domain: Domain) -> str:
    name = f"{domain.name}_curve"
    if not result_file(name).exists():
        return "missing"
    try:
        made_by = load_result(name, "python -m asyrp_lib curve")["provenance"]
    except WeightsError as error:
        return f"stale: {error}"
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
        return "missing" if not result_file(f"{domain.name}_{name}").exists() else f"stale: {error}"
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


def _digest_of(domain: Domain, edit: str, seed: int) -> str:
    try:
        return module_digest(domain.delta(edit, seed))
    except AsyrpError:
        return "missing"
