"""A panel as a page in a real browser: sliders moved by keyboard, mouse and finger, and pixels read."""

import numpy as np
import pytest
import torch
from PIL import Image
from test_choice_browser import chromium  # noqa: F401

from asyrp_lib.report import page
from asyrp_lib.report.panel import blend
from asyrp_lib.store.images import to_array

STRENGTHS, NAMES = (-1.0, -0.5, 0.0, 1.0), ("a grin", "<b>old</b>")
#: RGBA of the edited image, as the page shows it.
PIXELS = """() => { const canvas = document.querySelectorAll("canvas")[1];
    return [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data]; }"""
#: What is cut off at the page's right edge.
OUTSIDE = """() => [...document.querySelectorAll("body *")].filter(
    box => box.getBoundingClientRect().right > innerWidth + 1).map(box => box.tagName)"""


def grid_of(side: int) -> torch.Tensor:
    """Smooth images, one for each point, which no blend of others is."""
    size = (len(STRENGTHS),) * len(NAMES)
    rough = torch.rand(*size, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    fine = torch.nn.functional.interpolate(rough.flatten(0, 1), (side, side), mode="bicubic")
    return fine.clamp(-1, 1).reshape(*size, 3, side, side)


def opened(browser, file, **options):
    """A page whose sliders are ready, and what it complains of and asks of the network."""
    shown, trouble = browser.new_page(**options), []
    shown.on("pageerror", lambda error: trouble.append(str(error)))
    shown.on("console", lambda message: trouble.append(message.text))
    shown.on("request", lambda request: trouble.append(request.url))
    shown.goto(file.as_uri())
    shown.locator(".panel[data-ready]").first.wait_for()
    return shown, trouble


def pixels(shown) -> np.ndarray:
    """(H, W, 3) of the edited image, opaque."""
    rgba = np.array(shown.evaluate(PIXELS), dtype=np.uint8)
    side = round(len(rgba) ** 0.5 / 2)
    assert (rgba[3::4] == 255).all()
    return rgba.reshape(side, side, 4)[..., :3]


def complaints(trouble: list[str], file) -> list[str]:
    """What a page asked of the network, and its errors; a reading of pixels is the test's own."""
    fine = ("data:", "Canvas2D: Multiple readback", file.as_uri())
    return [line for line in trouble if not line.startswith(fine)]


def put(shown, *point: float) -> None:
    """Move every slider to a strength, as a script of the page would see a hand do it."""
    for slider, value in zip(shown.locator("input").all(), point):
        slider.fill(str(page.stops(STRENGTHS).index(value)))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A page of images as large as they are shown, so that no browser enlarges them."""
    file = tmp_path_factory.mktemp("page") / "panel.html"
    return page.write(file, "Sliders", page.sliders(grid_of(page.SIDE), STRENGTHS, NAMES, caption="1 < 2"))


@pytest.mark.parametrize(
    "point", [(0.0, 0.0), (-0.5, 1.0), (0.4, 0.0), (-0.65, 0.7), (-0.95, -0.05), (1.0, -1.0)]
)
def test_what_is_shown_is_the_blend_of_the_grid(chromium, written, point):  # noqa: F811
    shown, trouble = opened(chromium, written)
    put(shown, *point)
    expected = to_array(blend(grid_of(page.SIDE), STRENGTHS, point)).astype(int)
    assert np.abs(pixels(shown) - expected).max() <= 1, "rounding: of frames, and of their blend"
    assert not complaints(trouble, written)


def test_a_small_image_is_enlarged_smoothly(chromium, tmp_path):  # noqa: F811
    file = page.write(tmp_path / "small.html", "Sliders", page.sliders(grid_of(64), STRENGTHS, NAMES))
    shown, _ = opened(chromium, file)
    put(shown, 0.4, -0.65)
    image = Image.fromarray(to_array(blend(grid_of(64), STRENGTHS, (0.4, -0.65))))
    wanted = np.asarray(image.resize((page.SIDE, page.SIDE), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(pixels(shown) - wanted).mean() < 1.5


@pytest.mark.parametrize(("width", "scheme"), [(320, "dark"), (1200, "light")])
def test_hands_move_it_on_a_phone_and_on_a_desk(chromium, written, tmp_path, width, scheme):  # noqa: F811
    phone = width == 320
    shown, trouble = opened(
        chromium, written, viewport={"width": width, "height": 640}, color_scheme=scheme, has_touch=phone
    )
    still, said = pixels(shown), shown.locator(".said")
    assert said.inner_text() == "reconstruction" and not shown.evaluate(OUTSIDE)
    first, second = shown.locator("input").all()
    first.focus()
    for _ in range(3):
        shown.keyboard.press("ArrowRight")
    assert said.inner_text() == "a grin +0.15" and first.get_attribute("aria-valuetext") == "+0.15"
    shown.keyboard.press("Home")
    assert said.inner_text() == "a grin −1.00"
    shown.keyboard.press("Tab")
    shown.keyboard.press("End")
    assert said.inner_text() == "a grin −1.00, <b>old</b> +1.00; 2 edits: each × 1/√2"
    alts = [canvas.get_attribute("aria-label") for canvas in shown.locator("canvas").all()]
    assert alts[0].endswith(": reconstruction") and alts[1].endswith(said.inner_text())
    box = second.bounding_box()
    assert box["height"] >= 44, "too low for a finger"
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    shown.touchscreen.tap(*middle) if phone else shown.mouse.click(*middle)
    assert "<b>old</b> +1.00" not in said.inner_text()
    shown.screenshot(path=tmp_path / f"{width}.png", full_page=True)
    assert not np.array_equal(pixels(shown), still)
    shown.get_by_role("button", name="reset").click()
    assert said.inner_text() == "reconstruction" and np.array_equal(pixels(shown), still)
    ground = shown.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    assert not complaints(trouble, written)
