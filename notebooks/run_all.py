"""Execute the notebooks top to bottom, some side by side, store their outputs, and say what was checked.

On the embedded domain the notebooks are rewritten in place, each only after it ran to its end; what differs
by rounding stays as it was, so that a second run changes no file; what their figures were drawn from goes to
data/figures.json.  On another domain executed copies go to runs/<domain>/, their figures to
runs/<domain>/figures/, and the stored ones stay.
"""

import argparse
import os
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from asyrp_lib import check, errors
from asyrp_lib.device import pick_device
from asyrp_lib.domains import load_domain
from asyrp_lib.errors import AsyrpError, SettingsError
from asyrp_lib.progress import tqdm
from asyrp_lib.report import drawn
from asyrp_lib.store.files import atomic_write
from outputs import settle, tidy

HERE = Path(__file__).resolve().parent
#: Cells with one of these tags are not compared by nbval.
UNCHECKED = {"nbval-ignore-output", "nbval-skip"}
EMBEDDED = "synthfaces"
#: Notebooks from this number on are about the embedded domain itself: on another domain they are left out.
ABOUT_EMBEDDED = "90"
#: Seconds that outputs may come after their cell has ended, as they do on a busy machine.
LATE = 60
#: How a printed line states a claim: "the error falls: True", "moves most in 7 of 9 edits".
CLAIM = re.compile(r"\b(True|False)$|\b\d+ of \d+\b")


class NotebookError(AsyrpError):
    """A notebook that cannot be run to its end; the message names notebook, cell and error."""


def tags(cell) -> set[str]:
    """The tags of a cell."""
    return set(cell.metadata.get("tags", []))


def inject(notebook, **values) -> None:
    """Override values of the `parameters` cell by a cell of their own right after it, as papermill does.

    Raises:
        NotebookError: there is no such cell, or it lacks one of the names: the override would change nothing.
    """
    at = next((i for i, cell in enumerate(notebook.cells) if "parameters" in tags(cell)), None)
    if at is None:
        raise NotebookError("no cell is tagged `parameters`; expected one; tag the one with the settings")
    source = notebook.cells[at].source
    names = {line.split("=")[0].strip() for line in source.splitlines() if "=" in line}
    if unknown := values.keys() - names:
        raise NotebookError(
            f"the `parameters` cell has no {', '.join(sorted(unknown))}; expected one; add it"
        )
    code = nbformat.v4.new_code_cell(
        "\n".join(f"{name} = {value!r}" for name, value in values.items()),
        id="injected-parameters",
        metadata={"tags": ["injected-parameters"]},
    )
    note = nbformat.v4.new_markdown_cell(
        f"*A run with other parameters: numbers and findings in the text, above all under **Result**, "
        f"are those of `{EMBEDDED}`; what is printed and drawn is this run's.*",
        id="injected-note",
    )
    notebook.cells[at + 1 : at + 1] = [note, code]


def claims(notebook) -> list[str]:
    """The printed lines that state a claim and that nbval compares."""
    return [
        line
        for cell in notebook.cells
        if cell.cell_type == "code" and not UNCHECKED & tags(cell)
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stdout"
        for line in output.text.splitlines()
        if CLAIM.search(line)
    ]


def execute(
    path: Path, domain: str, out: Path, *, cell_timeout: int = 1800, bar=None, threads: int | None = None
) -> tuple[float, list[str]]:
    """Run one notebook with its own folder as working folder; write it only if every cell ran.

    Args:
        path: the notebook.
        domain: overrides DOMAIN in its `parameters` cell unless it is the embedded one.
        out: where the executed notebook goes.
        cell_timeout: seconds that one cell may take.
        bar: a progress bar that counts cells, of several notebooks.
        threads: of the kernel, where $OMP_NUM_THREADS does not say; None: all cores.
    Returns:
        (seconds, lines that state a checked claim).
    Raises:
        NotebookError: a cell raised, took too long, killed the kernel or lost outputs, or somebody else wrote
            `out` meanwhile; it stays as it was.
    """
    content = lambda: out.read_bytes() if out.exists() else None
    before, notebook, current = content(), nbformat.read(path, as_version=4), {}
    share = {} if threads is None else dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))

    def begin(cell, cell_index: int) -> None:
        if bar is not None:
            bar.update(cell_index - current.get("index", 0))
        current["index"] = cell_index

    try:
        stored = nbformat.read(out, as_version=4) if out.exists() else nbformat.v4.new_notebook()
        if domain != EMBEDDED:
            inject(notebook, DOMAIN=domain)
            if bar is not None:
                bar.total += 2  # those cells
        client = NotebookClient(
            notebook,
            timeout=cell_timeout,
            iopub_timeout=min(LATE, cell_timeout),
            raise_on_iopub_timeout=True,  # else what comes late is left out without a word
            kernel_name="python3",
            resources={"metadata": {"path": str(path.parent)}},
            on_cell_start=begin,
            extra_arguments=["--IPKernelApp.log_level=40"],
        )  # notices would break the line of progress
        started = time.perf_counter()
        client.execute(env=share | os.environ | {"TQDM_DISABLE": "1"})  # the bar below is enough
    except (CellExecutionError, CellTimeoutError, DeadKernelError, NotebookError) as error:
        what = str(error)
        if bar is not None:
            bar.total -= len(notebook.cells) - current.get("index", 0)
        if isinstance(error, CellExecutionError):
            what = f"{error.ename}: {error.evalue}"
            if not hasattr(errors, error.ename):  # those say in one sentence what to do
                print(f"\n{error.traceback}", file=sys.stderr)
        elif isinstance(error, CellTimeoutError):
            what = f"it ran for more than {cell_timeout} s"
            if "IOPub" in str(error):
                what = "its outputs did not all come"
        where = ""
        if current:
            number = sum(cell.cell_type == "code" for cell in notebook.cells[: current["index"] + 1])
            first_line = notebook.cells[current["index"]].source.split("\n")[0]
            where = f", cell [{number}] ({first_line})"
        raise NotebookError(f"{path.name}{where}: {what}; the stored notebook was left as it was.") from error
    seconds = time.perf_counter() - started
    begin(None, len(notebook.cells))
    tidy(notebook)
    settle(notebook, stored)
    if content() != before:
        raise NotebookError(f"{out} was changed while it ran; it was left so; run it again.")
    with atomic_write(out) as temporary:
        nbformat.write(notebook, temporary)
    return seconds, claims(notebook)


