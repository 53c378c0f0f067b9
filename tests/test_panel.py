"""The slider panel, headless: values in, images out."""

import io

import pytest
import torch
from PIL import Image
from toy_domain import toy  # noqa: F401

import asyrp_lib as al
from asyrp_lib.deltas import GlobalDelta
from asyrp_lib.errors import GridError, ImageError
from asyrp_lib.report import figures
from asyrp_lib.report.panel import Panel, blend, precompute, to_png


class Domain:
    """The least that the panel asks of a domain."""

    def __init__(self, unet):
        self.unet, self.resolution, self.t_boost = unet, unet.resolution, 0

    def delta(self, name):
        torch.manual_seed(len(name))
        return GlobalDelta(torch.randn(self.unet.h_channels, 8, 8), name=name, t_edit=300)


@pytest.fixture
def domain(unet):
    return Domain(unet)


@pytest.fixture
def x_T():
    return torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def panel(domain, x_T):
    return Panel(domain, x_T, ["smiling", "old"], strengths=(-1.0, 0.0, 1.0), steps=4, progress=False)


def test_moving_a_slider_changes_the_image_and_reset_brings_it_back(panel):
    still = panel.picture.value
    panel.sliders["smiling"].value = 1.0
    assert panel.picture.value != still
    panel.reset()
    assert panel.picture.value == still


def test_a_slider_stops_at_the_ends_of_the_grid(panel):
    panel.sliders["old"].value = 7.0
    assert panel.sliders["old"].value == 1.0


def test_grid_points_are_shown_exactly_as_generated(panel):
    panel.sliders["smiling"].value, panel.sliders["old"].value = -1.0, 1.0
    assert panel.picture.value == to_png(panel.grid[0, 2])


def test_between_grid_points_the_image_is_blended():
    grid = torch.tensor([0.0, 1.0, 4.0])[:, None, None, None].expand(3, 3, 2, 2)
    assert blend(grid, (-1.0, 0.0, 1.0), [0.5]).unique().item() == pytest.approx(2.5)
    assert blend(grid, (-1.0, 0.0, 1.0), [-9.0]).unique().item() == 0.0


def test_edits_are_given_by_name_or_by_label(domain, x_T, panel):
    labelled = {"a grin": domain.delta("smiling"), "old": domain.delta("old")}
    other = Panel(domain, x_T, labelled, strengths=(-1.0, 0.0, 1.0), steps=4, progress=False)
    assert list(other.sliders) == ["a grin", "old"] and torch.equal(other.grid, panel.grid)
    assert list(Panel(domain, x_T, "old", strengths=(0, 1), steps=2, progress=False).sliders) == ["old"]


def test_the_caption_says_which_strengths_act_and_how_several_add_up(panel):
    assert panel.caption.value == "reconstruction"
    panel.sliders["smiling"].value = 0.6
    assert panel.caption.value == "smiling +0.60"
    panel.sliders["old"].value = -1.0
    assert panel.caption.value == "smiling +0.60, old −1.00; 2 edits: each × 1/√2"


def test_values_have_two_decimals_and_labels_their_whole_width(panel):
    for name, slider in panel.sliders.items():
        assert slider.readout_format == ".2f"
        assert float(slider.style.description_width.removesuffix("ch")) > len(name)
    assert "wrap" in panel.box.layout.flex_flow


@pytest.mark.parametrize("strengths", [(0.5, 1.0), (-1.0, 1.0), (1.0, 0.0), (0.0,), (0.0, float("nan")), ()])
def test_strengths_without_0_or_out_of_order_are_refused(domain, x_T, strengths):
    with pytest.raises(GridError, match="expected two or more that rise"):
        Panel(domain, x_T, ["old"], strengths=strengths, steps=2, progress=False)


def test_what_cannot_be_shown_is_refused(domain, x_T):
    with pytest.raises(ImageError, match="expected one"):
        Panel(domain, x_T.expand(2, -1, -1, -1), ["old"])
    for names in ([], list("abcde")):
        with pytest.raises(GridError, match="take fewer"):
            Panel(domain, x_T, names)


def test_the_static_form_is_an_image(panel):
    bundle = panel._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == "Panel(smiling, old)"
    width, height = Image.open(io.BytesIO(bundle["image/png"])).size
    assert width > 3 * 128 and height > 2 * 128
    assert bundle["image/png"] == panel._repr_png_(), "the same panel, other bytes"


def test_progress_goes_step_by_step(domain, x_T, capfd):
    precompute(domain, x_T, {"old": domain.delta("old")}, (0.0, 1.0), steps=4)
    assert "4/4" in capfd.readouterr().err, "an ETA after the first step needs a bar that counts steps"


def test_an_edit_alone_looks_as_it_does_in_edit_whatever_its_neighbours_t_edit(toy):  # noqa: F811
    early, late = toy.delta("red"), toy.delta("green")
    early.t_edit, late.t_edit = 100, 600
    x_T = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    grid = precompute(toy, x_T, {"early": early, "late": late}, (0.0, 1.0), steps=20, progress=False)
    for k, delta in (((1, 0), early), ((0, 1), late)):
        alone = al.edit(toy, x_T, {delta: 1.0}, steps=20, progress=False)[0].clamp(-1, 1)
        torch.testing.assert_close(grid[k], alone, atol=1e-5, rtol=0)


def test_before_after_is_large_and_says_what_was_done():
    images = torch.zeros(3, 3, 16, 16)
    sheet = figures.before_after(images, {"smiling": 1.0})
    assert sheet.get_suptitle() == "smiling +1.00"
    assert [axes.get_title() for axes in sheet.axes] == ["original", "reconstruction", "edited"]
    for axes in sheet.axes:
        assert min(axes.get_window_extent().size) >= 256


def test_a_figure_is_written_again_only_if_more_than_rounding_changed(tmp_path, monkeypatch):
    monkeypatch.setenv("ASYRP_FIGURES", str(tmp_path))
    path, image = tmp_path / "x.png", torch.zeros(3, 8, 8)
    figures.show(figures.sheet([[image]]), "x")
    first = path.read_bytes()
    figures.show(figures.sheet([[image + 2 * 2 / 255]]), "x")  # two levels of 255
    assert path.read_bytes() == first
    changed = image.clone()
    changed[:, 3, 3] = 0.5
    figures.show(figures.sheet([[changed]]), "x")
    assert path.read_bytes() != first
    assert not {"Software", "Creation Time"} & Image.open(path).info.keys()
