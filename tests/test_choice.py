"""The blind choice without a browser: what the page gives away, and what becomes of its answers."""

import hashlib
import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
from choices import faces, log_of, save, sides, study_of

from asyrp_lib.errors import AsyrpError, FileError, ImageError
from asyrp_lib.measure.choices import read_choices
from asyrp_lib.report.choice import Question, write_choices


@pytest.fixture
def page(tmp_path):
    """A written page of 13 questions of three groups; its key lies beside it."""
    write_choices(tmp_path / "study.html", faces(13), seed=3)
    return tmp_path / "study.html"


@pytest.fixture
def key(page):
    return page.with_suffix(".key.json")


def test_the_page_holds_no_key_and_opens_no_connection(page, key):
    text = page.read_text()
    bare = re.sub(r"data:image/png;base64,[\w+/=]+", "", text)
    for secret in ("target", "catch", "about", "strength", "grin"):
        assert not re.search(rf"\b{secret}\b", bare), secret
    assert not re.search(r"https?:|//cdn|<link rel=.stylesheet|@import|fetch\(|XMLHttp", bare)
    assert "default-src 'none'" in text
    study = study_of(page)
    assert study.keys() == {"page", "title", "questions"}
    for question in study["questions"]:
        assert list(question) == ["id", "text", "left", "right"], "the order of the images tells nothing"
    assert study["page"] == json.loads(key.read_text())["page"]


def test_ids_and_order_are_the_same_whichever_image_is_asked_for(tmp_path, page):
    turned = [Question(q.text, q.other, q.target, q.kind, q.about) for q in faces(13)]
    write_choices(tmp_path / "turned.html", turned, seed=3)
    first, second = study_of(page)["questions"], study_of(tmp_path / "turned.html")["questions"]
    assert [q["id"] for q in first] == [q["id"] for q in second]
    assert [q["left"] for q in first] == [q["right"] for q in second]


def test_the_key_names_the_side_on_which_the_target_is(tmp_path):
    white, black = torch.ones(3, 8, 8), -torch.ones(3, 8, 8)
    key = write_choices(tmp_path / "x.html", [Question("Which is white?", white, black, "edit")] * 6)
    questions = study_of(tmp_path / "x.html")["questions"]
    assert len({q[sides(key)[q["id"]]] for q in questions}) == 1 and len({q["left"] for q in questions}) == 2


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n", [1, 2, 12, 13, 40])
def test_sides_are_balanced_in_all_and_in_every_group(tmp_path, n, seed):
    key = write_choices(tmp_path / "x.html", faces(n), seed=seed)
    truths = pd.DataFrame(json.loads(key.read_text())["questions"].values())
    truths["edit"] = [about.get("edit") for about in truths["about"]]
    truths["left"] = np.where(truths["target"] == "left", 1, -1)
    assert abs(truths["left"].sum()) <= 1
    assert truths.groupby(["kind", "edit"], dropna=False)["left"].sum().abs().max() <= 1


def test_the_same_seed_gives_the_same_bytes_and_another_one_another_page(tmp_path, page, key):
    written = page.read_bytes(), key.read_bytes()
    write_choices(page, faces(13), seed=3)
    assert (page.read_bytes(), key.read_bytes()) == written
    write_choices(tmp_path / "other.html", faces(13), seed=4)
    ours, others = study_of(page), study_of(tmp_path / "other.html")
    assert ours["page"] != others["page"]
    assert [q["text"] for q in ours["questions"]] != [q["text"] for q in others["questions"]]


def test_the_pages_name_is_the_digest_of_all_it_asks(page):
    study = study_of(page)
    told = study.pop("page")
    assert told == hashlib.sha256(json.dumps(study).encode()).hexdigest()


def test_no_text_ends_the_script(tmp_path):
    text = "</script><script>alert(1)</script> {{study}} é"
    question = Question(text, torch.ones(3, 8, 8), torch.zeros(3, 8, 8), "edit")
    write_choices(tmp_path / "x.html", [question])
    assert (tmp_path / "x.html").read_text().count("</script>") == 2
    study = study_of(tmp_path / "x.html")
    assert study["questions"][0]["text"] == text


