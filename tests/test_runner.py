"""`make run` and `make test` on toy notebooks: what is stored, what fails, and that nothing is excused."""

import importlib.util
import json
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

from asyrp_lib.errors import UnknownNameError
from asyrp_lib.report import drawn

ROOT = Path(__file__).resolve().parent.parent
NOISY = """import sys
print("a title is no claim")
print("one: True")
print("a warning", file=sys.stderr, flush=True)
print("moves most in 2 of 3 edits")"""


@pytest.fixture
def runner(tmp_path, monkeypatch):
    """notebooks/run_all.py at work in a folder of its own."""
    monkeypatch.syspath_prepend(ROOT / "notebooks")  # as `python notebooks/run_all.py` has it
    spec = importlib.util.spec_from_file_location("run_all", ROOT / "notebooks" / "run_all.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setattr(module, "HERE", tmp_path / "notebooks")
    monkeypatch.setattr(module, "load_domain", lambda name: SimpleNamespace(name=name))
    return module


def write(folder: Path, name: str, *cells: tuple[str, list[str]]) -> Path:
    kernel = {"name": "python3", "display_name": "x"}
    notebook = nbformat.v4.new_notebook(metadata={"widgets": {}, "kernelspec": kernel})
    for i, (source, tags) in enumerate(cells):
        notebook.cells.append(nbformat.v4.new_code_cell(source, metadata={"tags": tags}, id=f"cell-{i}"))
    nbformat.write(notebook, folder / name)
    return folder / name


def run(runner, monkeypatch, *options: str) -> int:
    monkeypatch.setattr(sys, "argv", ["run_all.py", *options])
    return runner.main()


def nbval(folder: Path, name: str, *options: str) -> subprocess.CompletedProcess:
    """What `make test` does with one notebook, under the repository's own conftest."""
    shutil.copy(ROOT / "conftest.py", folder)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(folder), "--nbval"]
    command += ["--nbval-current-env", *options, str(folder / name)]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_run_stores_tidy_outputs_and_counts_the_compared_lines(runner, monkeypatch, capsys):
    path = write(
        runner.HERE,
        "00_toy.ipynb",
        ('DOMAIN = "synthfaces"', ["parameters"]),
        (NOISY, []),
        ("print(DOMAIN)", ["nbval-ignore-output"]),
    )
    assert run(runner, monkeypatch) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[-1] == "2"
    stored = nbformat.read(path, as_version=4)
    assert [output.text for output in stored.cells[1].outputs] == [
        "a title is no claim\none: True\nmoves most in 2 of 3 edits\n"
    ]
    assert [cell.id for cell in stored.cells] == ["cell-0", "cell-1", "cell-2"]
    assert [cell.execution_count for cell in stored.cells] == [1, 2, 3]
    assert "widgets" not in stored.metadata and stored.metadata.kernelspec.display_name == "Python 3"
    assert not any("execution" in cell.metadata for cell in stored.cells)
    first = path.read_bytes()
    assert run(runner, monkeypatch) == 0 and path.read_bytes() == first, "a second run changes the file"
    assert nbval(runner.HERE, path.name).returncode == 0


@pytest.mark.parametrize(
    "cell, sentence",
    [
        ("1 / 0", "02_toy.ipynb, cell [2] (1 / 0): ZeroDivisionError: division by zero"),
        ("import os; os._exit(1)", "02_toy.ipynb, cell [2] (import os; os._exit(1)): Kernel died"),
    ],
)
def test_a_failing_cell_is_named_and_the_stored_notebook_stays(runner, monkeypatch, capsys, cell, sentence):
    path = write(runner.HERE, "02_toy.ipynb", ("print(1)", []), (cell, []))
    before = path.read_bytes()
    assert run(runner, monkeypatch) == 1
    assert sentence in capsys.readouterr().err
    assert path.read_bytes() == before and list(runner.HERE.iterdir()) == [path]


