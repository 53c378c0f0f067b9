"""Losses against steps: arithmetic on rows whose answers are known."""

import math

import numpy as np
import pandas as pd
import pytest

from asyrp_lib.errors import SettingsError, UnknownNameError
from asyrp_lib.experiments.curves import curves, lead, speedup, steps_to
from asyrp_lib.experiments.rows import joined, numbers


def run(begin: str, losses, seed: int = 0, edit: str = "dark", f_t: str = "conv", start=None) -> pd.DataFrame:
    """Two epochs of a run with five times: a loss for each batch."""
    single = {f"loss of batch {k}": loss for k, loss in enumerate(losses, 1)} | {"steps": 5 * len(losses)}
    single |= {"loss": float(np.mean(losses))} | ({} if start is None else {"start steps": start})
    rows = joined([numbers(single, edit=edit, variant=f"begin {begin}, f_t {f_t}, edit {edit}", seed=seed)])
    earlier = rows[rows["score"] == "steps"].assign(epoch=1)
    return pd.concat([rows.assign(epoch=2), earlier], ignore_index=True).assign(begin=begin, f_t=f_t)


def test_a_curve_has_steps_and_the_mean_over_an_epoch_or_over_a_window():
    rows = run("transfer", [8.0, 4, 6, 2], start=40)
    assert curves(rows, 2)[["batch", "steps", "start steps", "loss"]].to_numpy().tolist() == [
        [2, 10, 40, 6],
        [3, 15, 40, 5],
        [4, 20, 40, 4],
    ]
    assert list(curves(run("scratch", [8.0, 4, 6, 2]), 1)["loss"]) == [8, 4, 6, 2]
    assert set(curves(run("scratch", [8.0, 4, 6, 2]), 2)["start steps"]) == {0}
    twelve = curves(run("scratch", range(12)), 1)
    assert list(twelve["batch"]) == [*range(1, 13)] and list(twelve["loss"]) == [*range(12)]
    with pytest.raises(SettingsError, match="window = 0"):
        curves(rows, 0)
    with pytest.raises(SettingsError, match="window = 5"):
        curves(rows, 5)
    with pytest.raises(UnknownNameError, match="No score begins"):
        curves(rows[rows["score"] == "steps"], 1)


def test_steps_to_a_loss_are_those_of_the_first_time_that_it_is_there_or_none():
    rows = pd.concat([run("scratch", [8.0, 4, 6, 2]), run("transfer", [3.0, 1, 9, 9], start=40)])
    table = steps_to(rows, {"dark": 4.0}, 1)
    assert table[["begin", "steps", "most", "start steps"]].to_numpy().tolist() == [
        ["scratch", 10, 20, 0],
        ["transfer", 5, 20, 40],
    ]
    assert table["steps"].tolist() != steps_to(rows, {"dark": 4.0}, 2)["steps"].tolist()
    assert all(math.isnan(steps) for steps in steps_to(rows, {"dark": 0.5}, 1)["steps"])
    with pytest.raises(UnknownNameError, match="no level for dark"):
        steps_to(rows, {"warm": 1.0}, 1)


def many(of: dict[str, list[list[float]]], **where) -> pd.DataFrame:
    """begin -> the losses of each seed."""
    parts = [run(b, losses, s, **where) for b, seeds in of.items() for s, losses in enumerate(seeds)]
    return pd.concat(parts, ignore_index=True)


def test_the_speedup_is_a_geometric_mean_of_seeds_by_edit_and_other_axes():
    down = lambda k: [9.0] * (k - 1) + [1.0] * (8 - k + 1)
    rows = pd.concat(
        [
            many({"scratch": [down(4), down(8)], "transfer": [down(2), down(1)]}),
            many({"scratch": [down(4), down(4)], "transfer": [down(4), down(4)]}, f_t="pc"),
            many({"scratch": [down(8), [9.0] * 8], "transfer": [down(1), down(1)]}, edit="cold"),
            many({"scratch": [down(2), down(2)], "transfer": [down(1), [9.0] * 8]}, edit="sad"),
        ]
    )
    table = steps_to(rows, dict.fromkeys(("dark", "cold", "sad"), 1.0), 1)
    found = speedup(table, "begin", "scratch", "transfer").set_index(["edit", "f_t"])["times"]
    assert list(found.index) == [("dark", "conv"), ("dark", "pc"), ("cold", "conv"), ("sad", "conv")]
    assert found["dark", "conv"].mean == pytest.approx(4) and found["dark", "conv"].seeds == 2
    assert found["dark", "conv"].low < 4 < found["dark", "conv"].high, "2 and 8 times"
    assert found["dark", "pc"][:3] == (1, 1, 1)
    assert found["cold", "conv"].mean == pytest.approx(8), "who never comes counts as the whole training"
    never = found["sad", "conv"]
    assert math.isnan(never.mean) and not never.above(1) and not never.below(1)
    with_start = table.assign(**{"start steps": np.where(table["begin"] == "transfer", 10.0, 0.0)})
    dear = speedup(with_start, "begin", "scratch", "transfer", start=True)["times"]
    assert dear[0].mean == pytest.approx((20 / 20 * 40 / 15) ** 0.5) and dear[1].mean < 1
    with pytest.raises(UnknownNameError, match="No run has begin 'pixar'; known are scratch, transfer"):
        speedup(table, "begin", "scratch", "pixar")
    with pytest.raises(UnknownNameError, match="No run has colour"):
        speedup(table, "colour", "scratch", "transfer")


def test_the_lead_is_the_difference_on_the_same_seeds_after_each_batch():
    rows = many({"scratch": [[9.0, 5], [3, 1], [6, 2]], "transfer": [[7.0, 5], [1, 2], [4, 3]]})
    found = lead(curves(rows, 1), "begin", "scratch", "transfer")
    assert found[["edit", "f_t", "batch", "steps"]].to_numpy().tolist() == [
        ["dark", "conv", 1, 5],
        ["dark", "conv", 2, 10],
    ]
    first, last = found["difference"]
    assert first[:4] == (-2, -2, -2, 3) and first.below(0), "seeds differ, but not by that"
    assert last.mean == pytest.approx(2 / 3) and not last.above(0) and not last.below(0)
