"""The post as a page in a real browser: it asks for nothing, fits a phone, and its sliders move."""

import numpy as np
import pytest
from PIL import Image
from test_choice_browser import chromium  # noqa: F401
from test_page_browser import OUTSIDE, complaints, opened, pixels

from asyrp_lib.report import blogpost

TEXT = r"""# A post

Text with $\Delta h_t = f_t(h_t)$ and a formula that is wide:

$$
x_{t-1} = \sqrt{\bar\alpha_{t-1}}\;\mathbf{P}_t\big(\epsilon_t^\theta(x_t \mid \Delta h_t)\big)
+ \mathbf{D}_t\big(\epsilon_t^\theta(x_t)\big)
$$

<!-- sliders: red, green, test 1 -->
![only on GitHub](figures/00_a.png)
<!-- end of sliders -->

![a figure](figures/00_a.png)
*Below it.*

| a | b | c | d |
| --- | --- | --- | --- |
| a-long-cell-without-a | break-and-another-long | cell-without-a-break-and | another-one-of-them |

<details><summary>More</summary>

| a | b |
| --- | --- |
| **1** | <!-- n: x | y -->2<!-- /n --> |

</details>
"""


@pytest.fixture
def written(toy, tmp_path):
    """The page of a small post about a toy domain."""
    pytest.importorskip("latex2mathml", reason="latex2mathml is not installed: pip install -e '.[blog]'")
    (tmp_path / "figures").mkdir()
    Image.new("RGB", (900, 300), "orange").save(tmp_path / "figures" / "00_a.png")
    (tmp_path / "blogpost.md").write_text(TEXT)
    return blogpost.write_page(toy, tmp_path / "blogpost.html", tmp_path)


@pytest.mark.parametrize(("width", "scheme"), [(320, "dark"), (1200, "light")])
def test_the_sliders_of_the_post_move(chromium, written, tmp_path, width, scheme):  # noqa: F811
    shown, trouble = opened(chromium, written, viewport={"width": width, "height": 700}, color_scheme=scheme)
    assert shown.title() == shown.locator("h1").inner_text() == "A post"
    still, first = pixels(shown), shown.locator("input").first
    first.focus()
    for _ in range(20):
        shown.keyboard.press("ArrowRight")
    assert shown.locator(".said").inner_text() == "red +1.00"
    moved = pixels(shown).astype(int) - still
    assert moved[..., 0].mean() > 20 and np.abs(moved[..., 1:]).max() < 3, "the toy's edit adds red"
    wide = f"{OUTSIDE.removesuffix('.map(box => box.tagName)')}.filter(box => !box.closest('.wide')).length"
    assert shown.evaluate(wide) == 0
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    assert shown.locator("math").count() == 2 and shown.locator("img").count() == 1
    assert shown.locator("img").get_attribute("alt") == "a figure"
    shown.get_by_text("More").click()
    assert shown.locator("details table strong").inner_text() == "1"
    shown.screenshot(path=tmp_path / f"{width}.png", full_page=True)
    assert not complaints(trouble, written) and written.stat().st_size < 8e6
