"""The slider panel, headless: values in, images out."""

import io
import re

import pytest
import torch
from PIL import Image
from toy_domain import toy  # noqa: F401

import asyrp_lib as al
from asyrp_lib.domains.codec import Codec
from asyrp_lib.errors import FileError, GridError, ImageError
from asyrp_lib.report import page
from asyrp_lib.report.panel import Panel, blend, precompute, to_png


@pytest.fixture
def x_T():
    return torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def panel(toy, x_T):  # noqa: F811
    return Panel(toy, x_T, ["red", "green"], strengths=(-1.0, 0.0, 1.0), steps=4, progress=False)


def test_moving_a_slider_changes_the_image_and_reset_brings_it_back(panel):
    still = panel.view.value
    panel.sliders["red"].value = 1.0
    assert panel.view.value != still
    panel.reset()
    assert panel.view.value == still


def test_a_slider_stops_at_the_ends_of_the_grid(panel):
    panel.sliders["green"].value = 7.0
    assert panel.sliders["green"].value == 1.0


def test_grid_points_are_shown_exactly_as_generated(panel):
    panel.sliders["red"].value, panel.sliders["green"].value = -1.0, 1.0
    assert panel.view.value == to_png(panel.grid[0, 2])


def test_the_grid_holds_images_and_not_what_the_u_net_sees(toy):  # noqa: F811
    toy.codec = Codec(2)
    seen = toy.codec.encode(torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)))
    toy.unet.channels, toy.unet.resolution = seen.shape[1], seen.shape[2]
    assert precompute(toy, seen, {}, (0.0, 1.0), steps=2, progress=False).shape == (3, 4, 4)


def test_between_grid_points_the_image_is_blended():
    grid = torch.tensor([0.0, 1.0, 4.0])[:, None, None, None].expand(3, 3, 2, 2)
    assert blend(grid, (-1.0, 0.0, 1.0), [0.5]).unique().item() == pytest.approx(2.5)
    assert blend(grid, (-1.0, 0.0, 1.0), [-9.0]).unique().item() == 0.0


def test_edits_are_given_by_name_or_by_label(toy, x_T, panel):  # noqa: F811
    labelled = {"a grin": toy.delta("red"), "green": toy.delta("green")}
    other = Panel(toy, x_T, labelled, strengths=(-1.0, 0.0, 1.0), steps=4, progress=False)
    assert list(other.sliders) == ["a grin", "green"] and torch.equal(other.grid, panel.grid)
    assert list(Panel(toy, x_T, "green", strengths=(0, 1), steps=2, progress=False).sliders) == ["green"]


def test_the_caption_says_which_strengths_act_and_how_several_add_up(panel):
    assert panel.caption.value == "reconstruction"
    panel.sliders["red"].value = 0.6
    assert panel.caption.value == "red +0.60"
    panel.sliders["green"].value = -1.0
    assert panel.caption.value == "red +0.60, green −1.00; 2 edits: each × 1/√2"


def test_values_have_two_decimals_and_labels_their_whole_width(panel):
    for name, slider in panel.sliders.items():
        assert slider.readout_format == ".2f"
        assert float(slider.style.description_width.removesuffix("ch")) > len(name)
    assert "wrap" in panel.box.layout.flex_flow


@pytest.mark.parametrize("strengths", [(0.5, 1.0), (-1.0, 1.0), (1.0, 0.0), (0.0,), (0.0, float("nan")), ()])
def test_strengths_without_0_or_out_of_order_are_refused(toy, x_T, strengths):  # noqa: F811
    with pytest.raises(GridError, match="expected two or more that rise"):
        Panel(toy, x_T, ["green"], strengths=strengths, steps=2, progress=False)


def test_what_cannot_be_shown_is_refused(toy, x_T):  # noqa: F811
    with pytest.raises(ImageError, match="expected one"):
        Panel(toy, x_T.expand(2, -1, -1, -1), ["green"])
    for names in ([], list("abcde")):
        with pytest.raises(GridError, match="take fewer"):
            Panel(toy, x_T, names)


