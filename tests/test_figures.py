"""Figures: sheets of faces, plots of numbers and overviews, as drawn and as written."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from asyrp_lib.errors import ImageError, SettingsError
from asyrp_lib.experiments.rows import COLUMNS
from asyrp_lib.measure.stats import Interval, over_seeds
from asyrp_lib.report import figures, overview, plots, sheets


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def images(n, side=8):
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


def texts(figure):
    return [text.get_text() for text in figure.findobj(plt.Text) if text.get_text()]


def interval(mean, half=0.1):
    return Interval(mean, mean - half, mean + half, 5, 64)


@pytest.mark.parametrize(
    "given, wanted",
    [
        ("Δh_t, P_t^edit", r"$\Delta h_{t}$, $P_{t}^{\mathrm{edit}}$"),
        ("t_edit and S_dir", r"$t_{\mathrm{edit}}$ and $S_{\mathrm{dir}}$"),
        ("t = 500, random Δh", r"$t$ = 500, random $\Delta h$"),
        ("smiling, -1", "smiling, −1"),
        ("mouth_open: a 3-px T-shirt, don't", "mouth_open: a 3-px T-shirt, don't"),
        (r"$\bar\alpha_t$", r"$\bar\alpha_t$"),
    ],
)
def test_symbols_are_set_as_in_the_paper_and_words_are_left_alone(given, wanted):
    assert figures.typeset(given) == wanted


def test_numbers_have_true_signs():
    assert [figures.signed(x) for x in (1.25, -0.44, -0.01)] == ["+1.2", "−0.4", "0.0"]
    assert figures.spread(interval(-0.5)) == "−0.50 [−0.60, −0.40]"
    assert figures.spread((0.5, np.nan, np.nan)) == "0.50"
    assert figures.spread((-0.004, -0.1, -0.001)) == "0.00 [−0.10, −0.00]"


def test_what_intervals_rest_on_is_said():
    assert figures.basis([interval(1), interval(2)]) == "95 % intervals over 5 seeds, 64 faces"
    assert figures.basis([Interval(1, 0, 2, 5, 0)]) == "95 % intervals over 5 seeds"
    assert figures.basis([Interval(1, 0, 2, 1, 64)]) == "95 % intervals over 64 faces"
    some = [interval(1), Interval(1, 0, 2, 2, 64), Interval(1, 0, 2, 3, 9)]
    assert figures.basis(some) == "95 % intervals over 2 to 5 seeds, 9 to 64 faces"
    both = [interval(1), Interval(1, 0, 2, 5, 0)]  # such as a loss
    assert figures.basis(both) == "95 % intervals over 5 seeds, for some also 64 faces"
    assert figures.basis([(1, 0, 2)]) == "95 % intervals" and figures.basis([(1.0, np.nan, np.nan)]) == ""


def test_a_score_stands_under_each_face_and_its_number_above():
    scores = [None, [1.25, -0.5, np.nan]]
    rows, faces = [images(3), images(3)], [4, 8, 15]
    sheet = sheets.sheet(rows, ["a", "b"], faces=faces, scores=scores, under="smile, sd")
    assert texts(sheet) == ["face 4", "face 8", "face 15", "a", "b", "+1.2", "−0.5", "smile, sd"]
    place = {text.get_text(): text.get_window_extent() for text in sheet.axes[0].texts}
    assert place["+1.2"].x0 > place["face 4"].x0 and place["+1.2"].x1 < place["face 8"].x0
    assert place["+1.2"].y1 < place["b"].y0 - 40 and place["face 4"].y0 > place["a"].y1 + 40
    assert "+12" in texts(sheets.sheet([images(1)], scores=[[12.3]], digits=0))


@pytest.mark.parametrize("columns, side", [(3, 176), (7, 164), (9, 128)])
def test_faces_are_128_pixels_or_more_and_enlarged_without_blocks(columns, side):
    drawn = figures.to_image(sheets.sheet([images(columns)]))
    assert drawn.width == pytest.approx(2 + columns * (side + 4) - 4, abs=4)
    face = np.float32(drawn)[8 : side - 8, 8 : side - 8]
    assert np.abs(np.diff(face, axis=1)).max() < 50, "the edge of a block"
    assert (np.diff(face, axis=1) != 0).mean() > 0.5


def test_a_sheet_shows_the_image_itself_and_none_as_white():
    grey = torch.zeros(3, 8, 8)
    drawn = np.asarray(figures.to_image(sheets.sheet([[grey, None]], side=128)))
    assert (drawn[20:100, 20:100] == 128).all() and (drawn[20:100, 140:240] == 255).all()


def test_long_labels_are_wrapped_and_stay_on_the_sheet():
    label = "the reconstruction of the second face"
    sheet = sheets.sheet([images(2)], [label], [label] * 2, title=label * 3, under=label * 3)
    sheet.canvas.draw()
    frame = sheet.bbox
    for text in sheet.axes[0].texts:
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= frame.x1 + 1 and box.y0 >= 0 and box.y1 <= frame.y1 + 1, text


@pytest.mark.parametrize(
    "rows, how, said",
    [
        ([], {}, "Got no images"),
        ([images(2), images(3)], {}, "Got 3 images in row 1; expected 2"),
        ([images(2)], {"faces": [1]}, "Got 1 face numbers; expected 2"),
        ([images(2)], {"scores": [[1.0]]}, "Got 1 scores in row 0; expected 2"),
        ([images(2)], {"scores": [None, None]}, "Got 2 rows of scores; expected 1"),
        ([images(2)], {"row_labels": ["a", "b"]}, "Got 2 row labels; expected 1"),
        ([images(2)[:, 0]], {}, r"An image of row 0 has shape \(8, 8\); expected \(3, R, R\)"),
    ],
)
def test_what_does_not_fit_is_one_sentence(rows, how, said):
    with pytest.raises(ImageError, match=said):
        sheets.sheet(rows, **how)


def test_a_strip_has_strengths_above_and_faces_beside():
    strip = sheets.strip([images(3), images(3)], [-1, 0, 0.5], faces=[3, 9], scores=[[-1, 0, 1]] * 2)
    heads = ["strength −1", "reconstruction", "strength +0.5"]
    assert texts(strip) == [*heads, "face 3", "face 9", *["−1.0", "0.0", "+1.0"] * 2]


def test_before_after_is_large_and_says_what_was_done():
    drawn = sheets.before_after(images(3), {"curly hair": 1, "smiling": -0.5})
    said = "curly hair +1.00, smiling −0.50; 2 edits: each × 1/√2"
    assert texts(drawn) == [said, "original", "reconstruction", "edited"]
    assert drawn.bbox.width >= 3 * 256
    scored = sheets.before_after(
        images(3), {"old": 1}, scores=[[float("nan"), 0.5, 2]], under="levels", plus=False
    )
    assert texts(scored)[-3:] == ["0.5", "2.0", "levels"], "errors have no sign"


def test_a_sweep_goes_there_and_back_and_shows_each_strength(tmp_path):
    path, strengths = tmp_path / "new" / "sweep.gif", [-1.0, 0.0, 1.0]
    frames = [torch.full((2, 3, 8, 8), value) for value in strengths]
    scores = [[s, s] for s in strengths]
    sheets.sweep_gif(path, frames, strengths, scores=scores, faces=[1, 2], title="smiling")
    with Image.open(path) as gif:
        levels = []
        for k in range(gif.n_frames):
            gif.seek(k)
            levels.append(int(np.asarray(gif.convert("L"))[130, 100]))
        assert gif.info["loop"] == 0
    assert levels == pytest.approx([0, 128, 255, 128], abs=5)
    assert path.stat().st_size < sheets.MOST_BYTES and list(path.parent.iterdir()) == [path]


def test_a_sweep_that_is_too_large_gets_smaller_sides_and_is_refused_in_the_end(tmp_path, monkeypatch):
    frames, path = images(2)[:, None], tmp_path / "sweep.gif"
    sheets.sweep_gif(path, frames, [0, 1])
    large = path.stat().st_size
    monkeypatch.setattr(sheets, "MOST_BYTES", large - 1)
    sheets.sweep_gif(path, frames, [0, 1])
    assert path.stat().st_size < large
    monkeypatch.setattr(sheets, "MOST_BYTES", 100)
    with pytest.raises(ImageError, match="at 128 pixels a face; expected .* fewer faces or strengths"):
        sheets.sweep_gif(tmp_path / "other.gif", frames, [0, 1])
    with pytest.raises(ImageError, match="Got 2 rows of frames; expected 3"):
        sheets.sweep_gif(path, frames, [-1, 0, 1])
    with pytest.raises(ImageError, match="Got 1 strengths; expected two or more"):
        sheets.sweep_gif(path, frames[:1], [0])
    assert [file.name for file in tmp_path.iterdir()] == ["sweep.gif"]


def test_a_figure_is_written_again_only_if_more_than_rounding_changed(tmp_path, monkeypatch):
    monkeypatch.setenv("ASYRP_FIGURES", str(tmp_path))
    path, image = tmp_path / "x.png", images(1)[0] / 2
    figures.show(sheets.sheet([[image]]), "x")
    first = path.read_bytes()
    figures.show(sheets.sheet([[image + 2 / 255 * torch.rand(3, 8, 8)]]), "x")  # a level of 255
    assert path.read_bytes() == first
    changed = image.clone()
    changed[:, 3, 3] += 0.5
    figures.show(sheets.sheet([[changed]]), "x")
    assert path.read_bytes() != first
    figures.show(sheets.sheet([[image]], scores=[[1.1]]), "y")
    scored = (tmp_path / "y.png").read_bytes()
    figures.show(sheets.sheet([[image]], scores=[[1.2]]), "y")
    assert (tmp_path / "y.png").read_bytes() != scored, "a digit changed"
    assert not {"Software", "Creation Time"} & Image.open(path).info.keys()


def test_a_file_has_the_colours_of_the_figure_within_two_levels(tmp_path):
    figure = sheets.sheet([images(2)])
    written = np.int16(Image.open(io.BytesIO(figures.png(figure))))
    assert np.abs(written - np.int16(figures.to_image(figure))).max() <= 2


@pytest.mark.parametrize(
    "point, better, said",
    [
        (interval(1.5), "above", "holds"),
        (interval(1.05), "above", "open"),
        (interval(0.5), "above", "fails"),
        (interval(0.5), "below", "holds"),
        (2.0, "above", "open"),  # no interval
    ],
)
def test_a_verdict_is_of_the_whole_interval(point, better, said):
    assert plots.verdict(point, 1.0, better) == said


def test_intervals_have_a_whisker_a_number_and_a_colour_each():
    rows = {"smiling": interval(1.5), "old": interval(1.05), "tanned": interval(0.2)}
    figure = plots.intervals(rows, "shift, sd", bound=1.0, marks={"a step": 0.4})
    said = texts(figure)
    assert {"smiling", "old", "tanned", "bound 1", "a step", "1.50 [1.40, 1.60]"} <= set(said)
    assert "shift, sd\n95 % intervals over 5 seeds, 64 faces" in said
    dots = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert [dot.get_color() for dot in dots] == [figures.GREEN, figures.GREY, figures.VERMILLION]
    assert [dot.get_markerfacecolor() for dot in dots][1] == "white", "told without colour too"


def test_variants_have_a_colour_and_a_marker_each_and_one_legend():
    rows = {edit: {"P_t only": interval(1), "P_t and D_t": interval(0)} for edit in ("smiling", "old")}
    figure = plots.intervals(rows, "shift")
    assert [text.get_text() for text in figure.legends[0].texts] == ["$P_{t}$ only", "$P_{t}$ and $D_{t}$"]
    looks = {
        (line.get_color(), line.get_marker()) for line in figure.axes[0].lines if line.get_marker() in "os"
    }
    assert looks == {(figures.BLUE, "o"), (figures.VERMILLION, "s")}


def rows():
    """Of two edits, three strengths, three seeds and four faces."""
    index = pd.MultiIndex.from_product([["smiling", "old"], [-1.0, 0.0, 1.0], range(3), range(4)])
    table = index.to_frame(index=False, name=["edit", "strength", "seed", "image"])
    return table.assign(score="aimed", value=table["strength"] + 0.1 * table["seed"]).reindex(columns=COLUMNS)


def test_epochs_are_whole_numbers():
    axes = plots.curves({"": {1: 3.0, 2: 2.0, 3: 1.5}}, "epoch", "loss").axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "2", "3"]


def test_curves_take_what_over_seeds_gives_and_name_their_ends():
    table = rows()
    lines = {e: part.groupby("strength").apply(over_seeds) for e, part in table.groupby("edit")}
    figure = plots.curves(lines, "strength", "shift, sd", marks={"trained": 1.0})
    axes = figure.axes[0]
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[-1, -0.9], [0, 0.1], [1, 1.1]])
    band = axes.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(lines["smiling"][1.0].high)
    figure.canvas.draw()
    ends = {text.get_text(): text.get_window_extent() for text in axes.texts if text.get_text() in lines}
    assert len(ends) == 2 and not ends["smiling"].overlaps(ends["old"]), "both lines end at one point"
    assert "strength\n95 % intervals over 3 seeds, 12 faces" in texts(figure)


def test_panels_share_axes_and_colours_and_dash_what_is_compared_with():
    lines = {"aimed": {-1: interval(-1), 1: interval(1)}, "in proportion": {-1: -1.0, 1: 1.0}}
    figure = plots.panels(dict.fromkeys("abcde", lines), "strength", "sd", dashed=["in proportion"])
    assert len([axes for axes in figure.axes if axes.get_visible()]) == 5
    assert [axes.get_title("left") for axes in figure.axes[:5]] == list("abcde")
    assert {axes.get_ylim() for axes in figure.axes[:5]} == {figure.axes[0].get_ylim()}
    assert [line.get_color() for line in figure.axes[4].lines[:2]] == [figures.BLUE, figures.GREY]
    assert [text.get_text() for text in figure.legends[0].texts] == ["aimed", "in proportion"]
    wide = plots.panels({"a": lines, "b": lines}, "strength", "sd", cell=(4, 2)).get_size_inches()
    assert wide.tolist() == [8, 2.75]


@pytest.mark.parametrize("plot", [plots.intervals, plots.curves])
def test_nothing_to_plot_is_one_sentence(plot):
    with pytest.raises(SettingsError, match="expected one or more"):
        plot({}, *["x", "y"][: 2 if plot is plots.curves else 1])


def test_aimed_against_leaked_counts_what_is_wholly_inside_and_names_every_point():
    points = {
        "smiling": (interval(1.5), interval(0.3)),
        "old": (interval(1.05), interval(0.3)),
        "tanned": [(interval(0.5), interval(0.2)), (interval(1.4), interval(0.9))],
    }
    figure = overview.aimed_against_leaked(points, floor=0.1)
    said = texts(figure)
    assert "shaded: x ≥ 1, y ≤ 0.5; 1 of 3 with their whole intervals" in said
    assert {*points, r"random $\Delta h$"} <= set(said)
    named = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text() in points]
    assert not any(a.overlaps(b) for a in named for b in named if a is not b)


def test_a_legend_reads_row_by_row():
    lines = {f"line {k}": {0: k, 1: k} for k in range(6)}
    figure = plots.panels({"a": lines}, "x", "y", dashed=["line 5"])
    figure.canvas.draw()
    said = figure.legends[0].texts
    boxes = {text.get_text(): text.get_window_extent() for text in said}
    assert sorted(boxes, key=lambda name: (-round(boxes[name].y0), boxes[name].x0)) == list(lines)
    assert [handle.get_linestyle() for handle in figure.legends[0].legend_handles].count("-") == 5


def test_planes_have_one_legend_and_a_label_has_one_colour_in_all():
    points = {
        "pc": (interval(0.3), interval(0.2)),
        "conv": (interval(0.4), interval(0.1)),
        "no edit": (0.6, 0),
    }
    figure = overview.planes({"smiling": points, "pixar": dict(reversed(points.items()))}, "loss", "distance")
    assert [text.get_text() for text in figure.legends[0].texts] == list(points)
    dots = [{line.get_color() for line in axes.lines if line.get_marker() == "s"} for axes in figure.axes]
    assert dots[0] == dots[1] and len(dots[0]) == 1
    assert figure.get_supxlabel().startswith("loss") and figure.get_supylabel() == "distance"


def test_leakage_frames_the_aimed_factor_dots_the_tied_ones_and_prints_bold_what_is_sure():
    table = pd.DataFrame(
        {"nose": [interval(0.05), interval(0.3)], "age": [interval(0.2), interval(1.5)], "hair": [0.4, -0.4]},
        ["smiling", "old"],
    ).assign(smile=[interval(1.2), interval(-0.1, 0.05)])
    figure = overview.leakage(table, {"smiling": "smile", "old": "age"}, {"age": ["hair"]})
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["smile", "age", "nose", "hair"]
    boxes = [(round(p.get_x() + 0.46), round(p.get_y() + 0.45), p.get_linestyle()) for p in axes.patches]
    assert [(x, y) for x, y, _ in boxes] == [(0, 0), (1, 1), (3, 1)]
    assert boxes[0][2] == "solid" == boxes[1][2] != boxes[2][2]
    cells = {text.get_text(): text.get_weight() for text in axes.texts}
    assert len(axes.texts) == 8 and cells["+0.1"] == "normal" and cells["+0.3"] == "bold"
    assert any("bold: the 95 % interval" in text for text in texts(figure))
    assert any("dotted: tied" in text for text in texts(figure))


def test_tables_side_by_side_have_one_scale_and_one_shape():
    a = pd.DataFrame([[1.0, -3.0]], ["x"], ["y", "z"])
    figure = overview.heat_tables({"one": a, "two": a / 3}, framed={"x": "z"}, digits=0)
    assert {axes.images[0].get_clim() for axes in figure.axes[:2]} == {(-3, 3)}
    with pytest.raises(SettingsError, match="expected one for all"):
        overview.heat_tables({"one": a, "two": a.T})
