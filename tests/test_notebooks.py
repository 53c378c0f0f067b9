"""Hygiene of the notebooks as they are stored: without it nbval could pass while checking nothing."""

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
UNCHECKED = {"nbval-ignore-output", "nbval-skip"}


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return json.loads(path.read_text())


def code(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def tags(cell):
    return set(cell["metadata"].get("tags", []))


def test_there_are_notebooks_at_all():
    assert len(NOTEBOOKS) >= 7


def test_the_name_has_a_number_and_a_slug_and_the_index_lists_it(path):
    assert re.fullmatch(r"\d\d_[a-z0-9_]+", path.stem)
    assert f"]({path.name})" in (ROOT / "notebooks" / "README.md").read_text()


def test_the_title_cell_asks_a_question_and_names_the_paper(notebook):
    title = "".join(notebook["cells"][0]["source"])
    assert (
        title.startswith("# ") and "**Question.**" in title and "**Paper.**" in title and "| claim |" in title
    )


def test_every_code_cell_was_run_once_in_order(notebook):
    assert [cell["execution_count"] for cell in code(notebook)] == list(range(1, len(code(notebook)) + 1))


def test_no_error_and_no_error_stream_is_stored(notebook):
    for cell in code(notebook):
        for output in cell["outputs"]:
            assert output["output_type"] != "error" and output.get("name") != "stderr"


def test_claims_are_printed_and_compared(notebook):
    printed = "".join(
        "".join(output.get("text", ""))
        for cell in code(notebook)
        if not tags(cell) & UNCHECKED
        for output in cell["outputs"]
        if output["output_type"] == "stream"
    )
    assert printed.count("True") + printed.count(" of ") >= 2, "a notebook must check at least two claims"
    assert "False" not in printed, "a stored claim does not hold"


def test_compared_output_holds_no_long_number_that_another_machine_would_print_otherwise(notebook):
    for cell in code(notebook):
        if not tags(cell) & UNCHECKED:
            for output in cell["outputs"]:
                assert not re.search(r"\d\.\d{3,}", "".join(output.get("text", ""))), output


def test_there_is_one_parameters_cell_of_plain_literals(path, notebook):
    cells = [cell for cell in code(notebook) if "parameters" in tags(cell)]
    assert len(cells) == 1 and not cells[0]["outputs"]
    names = set()
    for statement in ast.parse("".join(cells[0]["source"])).body:
        assert isinstance(statement, ast.Assign), ast.unparse(statement)
        ast.literal_eval(statement.value)
        names |= {name.id for name in ast.walk(statement) if isinstance(name, ast.Name)}
    if path.name < "90":  # from there on they are about the embedded domain itself
        assert "DOMAIN" in names, "`make run DOMAIN=...` could not change the domain"
    assert all(name.isupper() for name in names), names


def test_metadata_is_normal_and_no_widget_state_is_stored(notebook):
    assert notebook["metadata"] == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    ids = [cell["id"] for cell in notebook["cells"]]
    assert all(re.fullmatch(r"[\w-]{1,64}", name) for name in ids) and len(set(ids)) == len(ids)
    assert not any("execution" in cell["metadata"] for cell in notebook["cells"]), "times of a run are stored"


def test_no_path_of_a_machine_and_no_megabytes(path):
    text = path.read_text()
    assert len(text) < 2_000_000
    assert not re.search(r"(/home/|/root/|/tmp/|[A-Z]:\\\\Users)", re.sub(r'"image/png": "[^"]*"', "", text))


def test_no_line_of_code_runs_off_the_page(notebook):
    assert not [
        line for cell in code(notebook) for line in "".join(cell["source"]).splitlines() if len(line) > 110
    ]


def test_no_widget_is_stored_without_its_image(notebook):
    for cell in code(notebook):
        for output in cell["outputs"]:
            assert "application/vnd.jupyter.widget-view+json" not in output.get("data", {})


def test_no_p_value_is_printed_as_zero(notebook):
    for cell in code(notebook):
        for output in cell["outputs"]:
            table = "".join(output.get("data", {}).get("text/html", ""))
            heads = re.findall(r"<th>(.*?)</th>", table.partition("</thead>")[0])
            if "p" in heads:
                assert "<td>0.0000</td>" not in table


def test_only_the_parameters_name_an_edit_so_that_another_domain_can_run_it(path, notebook):
    """A fixed name fails on a church; `Domain.trained_like` takes the names in the parameters for wishes."""
    if path.name < "90":  # those are about the embedded domain
        asked = [
            line
            for cell in code(notebook)
            if "parameters" not in tags(cell)
            for line in "".join(cell["source"]).splitlines()
            if re.search(r"""\.(delta|edit_named|trained)\(\[?["']""", line)
        ]
        assert not asked
