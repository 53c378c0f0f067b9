"""The blind choice as an experiment: what judges saved becomes rows; without it, one sentence says so."""

import json
import os
from pathlib import Path

import pytest
from choices import faces, log_of, save, sides

from asyrp_lib import cli, experiments
from asyrp_lib.errors import DomainError, FileError, SettingsError
from asyrp_lib.experiments import choice
from asyrp_lib.experiments.rows import COLUMNS, joined, numbers, pick
from asyrp_lib.measure.choices import CATCH
from asyrp_lib.report.choice import Question, write_choices

N = 12


def page(folder: Path, *judges: str, wrong: tuple[str, ...] = (), seed: int = 0) -> Path:
    """The key of a page of N questions with the logs of judges; those in `wrong` are wrong wherever they can.

    Made up in the test's folder, and kept nowhere.
    """
    folder.mkdir(parents=True)
    key = write_choices(folder / "page.html", faces(N), seed=seed)
    truth, other = sides(key), {"left": "right", "right": "left"}
    for judge in judges:
        side = lambda name, judge=judge: other[truth[name]] if judge in wrong else truth[name]
        save(folder / f"answers {judge}.json", log_of(key.with_name("page.html"), judge, side))
    return key


@pytest.fixture
def home(monkeypatch, tmp_path):
    """Runs and results in a folder of the test's; where the toy's pages lie."""
    monkeypatch.setattr("asyrp_lib.experiments.choice.runs_dir", lambda: tmp_path / "runs")
    monkeypatch.setattr("asyrp_lib.store.results.runs_dir", lambda: tmp_path / "runs")
    monkeypatch.setattr("asyrp_lib.store.results.data_dir", lambda: tmp_path)
    return tmp_path / "runs" / "choice" / "toy"


def test_two_judges_logs_become_rows_of_every_answer(toy, tmp_path):
    key = page(tmp_path / "study", "Emmy", "Ada", wrong=("Emmy",))
    rows = choice.measure(toy, n=2, folder=str(key.parent), progress=False)
    assert tuple(rows) == COLUMNS and len(rows) == 2 * 2 * N
    assert not rows.duplicated(list(COLUMNS[:-1])).any()
    right = pick(rows, "right")
    assert right.groupby("seed")["value"].mean().to_dict() == {0: 1, 1: 0}, "Ada is 0, Emmy 1"
    assert (pick(rows, "seconds")["value"] == 0.7).all()
    kinds = {q.about["face"]: (q.kind, q.about.get("edit"), q.about.get("strength")) for q in faces(N)}
    for row in right.astype(object).where(right.notna(), None).itertuples():
        assert (row.variant, row.edit, row.strength) == kinds[row.image]
    assert rows.attrs == {"page": json.loads(key.read_text())["page"]}


def test_rows_come_back_from_disk_with_their_page_and_no_network_in_their_provenance(toy, home):
    key = page(home / "one", "Ada", "Emmy")
    experiments.store(toy, "choice", progress=False)
    assert choice.shares(experiments.stored(toy, "choice")).keys() == {CATCH, "edit grin", "real"}
    made_by = experiments.provenance(toy, "choice")
    assert made_by["digests"] == {"page": json.loads(key.read_text())["page"]}
    assert made_by["settings"] == {"domain": "toy", "n": 1, "folder": None}, "a judge is no f_t's seed"


def test_the_newest_page_with_answers_counts_and_another_domains_does_not(toy, home):
    for age, (folder, judges) in enumerate({"a": ("Ada",), "b": ("Ada", "Emmy"), "c": ()}.items()):
        key = page(home / folder, *judges, seed=age)
        os.utime(key, (age, age))
    page(home.with_name("faces") / "d", "Ada", "Emmy", "Grace")
    assert choice.measure(toy, progress=False)["seed"].nunique() == 2


def test_without_answers_or_with_too_few_judges_one_sentence_says_so(toy, home):
    said = "No answers to a page are in .*; expected files that judges saved"
    for folder in (None, str(home), str(home / "nowhere")):
        with pytest.raises(DomainError, match=said):
            choice.measure(toy, folder=folder)
    key = page(home / "one")
    with pytest.raises(DomainError, match=said):
        choice.measure(toy)
    save(key.with_name("answers.json"), log_of(key.with_name("page.html"), "Ada", lambda _: "left"))
    with pytest.raises(DomainError, match="Judges who answered in .*one: 1; expected 2 or more"):
        choice.measure(toy, n=2)