def test_a_failing_notebook_does_not_keep_the_others_from_running(runner, monkeypatch, capsys):
    write(
        runner.HERE,
        "01_broken.ipynb",
        ("from asyrp_lib.errors import OfflineError; raise OfflineError('Get it.')", []),
    )
    write(runner.HERE, "02_whole.ipynb", ('print("one: True")', []))
    assert run(runner, monkeypatch) == 1
    said = capsys.readouterr()
    assert "OfflineError: Get it." in said.err and "Traceback" not in said.err, (
        "a sentence that says what to do needs no traceback"
    )
    assert "02_whole" in said.out and said.out.splitlines()[-1].endswith("--domain synthfaces --only 01")


def test_a_cell_that_takes_too_long_is_named(runner):
    path = write(runner.HERE, "02_toy.ipynb", ("import time; time.sleep(60)", []))
    with pytest.raises(runner.NotebookError, match=r"cell \[1\].*more than 1 s"):
        runner.execute(path, "synthfaces", path, cell_timeout=1)


def test_another_domain_reaches_the_cells_and_leaves_the_stored_notebook(runner, monkeypatch, tmp_path):
    path = write(runner.HERE, "00_toy.ipynb", ('DOMAIN="synthfaces"', ["parameters"]), ("print(DOMAIN)", []))
    write(runner.HERE, "90_embedded.ipynb", ("1 / 0", []))  # about the embedded domain: not run on another
    before = path.read_bytes()
    assert run(runner, monkeypatch, "--domain", "other") == 0
    copy = nbformat.read(tmp_path / "runs" / "other" / "00_toy.ipynb", as_version=4)
    assert copy.cells[1].cell_type == "markdown" and "are those of `synthfaces`" in copy.cells[1].source
    assert copy.cells[2].metadata.tags == ["injected-parameters"]
    assert copy.cells[3].outputs[0].text == "other\n"
    assert path.read_bytes() == before


def test_a_claim_that_does_not_hold_is_listed(runner, monkeypatch, capsys):
    write(runner.HERE, "00_toy.ipynb", ('print("a: True")\nprint("b: False")', []))
    assert run(runner, monkeypatch) == 0
    assert capsys.readouterr().out.endswith("These claims do not hold here:\n  00_toy: b: False\n")


@pytest.mark.parametrize("cells", [[("x = 1", [])], [("STEPS = 1", ["parameters"])]])
def test_an_override_that_would_change_nothing_is_an_error(runner, monkeypatch, capsys, cells):
    write(runner.HERE, "00_toy.ipynb", *cells)
    assert run(runner, monkeypatch, "--domain", "other") == 1
    assert "`parameters`" in capsys.readouterr().err


def test_an_unknown_domain_or_notebook_is_wrong_input(runner, monkeypatch, capsys):
    write(runner.HERE, "00_toy.ipynb", ("x = 1", []))
    assert run(runner, monkeypatch, "--only", "00", "77") == 2
    assert "'77'" in capsys.readouterr().err

    def unknown(name):
        raise UnknownNameError(f"Unknown domain {name!r}; known are synthfaces.")

    monkeypatch.setattr(runner, "load_domain", unknown)
    assert run(runner, monkeypatch, "--domain", "nowhere") == 2
    assert capsys.readouterr().err == "error: Unknown domain 'nowhere'; known are synthfaces.\n"


ROUGH = """import json, pathlib, torch
from asyrp_lib.report import figures, sheets
from IPython.display import display
from ipywidgets import IntSlider
noise = json.loads(pathlib.Path("noise.json").read_text())
print(f"mean {1.2346 + noise:.4f} in 9 of 10")
display(figures.show(sheets.sheet([[torch.full((3, 8, 8), noise)]]), "00_toy"), IntSlider())"""


def test_a_second_run_changes_nothing_but_what_rounding_does_not_explain(runner, monkeypatch, tmp_path):
    monkeypatch.setenv("ASYRP_FIGURES", str(tmp_path))
    path, noise = write(runner.HERE, "00_toy.ipynb", (ROUGH, [])), runner.HERE / "noise.json"
    noise.write_text("0.0")
    assert run(runner, monkeypatch) == 0
    stored, figure = path.read_bytes(), (tmp_path / "00_toy.png").read_bytes()
    assert b"widget" not in stored.replace(b"ipywidgets", b""), "widgets are named at random"
    noise.write_text("0.0001")
    assert run(runner, monkeypatch) == 0
    assert (path.read_bytes(), (tmp_path / "00_toy.png").read_bytes()) == (stored, figure)
    noise.write_text("0.3")
    assert run(runner, monkeypatch) == 0
    assert path.read_bytes() != stored and (tmp_path / "00_toy.png").read_bytes() != figure