def choose(only: list[str], domain: str) -> list[Path]:
    """The notebooks to run on a domain, in order of their numbers.

    Raises:
        NotebookError: a name of `only` begins no notebook's name, or none is left for this domain.
    """
    paths = sorted(HERE.glob("[0-9][0-9]_*.ipynb"))
    for name in only or [""]:
        if not any(path.name.startswith(name) for path in paths):
            known = ", ".join(p.stem for p in paths) or "none"
            raise NotebookError(f"No notebook begins with {name!r}; known are {known}.")
    asked = [path for path in paths if not only or path.name.startswith(tuple(only))]
    chosen = [path for path in asked if domain == EMBEDDED or path.name < ABOUT_EMBEDDED]
    if not chosen:
        raise NotebookError(f"{asked[0].stem} is about {EMBEDDED} itself; expected another; leave it out.")
    return chosen


def run(paths: list[Path], domain: str, target: Path, lanes: int) -> tuple[list, list[str]]:
    """Execute notebooks, `lanes` of them side by side, each with its share of the cores.

    Returns rows of (name, seconds, lines that state a claim) in the order of the paths, and the names of
    those that failed, whose reasons are printed.
    """
    total = sum(len(nbformat.read(path, as_version=4).cells) for path in paths)
    lanes = min(lanes, len(paths))
    threads = max(1, (os.cpu_count() or 1) // lanes) if lanes > 1 else None
    rows, failed = {}, []
    with tqdm(total=total, unit="cell") as bar, ThreadPoolExecutor(lanes) as pool:

        def one(path: Path) -> tuple[float, list[str]]:
            bar.set_description(f"[{paths.index(path) + 1}/{len(paths)}] {path.stem}")
            ours = domain == EMBEDDED and not os.environ.get("ASYRP_FIGURES")  # in figures/
            with drawn.recorded(path) if ours else nullcontext():
                return execute(path, domain, target / path.name, bar=bar, threads=threads)

        running = {pool.submit(one, path): path for path in paths}
        try:
            for future in as_completed(running):
                path = running[future]
                try:
                    rows[path] = (path.stem, *future.result())
                except Exception as error:  # whatever it is: the others do not depend on it
                    known = isinstance(error, AsyrpError)
                    what = error if known else f"{path.name}: {type(error).__name__}: {error}"
                    print(f"\nerror: {what}", file=sys.stderr, flush=True)
                    failed.append(path.stem)
        except KeyboardInterrupt:
            print("\ninterrupted; notebooks that were not finished are as they were", file=sys.stderr)
            os._exit(130)  # not after the notebooks that run; their kernels end with this process
    return [rows[path] for path in paths if path in rows], sorted(failed)


def main() -> int:
    """Run what the options say; 0 if every notebook ran, 1 if one failed, 2 for wrong input.

    A claim that turns out false is listed but is no failure here: the tests are what judges stored outputs.
    """
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--domain", default=EMBEDDED, help=f"which domain to run on (default: {EMBEDDED})")
    lanes = 1 if pick_device().type != "cpu" else min(2, os.cpu_count() or 1)
    say = "notebooks side by side (default here: %(default)s)"
    parser.add_argument("--lanes", type=int, default=lanes, help=say)
    parser.add_argument("--only", nargs="+", default=[], metavar="NN", help="beginnings of notebooks' names")
    options = parser.parse_args()
    try:
        check.whole("lanes", options.lanes, 1, 64, error=SettingsError)
        paths = choose(options.only, options.domain)
        domain = load_domain(options.domain)
    except AsyrpError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    target, source = HERE, options.domain
    if domain.name != source and Path(source).is_dir():
        source = str(Path(source).resolve())  # kernels work in another folder
    if source != EMBEDDED:
        target = HERE.parent / "runs" / domain.name  # as `blogpost` has it; a path may lead elsewhere
        os.environ["ASYRP_FIGURES"] = str(target / "figures")  # the kernels inherit it
    started = time.perf_counter()
    rows, failed = run(paths, source, target, options.lanes)
    width = max((len(name) for name, _, _ in rows), default=8)
    print(f"\n{'notebook':<{width}}  seconds  claims checked")
    whole = ("total", time.perf_counter() - started, sum((row[2] for row in rows), []))
    for name, seconds, lines in (*rows, whole):
        print(f"{name:<{width}}  {seconds:7.0f}  {len(lines):14d}")
    broken = [f"{name}: {line}" for name, _, lines in rows for line in lines if line.endswith("False")]
    if broken:
        print("\nThese claims do not hold here:", *broken, sep="\n  ")
    if failed:
        numbers = " ".join(name.split("_")[0] for name in failed)
        print(
            f"\nThese notebooks failed (why: see above): {', '.join(failed)}; run them again with: "
            f"python notebooks/run_all.py --domain {options.domain} --only {numbers}"
        )
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
