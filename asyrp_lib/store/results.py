"""Cached results: numbers together with the settings, commit and machine that made them."""

import json
import os
import platform
import subprocess
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

from ..errors import WeightsError
from .files import atomic_write
from .paths import data_dir, repo_root


def provenance(settings: dict, seconds: float) -> dict:
    """What made a result: settings, commit, versions, machine and time.

    Args:
        settings: everything the result depends on, expressible in JSON; seeds among them.
        seconds: wall-clock time of the computation.
    """

    def git(*command: str) -> str:
        try:
            done = subprocess.run(["git", "-C", str(repo_root()), *command], capture_output=True, text=True)
        except OSError:  # a downloaded archive on a machine without git: no reason to lose a long computation
            return ""
        return done.stdout.strip()

    device = (
        torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else platform.processor() or platform.machine()
    )
    return {
        "settings": settings,
        "commit": git("rev-parse", "HEAD") or "no git",
        "uncommitted_changes": bool(git("status", "--porcelain", "--", "asyrp_lib")),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "device": device,
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "diffusers", "open_clip_torch")},
    }


def save_result(name: str, data: dict, settings: dict, *, started: float) -> Path:
    """Write `data/results/<name>.json` atomically.

    Args:
        name: of the result.
        data: expressible in JSON.
        settings: see `provenance`.
        started: `time.monotonic()` when the computation began.
    """
    path = data_dir() / "results" / f"{name}.json"
    text = json.dumps(
        {"data": data, "provenance": provenance(settings, time.monotonic() - started)}, indent=1
    )
    with atomic_write(path) as temporary:
        temporary.write_text(text + "\n")
    return path


def load_result(name: str, command: str) -> dict:
    """Read what `save_result` wrote: a dict with `data` and `provenance`.

    Args:
        name: of the result.
        command: that makes it, for the error message.
    Raises:
        WeightsError: it is missing or damaged.
    """
    path = data_dir() / "results" / f"{name}.json"
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:  # ValueError: neither JSON nor text
        raise WeightsError(
            f"The result {path.name} is missing or damaged; expected it in {path.parent.name}/; make it with "
            f"`{command}`."
        ) from error


def origin(result: dict) -> str:
    """One line that says where a cached result came from."""
    p = result["provenance"]
    return (
        f"computed in {p['seconds']:.0f} s on {p['device']} ({p['cpus']} cores), {p['date'][:10]}, "
        f"commit {p['commit'][:8]}{' + uncommitted changes' if p['uncommitted_changes'] else ''}, "
        f"torch {p['versions']['torch']}"
    )