@pytest.mark.parametrize(
    "a, b, near",
    [
        ("+0.69 ± 0.10", "+0.70 ± 0.10", True),
        ("1e-4 1.25e-05", "1e-4 1.26e-05", True),
        ("+0.69", "+0.71", False),
        ("+0.01", "-0.01", False),
        ("9 of 10", "10 of 10", False),
        ("a: True", "a: False", False),
        ("0.5", "0.50", False),
        ("9.95", "10.05", False),
        ("0.1 sd", "0.2 sd", False),
        ("0.00", "0.01", False),
        ("−0.69", "+0.69", False),
        ("#", "1.50", False),
        ("#1.50", "1.501.99", False),
    ],
)
def test_near_is_one_unit_in_the_last_place(runner, a, b, near):
    import outputs

    assert outputs.near(a, b) == near


def test_notebooks_side_by_side_share_the_cores_and_are_told_in_order(runner, monkeypatch, capsys):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(runner.os, "cpu_count", lambda: 6)
    for name, wait in {"00_slow": 0.5, "01_fast": 0}.items():
        source = f"import os, time\ntime.sleep({wait})\nprint(os.environ.get('OMP_NUM_THREADS'), '1 of 1')"
        write(runner.HERE, f"{name}.ipynb", (source, []))
    assert run(runner, monkeypatch, "--lanes", "2") == 0
    table = capsys.readouterr().out
    assert table.index("00_slow") < table.index("01_fast")
    stored = [nbformat.read(path, as_version=4) for path in sorted(runner.HERE.glob("*.ipynb"))]
    assert [notebook.cells[0].outputs[0].text for notebook in stored] == ["3 1 of 1\n"] * 2
    assert run(runner, monkeypatch, "--lanes", "0") == 2
    assert "lanes" in capsys.readouterr().err


def test_bars_are_not_stored_and_not_compared(runner, monkeypatch):
    bar = "from asyrp_lib.progress import tqdm\nfor _ in tqdm(range(3)): pass\nprint(3)"
    path = write(runner.HERE, "00_toy.ipynb", (bar, []))
    assert run(runner, monkeypatch) == 0
    assert [output.output_type for output in nbformat.read(path, as_version=4).cells[0].outputs] == ["stream"]
    assert nbval(runner.HERE, path.name).returncode == 0


def test_nbval_sees_a_changed_line(runner, monkeypatch):
    path = write(runner.HERE, "00_toy.ipynb", ("print(True)", []))
    assert run(runner, monkeypatch) == 0
    path.write_text(path.read_text().replace("print(True)", "print(False)"))
    assert nbval(runner.HERE, path.name).returncode == 1


def test_a_cell_that_nbval_excuses_after_a_timeout_counts_as_failed(runner, monkeypatch):
    path = write(runner.HERE, "00_toy.ipynb", ("import time", []), ("time.sleep(0)", []), ("print(2)", []))
    assert run(runner, monkeypatch) == 0
    path.write_text(path.read_text().replace("sleep(0)", "sleep(60)"))
    result = nbval(runner.HERE, path.name, "--nbval-cell-timeout", "1")
    assert result.returncode == 1
    assert "2 failed, 1 passed" in result.stdout
    assert "xfailed" not in result.stdout and "xpassed" not in result.stdout


DRAW = """import pathlib
figures = pathlib.Path("../figures")
figures.mkdir(exist_ok=True)
(figures / "00_a.png").write_bytes(b"image")"""


def recorded(runner) -> dict:
    return json.loads((runner.HERE.parent / drawn.RECORD).read_text())


