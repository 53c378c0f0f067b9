"""Asyrp: editing in the semantic latent space of a frozen diffusion model (Kwon et al. 2023, 2210.10960).

A public name is imported when it is first asked for, so that `import asyrp_lib` loads nothing heavy.  Names
and modules stand in `__init__.pyi`, where type checkers and editors look for them too.
"""

import ast
from importlib import import_module
from pathlib import Path

__version__ = "0.2.0"

_STUB = ast.parse(Path(__file__).with_suffix(".pyi").read_text("utf-8"))
_HOME = {
    alias.name: node.module for node in _STUB.body if isinstance(node, ast.ImportFrom) for alias in node.names
}
__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name in _HOME:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
