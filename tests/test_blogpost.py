"""The post says what the stored rows say, and shows what they show; where they part ways it is refused."""

import hashlib
import json
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from PIL import Image

from asyrp_lib.domains import load_domain
from asyrp_lib.errors import AsyrpError, FileError, UnknownNameError, WeightsError
from asyrp_lib.experiments import reproduce
from asyrp_lib.measure.stats import Interval
from asyrp_lib.report import blogpost, drawn, figures
from asyrp_lib.report.facts import BLOCK, NUMBER, WHILE, Facts, renewed
from asyrp_lib.runs.launch import Task
from asyrp_lib.store import results
from asyrp_lib.store.paths import repo_root

ROOT = repo_root()
TEXT = (ROOT / "blogpost.md").read_text()
ROWS = "synthfaces_linearity"


@pytest.fixture(scope="module")
def facts():
    """What the stored rows say."""
    try:
        found = Facts(load_domain("synthfaces"), ROOT)
    except WeightsError:
        pytest.skip("the networks of synthfaces are not there")
    if found.claims.empty:
        pytest.skip("no results are stored")
    return found


@pytest.fixture
def copy(tmp_path):
    """The repository as far as figures and rows go; results are a copy, all else is linked."""
    for name in ("notebooks", "figures", "data/weights", "data/directions"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "data" / "results", tmp_path / "data" / "results")
    for file in (ROOT / "data").glob("*.json"):
        shutil.copy(file, tmp_path / "data")
    shutil.copy(ROOT / "blogpost.md", tmp_path)
    return tmp_path


def of_ones_own(root: Path, name: str) -> Path:
    """A linked folder of the copy, now a copy itself."""
    (root / name).unlink()
    shutil.copytree(ROOT / name, root / name)
    return root / name


