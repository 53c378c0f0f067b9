"""What each figure was drawn from: `data/figures.json`, by content, for a clone has no old and new files.

`notebooks/run_all.py` records a notebook that it runs; who shows a figure asks `check`.
"""

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from os.path import isfile  # also of a text that can be no name
from pathlib import Path

from ..errors import FileError
from ..store.files import atomic_write, lock

#: Of a repository: where this stands.
RECORD = "data/figures.json"
DOMAIN = "synthfaces"
#: Modules that read data of others -> which.
READ = {
    "asyrp_lib.report.recount": ("published.json",),
    "asyrp_lib.report.trial": ("published.json", "trial.json"),
}


def sources(notebook: Path) -> dict[str, str]:
    """All that a notebook draws from: file -> sha256; of its code, comments and layout aside, "code".

    Rows are those whose name stands in the code ("final", or "heads" of a grid), f_t those of the edits that
    do; the U-Net is always among them.  FileError: it can't be read.
    """
    data, tree = notebook.parents[1] / "data", _code(notebook)
    texts = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    imported = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
    }
    files = {data / "weights" / DOMAIN / "ddpm.safetensors"}
    before = ("", DOMAIN, f"{DOMAIN}_", f"{DOMAIN}_grid_")  # in an f-string "_grid_heads" stands alone
    files |= {data / "results" / f"{name}{text}.csv" for text in texts for name in before}
    files |= {data / "directions" / DOMAIN / f"{text.replace(' ', '_')}.safetensors" for text in texts}
    files |= {data / name for module, names in READ.items() if module in imported for name in names}
    found = {file.relative_to(data.parent).as_posix(): digest(file) for file in files if isfile(file)}
    return {"code": hashlib.sha256(ast.dump(tree).encode()).hexdigest(), **dict(sorted(found.items()))}


@contextmanager
def recorded(notebook: Path) -> Iterator[None]:
    """Write down what the figures that a notebook draws in the block, without an error, are drawn from.

    That is what was there before it: what changes meanwhile may not be what was read.
    """
    root, then = notebook.parents[1], sources(notebook)
    dates = lambda: {f: f.stat().st_mtime_ns for f in (root / "figures").glob(f"{notebook.name[:3]}*")}
    before = dates()
    yield
    drawn = {file.name: digest(file) for file, date in sorted(dates().items()) if before.get(file) != date}
    with lock(root / RECORD, wait=60):  # others may be at it, for other notebooks
        was, its = _known(root), notebook.name[:3]
        known = {stem: of for stem, of in was.items() if stem[:3] != its}  # it may have had another name
        known |= {notebook.stem: {"from": then, "figures": drawn}} if drawn else {}
        if known != was:
            with atomic_write(root / RECORD) as temporary:
                temporary.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")


def faults(root: Path, figures: Iterable[str]) -> dict[str, str]:
    """figure -> what is wrong with it, of those that are not what their notebook would draw today."""
    known, now, found = _known(root), cache(sources), {}
    by_figure = {name: stem for stem, entry in known.items() for name in entry["figures"]}
    for figure in dict.fromkeys(figures):
        notebook = root / "notebooks" / f"{by_figure.get(figure, '')}.ipynb"
        if not (root / "figures" / figure).is_file():
            found[figure] = "is not there"
        elif figure not in by_figure or not notebook.is_file():
            found[figure] = "was drawn by no notebook that is recorded"
        elif known[notebook.stem]["figures"][figure] != digest(root / "figures" / figure):
            found[figure] = "is not the one that its notebook drew"
        elif other := _other(known[notebook.stem]["from"], now(notebook)):
            found[figure] = f"was drawn from other {other}"
    return found


def check(root: Path, figures: Iterable[str]) -> None:
    """Raise FileError where a figure is not what its notebook would draw today."""
    for figure, what in (wrong := faults(root, figures)).items():
        more = f" (and so on for {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        command = f"run notebook {figure[:2]}: python notebooks/run_all.py --only {figure[:2]}"
        raise FileError(f"The figure {figure} {what}{more}; expected what the repository holds; {command}")


def digest(file: Path) -> str:
    """sha256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _other(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    """What differs, in words."""
    files = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    kinds = {"code": "code", ".csv": "rows", ".safetensors": "weights", ".json": "published numbers"}
    named = [f"{kinds[Path(name).suffix or name]} ({name})" if name != "code" else name for name in files]
    return ", ".join(named[:3]) + f" and {len(named) - 3} more" * (len(named) > 3)


def _code(notebook: Path) -> ast.Module:
    """All code cells of a notebook."""
    try:
        cells = json.loads(notebook.read_text())["cells"]
        return ast.parse("\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code"))
    except (OSError, ValueError, LookupError, TypeError, SyntaxError) as error:
        wanted = "expected a notebook of Python; mend it"
        raise FileError(f"{notebook} can't be read ({type(error).__name__}); {wanted}.") from error


def _known(root: Path) -> dict[str, dict]:
    """What was recorded; nothing where nothing was."""
    file = root / RECORD
    try:
        return json.loads(file.read_text()) if file.is_file() else {}
    except ValueError as error:
        raise FileError(f"{file} is damaged; expected JSON; restore it, or run all notebooks.") from error