@pytest.mark.parametrize("elsewhere", [None, ""])  # empty is as if it were not set
def test_what_the_figures_of_a_notebook_were_drawn_from_is_recorded(runner, monkeypatch, elsewhere):
    monkeypatch.delenv("ASYRP_FIGURES", raising=False)
    if elsewhere is not None:
        monkeypatch.setenv("ASYRP_FIGURES", elsewhere)
    write(runner.HERE, "00_toy.ipynb", (DRAW, []), ('print("one: True")', []))
    figures = runner.HERE.parent / "figures"
    figures.mkdir()
    (figures / "01_b.png").write_bytes(b"image")
    assert run(runner, monkeypatch) == 0
    (before,) = recorded(runner).items()
    assert before[0] == "00_toy" and list(before[1]["figures"]) == ["00_a.png"]
    monkeypatch.setenv("ASYRP_FIGURES", "elsewhere")
    write(runner.HERE, "00_toy.ipynb", (DRAW.replace('b"image', 'b"another'), []))
    assert run(runner, monkeypatch) == 0, "figures that went elsewhere are not those of the repository"
    assert recorded(runner) == dict([before])


def test_a_figure_that_is_not_drawn_any_more_is_not_recorded_as_drawn(runner, monkeypatch):
    monkeypatch.delenv("ASYRP_FIGURES", raising=False)
    more = '\n(figures / "00_b.png").write_bytes(b"image")'
    for source, names in {DRAW + more: ["00_a.png", "00_b.png"], DRAW: ["00_a.png"], "1": []}.items():
        write(runner.HERE, "00_toy.ipynb", (source, []))
        assert run(runner, monkeypatch) == 0
        found = recorded(runner)
        assert [name for entry in found.values() for name in entry["figures"]] == names
    assert set(drawn.faults(runner.HERE.parent, ["00_a.png", "00_b.png"])) == {"00_a.png", "00_b.png"}


def test_rows_that_change_while_a_notebook_runs_are_not_those_that_it_drew(runner, monkeypatch):
    monkeypatch.delenv("ASYRP_FIGURES", raising=False)
    rows = runner.HERE.parent / "data" / "results" / "synthfaces_final.csv"
    rows.parent.mkdir(parents=True)
    rows.write_text("old")
    late = '\npathlib.Path("../data/results/synthfaces_final.csv").write_text("new")\n"final"'
    write(runner.HERE, "00_toy.ipynb", (DRAW + late, []))
    assert run(runner, monkeypatch) == 0
    said = drawn.faults(runner.HERE.parent, ["00_a.png"])["00_a.png"]
    assert said == "was drawn from other rows (data/results/synthfaces_final.csv)"


def test_two_that_record_at_once_lose_nothing(runner, monkeypatch):
    known = drawn._known
    monkeypatch.setattr(drawn, "_known", lambda root: (known(root), time.sleep(0.2))[0])
    figures = runner.HERE.parent / "figures"
    figures.mkdir()
    (runner.HERE.parent / "data").mkdir()

    def draw(number: str) -> None:
        with drawn.recorded(write(runner.HERE, f"{number}_toy.ipynb", ("1", []))):
            (figures / f"{number}_a.png").write_bytes(b"image")

    with ThreadPoolExecutor() as pool:
        list(pool.map(draw, ("00", "01", "02")))
    assert list(recorded(runner)) == ["00_toy", "01_toy", "02_toy"]


def test_a_notebook_that_somebody_edits_while_it_runs_keeps_the_edit(runner, monkeypatch, capsys):
    edit = 'from pathlib import Path\np = Path("00_toy.ipynb")\n'
    edit += 'p.write_text(p.read_text().replace("my", "your"))'
    path = write(runner.HERE, "00_toy.ipynb", (edit, []), ("print('my word')", []))
    assert run(runner, monkeypatch) == 1
    assert (
        "your word" in path.read_text() and "00_toy.ipynb was changed while it ran" in capsys.readouterr().err
    )


