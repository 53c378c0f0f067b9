"""Commands of the library side by side: in processes of this machine, or as jobs of a cluster."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from .. import check
from ..errors import SettingsError
from ..method import distributed
from ..progress import tqdm
from ..store.paths import runs_dir

#: What stands before a task's own words.
COMMAND = (sys.executable, "-m", "asyrp_lib")
#: Seconds between two looks at what is running.
LOOK = 0.1


class Task(NamedTuple):
    """One step: its name, the stage it waits for, its command, and what `state` says of it."""

    name: str
    stage: int  # tasks of one stage run side by side, when the stages before are done
    command: tuple[str, ...]  # after `python -m asyrp_lib`
    state: Callable[[], str]  # "done", "missing", or "stale: " or "waits: " and why
    busy: Callable[[], bool] = lambda: False  # whether another process is at it right now


def side_by_side(
    todo: Iterable[Task], lanes: int = 2, cluster: Path | None = None
) -> Iterator[tuple[Task, str]]:
    """Run tasks, `lanes` at a time or as a cluster's jobs, and yield each as it ends, with "done" or why not.

    What another process is at is left to it: when that one is done or gone, what is missing is run.  A task
    that is stopped goes on when it is run again.  Output goes to `runs/reproduce`, or `runs/cluster`.
    SettingsError: within a training on several processes, or the cluster's file starts none.
    """
    if distributed.count() > 1:
        raise SettingsError(
            "Tasks side by side are processes of their own, started by one; leave out accelerate launch."
        )
    check.whole("lanes", lanes, 1, 64, error=SettingsError)
    start, most = jobs_of(cluster, lanes) if cluster else (partial(_processes, lanes), lanes)
    waiting, running = list(todo), {}
    try:
        while waiting or running:
            new = list(islice((task for task in waiting if not task.busy()), most - len(running)))
            waiting = [task for task in waiting if task not in new]
            done = [task for task in new if task.state() == "done"]  # by another process meanwhile
            running |= start([task for task in new if task not in done])
            yield from ((task, "done") for task in done)
            for task, job in [(task, job) for task, job in running.items() if job.ended()]:
                del running[task]
                outcome = job.outcome()
                if outcome != "done" and task.busy():
                    waiting.append(task)  # another was faster
                else:  # or is done with it by now
                    yield task, "done" if task.state() == "done" else outcome
            time.sleep(LOOK)
    finally:
        for job in running.values():
            job.stop()


def in_stages(
    todo: Iterable[Task], *, lanes: int = 2, cluster: Path | None = None, title="reproduce"
) -> Iterator[tuple[Task, str]]:
    """Run tasks as `side_by_side` does, stage by stage, under a bar; each with "done" or why not.

    Which are done already is asked when their stage begins.  After a stage in which one failed the rest is
    left.
    """
    todo = list(todo)
    with tqdm(total=len(todo), unit="task", desc=title) as bar:
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


class _Process:
    """A task in a process of this machine, with a share of the cores."""

    def __init__(self, task: Task, lanes: int):
        folder = runs_dir() / "reproduce"
        folder.mkdir(parents=True, exist_ok=True)
        name, digest = re.sub(r"[^\w.-]+", "_", task.name), hashlib.sha256(str(task.command).encode())
        self.log = folder / f"{name[:60]}_{digest.hexdigest()[:8]}.log"  # two names may look alike, cut so
        with open(self.log, "w") as out:
            how = {"stdout": out, "stderr": subprocess.STDOUT, "env": _threads(lanes)}
            self.process = subprocess.Popen([*COMMAND, *task.command], **how)

    def ended(self) -> bool:
        return self.process.poll() is not None

    def outcome(self) -> str:
        if (code := self.process.returncode) == 0:
            return "done"
        why = _reason(self.log.read_text(errors="replace"))
        if code < 0:  # it could say nothing itself
            why = f"it was ended from outside ({signal.strsignal(-code)}), as when memory is short"
        return f"{why} (see {self.log})"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def _processes(lanes: int, new: list[Task]) -> dict[Task, _Process]:
    return {task: _Process(task, lanes) for task in new}


def _threads(lanes: int) -> dict[str, str]:
    """The environment in which `lanes` processes share the cores; a number of threads that is set stays."""
    threads = str(max(1, (os.cpu_count() or 1) // lanes))
    return {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, **os.environ}


class _Job:
    """A task as a job of submitit."""

    def __init__(self, job):
        self.job = job

    def ended(self) -> bool:
        return self.job.done()

    def outcome(self) -> str:
        if (error := self.job.exception()) is None:
            return "done"
        return f"{_reason(self.job.stderr() or str(error))} (see {self.job.paths.stderr})"

    def stop(self) -> None:
        """It goes on; the next call finds it busy, or its work done."""


def jobs_of(file: Path, lanes: int) -> tuple[Callable[[list[Task]], dict[Task, _Job]], int]:
    """What starts tasks as jobs, and how many at most: `file` says which cluster, and what
    submitit.AutoExecutor is told of it.  SLURM gets all of them, as an array, "local", this machine, `lanes`.

    SettingsError: the file or submitit is missing, or it does not know what the file says.
    """
    table = check.yaml_table(file, "the settings of a cluster")
    try:
        import submitit

        executor = submitit.AutoExecutor(runs_dir() / "cluster", cluster=table.pop("cluster", None))
        executor.update_parameters(**table)
    except (ImportError, TypeError, ValueError, NameError, RuntimeError, AssertionError) as error:
        raise SettingsError(
            f"{file} starts no cluster ({error}); expected submitit (pip install -e '.[cluster]') and what "
            "its AutoExecutor takes; mend the file."
        ) from error
    local = executor.cluster in ("local", "debug")

    def start(new: list[Task]) -> dict[Task, _Job]:
        how = {"env": _threads(lanes)} if local else {}
        run = lambda task: submitit.helpers.CommandFunction([*COMMAND, *task.command], **how)
        with executor.batch() if new and not local else nullcontext():
            jobs = {task: executor.submit(run(task)) for task in new}
        return {task: _Job(job) for task, job in jobs.items()}

    return start, lanes if local else sys.maxsize


def _reason(text: str) -> str:
    """Why a command failed, from what it said: its sentence, or its last words."""
    lines = [line.rsplit("\r", 1)[-1].strip() for line in text.splitlines() if line.strip()] or ["no output"]
    return next((line for line in reversed(lines) if line.startswith("error: ")), lines[-1])[:300]
