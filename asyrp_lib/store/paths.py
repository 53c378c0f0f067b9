"""Where data lie."""

import os
from pathlib import Path


def repo_root() -> Path:
    """The repository: the folder that holds `asyrp_lib`, `data` and `figures` (only editable installs are supported)."""
    return Path(__file__).resolve().parents[2]


def data_dir() -> Path:
    """The folder `data/` of the repository."""
    return repo_root() / "data"


def cache_dir() -> Path:
    """The folder: $ASYRP_CACHE, or `asyrp_lib` in the user's cache folder.  It can be deleted at any time."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("ASYRP_CACHE") or Path(base) / "asyrp_lib")


def state_dir() -> Path:
    """Where long trainings keep their state: $ASYRP_STATE, or `asyrp_lib` in the user's folder for data that must last."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(os.environ.get("ASYRP_STATE") or Path(base) / "asyrp_lib")
