"""What a claim is, and how intervals become a verdict.

Something counts, for or against, only with its whole interval on one side of a bound that the rule names;
what remains is undecided.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from ..measure.stats import Interval, over_seeds


class Claim(NamedTuple):
    """What is left here of a claim of the paper."""

    ours: str  # what was measured
    effect: Interval  # of the number that decides: of the weakest that is needed; over seeds and faces
    of: str  # its unit, and whose it is
    verdict: str  # holds, fails, undecided, or what else there is to say in a few words
    why: str  # the rule of the verdict
    mind: str  # what would change our mind


#: A difference of an edit's effect, in standard deviations of its factor, that can be seen.
VISIBLE = 0.25
#: The share that must count where many are asked, written down before any of this edition was measured: of
#: dozens of 95 % intervals some lie on the wrong side by chance.
MOST = 0.6

Statistic = Callable[[pd.DataFrame], float]


def above(interval: Interval, bound: float) -> int:
    """1: the whole interval lies above the bound, −1: below, 0: it does not tell."""
    return int(interval.above(bound)) - int(interval.below(bound))


def within(interval: Interval, low: float, high: float) -> int:
    """1: the whole interval lies between the bounds, −1: outside, 0: it does not tell."""
    outside = interval.below(low) or interval.above(high)
    return -1 if outside else int(interval.above(low) and interval.below(high))


def all_of(*sides: int) -> int:
    """1 where all are, −1 where one is."""
    return min(sides)


def verdict(sides: Sequence[int], need: int | None = None) -> str:
    """holds: `need` of them (None: all) are 1; fails: so many are −1 that it cannot; else undecided."""
    need, sides = len(sides) if need is None else need, list(sides)
    if not sides:
        return "undecided"
    return (
        "holds" if sides.count(1) >= need else "fails" if len(sides) - sides.count(-1) < need else "undecided"
    )


def most(sides: Sequence[int]) -> int:
    """How many are `MOST` of them."""
    return math.ceil(MOST * len(sides))


def by_seeds(whole: str, effect: Interval) -> str:
    """A verdict, but undecided where what decides rests on one training of each of those that it compares."""
    return whole if effect.seeds > 1 else "undecided"


def decider(found: Mapping[str, Interval], need: int | None = None) -> tuple[str, Interval]:
    """(name, interval) of the one that decides whether `need` of them (None: all) are large enough; what has
    no mean, as nothing of it could be measured, comes last if there is another.
    """
    known = [one for one in found.items() if not math.isnan(one[1].mean)] or list(found.items())
    falling = sorted(known, key=lambda one: -one[1].mean)
    return falling[min(len(found) if need is None else need, len(falling)) - 1]


def by_edit(rows: pd.DataFrame, statistic: Statistic | None = None) -> dict[str, Interval]:
    """edit -> `over_seeds` of its rows."""
    how = (statistic,) if statistic else ()
    return {str(edit): over_seeds(part, *how) for edit, part in rows.groupby("edit")}


def counted(sides: Sequence[int]) -> str:
    """ "4 of 6 surely, 1 surely not"."""
    sides = list(sides)
    return f"{sides.count(1)} of {len(sides)} surely, {sides.count(-1)} surely not"


def spread(values: Iterable[Interval | float], form: str = ".2f") -> str:
    """ "0.5 to 2.1": lowest to highest, of intervals their means; what is NaN left out; "none"."""
    means = [value.mean if isinstance(value, Interval) else value for value in values]
    means = [mean for mean in means if not math.isnan(mean)]
    if not means:
        return "none"
    return " to ".join(dict.fromkeys(f"{v:{form}}".replace("-", "−") for v in (min(means), max(means))))
