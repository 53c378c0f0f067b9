"""The slider panel, headless: values in, pictures out."""

import pytest
import torch

from asyrp_lib.report.panel import Panel, blend, to_png


class Domain:
    """The least that the panel asks of a domain."""

    def __init__(self, unet):
        self.unet, self.resolution, self.t_boost = unet, unet.resolution, 0


@pytest.fixture
def panel(unet):
    from asyrp_lib.deltas import GlobalDelta

    torch.manual_seed(0)
    deltas = {
        name: GlobalDelta(torch.randn(unet.h_channels, 8, 8), t_edit=300) for name in ("smiling", "old")
    }
    return Panel(
        Domain(unet), torch.randn(1, 3, 16, 16), deltas, strengths=(-1.0, 0.0, 1.0), steps=4, progress=False
    )


def test_moving_a_slider_changes_the_picture_and_reset_brings_it_back(panel):
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


def test_between_grid_points_the_picture_is_blended():
    grid = torch.tensor([0.0, 1.0, 4.0])[:, None, None, None].expand(3, 3, 2, 2)
    assert blend(grid, (-1.0, 0.0, 1.0), [0.5]).unique().item() == pytest.approx(2.5)
    assert blend(grid, (-1.0, 0.0, 1.0), [-9.0]).unique().item() == 0.0