@pytest.mark.parametrize("fault", ["is of another page", "leaves 3 of the page's 12", "is damaged"])
def test_logs_that_do_not_fit_are_refused(toy, home, fault):
    key = page(home / "one", "Ada")
    log = log_of(key.with_name("page.html"), "Emmy", lambda _: "left")
    log |= {"page": "0" * 64} if "another" in fault else {"answers": log["answers"][3:]}
    save(key.with_name("more.json"), [] if "damaged" in fault else log)
    with pytest.raises(FileError, match=fault):
        choice.measure(toy)


@pytest.mark.parametrize("about", [{"face": "Ada"}, {"face": 1.5}, {"strength": "much"}])
def test_a_face_or_strength_that_is_no_number_is_refused(toy, tmp_path, about):
    first = faces(1)[0]
    key = write_choices(tmp_path / "x.html", [Question("Which?", first.target, first.other, "edit", about)])
    save(tmp_path / "log.json", log_of(tmp_path / "x.html", "Ada", lambda _: "left"))
    with pytest.raises(FileError, match=f"{key.name} is no key for this .*; expected whole numbers"):
        choice.measure(toy, folder=str(tmp_path))


@pytest.mark.parametrize("settings", [{"n": 0}, {"n": True}, {"folder": 3}, {"folder": "x\0y"}])
def test_settings_without_sense_are_one_sentence(toy, home, settings):
    with pytest.raises((SettingsError, FileError, DomainError), match="; expected |expected a file"):
        choice.measure(toy, **settings)


def answers(right: dict[int, list[int]], variant: str = "edit", **where):
    """Rows of judges' answers, one face each."""
    found = [
        numbers({"right": value}, variant=variant, seed=judge, image=k, **where)
        for judge, values in right.items()
        for k, value in enumerate(values)
    ]
    return joined(found)


def test_four_right_answers_of_one_judge_may_be_chance_and_forty_of_four_are_not():
    few, many = (
        choice.shares(answers(of, edit="grin"))["edit grin"]
        for of in ({0: [1] * 4}, dict.fromkeys(range(4), [1] * 10))
    )
    assert few[:2] == (1.0, pytest.approx(0.025**0.25)), "Clopper and Pearson by hand"
    assert few.high == 1 and not few.above(0.5) and few[3:] == (1, 4)
    assert many.above(0.5) and many[3:] == (4, 40)


def test_judges_who_differ_widen_the_interval_beyond_that_of_independent_answers():
    alike = choice.shares(answers(dict.fromkeys(range(4), [1] * 15 + [0] * 5)))["edit"]
    apart = choice.shares(answers({0: [1] * 20, 1: [1] * 20, 2: [1] * 20, 3: [0] * 20}))["edit"]
    assert alike.mean == apart.mean == 0.75 and alike.above(0.5) and not apart.above(0.5)
    assert 0 <= apart.low < alike.low and alike.high < apart.high <= 1


def test_catch_trials_are_one_share_whatever_edit_they_name():
    rows = joined([answers({0: [1, 1]}, CATCH, edit="grin"), answers({0: [0, 0]}, CATCH, edit="hat")])
    assert {label: share.mean for label, share in choice.shares(rows).items()} == {CATCH: 0.5}


def test_all_and_missing_leave_it_out_and_by_name_it_is_refused(toy, home, monkeypatch, capsys):
    monkeypatch.setattr("asyrp_lib.domains.load_domain", lambda name, device=None: toy)
    monkeypatch.setattr(
        experiments, "EXPERIMENTS", {k: experiments.EXPERIMENTS[k] for k in ("linearity", "choice")}
    )
    for word in ("all", "missing"):
        assert cli.main(["experiment", word, "--images", "2"]) == 0
        assert "left out choice: No answers to a page are in" in capsys.readouterr().err
    assert cli.main(["experiment", "choice"]) == 2
    assert "error: No answers to a page" in capsys.readouterr().err
    page(home / "one", "Ada", "Emmy")
    assert cli.main(["experiment", "missing"]) == 0 and len(experiments.stored(toy, "choice")) == 4 * N
    folder = json.dumps(str(home / "one"))
    assert cli.main(["experiment", "choice", "--replace", "--set", f"folder={folder}"]) == 0
