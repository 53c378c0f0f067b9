"""Losses against optimiser steps, from the rows of a grid: which of two kinds of run comes sooner, or lower.

All settings being the same, runs of one seed see the same images in the same order, so they are compared seed
by seed.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from .. import check
from ..errors import SettingsError, UnknownNameError
from ..measure.stats import student
from .rows import COLUMNS, pick

#: What stands before a batch's number in the score of its loss; see `ablation.curve`.
BATCH = "loss of batch "
_VALUES = ("steps", "most", "start steps", "loss")


def curves(rows: pd.DataFrame, window: int) -> pd.DataFrame:
    """The loss of each run, as a grid's last epoch has it, one row per batch.

    Columns: edit, variant, seed, the grid's axes, "batch", from 1, "steps" of the optimiser up to its end,
    "start steps" of the run that it starts from (0: of none), and "loss", the mean over the last `window`
    batches (of one epoch: over all images); batches before there are so many are left out.
    UnknownNameError: rows without such losses; SettingsError: a window longer than a run.
    """
    keys = ["edit", "variant", "seed", *(c for c in rows.columns if c not in (*COLUMNS, "epoch")), "epoch"]
    of, parts = rows[rows["score"].str.startswith(BATCH)], []
    if of.empty:
        raise UnknownNameError(f"No score begins with {BATCH!r}; expected rows of a grid's last epoch.")
    for where, part in of.groupby(keys, sort=False, dropna=False):
        at = dict(zip(keys, where))
        single = lambda score, at=at: pick(rows, score, **at)["value"]
        part = part.assign(batch=part["score"].str.removeprefix(BATCH).astype(int)).sort_values("batch")
        check.whole("window", window, 1, len(part), error=SettingsError)
        each, start = single("steps").iloc[0] / len(part), single("start steps")
        part["steps"], part["start steps"] = part["batch"] * each, start.iloc[0] if len(start) else 0.0
        parts.append(part.assign(loss=part["value"].rolling(window).mean()).dropna(subset=["loss"]))
    return pd.concat(parts, ignore_index=True)[[*keys[:-1], "batch", "steps", "start steps", "loss"]]


def steps_to(rows: pd.DataFrame, levels: Mapping[str, float], window: int) -> pd.DataFrame:
    """How many optimiser steps each run takes until its loss (`curves`) is at most its edit's level.

    One row per run: "steps", NaN if it doesn't come there within its "most" steps, and "start steps".  None
    can be there before `window` batches, which brings ratios of steps nearer to 1.  A level must be chosen
    without a look at who is sooner, such as where runs from scratch end:
    `pick(rows, "loss", begin="scratch", epoch=4).groupby("edit")["value"].mean()`.
    """
    table = curves(rows, window)
    if absent := [str(edit) for edit in table["edit"].unique() if edit not in levels]:
        raise UnknownNameError(f"There is no level for {', '.join(absent)}; expected one for each edit.")
    keys, made = [c for c in table.columns if c not in ("batch", *_VALUES)], []
    for where, part in table.groupby(keys, sort=False, dropna=False):
        there = part[part["loss"] <= levels[part["edit"].iloc[0]]]["steps"]
        found = {"steps": there.min(), "most": part["steps"].max()}
        made.append(dict(zip(keys, where)) | found | {"start steps": part["start steps"].iloc[0]})
    return pd.DataFrame(made)


def speedup(table: pd.DataFrame, axis: str, base, other, *, start: bool = False) -> pd.DataFrame:
    """How many times the steps of `other` the runs `base` of an axis take, from `steps_to`: one row for each
    edit (and value of other axes), "times" the geometric mean over seeds with its interval.

    start: count what `other` starts from, too.  A base that doesn't come there counts as its whole training,
    so that the truth is more; where an other doesn't, "times" is NaN, neither above nor below anything.
    """
    pairs = _pairs(table, axis, base, other)
    own = pairs["steps"] + (pairs["start steps"] if start else 0)
    ratio = np.log(pairs["steps base"].fillna(pairs["most base"]) / own)
    made = []
    for where, part in pairs.assign(ratio=ratio).groupby(groups := _groups(pairs, axis), sort=False):
        found = student(part["ratio"], len(part), 0)
        mean, low, high = np.exp(found[:3]).tolist()
        made.append(dict(zip(groups, where)) | {"times": found._replace(mean=mean, low=low, high=high)})
    return pd.DataFrame(made)


def lead(table: pd.DataFrame, axis: str, base, other) -> pd.DataFrame:
    """The loss of the runs `other` minus that of `base` after each batch, from `curves`.

    One row for each edit (and value of other axes) and batch, with "steps", and "difference" the mean over
    seeds with its interval; that of the last batch is what is left at the end.
    """
    pairs, made = _pairs(table, axis, base, other), []
    pairs = pairs.assign(difference=pairs["loss"] - pairs["loss base"])
    for where, part in pairs.groupby(groups := [*_groups(pairs, axis), "batch", "steps"], sort=False):
        found = student(part["difference"], len(part), 0)
        made.append(dict(zip(groups, where)) | {"difference": found})
    return pd.DataFrame(made)


def _pairs(table: pd.DataFrame, axis: str, base, other) -> pd.DataFrame:
    """Runs of either value of an axis side by side, all else being equal."""
    known = list(table[axis].unique()) if axis in table else []
    if absent := [value for value in (base, other) if value not in known]:
        raise UnknownNameError(f"No run has {axis} {absent[0]!r}; known are {', '.join(map(str, known))}.")
    on = [c for c in table.columns if c not in (axis, "variant", *_VALUES)]
    first, second = (table[table[axis] == value].drop(columns=[axis, "variant"]) for value in (base, other))
    return second.merge(first, on=on, suffixes=("", " base"))


def _groups(pairs: pd.DataFrame, axis: str) -> list[str]:
    """What is not averaged over."""
    values = {name + end for name in _VALUES for end in ("", " base")}
    return [c for c in pairs.columns if c not in {"seed", "batch", "ratio", "difference", axis} | values]
