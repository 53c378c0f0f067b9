"""Figures: one function per kind of picture, one style for all, written to `figures/`."""

import os
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Image
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from torch import Tensor

from ..store.files import atomic_write
from ..store.images import to_array
from ..store.paths import repo_root

STYLE = {
    "figure.dpi": 110,
    "savefig.dpi": 150,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.axisbelow": True,
    "figure.constrained_layout.use": True,
    "image.interpolation": "nearest",
}


def figures_dir() -> Path:
    """Where figures go: the repository's `figures/`, or the folder that the variable ASYRP_FIGURES names."""
    return Path(os.environ.get("ASYRP_FIGURES") or repo_root() / "figures")


def show(figure: Figure, name: str) -> Image:
    """Write a figure to `figures/<name>.png` and give it back as the picture that a notebook displays.

    The same figure gives the same bytes on one version of matplotlib, so that a rerun changes no file.

    Args:
        figure: a matplotlib figure; it is closed.
        name: file name without suffix, beginning with its notebook's number.
    """
    path = figures_dir() / f"{name}.png"
    with atomic_write(path) as temporary, matplotlib.rc_context(STYLE):
        figure.savefig(temporary, format="png", metadata={"Software": None})
    plt.close(figure)
    return Image(filename=path, width=round(figure.get_figwidth() * 100))


def sheet(
    rows: Sequence[Sequence[Tensor] | Tensor],
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    *,
    title: str = "",
    cell: float = 0.85,
) -> Figure:
    """A contact sheet.

    Args:
        rows: pictures (3, R, R) in [-1, 1], row by row; all rows of the same length.
        row_labels, column_labels: at the left and on top.
        title: above everything.
        cell: side of a picture in inches.
    """
    n_rows, n_columns = len(rows), len(rows[0])
    margin = 0.2 + 0.066 * max((len(str(label)) for label in row_labels), default=0)
    with plt.rc_context(STYLE | {"figure.constrained_layout.use": False, "axes.grid": False}):
        lines = max((str(label).count("\n") + 1 for label in column_labels), default=0)
        width, top = n_columns * cell + margin, 0.09 + 0.14 * lines + (0.3 if title else 0)
        figure = plt.figure(figsize=(width, n_rows * cell + top))
        for i, row in enumerate(rows):
            for k, picture in enumerate(row):
                height = n_rows * cell + top
                axes = figure.add_axes(
                    [
                        (margin + (k + 0.02) * cell) / width,
                        (n_rows - 1 - i + 0.02) * cell / height,
                        0.96 * cell / width,
                        0.96 * cell / height,
                    ]
                )
                axes.imshow(to_array(picture))
                axes.set_axis_off()
                if i == 0 and k < len(column_labels):
                    axes.set_title(column_labels[k], fontsize=8, pad=3)
                if k == 0 and i < len(row_labels):
                    axes.text(
                        -0.06,
                        0.5,
                        row_labels[i],
                        transform=axes.transAxes,
                        ha="right",
                        va="center",
                        fontsize=8,
                    )
        if title:
            figure.suptitle(title, y=1 - 0.06 / (n_rows * cell + top), va="top", fontsize=9)
    return figure


