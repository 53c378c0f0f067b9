"""Numbers with their uncertainty."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from ..errors import SettingsError

#: Of the faces, where there are too few seeds.
RESAMPLES = 500
#: Faces from which on they are resampled; of fewer, what the bootstrap calls 95 % has 81 % (4 faces) to 91 %.
MANY = 30


class Interval(NamedTuple):
    """A mean with its 95 % confidence interval, and how many seeds and faces it rests on."""

    mean: float
    low: float
    high: float
    seeds: int
    faces: int

    def __str__(self) -> str:
        form = ".2f" if max(map(abs, self[:3])) >= 0.1 or math.isnan(self.low) else ".1g"
        span = "" if math.isnan(self.low) else f" [{self.low:{form}}, {self.high:{form}}]"
        return f"{self.mean:{form}}{span}".replace("-", "−")

    def above(self, bound: float) -> bool:
        """Whether the whole interval lies above a bound; False without an interval."""
        return self.low > bound

    def below(self, bound: float) -> bool:
        """Whether the whole interval lies below a bound; False without an interval."""
        return self.high < bound


def over_seeds(
    rows: pd.DataFrame, statistic: Callable[[pd.DataFrame], float] = lambda part: part["value"].mean()
) -> Interval:
    """A statistic of rows, such as a mean or a ratio of means, with an interval over seeds *and* faces.

    Every seed has its own faces (`Trial.shares`), so that seeds differ by both: the jackknife that leaves out
    one seed after another, and Student's t (Tukey 1958); of a mean over equal shares that is Student's t over
    the seeds.  Rows that name no seed go with every one.  With fewer than three seeds it is the faces alone:
    the same jackknife over them, or from `MANY` on the bootstrap's percentiles, seed 0 (Efron 1979).
    """
    seeds = rows["seed"].dropna().unique()
    groups = rows.groupby("seed", dropna=False)
    faces = int(groups["image"].nunique().sum())
    mean, low, high = statistic(rows), math.nan, math.nan
    if len(seeds) >= 3:
        half = _jackknife(mean, [statistic(rows[(rows["seed"] != seed).fillna(True)]) for seed in seeds])
        return Interval(mean, mean - half, mean + half, len(seeds), faces)
    face = rows.groupby(["seed", "image"], dropna=False).ngroup().to_numpy()
    by_face = [np.flatnonzero(face == k) for k in np.unique(face)]
    if 1 < len(by_face) < MANY:
        half = _jackknife(mean, [statistic(rows[face != k]) for k in np.unique(face)])
        low, high = mean - half, mean + half
    elif len(by_face) > 1:
        draws = np.random.default_rng(0).integers(len(by_face), size=(RESAMPLES, len(by_face)))
        values = [statistic(rows.iloc[np.concatenate([by_face[i] for i in drawn])]) for drawn in draws]
        low, high = np.nanpercentile(values, [2.5, 97.5])
    return Interval(mean, float(low), float(high), max(len(seeds), 1), faces)


def crossed(rows: pd.DataFrame) -> Interval:
    """The mean of rows where every seed has the same faces, with an interval over seeds *and* faces.

    var = var(means of seeds) / S + var(means of faces) / I, which counts the rest twice and so is rather too
    wide, and Student's t with Satterthwaite's degrees of freedom.  Of one seed it is over faces alone, of
    rows without a face over seeds alone; faces that some seeds lack are left out.  SettingsError: several
    numbers of one seed and face.
    """
    of = rows.assign(image=rows["image"].astype("Int64").fillna(-1))  # no face: one for all
    if of.duplicated(["seed", "image"]).any():
        raise SettingsError(
            "These rows hold several numbers of one seed and face; expected one; take those of one variant, "
            "epoch and strength, as `compare.at` does."
        )
    table = of.pivot(index="seed", columns="image", values="value").astype(float).dropna(axis=1)
    means = [table.mean(axis=1), table.mean(axis=0)]
    parts = [(m.var() / len(m), len(m) - 1) for m in means if len(m) > 1]
    mean, variance = float(table.to_numpy().mean()) if table.size else math.nan, sum(v for v, _ in parts)
    half = 0.0 if parts else math.nan
    if variance > 0:
        freedom = 1 / sum((v / variance) ** 2 / n for v, n in parts)  # squares of small ones would be 0
        half = float(stats.t.ppf(0.975, freedom) * variance**0.5)
    faces = int((table.columns >= 0).sum())
    return Interval(mean, mean - half, mean + half, len(table), faces)


def paired(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Rows of the differences a − b of one score on the same seeds and faces, for `crossed`."""
    both = a.merge(b, on=["seed", "image"], suffixes=("", "_b"))
    return both.assign(value=both["value"] - both["value_b"])[["seed", "image", "value"]]


def _jackknife(mean: float, without: list[float]) -> float:
    """Half the width of Student's t interval, from the statistic of all, and without one after another."""
    values = len(without) * mean - (len(without) - 1) * np.asarray(without)
    return student(values).high - float(values.mean())


def student(values, seeds: int = 1, faces: int | None = None) -> Interval:
    """The mean of independent values with Student's t interval; one value has none."""
    values = np.asarray(values, dtype=np.float64)
    n, mean = len(values), float(values.mean())
    half = stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / n**0.5 if n > 1 else math.nan
    return Interval(mean, mean - half, mean + half, seeds, n if faces is None else faces)
