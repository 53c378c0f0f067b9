"""The slider panel in a real browser: JupyterLab on loopback, 820 pixels wide, the slider moved."""

import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
CELL = """import asyrp_lib as al
domain = al.load_domain("synthfaces", device="cpu")
x_T = al.invert(domain, domain.images("test", 1), steps=12, progress=False)
panel = al.Panel(domain, x_T, ["smiling", "curly hair"], strengths=(-1.0, 0.0, 1.0), steps=12)
panel"""
#: What of the panel is cut off: texts that are wider than their boxes, and boxes off the page.
CLIPPED = """() => [...document.querySelectorAll(
    ".widget-label, .widget-readout, .widget-html-content, .widget-button, .widget-image")]
    .filter(box => box.scrollWidth > box.clientWidth + 1 || box.getBoundingClientRect().right > innerWidth)
    .map(box => box.className + ": " + box.innerText)"""


@pytest.fixture
def lab(tmp_path):
    """The address of a JupyterLab that shows one notebook with a panel."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(notebook, tmp_path / "panel.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "jupyterlab",
            "--no-browser",
            "--allow-root",
            "--ip=127.0.0.1",
            f"--port={port}",
            "--IdentityProvider.token=panel",
            f"--ServerApp.root_dir={tmp_path}",
            "--LabApp.news_url=None",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ],
        stdout=(tmp_path / "lab.log").open("w"),
        stderr=subprocess.STDOUT,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{address}/api?token=panel", timeout=2)
                break
            except OSError:
                time.sleep(0.5)
        else:
            pytest.fail("JupyterLab did not start: " + (tmp_path / "lab.log").read_text()[-500:])
        yield f"{address}/lab/tree/panel.ipynb?token=panel"
    finally:
        server.terminate()
        server.wait(timeout=20)


@pytest.mark.skipif(
    BROWSER is None, reason="no Chromium on this machine: the panel was not tried in a browser"
)
def test_the_panel_fits_820_pixels_and_follows_its_sliders(lab, tmp_path):
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: the panel was not tried in a browser"
    )
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(
            executable_path=BROWSER,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
        )
        page = browser.new_page(viewport={"width": 820, "height": 1100})
        page.goto(lab)
        page.get_by_text("| Idle").wait_for(
            timeout=120_000
        )  # a cell that is run before the kernel answers can get lost
        page.locator(".jp-Notebook .jp-CodeCell").first.click()
        page.keyboard.press("Shift+Enter")
        handle = page.locator(".noUi-handle").first
        try:
            handle.wait_for(timeout=120_000)
        except playwright.TimeoutError:
            pytest.fail(
                "no slider appeared; the page says: " + page.locator(".jp-Notebook").inner_text()[-1500:]
            )
        picture = page.locator(".widget-image").nth(1)
        picture.wait_for()
        page.wait_for_timeout(1000)
        still = picture.screenshot()
        handle.focus()
        for _ in range(20):
            page.keyboard.press("ArrowRight")
        page.wait_for_timeout(1500)
        moved = picture.screenshot()
        page.locator(".noUi-handle").nth(1).focus()
        for _ in range(8):
            page.keyboard.press("ArrowLeft")
        page.wait_for_timeout(1500)
        for button in page.get_by_role("button", name="No", exact=True).all():  # Jupyter news
            button.click()
        page.screenshot(path=tmp_path / "panel.png")
        pink = page.locator("[data-mime-type='application/vnd.jupyter.stderr']").count()
        clipped, text = page.evaluate(CLIPPED), page.locator(".jp-OutputArea-output").all_inner_texts()
        browser.close()
    assert moved != still
    assert not clipped
    assert not pink, "the progress bar is an error stream"
    assert "smiling +1.00, curly hair −0.40; 2 edits: each × 1/√2" in " ".join(text)
    assert "\n−0.40\n" in " ".join(text), "values have two decimals"
