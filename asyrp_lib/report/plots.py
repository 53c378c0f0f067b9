"""Plots of numbers with their intervals: dots and whiskers, curves with bands.

An interval is a `measure.stats.Interval`, or any tuple that begins with mean, low, high; a plain number is a
point without one.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from ..errors import SettingsError
from .figures import BLACK, COLOURS, GREEN, GREY, STYLE, VERMILLION, basis, ink, spread, typeset

Point = float | tuple
#: label -> x -> number or interval
Lines = Mapping[str, Mapping[float, Point]]
#: Told apart without colour too.
MARKERS = "osD^vph"
#: Verdict -> colour and fill of its dots: the interval is on the good side of a bound, on both, on the bad.
VERDICTS = {"holds": (GREEN, GREEN), "open": (GREY, "white"), "fails": (VERMILLION, VERMILLION)}
#: Inches: the width of a page.
PAGE = 7.8


def triple(point: Point) -> tuple:
    """(mean, low, high, …) of an interval, and of a number with NaN for what is not known."""
    return tuple(point) if isinstance(point, (tuple, list)) else (float(point), np.nan, np.nan)


def _some(what: str, given: Mapping) -> Mapping:
    """What is to be plotted, or SettingsError where it is nothing."""
    if not given or not all(len(line) for line in given.values() if isinstance(line, Mapping)):
        raise SettingsError(f"There are no {what} to plot; expected one or more; check how they were made.")
    return given


def verdict(point: Point, bound: float, better: str = "above") -> str:
    """Holds, fails or open: the whole interval on the good side of a bound, on the bad one, or neither."""
    _, low, high = triple(point)[:3]  # NaN, no interval: open
    good, bad = (low > bound, high < bound) if better == "above" else (high < bound, low > bound)
    return "holds" if good else "fails" if bad else "open"


def intervals(
    rows: Mapping[str, Point | Mapping[str, Point]],
    xlabel: str,
    *,
    bound: float | None = None,
    marks: Mapping[str, float] | None = None,
    digits: int = 2,
    xlim: tuple[float, float] | None = None,
) -> Figure:
    """Dots with whiskers, one line for each label; the numbers stand at the right.

    `rows`: label -> interval, or label -> variant -> interval, one colour and marker for each variant.
    `bound`: a line that decides, the good side above it shaded; without variants, colours tell the `verdict`.
    `marks`: further lines, label -> x, such as nulls.  `xlim`: ends of the axis; an arrow there stands for a
    mean that lies beyond, whose number says how far.
    """
    _some("rows", rows)
    several = any(isinstance(value, Mapping) for value in rows.values())
    table = {label: value if isinstance(value, Mapping) else {"": value} for label, value in rows.items()}
    looks = dict.fromkeys(name for row in table.values() for name in row)
    looks = {n: {"color": c, "marker": m, "ms": 5} for n, c, m in zip(looks, cycle(COLOURS), cycle(MARKERS))}
    points = [triple(point) for row in table.values() for point in row.values()]
    height = 1.1 + 0.14 * len(table) + 0.2 * len(points)
    with plt.rc_context(STYLE | {"axes.grid.axis": "x"}):
        figure, axes = plt.subplots(figsize=(PAGE, height))
        y, ticks = 0.0, []
        for row in table.values():
            ticks.append(y + (len(row) - 1) / 2)
            for name, point in row.items():
                colour, marker = looks[name]["color"], looks[name]["marker"]
                fill, said = colour, spread(triple(point), digits)
                if bound is not None and not several:
                    colour, fill = VERDICTS[verdict(point, bound)]
                _whisker(axes, triple(point), y, colour, fill, marker)
                if xlim and not xlim[0] <= triple(point)[0] <= xlim[1]:
                    side = int(triple(point)[0] > xlim[1])
                    axes.plot(xlim[side], y, "<>"[side], ms=8, color=colour, clip_on=False)
                at = {"xycoords": ("axes fraction", "data"), "fontsize": 8, "va": "center"}
                axes.annotate(said, (1.02, y), **at, color=ink(colour) if several else BLACK)
                y += 1
            y += 0.7
        axes.set_yticks(ticks, [typeset(label) for label in table])
        axes.set(ylim=(y - 1.1, -0.6))
        axes.tick_params(axis="y", length=0)
        if xlim:
            axes.set_xlim(*xlim)
        if bound is not None:
            _good_side(axes, bound)
        for label, x in (marks or {}).items():
            _line(axes, x, label)
        if several:
            legend(figure, looks)
        _name(axes, xlabel, points)
    return figure


def _good_side(axes: Axes, bound: float) -> None:
    """A bound with its good side shaded."""
    low, high = axes.get_xlim()
    low, high = min(low, bound), max(high, bound)
    axes.axvspan(bound, high, color=GREEN, alpha=0.08, lw=0, zorder=0)
    axes.set_xlim(low, high)
    _line(axes, bound, f"bound {bound:g}", solid=True)


def _whisker(axes: Axes, point: tuple, y: float, colour: str, fill: str, marker: str = "o") -> None:
    """A dot with its interval at the height y, from what `triple` gives."""
    mean, low, high = point[:3]
    axes.plot([low, high], [y, y], color=colour, lw=2, solid_capstyle="butt")
    axes.plot(mean, y, marker, ms=6, color=colour, mfc=fill, mew=1.5)


def _line(axes: Axes, x: float, label: str, solid: bool = False) -> None:
    """A line at x with its label above the axes."""
    axes.axvline(x, ls="-" if solid else (0, (4, 3)), lw=1, color=BLACK if solid else GREY, zorder=1)
    above = {"xycoords": ("data", "axes fraction"), "xytext": (0, 2), "textcoords": "offset points"}
    axes.annotate(typeset(label), (x, 1), **above, fontsize=8, ha="center", va="bottom", color=GREY)


def _name(axes: Axes, xlabel: str, points) -> None:
    """The label of x, and below it what the intervals rest on."""
    axes.set_xlabel("\n".join(filter(None, (typeset(xlabel), basis(points)))))


def curves(
    lines: Lines,
    xlabel: str,
    ylabel: str,
    *,
    dashed: Collection[str] = (),
    marks: Mapping[str, float] | None = None,
    logx: bool = False,
    logy: bool = False,
    width: float = 6.0,
) -> Figure:
    """Lines label -> x -> number or interval, which becomes a band; the labels stand at their ends.

    `dashed`: labels of thin grey lines to compare with; `marks`: label -> x of a vertical line.
    """
    lines = _some("lines", {label: dict(line) for label, line in lines.items()})
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(width, 3.4))
        ends = _draw(axes, lines, dashed)
        for label, x in (marks or {}).items():
            _line(axes, x, label)
        axes.set_ylabel(typeset(ylabel))
        _scales(axes, lines, logx, logy)
        _name(axes, xlabel, [triple(p) for line in lines.values() for p in line.values()])
        if len(lines) > 1:
            _at_ends(figure, axes, ends)
    return figure


def panels(
    plots: Mapping[str, Lines],
    xlabel: str,
    ylabel: str,
    *,
    dashed: Collection[str] = (),
    logx: bool = False,
    columns: int = 4,
    cell: tuple[float, float] = (1.95, 1.65),
) -> Figure:
    """Small multiples, title -> lines as in `curves`, on common axes; the same label has the same colour.

    `cell`: inches of each.
    """
    plots = {title: {label: dict(line) for label, line in lines.items()} for title, lines in plots.items()}
    labels = list(dict.fromkeys(label for lines in _some("plots", plots).values() for label in lines))
    columns = min(columns, len(plots))
    n = -(-len(plots) // columns)
    size = (max(4.0, cell[0] * columns), 0.75 + cell[1] * n)
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(n, columns, figsize=size, sharex=True, sharey=True, squeeze=False)
        for axes, (title, lines) in zip(grid.flat, plots.items()):
            _draw(axes, lines, dashed, labels)
            axes.axhline(0, lw=0.7, color="0.6", zorder=1)
            axes.set_title(typeset(title))
            _scales(axes, lines, logx)
        for k, axes in enumerate(grid.flat):
            axes.set_visible(k < len(plots))
            axes.tick_params(labelbottom=k + columns >= len(plots))
        points = [triple(p) for lines in plots.values() for line in lines.values() for p in line.values()]
        figure.supxlabel("\n".join(filter(None, (typeset(xlabel), basis(points)))), fontsize=9)
        figure.supylabel(typeset(ylabel), fontsize=9)
        if len(labels) > 1:
            legend(figure, {label: _look(label, labels, dashed) for label in labels})
    return figure


def legend(figure: Figure, looks: Mapping[str, Mapping]) -> None:
    """What each label looks like, label -> properties of its line, above all axes; read row by row."""
    lines = [plt.Line2D([], [], label=typeset(label), **look) for label, look in looks.items()]
    columns = min(len(lines), 4)  # which are filled one after the other
    figure.legend(
        handles=[line for k in range(columns) for line in lines[k::columns]],
        loc="outside upper left",
        ncols=columns,
    )


def _draw(axes: Axes, lines: Lines, dashed: Collection[str], labels: Sequence[str] = ()) -> list:
    """Lines with bands; gives back where each ends: (x, y, label, colour)."""
    ends = []
    for label, line in lines.items():
        x = np.array(sorted(line), dtype=float)
        y, low, high = np.array([triple(line[at])[:3] for at in sorted(line)], dtype=float).T
        look = _look(label, labels or list(lines), dashed) | ({"marker": ""} if len(x) > 16 else {})
        axes.plot(x, y, label=typeset(label), **look)
        axes.fill_between(x, low, high, alpha=0.18, color=look["color"], lw=0)
        ends.append((x[-1], y[-1], typeset(label), look["color"]))
    return ends


def _look(label: str, labels: Sequence[str], dashed: Collection[str]) -> dict:
    """Colour and marker of a line, the same wherever its label is one of these labels."""
    if label in dashed:
        return {"color": GREY, "ls": (0, (4, 2)), "lw": 1}
    k = [one for one in labels if one not in dashed].index(label)
    return {"color": COLOURS[k % len(COLOURS)], "marker": MARKERS[k % len(MARKERS)], "ms": 3.5}


def _scales(axes: Axes, lines: Lines, logx: bool, logy: bool = False) -> None:
    xs = sorted({x for line in lines.values() for x in line})
    if logx:
        axes.set_xscale("log")
        axes.minorticks_off()
        axes.set_xticks(xs, [f"{x:g}" for x in xs])
    elif len(xs) < 12 and all(b - a == 1 for a, b in zip(xs, xs[1:])):  # a count, such as epochs
        axes.set_xticks(xs, [f"{x:g}" for x in xs])
    if logy:
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())


def _at_ends(figure: Figure, axes: Axes, ends: list) -> None:
    """Labels right of the axes at the height of their lines, moved apart where they would overlap."""
    figure.canvas.draw()  # the layout is known only then
    frame, gap = axes.get_window_extent(), 8.5 * 1.3 * figure.dpi / 72
    at = axes.transData.transform([(x, y) for x, y, *_ in ends])[:, 1]
    order = np.argsort(at)
    for _ in range(200):
        for a, b in zip(order, order[1:]):
            if (close := gap - (at[b] - at[a])) > 0.01:
                at[a], at[b] = at[a] - close / 2, at[b] + close / 2
    for (*_, label, colour), y in zip(ends, at):
        place = 1.02, (y - frame.y0) / frame.height
        axes.annotate(label, place, xycoords="axes fraction", fontsize=8.5, color=ink(colour), va="center")