def test_from_the_page_over_logs_to_rows(page, key, tmp_path):
    truth, files = sides(key), []
    for judge, wrong in (("Ada", 0), ("Emmy", 3)):
        log = log_of(page, judge, lambda name: truth[name])
        for answer in log["answers"][:wrong]:
            answer["chosen"] = {"left": "right", "right": "left"}[answer["chosen"]]
        files.append(save(tmp_path / f"{judge}.json", log))
    rows = read_choices(key, *files)
    assert list(rows) == [
        *("judge", "question", "kind", "edit", "face", "strength"),
        *("shown", "chosen", "right", "milliseconds"),
    ]
    assert rows.groupby("judge")["right"].sum().to_dict() == {"Ada": 13, "Emmy": 10}
    assert list(rows["shown"]) == [*range(1, 14)] * 2 and set(rows["milliseconds"]) == {700}
    kinds = {question.about["face"]: question.kind for question in faces(13)}
    assert dict(zip(rows["face"], rows["kind"])) == kinds
    assert rows.attrs == {"page": study_of(page)["page"]}
    none = read_choices(key)
    assert not len(none) and list(none) == list(rows)


def damaged(log: dict) -> dict[str, tuple]:
    """Name -> (what to write as a log, what is said of it)."""
    a = log["answers"]
    return {
        "another page": (log | {"page": "0" * 64}, "is of another page"),
        "unknown": (
            log | {"answers": [*a[1:], a[0] | {"question": "7"}]},
            "answers 1 that the page does not",
        ),
        "twice": (log | {"answers": [*a, a[4]]}, "answers 1 of the page's 13 questions again"),
        "unanswered": (log | {"answers": a[3:]}, "leaves 3 of the page's 13 questions unanswered"),
        "empty": ({}, r"is damaged \(page: field required\)"),
        "a list": ([], "is damaged"),
        "no side": (log | {"answers": [a[0] | {"chosen": "both"}]}, r"answers\.0\.chosen: input should be"),
        "no time": (log | {"answers": [a[0] | {"milliseconds": -1}]}, "milliseconds"),
        "a truth": (log | {"answers": [a[0] | {"milliseconds": True}]}, "milliseconds"),
        "more": (log | {"right": 1}, "right: extra inputs"),
        "nobody": (log | {"judge": ""}, "judge"),
    }


@pytest.mark.parametrize("fault", damaged({"answers": [{}] * 5, "page": "", "judge": ""}))
def test_a_log_that_does_not_fit_is_refused_in_one_sentence(page, key, tmp_path, fault):
    log, said = damaged(log_of(page, "Ada", lambda _: "left"))[fault]
    with pytest.raises(FileError, match=said) as caught:
        read_choices(key, save(tmp_path / "log.json", log))
    assert "; expected " in str(caught.value) and "pydantic" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"NaN"])
def test_a_file_that_is_no_json_is_refused(key, tmp_path, content):
    (tmp_path / "log.json").write_bytes(content)
    for files in ((key, tmp_path / "log.json"), (tmp_path / "log.json",)):
        with pytest.raises(FileError, match="log.json is damaged"):
            read_choices(*files)


def test_files_that_are_not_there_or_stand_for_each_other_are_refused(page, key, tmp_path):
    log = save(tmp_path / "log.json", log_of(page, "Ada", lambda _: "left"))
    with pytest.raises(FileError, match="Cannot read .*none.json"):
        read_choices(key, tmp_path / "none.json")
    with pytest.raises(FileError, match="expected a page's key"):
        read_choices(log, key)
    with pytest.raises(FileError, match="both by 'Ada'"):
        read_choices(key, log, log)


def test_a_key_that_answers_need_is_not_written_over(page, key):
    with pytest.raises(FileError, match="the key of another page"):
        write_choices(page, faces(13), seed=4)
    key.unlink()
    write_choices(page, faces(13), seed=4)


def test_what_cannot_be_asked_is_refused(tmp_path):
    image, path = torch.zeros(3, 8, 8), tmp_path / "x.html"
    for target, other in ((image, torch.zeros(3, 9, 9)), (image[0], image), (image * torch.nan, image)):
        with pytest.raises(ImageError):
            write_choices(path, [Question("Which?", target, other, "edit")])
    for question in (
        Question("", image, image, "edit"),
        Question("Which?", None, image, "edit"),
        Question("Which?", image, image, 3),
        Question("Which?", image, image, "edit", {"right": 1}),
        Question("Which?", image, image, "edit", {"strength": float("nan")}),
        Question("Which?", image, image, "edit", {"face": image}),
    ):
        with pytest.raises(AsyrpError, match="expected"):
            write_choices(path, [question])
    for wrong, options in ((tmp_path / "x.json", {}), (path, {"seed": -1})):
        with pytest.raises(AsyrpError, match="expected"):
            write_choices(wrong, [Question("Which?", image, image, "edit")], **options)
    with pytest.raises(AsyrpError, match="expected"):
        write_choices(path, [])
    assert not list(tmp_path.iterdir())
