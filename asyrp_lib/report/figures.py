"""Figures: one function per kind, one style for all, written to `figures/`."""

import io
import os
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from cycler import cycler
from IPython.display import Image
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from torch import Tensor

from ..store.files import atomic_write
from ..store.images import to_array
from ..store.paths import repo_root

#: Colours that the colour-blind tell apart too (Okabe and Ito 2008), without yellow, which is faint on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLE = {
    "figure.dpi": 150,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(linestyle=("-", "--")) * cycler(color=COLOURS),
    "figure.constrained_layout.use": True,
}
#: label -> one number for each x
Lines = Mapping[str, Sequence[float]]
#: Grey levels that rounding may move a pixel by; a digit or a line that changes moves some by far more.
ROUNDING = 4


def same_image(a: bytes, b: bytes) -> bool:
    """Whether two PNGs have the same size and no value more than ROUNDING of 255 levels apart."""
    x, y = (255 * plt.imread(io.BytesIO(file), "png") for file in (a, b))
    return x.shape == y.shape and np.abs(x - y).max() < ROUNDING + 0.5


def png(figure: Figure) -> bytes:
    """A figure as PNG, without date or name of a program."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None}, pil_kwargs={"optimize": True})
    return stream.getvalue()


def show(figure: Figure, name: str) -> Image:
    """Write a figure to `figures/<name>.png` and close it; give back the image that a notebook displays.

    $ASYRP_FIGURES names another folder.  A file that shows the same but for rounding stays as it is.
    """
    folder, drawn = Path(os.environ.get("ASYRP_FIGURES") or repo_root() / "figures"), png(figure)
    path = folder / f"{name}.png"
    plt.close(figure)
    if not path.exists() or not same_image(path.read_bytes(), drawn):
        with atomic_write(path) as temporary:
            temporary.write_bytes(drawn)
    return Image(filename=path, width=round(figure.get_figwidth() * 100))


def describe(edits: Mapping[str, float]) -> str:
    """Which strengths act, in words: "smiling +0.60, old −1.00; 2 edits: each × 1/√2"."""
    on = {name: strength for name, strength in edits.items() if strength}
    said = ", ".join(f"{name} {strength:+.2f}".replace(" -", " −") for name, strength in on.items())
    return f"{said}; {len(on)} edits: each × 1/√{len(on)}" if len(on) > 1 else said or "reconstruction"


def sheet(
    rows: Sequence[Sequence[Tensor] | Tensor],
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    *,
    title: str = "",
    cell: float = 1.35,
) -> Figure:
    """A contact sheet of rows of images (3, R, R) in [-1, 1], small ones enlarged smoothly.

    `cell`: side of an image in inches; 1.35 are 130 pixels on the screen.
    """
    n_rows, n_columns = len(rows), len(rows[0])
    margin = 0.15 + 0.066 * max((len(line) for text in row_labels for line in text.split("\n")), default=0)
    lines = max((label.count("\n") + 1 for label in column_labels), default=0)
    top = 0.09 + 0.14 * lines + (0.3 + 0.16 * title.count("\n") if title else 0)
    size = width, height = n_columns * cell + margin, n_rows * cell + top
    grid = {"left": margin / width, "right": 1, "top": 1 - top / height, "bottom": 0}
    grid |= {"wspace": 0.04, "hspace": 0.04}
    with plt.rc_context(STYLE | {"figure.constrained_layout.use": False, "figure.dpi": 100}):
        figure, axes = plt.subplots(n_rows, n_columns, figsize=size, gridspec_kw=grid, squeeze=False)
        for i, row in enumerate(rows):
            for k, image in enumerate(row):
                axes[i, k].imshow(to_array(image), interpolation="bicubic" if image.shape[-1] < 128 else None)
                axes[i, k].set_axis_off()
        right = {"ha": "right", "va": "center", "fontsize": 8}
        for i, label in enumerate(row_labels):
            axes[i, 0].text(-0.04, 0.5, label, transform=axes[i, 0].transAxes, **right)
        for k, label in enumerate(column_labels):
            axes[0, k].set_title(label, fontsize=8, pad=3)
        if title:
            figure.suptitle(title, y=1 - 0.06 / height, va="top", fontsize=9)
    return figure


def before_after(
    images: Sequence[Tensor],
    edits: Mapping[str, float],
    labels: Sequence[str] = ("original", "reconstruction", "edited"),
) -> Figure:
    """Images (3, R, R) of one face side by side, 256 pixels each or more, with the strengths above."""
    side = max(256, images[0].shape[-1])
    title = textwrap.fill(describe(edits), len(images) * side // 10)  # 10: about the width of a letter
    return sheet([images], (), labels, title=title, cell=1.04 * side / 100)


def curves(
    x: Sequence[float],
    lines: Lines,
    xlabel: str,
    ylabel: str,
    *,
    bands: Lines | None = None,
    marks: Mapping[str, float] | None = None,
    size: tuple[float, float] = (5.2, 3.2),
    marker: str = "",
    logx: bool = False,
    logy: bool = False,
) -> Figure:
    """Lines label -> (n,) over a common axis x (n,).

    `bands`: label -> half-width (n,) of a shaded band around that line; `marks`: label -> x of a dashed
    vertical line; the labels stand above the axes.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=size)
        for label, y in lines.items():
            (line,) = axes.plot(x, y, label=label, marker=marker)
            if bands and label in bands:
                low, high = np.subtract(y, bands[label]), np.add(y, bands[label])
                axes.fill_between(x, low, high, alpha=0.2, color=line.get_color(), lw=0)
        above = {"xycoords": ("data", "axes fraction"), "xytext": (-2, 1), "textcoords": "offset points"}
        for label, position in (marks or {}).items():
            axes.axvline(position, ls="--", lw=1, color="0.4")
            axes.annotate(label, (position, 1), **above, fontsize=8, rotation=30, ha="left", va="bottom")
        axes.set(xlabel=xlabel, ylabel=ylabel)
        if logx:
            axes.set_xscale("log")
            axes.set_xticks(x, [f"{value:g}" for value in x])
            axes.minorticks_off()
        if logy:
            axes.set_yscale("log")
            low, high = axes.get_ylim()
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter(NullFormatter())
        if len(lines) > 1:
            _legend(axes, beside=len(lines) > 4)  # too many to lie among the lines
    return figure