def test_whatever_ends_one_notebook_the_others_are_run_and_told_of(runner, monkeypatch, capsys):
    for name in ("00_a", "01_b", "02_c"):
        write(runner.HERE, f"{name}.ipynb", ("print('1 of 1')", []))
    real = runner.execute

    def execute(path, *args, **how):
        if path.stem == "00_a":
            raise RuntimeError("Kernel didn't respond in 60 seconds")
        return real(path, *args, **how)

    monkeypatch.setattr(runner, "execute", execute)
    assert run(runner, monkeypatch, "--lanes", "1") == 1
    said = capsys.readouterr()
    assert "error: 00_a.ipynb: RuntimeError: Kernel didn't respond" in said.err
    assert "01_b" in said.out and "02_c" in said.out and said.out.rstrip().endswith("--only 00")


def test_outputs_that_do_not_come_are_not_left_out_in_silence(runner):
    lost = "get_ipython().kernel._publish_status = lambda *args, **how: None\nprint(1)"
    path = write(runner.HERE, "00_toy.ipynb", ("x = 1", []), (lost, []))
    with pytest.raises(runner.NotebookError, match=r"cell \[2\].*outputs did not all come"):
        runner.execute(path, "synthfaces", path, cell_timeout=3)


def test_more_lanes_than_notebooks_leave_no_core_idle(runner, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(runner.os, "cpu_count", lambda: 6)
    source = "import os\nprint(os.environ.get('OMP_NUM_THREADS'), '1 of 1')"
    path = write(runner.HERE, "00_toy.ipynb", (source, []))
    assert run(runner, monkeypatch, "--lanes", "3") == 0
    assert nbformat.read(path, as_version=4).cells[0].outputs[0].text == "None 1 of 1\n"


def test_no_notebook_that_is_left_for_a_domain_is_wrong_input(runner, monkeypatch, capsys):
    write(runner.HERE, "90_embedded.ipynb", ("1", []))
    assert run(runner, monkeypatch, "--domain", "other", "--only", "90") == 2
    assert "90_embedded is about synthfaces itself" in capsys.readouterr().err


def test_a_folder_as_domain_is_found_by_the_kernels_and_holds_no_copies(runner, monkeypatch, tmp_path):
    monkeypatch.setattr(runner, "load_domain", lambda name: SimpleNamespace(name="own_mine"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASYRP_FIGURES", raising=False)
    (folder := tmp_path / "mine").mkdir()
    show = "import os\nprint(DOMAIN, os.environ['ASYRP_FIGURES'])"
    write(runner.HERE, "00_toy.ipynb", ('DOMAIN = "synthfaces"', ["parameters"]), (show, []))
    target = tmp_path / "runs" / "own_mine"
    for name in ("mine", str(folder)):
        assert run(runner, monkeypatch, "--domain", name) == 0
        copy = nbformat.read(target / "00_toy.ipynb", as_version=4)
        assert copy.cells[3].outputs[0].text == f"{folder} {target / 'figures'}\n"
    assert not list(folder.iterdir())


def test_the_bar_ends_at_its_total_whatever_is_added_or_left_out(runner):
    class Bar:
        n, total = 0, 5

        def update(self, n):
            self.n += n

    parameters = ('DOMAIN = "synthfaces"', ["parameters"])
    whole = write(runner.HERE, "00_toy.ipynb", parameters, ("1", []))
    runner.execute(whole, "other", runner.HERE / "copy.ipynb", bar=(bar := Bar()))
    assert (bar.n, bar.total) == (4, 7)
    broken = write(runner.HERE, "01_toy.ipynb", ("1 / 0", []), ("1", []), ("1", []))
    with pytest.raises(runner.NotebookError):
        runner.execute(broken, "synthfaces", broken, bar=bar)
    assert bar.n == bar.total == 4


def test_a_notebook_of_before_there_were_ids_is_run(runner, monkeypatch):
    path = write(runner.HERE, "00_toy.ipynb", ("print('1 of 1')", []), ("print('2 of 2')", []))
    old = json.loads(path.read_text()) | {"nbformat_minor": 4}
    for cell in old["cells"]:
        del cell["id"]
    path.write_text(json.dumps(old))
    assert run(runner, monkeypatch) == 0
    texts = [cell.outputs[0].text for cell in nbformat.read(path, as_version=4).cells]
    assert texts == ["1 of 1\n", "2 of 2\n"]
