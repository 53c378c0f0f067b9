"""Where things lie: beside the code in a checkout; of a wheel, in the package, and new files in ./runs."""

import os
from pathlib import Path


def repo_root() -> Path:
    """The folder that holds `asyrp_lib`: the repository, if `in_checkout`."""
    return Path(__file__).resolve().parents[2]


def in_checkout() -> bool:
    """Whether the package lies in its repository, and not in site-packages."""
    return (repo_root() / "pyproject.toml").is_file() and (repo_root() / "data").is_dir()


def data_dir() -> Path:
    """What is shipped: `data/` of the repository, or the package's copy, which nothing may write to."""
    return repo_root() / "data" if in_checkout() else Path(__file__).resolve().parents[1] / "_data"


def lasting_dir(kind: str) -> Path:
    """What is fetched or trained: `data/<kind>` of a checkout, or in the user's folder for lasting data."""
    if in_checkout():
        return data_dir() / kind
    return (_users(None, "XDG_DATA_HOME", "~/.local/share") or runs_dir()) / kind


def runs_dir() -> Path:
    """A person's own runs and results: `runs/` of the repository, or of the present folder."""
    return repo_root() / "runs" if in_checkout() else Path("runs")


def cache_dir() -> Path | None:
    """$ASYRP_CACHE, else `asyrp_lib` in the user's cache folder; None if it is `off` or there is no home."""
    asked = os.environ.get("ASYRP_CACHE")
    return None if asked == "off" else _users(asked, "XDG_CACHE_HOME", "~/.cache")


def state_dir() -> Path:
    """State of long trainings: $ASYRP_STATE, else `asyrp_lib` in the user's folder for lasting data."""
    return _users(os.environ.get("ASYRP_STATE"), "XDG_DATA_HOME", "~/.local/share") or runs_dir() / "state"


def _users(asked: str | None, base: str, default: str) -> Path | None:
    place = os.path.expanduser(asked or os.path.join(os.environ.get(base) or default, "asyrp_lib"))
    return None if place.startswith("~") else Path(place)