def test_two_labels_of_one_f_t_are_refused_for_only_one_of_them_would_act(toy, x_T):  # noqa: F811
    delta = toy.delta("green")
    with pytest.raises(GridError, match="Two of the labels one, red, two are of one f_t"):
        Panel(toy, x_T, {"one": delta, "red": toy.delta("red"), "two": delta}, steps=2, progress=False)


def test_the_static_form_is_an_image(panel):
    bundle = panel._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == "Panel(red, green)"
    width, height = Image.open(io.BytesIO(bundle["image/png"])).size
    assert width > 3 * 128 and height > 2 * 128
    assert bundle["image/png"] == panel._repr_png_(), "the same panel, other bytes"


def test_progress_goes_step_by_step(toy, x_T, capfd):  # noqa: F811
    precompute(toy, x_T, {"green": toy.delta("green")}, (0.0, 1.0), steps=4)
    assert "4/4" in capfd.readouterr().err, "an ETA after the first step needs a bar that counts steps"


def test_an_edit_alone_looks_as_it_does_in_edit_whatever_its_neighbours_t_edit(toy, x_T):  # noqa: F811
    early, late = toy.delta("red"), toy.delta("green")
    early.t_edit, late.t_edit = 100, 600
    grid = precompute(toy, x_T, {"early": early, "late": late}, (0.0, 1.0), steps=20, progress=False)
    for k, delta in (((1, 0), early), ((0, 1), late)):
        alone = al.edit(toy, x_T, {delta: 1.0}, steps=20, progress=False)[0].clamp(-1, 1)
        torch.testing.assert_close(grid[k], alone, atol=1e-5, rtol=0)


def test_a_panel_becomes_one_page(panel, tmp_path):
    file = panel.to_html(tmp_path / "mine.html", title="A <grin>")
    text = file.read_text()
    assert "<title>A &lt;grin&gt;</title>" in text and text.count('type="range"') == 2
    assert text.count("data:image/png") == 9 and "9 images of the asymmetric reverse process" in text
    assert not re.search(r"""(src|href)=["'](?!data:)""", text), "a page that needs something beside it"
    with pytest.raises(FileError, match="is there already.*replace=True"):
        panel.to_html(file)
    assert file.read_text() == text
    assert "Sliders: red, green" in panel.to_html(file, replace=True).read_text()
    with pytest.raises(FileError, match="ends in .html"):
        panel.to_html(tmp_path / "mine.htm")
    whole = panel.to_html(tmp_path / "strange.html", title="{{body}} {{title}}").read_text()
    assert "<title>{{body}} {{title}}</title>" in whole and whole.count('type="range"') == 2


def test_frames_that_are_too_many_are_stored_nearly_and_then_refused():
    grid = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    exact = page.sliders(grid, (-1.0, 0.0, 1.0), ["red"])
    nearly = page.sliders(grid, (-1.0, 0.0, 1.0), ["red"], most=len(exact) - 4000)
    assert exact.count("data:image/png") == nearly.count("data:image/jpeg") == 3
    with pytest.raises(FileError, match="3 frames of 64 pixels take 0.0 MB; expected at most 0.01 MB"):
        page.sliders(grid, (-1.0, 0.0, 1.0), ["red"], most=10_000)


def test_frames_of_noise_are_stored_too():
    grid = torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert page.sliders(grid, (0.0, 1.0), ["red"], most=500_000).count("data:image/jpeg") == 2


def test_a_slider_of_a_page_reaches_every_strength_of_the_grid():
    assert page.stops((-0.33, 0.0, 0.1)) == [
        -0.33,
        *(round(-0.33 * k / 7, 6) for k in range(6, 0, -1)),
        0.0,
        0.05,
        0.1,
    ]
    assert len(page.stops((-1.0, -0.5, 0.0, 0.5, 1.0))) == 41
