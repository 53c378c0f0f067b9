"""Progress bars: a widget in notebooks, elsewhere a line on stderr; none where TQDM_DISABLE is set."""

import os

from tqdm.auto import tqdm as _tqdm


def tqdm(*args, disable: bool = False, **options):
    """`tqdm.auto.tqdm`, which in notebooks would not heed TQDM_DISABLE."""
    return _tqdm(*args, disable=disable or bool(os.environ.get("TQDM_DISABLE")), **options)
