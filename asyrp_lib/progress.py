"""Progress bars: a widget in notebooks, elsewhere a line on stderr; none where TQDM_DISABLE is set."""

import os

from tqdm.auto import tqdm as _tqdm

NOTEBOOK = any(kind.__name__ == "tqdm_notebook" for kind in _tqdm.__mro__)


def tqdm(*args, disable: bool = False, **options):
    """A bar of `tqdm.auto`, which in a notebook goes when it is done and heeds TQDM_DISABLE there too."""
    options = {"leave": False if NOTEBOOK else None} | options  # None: inner bars go, the outermost stays
    return _tqdm(*args, disable=disable or bool(os.environ.get("TQDM_DISABLE")), **options)