def change(root: Path, by: float, rows=slice(0, 1), *, known: bool = True) -> None:
    """Add to the values of stored rows, of one if not said otherwise; `known`: as a new measurement would."""
    file = root / "data" / "results" / f"{ROWS}.csv"
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    table.loc[table.index[rows], "value"] = [f"{float(v) + by:.6g}" for v in table["value"][rows]]
    table.to_csv(file, index=False)
    if known:
        about = file.with_suffix(".json")
        found = json.loads(about.read_text())
        found["data"]["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
        about.write_text(json.dumps(found))


def test_the_post_says_what_the_stored_rows_say(facts):
    assert renewed(TEXT, facts) == TEXT, "write it again: make blogpost"


def test_every_recorded_figure_is_what_its_notebook_would_draw_today():
    shown = blogpost.FIGURE.findall(TEXT)
    recorded = json.loads((ROOT / drawn.RECORD).read_text())
    every = [name for entry in recorded.values() for name in entry["figures"]]
    assert len(shown) > 9 and not set(shown) - set(every)
    assert not drawn.faults(ROOT, every)


def test_no_number_that_is_measured_is_typed():
    text = TEXT
    for mark in (BLOCK, NUMBER, blogpost.COMMENT):
        text = mark.sub("", text)
    text = re.sub(r"\$\$.*?\$\$|\$.*?\$|\]\([^)]*\)|!\[.*?\]", "", text, flags=re.DOTALL)
    assert not re.findall(r"\d+[.,]\d+|\d+ ?%", text)
    assert len(NUMBER.findall(TEXT)) > 25 and len(WHILE.findall(TEXT)) > 5


def test_one_changed_row_is_seen_even_if_it_rounds_away(facts, copy, monkeypatch):
    monkeypatch.setattr(results, "data_dir", lambda: copy / "data")
    assert not drawn.faults(copy, blogpost.FIGURE.findall(TEXT))
    change(copy, 1e-5, known=False)
    with pytest.raises(WeightsError, match=f"{ROWS}.csv is not what"):
        renewed(TEXT, Facts(facts.domain, copy))
    change(copy, 0.0)
    with pytest.raises(FileError, match=rf"06_linearity.png was drawn from other rows .*{ROWS}.*--only 06"):
        drawn.check(copy, blogpost.FIGURE.findall(TEXT))


def test_changed_rows_change_the_text(facts, copy, monkeypatch):
    monkeypatch.setattr(results, "data_dir", lambda: copy / "data")
    change(copy, 0.4, slice(0, None, 2))
    other = Facts(facts.domain, copy)
    other.trial = facts.trial  # what is said elsewhere
    other.claims["verdict"] = facts.claims["verdict"]  # else a passage is refused, see below
    now = renewed(TEXT, other)
    parts = [(a, b) for a, b in zip(TEXT.splitlines(), now.splitlines(), strict=True) if a != b]
    assert parts and all("linear" in before for before, _ in parts)


@pytest.mark.parametrize(
    ("name", "spoil", "said"),
    [
        (
            "figures",
            lambda folder: Image.new("RGB", (9, 9)).save(folder / "06_linearity.png"),
            "is not the one",
        ),
        ("figures", lambda folder: (folder / "06_linearity.png").unlink(), "is not there"),
        ("notebooks", lambda folder: edited(folder, "\nx = 1"), "other code"),
        ("data/directions", lambda folder: retrained(folder), r"other weights \(.*smiling.safetensors\)"),
    ],
)
def test_what_a_figure_shows_is_checked_by_content(copy, name, spoil, said):
    spoil(of_ones_own(copy, name))
    found = drawn.faults(copy, ["06_linearity.png", "18_table_5.png"])
    assert list(found) == ["06_linearity.png"] and re.search(said, found["06_linearity.png"])


def edited(folder: Path, more: str) -> None:
    """Add to the first code cell of notebook 06."""
    file = folder / "06_linearity_and_composition.ipynb"
    notebook = json.loads(file.read_text())
    cell = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    cell["source"] = ["".join(cell["source"]) + more]
    file.write_text(json.dumps(notebook))


def retrained(folder: Path) -> None:
    """Another f_t of smiling."""
    shutil.copy(folder / "synthfaces" / "old.safetensors", folder / "synthfaces" / "smiling.safetensors")


def test_comments_and_layout_of_a_notebook_are_not_what_a_figure_shows(copy):
    edited(of_ones_own(copy, "notebooks"), "\n\n# another word")
    assert not drawn.faults(copy, ["06_linearity.png"])


def draw(notebook: Path) -> None:
    """Show the figures of a notebook once more, as running it does."""
    with drawn.recorded(notebook):
        for figure in (notebook.parents[1] / "figures").glob(f"{notebook.name[:3]}*"):
            figures.write(figure, figure.read_bytes())


def test_a_notebook_that_was_run_is_recorded(copy):
    of_ones_own(copy, "figures")
    change(copy, 0.1)
    notebook = copy / "notebooks" / "06_linearity_and_composition.ipynb"
    assert drawn.faults(copy, ["06_linearity.png"])
    draw(notebook)
    assert not drawn.faults(copy, ["06_linearity.png", "06_mixing.png", "07_robustness.png"])
    before = (copy / drawn.RECORD).read_bytes()
    draw(notebook)
    assert (copy / drawn.RECORD).read_bytes() == before
    renamed = of_ones_own(copy, "notebooks") / "06_a.ipynb"
    (renamed.parent / notebook.name).rename(renamed)
    draw(renamed)
    assert not drawn.faults(copy, ["06_linearity.png"])


def test_a_notebook_depends_on_the_rows_of_a_grid_and_on_what_was_published(tmp_path):
    notebook = tmp_path / "notebooks" / "11_layouts.ipynb"
    for name in ("results/synthfaces_grid_layouts.csv", "results/synthfaces_final.csv", "published.json"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text(name)
    notebook.parent.mkdir()
    for source in ('load_rows(f"{domain.name}_grid_layouts", "x")', 'load_rows("synthfaces_grid_layouts")'):
        cells = [{"cell_type": "code", "source": [f"from asyrp_lib.report import recount\n{source}"]}]
        notebook.write_text(json.dumps({"cells": cells}))
        found = [Path(name).name for name in drawn.sources(notebook)]
        assert found == ["code", "published.json", "synthfaces_grid_layouts.csv"]
    notebook.write_text("{")
    with pytest.raises(FileError, match="can't be read"):
        drawn.sources(notebook)


@pytest.fixture
def told():
    """Facts of one claim and one row."""
    found = Facts(None, ROOT)
    effect = Interval(-0.5, -0.75, -0.25, 5, 16)
    claim = {
        "published": "linear",
        "source": "Fig. 7",
        "ours": "explains 0.81 to 0.88 of it, −3% less",
        "of": "sd",
    }
    claim |= {"effect": effect, "verdict": "fails", "why": "a rule", "mind": "more"}
    found.claims = pd.DataFrame({"linear": claim}).T
    row = {"published": "a loss", "recomputed": "ends at 12.06", "here": "not yet", "verdict": "undecided"}
    found.trial = pd.DataFrame({"42": row, "E1": row}).T
    return found


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("linear | mean", "−0.50"),
        ("linear | interval", "[−0.75, −0.25]"),
        ("linear | verdict", "fails"),
        ("linear | seeds", "5"),
        ("linear | explains {} of it", "0.81 to 0.88"),
        ("linear | it, {}", "−3% less"),
        ("42 | ends at {}", "12.06"),
        ("tally | all", "2"),
        ("tally | claims, undecided", "1"),
        ("tally | all, undecided", "2"),
    ],
)
def test_a_number_in_a_sentence_is_renewed(told, asked, said):
    text = f"It is <!-- n: {asked} -->old<!-- /n --> here."
    assert renewed(text, told) == text.replace("old", said)
    assert renewed(renewed(text, told), told) == renewed(text, told)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a <!-- n: nothing | mean -->1<!-- /n -->", "asks for 'nothing'"),
        ("a <!-- n: linear | was {} of it -->1<!-- /n -->", "does not say 'was {} of it'"),
        ("a <!-- n: linear | number -->1<!-- /n -->", "does not say 'number'"),
        ("a <!-- n: tally | all, unheard -->1<!-- /n -->", "tally has no"),
        ("a <!-- n: linear | mean -->1", "not closed"),
        ("a <!-- n: linear | mean -->1, b <!-- n: 42 | ends at {} -->2<!-- /n -->", "not closed"),
        ("a <!-- n: linear | mean -->1<!-- /n --> b <!-- n 42 -->2<!-- /n -->", "not whole"),
        ("It bends. <!-- while linear: fails -->", "not whole"),
        ("<!-- n: linear | mean -->1<!-- /n --> a", "begins with a mark"),
        ("<!-- claims linear: made by make blogpost -->\n\nx\n", "not closed"),
        ("<!-- tables: made by make blogpost -->\n\nx\n\n<!-- end of tables -->", "no block 'tables'"),
        (
            "<!-- claims lines: made by make blogpost -->\n\nx\n\n<!-- end of claims lines -->",
            "no claim 'lines'",
        ),
        ("<!-- trial 99: made by make blogpost -->\n\nx\n\n<!-- end of trial 99 -->", "no row '99'"),
        (
            "It bends. <!-- while: linear | holds -->",
            "written while 'linear' was 'holds', and it is 'fails' now",
        ),
    ],
)
def test_what_no_rows_say_is_refused_in_one_sentence(told, text, sentence):
    with pytest.raises(AsyrpError, match=re.escape(sentence)):
        renewed(text, told)


