"""The command line with the domains `tiny` and `two images`; all is written to ./runs.

`python tests/tiny_cli.py grid grid.yaml`; what it starts is this file again.
"""

import os
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from asyrp_lib.store import paths  # noqa: E402

paths.in_checkout = lambda: False  # before others import it: nothing goes to the repository

from tiny_domain import build_tiny  # noqa: E402

from asyrp_lib.cli import main  # noqa: E402
from asyrp_lib.domains import load  # noqa: E402
from asyrp_lib.errors import ImageError  # noqa: E402
from asyrp_lib.runs import launch  # noqa: E402


def two_images(device):
    """The tiny domain with another name, and no more than two training images."""
    domain = build_tiny("two images")
    source = domain.image_source

    def images(split: str, n: int, first: int):
        if split == "train" and first + n > 2:
            raise ImageError(f"There are 2 training images; {first + n} were asked for; ask for fewer.")
        return source(split, n, first)

    domain.image_source = images
    return domain


launch.COMMAND = (sys.executable, __file__)
load.DOMAINS |= {"tiny": lambda device: build_tiny(), "two images": two_images}

if __name__ == "__main__":
    os.environ.setdefault("ASYRP_CACHE", "off")
    sys.exit(main())
