"""The blind choice in a real browser: answered by keyboard and by mouse, saved, and read."""

import json
import re
from itertools import cycle

import pytest
from choices import faces, study_of
from test_browser import BROWSER

from asyrp_lib.measure.choices import read_choices
from asyrp_lib.report.choice import TITLE, write_choices

#: The tags of all that is off the page's right edge, or below the window.
OUTSIDE = """() => [...document.querySelectorAll("main *")].filter(box => {
    const { right, bottom } = box.getBoundingClientRect();
    return right > innerWidth || bottom > innerHeight; }).map(box => box.tagName)"""
N = 6


@pytest.fixture
def chromium():
    """The browser; without one the test is skipped."""
    if BROWSER is None:
        pytest.skip("no Chromium on this machine: the choice was not tried in a browser")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: the choice was not tried in a browser"
    )
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(
            executable_path=BROWSER,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
        )
        yield browser
        browser.close()


@pytest.fixture
def study(tmp_path):
    """A written page of N questions."""
    write_choices(tmp_path / "study.html", faces(N))
    return tmp_path / "study.html"


def opened(chromium, study, judge: str = "", **options):
    """The study's first question, and what the page complains of and asks of the network."""
    page, trouble = chromium.new_page(**options), []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda message: trouble.append(message.text))
    page.on("request", lambda request: trouble.append(request.url))
    page.goto(study.as_uri())
    assert page.title() == page.locator("h1").first.inner_text() == TITLE
    assert f"see {N} pairs" in page.locator("#start p").inner_text()
    page.get_by_label("Your name").fill(judge)
    page.screenshot(path=study.with_name("start.png"))
    page.get_by_role("button", name="start").click()
    return page, trouble


def seen(page, k: int) -> dict:
    """Question k once it is answerable: its text and images."""
    page.get_by_text(f"{k} of {N}", exact=True).wait_for()
    page.wait_for_timeout(350)  # sooner nobody answers
    left, right = (
        page.get_by_alt_text(f"{place} image").get_attribute("src") for place in ("first", "second")
    )
    return {"text": page.locator("h2").inner_text(), "left": left, "right": right}


def saved(page, study) -> dict:
    """The log that the page offers at the end."""
    with page.expect_download() as download:
        page.get_by_role("button", name="save the answers").click()
    file = study.with_name(download.value.suggested_filename)
    download.value.save_as(file)
    return {"file": file, **json.loads(file.read_text())}


WAYS = {  # how -> (what answers left, what answers right)
    "arrows": [lambda page: page.keyboard.press("ArrowLeft"), lambda page: page.keyboard.press("ArrowRight")],
    "letters": [lambda page: page.keyboard.press("f"), lambda page: page.keyboard.press("J")],
    "buttons": [
        lambda page: page.get_by_role("button", name="left").press("Enter"),
        lambda page: page.get_by_role("button", name="right").press(" "),
    ],
    "mouse": [
        lambda page: page.locator("img").first.click(force=True),
        lambda page: page.get_by_text("right", exact=False).last.dblclick(),
    ],
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("width", [1200, 400])
def test_all_questions_are_asked_answered_saved_and_read(chromium, study, width, way):
    height = {1200: 800, 400: 700}[width]
    page, trouble = opened(chromium, study, "Ada L. / 1", viewport={"width": width, "height": height})
    asked, expected = study_of(study)["questions"], []
    for k, question, side in zip(range(1, N + 1), asked, cycle((0, 1, 1))):
        assert seen(page, k) == {name: question[name] for name in ("text", "left", "right")}
        assert not page.evaluate(OUTSIDE)
        boxes = [image.bounding_box() for image in page.locator("img").all()]
        assert boxes[0]["y"] == boxes[1]["y"] and boxes[0]["x"] + boxes[0]["width"] < boxes[1]["x"]
        assert min(box[length] for box in boxes for length in ("width", "height")) >= (
            256 if width == 1200 else 150
        )
        page.screenshot(path=study.with_name(f"trial {k} {way} {width}.png"))
        WAYS[way][side](page)
        expected.append((question["id"], k, ("left", "right")[side]))
    page.get_by_text("Thank you").wait_for()
    page.screenshot(path=study.with_name("end.png"))
    log = saved(page, study)
    assert log["file"].name == "answers Ada L- - 1.json"
    assert log["judge"] == "Ada L. / 1"
    assert [(a["question"], a["shown"], a["chosen"]) for a in log["answers"]] == expected
    rows = read_choices(study.with_suffix(".key.json"), log["file"])
    truths = json.loads(study.with_suffix(".key.json").read_text())["questions"]
    assert list(rows["right"]) == [int(truths[name]["target"] == side) for name, _, side in expected]
    assert rows["milliseconds"].between(200, 60_000).all()
    assert {url for url in trouble if not url.startswith(("data:", "blob:"))} <= {study.as_uri()}


def test_a_key_held_down_or_with_alt_answers_once_or_not(chromium, study):
    page, _ = opened(chromium, study)
    seen(page, 1)
    page.keyboard.press("Alt+f")
    page.wait_for_timeout(300)
    seen(page, 1)
    for k, key in enumerate(("f", "Enter"), 1):
        seen(page, k)
        page.get_by_role("button", name="left").focus()
        for _ in range(3):  # from the second on these are repeats
            page.keyboard.down(key)
            page.wait_for_timeout(300)
        page.keyboard.up(key)
        seen(page, k + 1)


def test_the_anonymous_have_numbers_and_leaving_is_asked_about(chromium, study):
    page, _ = opened(chromium, study)
    asked = []

    def stay(dialog):
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    for k in range(1, N + 1):
        seen(page, k)
        page.keyboard.press("f")
        if k == 3:
            page.evaluate("setTimeout(() => location.reload())")
            page.wait_for_timeout(500)
            assert asked == ["beforeunload"]
    log = saved(page, study)
    assert re.fullmatch(r"anonymous [1-9]\d{5}", log["judge"])
    page.reload()
    page.get_by_role("button", name="start").wait_for()
    assert asked == ["beforeunload"], "after saving nothing is lost"
