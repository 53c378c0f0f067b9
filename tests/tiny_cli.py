"""The command line with the domain `tiny`; all is written to ./runs.

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
from asyrp_lib.runs import launch  # noqa: E402

launch.COMMAND = (sys.executable, __file__)
load.DOMAINS |= {"tiny": lambda device: build_tiny(), "tiny 2": lambda device: build_tiny("tiny 2")}

if __name__ == "__main__":
    os.environ.setdefault("ASYRP_CACHE", "off")
    sys.exit(main())