def test_blocks_are_filled_when_claims_and_figures_come(told, tmp_path):
    told.root = tmp_path
    (tmp_path / "figures").mkdir()
    of = lambda what: f"a\n\n<!-- {what}: made by make blogpost -->\n\nx\n\n<!-- end of {what} -->\n\nb"
    assert "| linear | Fig. 7 | −0.50 [−0.75, −0.25] sd | **fails** |" in renewed(
        of("claims linear, heads"), told
    )
    assert "*Not measured yet: heads, subtle.*" in renewed(of("claims heads, subtle"), told)
    assert "| a loss | ends at 12.06 | not yet | undecided |" in renewed(of("trial 42"), told)
    assert "| **E1** a loss | ends at 12.06 | undecided |" in renewed(of("theirs E1"), told)
    assert "| pc, cp | 7,133,056 | 7,658,368 |" in renewed(of("parameters"), told)
    assert "Figures of notebook 11 come here" in renewed(of("figures 11"), told)
    (tmp_path / "figures" / "11_layouts_by_loss.png").touch()
    assert "![layouts by loss](figures/11_layouts_by_loss.png)" in renewed(of("figures 11"), told)


def state_of(monkeypatch, said: str, facts) -> None:
    """What tasks and facts `write` meets."""
    monkeypatch.setattr(reproduce, "tasks", lambda domain: [Task("final", 3, (), lambda: said)])
    monkeypatch.setattr(blogpost, "Facts", lambda domain, root, **how: facts)


def test_writing_changes_nothing_or_what_parted_or_refuses(told, copy, monkeypatch):
    shown = "![a](figures/06_linearity.png)\n"
    right, file = (
        f"# Post\n\nIt is <!-- n: linear | mean -->−0.50<!-- /n -->.\n\n{shown}",
        copy / "blogpost.md",
    )
    state_of(monkeypatch, "done", told)
    file.write_text(right)
    before = file.stat()
    assert not blogpost.write(None, copy) and file.read_text() == right and file.stat() == before
    wrong = right.replace("−0.50", "−0.60")
    file.write_text(wrong)
    change(copy, 0.1)
    with pytest.raises(FileError, match="06_linearity.png was drawn from other rows"):
        blogpost.write(None, copy)
    assert file.read_text() == wrong
    change(copy, -0.1)
    shutil.copytree(ROOT / "data" / "results", copy / "data" / "results", dirs_exist_ok=True)
    assert blogpost.write(None, copy) and file.read_text() == right
    state_of(monkeypatch, "stale: other unet", told)
    with pytest.raises(AsyrpError, match="final: stale"):
        blogpost.write(None, copy)