def curves(
    x: Sequence[float],
    lines: dict[str, Sequence[float]],
    xlabel: str,
    ylabel: str,
    *,
    title: str = "",
    bands: dict[str, Sequence[float]] | None = None,
    marks: dict[str, float] | None = None,
    size: tuple[float, float] = (5.2, 3.2),
    marker: str = "",
    logx: bool = False,
    logy: bool = False,
) -> Figure:
    """Lines over a common axis.

    Args:
        x: (n,).
        lines: label -> (n,).
        xlabel, ylabel, title: texts, with units.
        bands: label -> half-width (n,) of a shaded band around that line.
        marks: label -> x of a dashed vertical line; the labels stand above the axes.
        size: inches.
        marker: matplotlib marker of the points.
        logx, logy: logarithmic axes.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=size)
        for label, y in lines.items():
            (line,) = axes.plot(x, y, label=label, marker=marker)
            if bands and label in bands:
                y, half = np.asarray(y), np.asarray(bands[label])
                axes.fill_between(x, y - half, y + half, alpha=0.2, color=line.get_color(), lw=0)
        for label, position in (marks or {}).items():
            axes.axvline(position, ls="--", lw=1, color="0.4")
            axes.annotate(
                label,
                (position, 1),
                xycoords=("data", "axes fraction"),
                fontsize=8,
                rotation=30,
                ha="left",
                va="bottom",
                xytext=(-2, 1),
                textcoords="offset points",
            )
        axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
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
        if len(lines) > 4:  # too many to lie among the lines
            axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
        elif len(lines) > 1:
            axes.legend(fontsize=8, frameon=False)
    return figure


def heat_tables(
    tables: dict[str, pd.DataFrame],
    ylabel: str = "",
    xlabel: str = "",
    *,
    unit: str = "",
    framed: dict[str, str] | None = None,
    digits: int = 1,
) -> Figure:
    """Tables of signed numbers as colours and figures, side by side on one scale.

    Args:
        tables: title -> rows x columns; all with the same rows and as many columns.
        ylabel, xlabel: what the rows and the columns are.
        unit: label of the colour bar.
        framed: row -> column of the cell to frame, e.g. the factor that an edit aims at.
        digits: decimals of the figures.
    """
    limit = max(float(np.abs(table.to_numpy()).max()) for table in tables.values())
    rows, columns = next(iter(tables.values())).shape
    with plt.rc_context(STYLE | {"axes.grid": False}):
        size = (1.6 + 0.52 * columns * len(tables) + 0.15 * len(tables), 1.2 + 0.32 * rows)
        figure, all_axes = plt.subplots(1, len(tables), figsize=size, sharey=True, squeeze=False)
        for axes, (title, table) in zip(all_axes[0], tables.items()):
            drawn = axes.imshow(table.to_numpy(), cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
            axes.set_xticks(range(columns), table.columns, rotation=45, ha="right")
            for (i, k), value in np.ndenumerate(table.to_numpy()):
                axes.text(
                    k,
                    i,
                    f"{value:+.{digits}f}",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="white" if abs(value) > 0.6 * limit else "black",
                )
            for row, column in (framed or {}).items():
                i, k = table.index.get_loc(row), table.columns.get_loc(column)
                axes.add_patch(plt.Rectangle((k - 0.5, i - 0.5), 1, 1, fill=False, lw=1.8, ec="black"))
            axes.set(title=title, xlabel=xlabel)
        all_axes[0, 0].set_yticks(range(rows), table.index)
        all_axes[0, 0].set_ylabel(ylabel)
        figure.colorbar(drawn, ax=all_axes, label=unit, shrink=0.8)
    return figure


def scatter(
    points: dict[str, tuple[Sequence[float], Sequence[float]]],
    xlabel: str,
    ylabel: str,
    *,
    title: str = "",
    size: tuple[float, float] = (4.6, 3.4),
) -> Figure:
    """Points in the plane, one colour for each label; those of one label are joined, each larger than the one before.

    Args:
        points: label -> (x, y).
        xlabel, ylabel, title: texts, with units.
        size: inches.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=size)
        colours = plt.get_cmap("tab10")
        for k, (label, (x, y)) in enumerate(points.items()):
            axes.plot(x, y, lw=0.8, alpha=0.5, color=colours(k % 10))
            axes.scatter(
                x, y, s=16 + 22 * np.arange(len(x)), alpha=0.8, lw=0, label=label, color=colours(k % 10)
            )
        axes.axhline(0, lw=0.8, color="0.5")
        axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
        axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def fitted(
    x: Sequence[float],
    lines: dict[str, Sequence[float]],
    fits: dict[str, Sequence[float]],
    xlabel: str,
    ylabel: str,
    *,
    bands: dict[str, Sequence[float]] | None = None,
    ends: dict[str, Sequence[float]] | None = None,
) -> Figure:
    """One small plot for each curve, with what was fitted to it.

    Args:
        x: (n,).
        lines: title -> (n,).
        fits: title -> (n,), dashed; titles without one get none.
        xlabel, ylabel: texts, with units.
        bands: title -> half-width (n,) of a shaded band.
        ends: title -> the values of x at which the curve is marked with a cross.
    """
    with plt.rc_context(STYLE):
        figure, row = plt.subplots(
            1, len(lines), figsize=(0.5 + 1.9 * len(lines), 2.5), sharex=True, sharey=True, squeeze=False
        )
        for axes, (title, y) in zip(row[0], lines.items()):
            y = np.asarray(y)
            axes.plot(x, y, marker="o", ms=3)
            if bands and title in bands:
                axes.fill_between(x, y - bands[title], y + bands[title], alpha=0.2, lw=0)
            crosses = (ends or {}).get(title, [])
            axes.plot(crosses, np.interp(crosses, x, y), ls="", marker="x", ms=8, mew=2, color="tab:red")
            axes.set_title(title)
        limits = row[0, 0].get_ylim()  # the curves decide, the fits may leave
        for axes, title in zip(row[0], lines):
            if title in fits:
                axes.plot(x, fits[title], ls="--", lw=1, color="0.4")
        row[0, 0].set_ylim(limits)
        figure.supxlabel(xlabel, fontsize=9)
        row[0, 0].set_ylabel(ylabel)
    return figure


def forest(
    rows: dict[str, dict[str, tuple[float, float, float]]],
    xlabel: str,
    *,
    mark: float | None = None,
    logx: bool = False,
    width: float = 5.6,
) -> Figure:
    """Points with their intervals, one line for each row, one colour for each series.

    Args:
        rows: label -> series -> (value, low, high); a series without an interval has nan for low and high.
        xlabel: text, with units.
        mark: x of a dashed vertical line, e.g. what is claimed.
        logx: logarithmic axis.
        width: inches.
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
            axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
