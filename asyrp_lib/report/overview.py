"""Many edits or methods at a glance: points in a plane, matrices of factors."""

from collections.abc import Collection, Mapping, Sequence
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..errors import SettingsError
from .figures import BLACK, BLUE, COLOURS, GREEN, GREY, STYLE, basis, ink, signed, typeset
from .plots import MARKERS, Point, legend, triple, verdict

#: Label -> (aimed, leaked), or several such pairs at rising strengths.
Pairs = Mapping[str, tuple[Point, Point] | Sequence[tuple[Point, Point]]]
#: A good edit: aimed at least, leaked at most.
GOOD = (1.0, 0.5)


def aimed_against_leaked(points: Pairs, *, floor: float | None = None) -> Figure:
    """What edits, or methods, move of their factor against what they move besides, in standard deviations:
    points in the plane with intervals along both axes, each named beside it.

    `points`: label -> (aimed, leaked), or a list of such pairs that are joined, the last one large; those
    wholly inside the shaded corner, see `GOOD`, are counted.  `floor`: what random Δh as long leak.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(6.4, 4.4))
        ends, every = {}, []
        for k, (label, given) in enumerate(points.items()):
            path = [(triple(x), triple(y)) for x, y in (given if isinstance(given, list) else [given])]
            colour, marker = COLOURS[k % len(COLOURS)], MARKERS[k % len(MARKERS)]
            if len(points) > len(COLOURS):
                colour, marker = GREEN if _inside(path[-1]) else BLUE, "o"
            axes.plot([x[0] for x, _ in path], [y[0] for _, y in path], color=colour, lw=1, alpha=0.6)
            for x, y in path:
                _cross(axes, x, y, colour, marker, 6.5 if (x, y) == path[-1] else 3.5)
                every += [x, y]
            ends[label] = (*path[-1], colour)
        axes.margins(0.08)
        _corner(axes, [(x, y) for x, y, _ in ends.values()])
        if floor is not None:
            axes.axhline(floor, ls=(0, (4, 3)), lw=1, color=GREY, zorder=1)
            at = {"xycoords": ("axes fraction", "data"), "xytext": (-2, 2), "textcoords": "offset points"}
            axes.annotate(typeset("random Δh"), (1, floor), **at, ha="right", fontsize=8, color=GREY)
        axes.set_ylabel("leaked: root mean square of the untied factors, sd")
        axes.set_xlabel("\n".join(filter(None, ("aimed: shift of the factor aimed at, sd", basis(every)))))
        _names(figure, axes, ends)
    return figure


def planes(plots: Mapping[str, Mapping[str, tuple[Point, Point]]], xlabel: str, ylabel: str) -> Figure:
    """Points in planes side by side, title -> label -> (x, y), with intervals along both axes; the same label
    has the same colour and marker everywhere.
    """
    labels = dict.fromkeys(label for points in plots.values() for label in points)
    looks = {label: (c, m) for label, c, m in zip(labels, cycle(COLOURS), cycle(MARKERS))}
    every = [triple(value) for points in plots.values() for pair in points.values() for value in pair]
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(1, len(plots), figsize=(3.9 * len(plots), 3.8), squeeze=False)
        for axes, (title, points) in zip(grid[0], plots.items()):
            for label, (x, y) in points.items():
                _cross(axes, triple(x), triple(y), *looks[label])
            axes.margins(0.08)
            axes.set_title(typeset(title))
        figure.supxlabel("\n".join(filter(None, (typeset(xlabel), basis(every)))), fontsize=9)
        figure.supylabel(typeset(ylabel), fontsize=9)
        legend(
            figure, {label: {"color": c, "marker": m, "ms": 6, "ls": ""} for label, (c, m) in looks.items()}
        )
    return figure


def _cross(axes: Axes, x: tuple, y: tuple, colour: str, marker: str, size: float = 6.5) -> None:
    """A point with its intervals along both axes."""
    for line in (x[1:3], [y[0]] * 2), ([x[0]] * 2, y[1:3]):
        axes.plot(*line, color=colour, lw=1.3, alpha=1 if size > 5 else 0.5)
    axes.plot(x[0], y[0], marker, ms=size, color=colour, mec="white", mew=0.6)


def _corner(axes: Axes, ends: list) -> None:
    """Shade the good corner and count the intervals wholly inside."""
    (low, high), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    low, bottom, high, top = min(low, 0), min(bottom, 0), max(high, GOOD[0] * 1.1), max(top, GOOD[1] * 1.1)
    axes.set(xlim=(low, high), ylim=(bottom, top))
    size = high - GOOD[0], GOOD[1] - bottom
    axes.add_patch(Rectangle((GOOD[0], bottom), *size, color=GREEN, alpha=0.1, lw=0, zorder=0))
    inside = sum(_inside(pair) for pair in ends)
    text = f"shaded: x ≥ {GOOD[0]:g}, y ≤ {GOOD[1]:g}; {inside} of {len(ends)} with their whole intervals"
    axes.set_title(text, loc="right", fontsize=8, weight="normal", color=ink(GREEN))


def _inside(pair: tuple[Point, Point]) -> bool:
    return verdict(pair[0], GOOD[0]) == verdict(pair[1], GOOD[1], "below") == "holds"


def _names(figure: Figure, axes: Axes, ends: Mapping[str, tuple]) -> None:
    """Name each point where there is most room: of eight places the one that covers least."""
    figure.canvas.draw()
    figure.set_layout_engine("none")
    taken, frame = [text.get_window_extent() for text in axes.texts], axes.get_window_extent()
    lines = [
        np.linspace(start, end, 15)
        for x, y, _ in ends.values()
        for start, end in (((x[1], y[0]), (x[2], y[0])), ((x[0], y[1]), (x[0], y[2])), ((x[0], y[0]),) * 2)
    ]
    covered = axes.transData.transform(np.concatenate(lines))
    covered = covered[np.isfinite(covered).all(1)]
    for label, (x, y, colour) in ends.items():
        dot, found = axes.transData.transform((x[0], y[0])), []
        text = axes.annotate(typeset(label), dot, xycoords="figure pixels", fontsize=8.5, color=ink(colour))
        for a, b in ((a, b) for a in (1, -1, 0) for b in (1, -1, 0) if a or b):
            away = np.array([a * (5 if b else 9), b * (4 if a else 9)]) * figure.dpi / 100
            how = {"ha": ("center", "left", "right")[a], "va": ("center", "bottom", "top")[b]}
            text.set(position=dot + away, **how)
            box = text.get_window_extent()
            hits = 3 * sum(map(box.overlaps, taken)) + sum(box.contains(*point) for point in covered)
            outside = box.x0 < frame.x0 or box.x1 > frame.x1 or box.y0 < frame.y0 or box.y1 > frame.y1
            found.append((hits + 10 * outside, len(found), how | {"position": dot + away}, box))
        _, _, how, box = min(found, key=lambda one: one[:2])
        text.set(**how)
        taken.append(box)


def heat_tables(
    tables: Mapping[str, pd.DataFrame],
    ylabel: str = "",
    xlabel: str = "",
    *,
    unit: str = "",
    framed: Mapping[str, str] | None = None,
    dotted: Mapping[str, Collection[str]] | None = None,
    note: str = "",
    digits: int = 1,
) -> Figure:
    """Tables of signed numbers or intervals, title -> rows x columns, as colours and figures on one scale.

    All have the same rows and as many columns, and stand side by side; a number whose interval leaves out 0
    is bold, and that is said below.  `unit`: of the colour bar; `framed`: row -> column of the cell in a
    frame, e.g. the factor aimed at; `dotted`: row -> columns in dotted frames; `note`: what stands below.
    """
    if len({table.shape for table in tables.values()}) != 1:
        shapes = ", ".join(str(table.shape) for table in tables.values()) or "of none"
        raise SettingsError(f"The tables have the shapes {shapes}; expected one for all; cut them.")
    limit = max(np.nanmax([abs(triple(p)[0]) for p in table.to_numpy().flat]) for table in tables.values())
    rows, columns = next(iter(tables.values())).shape
    cell = min(0.62, 9.6 / (columns * len(tables)))
    size = (1.9 + (cell * columns + 0.15) * len(tables), 1.5 + 0.32 * rows)
    solid, dots = {"lw": 1.8, "ec": BLACK}, {"lw": 1.1, "ec": BLACK, "ls": (0, (2, 1.5))}
    frames = [(row, column, solid) for row, column in (framed or {}).items()]
    frames += [(row, column, dots) for row, several in (dotted or {}).items() for column in several]
    with plt.rc_context(STYLE | {"axes.grid": False, "figure.dpi": 120}):
        figure, grid = plt.subplots(1, len(tables), figsize=size, sharey=True, squeeze=False)
        for axes, (title, table) in zip(grid[0], tables.items()):
            drawn = _cells(axes, table, limit or 1.0, digits)
            for row, column, look in frames:
                at = table.columns.get_loc(column) - 0.46, table.index.get_loc(row) - 0.45
                axes.add_patch(Rectangle(at, 0.92, 0.9, fill=False, **look))
            axes.set_title(typeset(title))
        grid[0, 0].set_yticks(range(rows), [typeset(row) for row in table.index])
        grid[0, 0].set_ylabel(typeset(ylabel))
        figure.colorbar(drawn, ax=grid, label=typeset(unit), shrink=0.85, aspect=28, pad=0.01)
        any_sure = any(_sure(point) for table in tables.values() for point in table.to_numpy().flat)
        said = (typeset(xlabel), note, "bold: the 95 % interval leaves out 0" if any_sure else "")
        figure.supxlabel("\n".join(filter(None, said)), fontsize=9)
    return figure


def _sure(point) -> bool:
    """Whether a number has an interval without 0."""
    _, low, high = triple(point)[:3]
    return low > 0 or high < 0


def _cells(axes: Axes, table: pd.DataFrame, limit: float, digits: int):
    """One table of `heat_tables`; gives back what the colour bar is of."""
    rows, columns = table.shape
    means = table.map(lambda point: triple(point)[0]).to_numpy(dtype=float)
    drawn = axes.imshow(means, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    for (i, k), value in np.ndenumerate(means):
        look = {"color": "white" if abs(value) > 0.55 * limit else BLACK, "ha": "center", "va": "center"}
        weight = "bold" if _sure(table.iloc[i, k]) else "normal"
        if np.isfinite(value):
            axes.text(k, i, signed(value, digits), fontsize=8, weight=weight, **look)
    names = [typeset(column) for column in table.columns]
    axes.set_xticks(range(columns), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_xticks(np.arange(columns - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(rows - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", lw=1)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    return drawn


def leakage(
    table: pd.DataFrame, aimed: Mapping[str, str], tied: Mapping[str, Collection[str]] | None = None, **how
) -> Figure:
    """What each edit moves of each factor, edits x factors, numbers or intervals in standard deviations.

    `aimed`: edit -> its factor, framed; `tied`: factor -> those that it moves by construction, in dotted
    frames.  The factors aimed at come first, in the order of the edits; `how`: see `heat_tables`.
    """
    framed = {edit: aimed[edit] for edit in table.index if aimed.get(edit) in table.columns}
    table = table[list(dict.fromkeys([*framed.values(), *table.columns]))]
    dotted = {e: [f for f in (tied or {}).get(own, ()) if f in table.columns] for e, own in framed.items()}
    said = ["framed: aimed at"] + ["dotted: tied to it by construction"] * any(dotted.values())
    points = [triple(value) for value in table.to_numpy().flat]
    said += [basis(points)] if basis(points) else []
    how = {"unit": "shift, standard deviations", "note": "; ".join(said), **how}
    return heat_tables({"": table}, "edit", "factor", framed=framed, dotted=dotted, **how)
