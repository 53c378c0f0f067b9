"""Execute the notebooks top to bottom, store their outputs, and say what was checked.

On the embedded domain the notebooks are rewritten in place (each only after it ran to its end); on another domain executed
copies go to runs/<domain>/ and the stored ones stay.
"""
import argparse
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from asyrp_lib.domains import load_domain
from asyrp_lib.errors import AsyrpError
from asyrp_lib.files import atomic_write

HERE = Path(__file__).resolve().parent
#: Cells with one of these tags are not compared by nbval.
UNCHECKED = {"nbval-ignore-output", "nbval-skip"}


def inject(notebook, domain: str) -> None:
    """Replace the domain in the `parameters` cell."""
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = re.sub(r'(?m)^DOMAIN = .*$', f"DOMAIN = {domain!r}", cell.source)


def tidy(notebook) -> None:
    """Keep what belongs in a repository: no widget state, no times, no error streams, one kernel name."""
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                         "language_info": {"name": "python"}}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]


def claims(notebook) -> int:
    """How many printed lines nbval will compare."""
    lines = 0
    for cell in notebook.cells:
        if cell.cell_type == "code" and not UNCHECKED & set(cell.metadata.get("tags", [])):
            lines += sum(o.get("text", "").count("\n") for o in cell.outputs if o.output_type == "stream")
    return lines


def execute(path: Path, domain: str, out: Path) -> tuple[float, int]:
    """Run one notebook with notebooks/ as working folder; write it only if every cell ran.

    Returns:
        (seconds, checked lines).
    """
    notebook = nbformat.read(path, as_version=4)
    if domain != "synthfaces":
        inject(notebook, domain)
    started = time.perf_counter()
    NotebookClient(notebook, timeout=1800, kernel_name="python3", resources={"metadata": {"path": str(HERE)}}).execute()
    seconds = time.perf_counter() - started
    tidy(notebook)
    with atomic_write(out) as temporary:
        nbformat.write(notebook, temporary)
    return seconds, claims(notebook)


def main() -> int:
    """Run what the options say; 0 if every notebook ran, 1 if one failed, 2 for wrong input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--domain", default="synthfaces", help="which domain to run on")
    parser.add_argument("--only", nargs="+", default=[], metavar="NN", help="beginnings of the names of the notebooks to run")
    options = parser.parse_args()
    try:
        load_domain(options.domain)
    except AsyrpError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    target = HERE if options.domain == "synthfaces" else HERE.parent / "runs" / options.domain
    paths = [p for p in sorted(HERE.glob("[0-9][0-9]_*.ipynb"))
             if not options.only or any(p.name.startswith(name) for name in options.only)]
    if not paths:
        print(f"error: No notebook begins with {' or '.join(options.only)}; expected e.g. 00; see notebooks/README.md.", file=sys.stderr)
        return 2
    rows = []
    for number, path in enumerate(paths, start=1):
        print(f"[{number}/{len(paths)}] {path.stem} … ", end="", flush=True)
        try:
            rows.append((path.stem, *execute(path, options.domain, target / path.name)))
        except CellExecutionError as error:
            print(f"failed\nerror: {path.name} stopped at a cell: {error}", file=sys.stderr)
            return 1
        print(f"{rows[-1][1]:.0f} s", flush=True)
    width = max(len(name) for name, _, _ in rows)
    print(f"\n{'notebook':<{width}}  seconds  claims checked")
    for name, seconds, checked in rows:
        print(f"{name:<{width}}  {seconds:7.0f}  {checked:14d}")
    print(f"{'total':<{width}}  {sum(r[1] for r in rows):7.0f}  {sum(r[2] for r in rows):14d}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
