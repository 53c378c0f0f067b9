"""Cached results: numbers together with the settings, commit and machine that made them."""

import hashlib
import json
import math
import os
import platform
import subprocess
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..device import pick_device
from ..errors import AsyrpError, WeightsError
from .files import atomic_write
from .paths import data_dir, in_checkout, repo_root, runs_dir


def provenance(settings: dict, seconds: float, *, device=None, digests: dict[str, str] | None = None) -> dict:
    """What made a result.

    Args:
        settings: everything it depends on, expressible in JSON; seeds among them.
        seconds: wall-clock time of the computation.
        device: that it ran on; None for the one that is picked by itself.
        digests: name -> digest of each network, f_t or file that it was made with.
    """
    device = pick_device() if device is None else torch.device(device)
    cpu = platform.processor() or platform.machine()
    return {
        "settings": settings,
        "digests": digests or {},
        "commit": _git("rev-parse", "HEAD") or "no git",
        "uncommitted_changes": bool(_git("status", "--porcelain", "--", "asyrp_lib", "notebooks")),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else cpu,
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "diffusers", "open_clip_torch")},
    }


def save_result(
    name: str, data: dict, settings: dict, *, started: float, device=None, digests=None, replace: bool = False
) -> Path:
    """Write data/results/<name>.json atomically, or runs/results/<name>.json if the first is there already.

    Args:
        name: of the result; a slash makes a folder.
        settings, device, digests: see `provenance`.
        started: `time.monotonic()` when the computation began.
        replace: write over the one in data/results.
    Raises AsyrpError for NaN, infinity or what is no JSON (by its key), or a name that leads elsewhere.
    """
    path = _place(name, replace)
    made_by = provenance(settings, time.monotonic() - started, device=device, digests=digests)
    _check_json({"data": data, "provenance": made_by}, name)
    text = json.dumps({"data": data, "provenance": made_by}, indent=1, allow_nan=False)
    with atomic_write(path) as temporary:
        temporary.write_text(text + "\n")
    return path


def save_rows(name: str, rows: pd.DataFrame, settings: dict, *, replace: bool = False, **made_by) -> Path:
    """Write rows to <name>.csv and what made them, with the digest of the rows, to <name>.json beside it.

    The rows go first, so that no result is without them.  Arguments and places: see `save_result`.
    """
    text = rows.to_csv(index=False, float_format="%.6g")
    bad = rows[~np.isfinite(rows["value"].to_numpy(dtype=float))]
    if len(bad):
        said = bad.iloc[0].dropna().drop("value", errors="ignore").to_dict()
        first = ", ".join(f"{column} {value}" for column, value in said.items())
        raise AsyrpError(
            f"{len(bad)} rows of {name} are not finite, the first of {first}; expected numbers; mend what "
            "measures them, or leave that variant out."
        )
    with atomic_write(_place(name, replace).with_suffix(".csv")) as temporary:
        temporary.write_text(text)
    data = {"rows": len(rows), "sha256": hashlib.sha256(text.encode()).hexdigest()}
    return save_result(name, data, settings, replace=replace, **made_by)


def load_rows(name: str, command: str) -> tuple[pd.DataFrame, dict]:
    """(rows, provenance) of what `save_rows` wrote; WeightsError as `load_result`, or: they part ways."""
    result, path = load_result(name, command), result_file(name).with_suffix(".csv")
    try:
        text = path.read_bytes()
    except OSError:  # `from None`: not as if nothing had been made
        raise WeightsError(f"The rows {path.name} are missing; make them with `{command}`.") from None
    if hashlib.sha256(text).hexdigest() != result["data"].get("sha256"):
        raise WeightsError(f"{path.name} is not what {path.stem}.json tells of; make both with `{command}`.")
    types = dict.fromkeys(("seed", "image", "epoch"), "Int64")
    types |= dict.fromkeys(("edit", "variant", "score"), "string")
    # an alternative may be called None, or NA
    rows = pd.read_csv(path, dtype=types, keep_default_na=False, na_values=[""])
    return rows, result["provenance"]


def result_file(name: str) -> Path:
    """Where `load_result` reads: data/results/<name>.json, else runs/results/<name>.json if that is there."""
    shipped, own = _places(name)
    return own if own.exists() and not shipped.exists() else shipped


def load_result(name: str, command: str) -> dict:
    """Read what `save_result` wrote: a dict with `data` and `provenance`.

    Raises WeightsError, which names the `command` that makes it, where it is missing or damaged.
    """
    path = result_file(name)
    try:
        result = json.loads(path.read_text(), parse_constant={}.__getitem__)  # KeyError: NaN or infinity
        origin({"data": result["data"], **result})
        return result
    except (OSError, ValueError, RecursionError, LookupError, TypeError) as error:
        where = f"expected it in {path.parent.name}/; make it with `{command}`"
        raise WeightsError(f"The result {path.name} is missing or damaged; {where}.") from error


def origin(result: dict) -> str:
    """One line that says where a cached result came from."""
    p = result["provenance"]
    machine = f"{p['device']} ({p['cpus']} cores)"
    commit = f"commit {p['commit'][:8]}{' + uncommitted changes' if p['uncommitted_changes'] else ''}"
    day, torch_version = p["date"][:10], p["versions"]["torch"]
    return f"computed in {p['seconds']:.0f} s on {machine}, {day}, {commit}, torch {torch_version}"


def _place(name: str, replace: bool) -> Path:
    """Where a new result goes."""
    shipped, own = _places(name)
    return shipped if in_checkout() and (replace or not shipped.exists()) else own


def _git(*command: str) -> str:
    """What git says of the repository; nothing without one, and nothing of one that lies around ours."""
    if not in_checkout():
        return ""
    root = repo_root()
    around = {**os.environ, "GIT_CEILING_DIRECTORIES": str(root.parent)}
    try:
        done = subprocess.run(["git", *command], cwd=root, env=around, capture_output=True, text=True)
    except OSError:  # a downloaded archive on a machine without git: no reason to lose a long computation
        return ""
    return done.stdout.strip()


def _places(name: str) -> tuple[Path, ...]:
    """data/results/<name>.json and runs/results/<name>.json."""
    if ".." in Path(name).parts or Path(name).is_absolute():
        raise AsyrpError(f"The name {name!r} leads out of the results; expected a plain one; give another.")
    return tuple(folder / "results" / f"{name}.json" for folder in (data_dir(), runs_dir()))


def _check_json(value, key: str) -> None:
    if isinstance(value, dict):
        for name, entry in value.items():
            _check_json(entry, f"{key}.{name}")
    elif isinstance(value, list | tuple):
        for i, entry in enumerate(value):
            _check_json(entry, f"{key}[{i}]")
    elif not isinstance(value, str | int | float | None) or value in (math.inf, -math.inf) or value != value:
        what = value if isinstance(value, float) else type(value).__name__
        wanted = "finite numbers, texts, lists and dicts; a spread, for one, needs two images or more"
        raise AsyrpError(f"The result's {key} is {what}; expected {wanted}.")