def heat_tables(
    tables: Mapping[str, pd.DataFrame],
    ylabel: str = "",
    xlabel: str = "",
    *,
    unit: str = "",
    framed: Mapping[str, str] | None = None,
    digits: int = 1,
) -> Figure:
    """Tables of signed numbers, title -> rows x columns, as colours and figures, side by side on one scale.

    All have the same rows and as many columns.  `unit`: label of the colour bar; `framed`: row -> column of
    the cell to frame, e.g. the factor that an edit aims at.
    """
    limit = max(float(np.abs(table.to_numpy()).max()) for table in tables.values())
    rows, columns = next(iter(tables.values())).shape
    size = (1.6 + (0.52 * columns + 0.15) * len(tables), 1.2 + 0.32 * rows)
    with plt.rc_context(STYLE | {"axes.grid": False}):
        figure, all_axes = plt.subplots(1, len(tables), figsize=size, sharey=True, squeeze=False)
        for axes, (title, table) in zip(all_axes[0], tables.items()):
            drawn = axes.imshow(table.to_numpy(), cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
            axes.set_xticks(range(columns), table.columns, rotation=45, ha="right")
            for (i, k), value in np.ndenumerate(table.to_numpy()):
                colour = "white" if abs(value) > 0.6 * limit else "black"
                axes.text(k, i, f"{value:+.{digits}f}", ha="center", va="center", fontsize=7, color=colour)
            for row, column in (framed or {}).items():
                i, k = table.index.get_loc(row), table.columns.get_loc(column)
                axes.add_patch(plt.Rectangle((k - 0.5, i - 0.5), 1, 1, fill=False, lw=1.8, ec="black"))
            axes.set(title=title, xlabel=xlabel)
        all_axes[0, 0].set_yticks(range(rows), table.index)
        all_axes[0, 0].set_ylabel(ylabel)
        figure.colorbar(drawn, ax=all_axes, label=unit, shrink=0.8)
    return figure


def scatter(
    points: Mapping[str, tuple[Sequence[float], Sequence[float]]], xlabel: str, ylabel: str
) -> Figure:
    """Points label -> (x, y) in the plane; those of one label are joined, each larger than the one before."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(4.6, 3.4))
        for k, (label, (x, y)) in enumerate(points.items()):
            look = {"color": COLOURS[k % len(COLOURS)], "marker": "os^"[k // len(COLOURS) % 3]}
            axes.plot(x, y, lw=0.8, alpha=0.5, ls="-", color=look["color"])
            axes.scatter(x, y, s=16 + 22 * np.arange(len(x)), alpha=0.8, lw=0, label=label, **look)
        axes.axhline(0, lw=0.8, color="0.5")
        axes.set(xlabel=xlabel, ylabel=ylabel)
        _legend(axes)
    return figure


def fitted(
    x: Sequence[float],
    lines: Lines,
    fits: Lines,
    xlabel: str,
    ylabel: str,
    *,
    bands: Lines | None = None,
    ends: Lines | None = None,
) -> Figure:
    """One small plot for each curve, title -> (n,) over x (n,), with what was fitted to it.

    `fits`: title -> (n,), dashed, where there is one; `bands`: title -> half-width of a shaded band; `ends`:
    title -> the values of x at which the curve is marked with a cross.
    """
    with plt.rc_context(STYLE):
        size = (0.5 + 1.9 * len(lines), 2.5)
        figure, row = plt.subplots(1, len(lines), figsize=size, sharex=True, sharey=True, squeeze=False)
        for axes, (title, y) in zip(row[0], lines.items()):
            y = np.asarray(y)
            axes.plot(x, y, marker="o", ms=3)
            if bands and title in bands:
                axes.fill_between(x, y - bands[title], y + bands[title], alpha=0.2, lw=0)
            at = (ends or {}).get(title, [])
            axes.plot(at, np.interp(at, x, y), ls="", marker="x", ms=8, mew=2, color=COLOURS[1])
            axes.set_title(title)
        limits = row[0, 0].get_ylim()  # the curves decide, the fits may leave
        for axes, title in zip(row[0], lines):
            if title in fits:
                axes.plot(x, fits[title], ls="--", lw=1, color="0.4")
        row[0, 0].set(ylim=limits, ylabel=ylabel)
        figure.supxlabel(xlabel, fontsize=9)
    return figure


def forest(
    rows: Mapping[str, Mapping[str, tuple[float, float, float]]],
    xlabel: str,
    *,
    mark: float | None = None,
    logx: bool = False,
    width: float = 5.6,
) -> Figure:
    """Points with their intervals, one line for each row, one colour for each series.

    `rows` is label -> series -> (value, low, high), nan for no interval; `mark` the x of a dashed line.
    """
    series = list(dict.fromkeys(name for row in rows.values() for name in row))
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(width, 0.9 + 0.3 * len(rows)))
        for k, name in enumerate(series):
            at = [i for i, row in enumerate(rows.values()) if name in row]
            value, low, high = np.array([row[name] for row in rows.values() if name in row]).T
            y = np.array(at) + 0.5 * ((k + 0.5) / len(series) - 0.5)
            axes.errorbar(value, y, xerr=[value - low, high - value], fmt="o", ms=4, lw=1.4, label=name)
        if mark is not None:
            axes.axvline(mark, ls="--", lw=1, color="0.4")
        axes.set_yticks(range(len(rows)), rows)
        axes.set(xlabel=xlabel, ylim=(len(rows) - 0.5, -0.5))
        if logx:
            axes.set_xscale("log")
        if len(series) > 1:
            _legend(axes)
    return figure


def _legend(axes, beside: bool = True) -> None:
    place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)} if beside else {}
    axes.legend(fontsize=8, frameon=False, **place)