def test_a_copy_for_another_domain_says_what_is_not_known(told, tmp_path, monkeypatch):
    told.strict, told.domain = False, SimpleNamespace(name="cats")
    state_of(monkeypatch, "missing", told)
    text = "# Post\n\nIt is <!-- n: known | mean -->1<!-- /n --> and bends. <!-- while: linear | holds -->\n"
    (tmp_path / "blogpost.md").write_text(text + "\n![a](figures/00_a.png)\n![b](figures/00_b.png)\n")
    (tmp_path / "cats" / "figures").mkdir(parents=True)
    (tmp_path / "cats" / "figures" / "00_a.png").touch()
    made = blogpost.write_copy(told.domain, tmp_path / "cats", tmp_path).read_text()
    assert "-->–<!-- /n -->" in made and "![a](figures/00_a.png)\n*(00_b.png: run notebook 00.)*" in made
    assert made.startswith("# Post\n\n*The rows and figures of cats")


def test_the_page_has_formulas_tables_and_images_in_itself():
    pytest.importorskip("latex2mathml", reason="latex2mathml is not installed: pip install -e '.[blog]'")
    text = '# A\n\n$$\nx_{t-1}\n$$\n\n| a | b |\n|---|---|\n| $x_t$ | 1 |\n\n![a "b"](figures/a.png)\n*c*\n'
    made = blogpost.to_html(
        f"{text}\n[here](notebooks/00.ipynb) [there](https://a.b)", {"figures/a.png": "data:,"}
    )
    assert made.count("<math") == 2 and made.count('<div class="wide">') == 2 and "$" not in made
    assert '<img src="data:,"' in made and "here <a href" in made and "notebooks" not in made
    with pytest.raises(FileError, match="shows figures/b.png"):
        blogpost.to_html("![b](figures/b.png)", {})


def test_a_broken_formula_is_one_sentence_and_braces_are_only_text(tmp_path):
    pytest.importorskip("latex2mathml", reason="latex2mathml is not installed: pip install -e '.[blog]'")
    for broken in (r"$x_a_b$", "$$\n\\text\n$$"):
        with pytest.raises(AsyrpError, match=r"The formula '.*' is broken \(\w+\); expected LaTeX"):
            blogpost.to_html(f"a {broken}", {})
    (tmp_path / "blogpost.md").write_text("# On {{body}} and {{title}}\n\n{{body}}\n")
    made = blogpost.write_page(None, tmp_path / "blogpost.html", tmp_path).read_text()
    assert "<title>On {{body}} and {{title}}</title>" in made and "<p>{{body}}</p>" in made


@pytest.mark.parametrize(
    "mark", ["<!-- sliders: a, face 1 -->\nx\n", "<!-- sliders: a, test 1 -->\nx\n<!-- end -->"]
)
def test_sliders_that_would_be_left_out_are_told_of(tmp_path, mark):
    (tmp_path / "blogpost.md").write_text(f"# Post\n\n{mark}\n")
    with pytest.raises(AsyrpError, match="mark of sliders .* not whole"):
        blogpost.write_page(None, tmp_path / "blogpost.html", tmp_path)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "latex2mathml.converter", None)
    with pytest.raises(AsyrpError, match=r"latex2mathml.converter is not installed; .*\[blog\]"):
        blogpost.to_html("a", {})


def test_figures_that_are_too_large_together_become_jpeg(tmp_path, monkeypatch):
    (tmp_path / "figures").mkdir()
    Image.effect_noise((64, 64), 50).save(tmp_path / "figures" / "a.png")
    assert blogpost.embedded(tmp_path, ["a.png"])["figures/a.png"].startswith("data:image/png")
    monkeypatch.setattr(blogpost, "MOST_FIGURES", 1000)
    assert blogpost.embedded(tmp_path, ["a.png"])["figures/a.png"].startswith("data:image/jpeg")


def test_unknown_rows_are_refused(told):
    with pytest.raises(UnknownNameError):
        told.number("nothing", "mean")


def test_the_whole_post_runs_on_another_domain(toy, tmp_path, monkeypatch):
    pytest.importorskip("latex2mathml", reason="latex2mathml is not installed: pip install -e '.[blog]'")
    monkeypatch.setattr(reproduce, "tasks", lambda domain: [])
    made = blogpost.write_copy(toy, tmp_path).read_text()
    assert made.count("-->–<!-- /n -->") > 15 and "run notebook 06" in made and "](figures/" not in made
    page = blogpost.write_page(toy, tmp_path / "blogpost.html", tmp_path).read_text()
    assert page.count('type="range"') == 2 and "<span>red</span>" in page and "<img" not in page
