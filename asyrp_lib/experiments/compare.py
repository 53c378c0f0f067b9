"""Comparing the cells of a grid (rows of `ablation.table`): with their intervals, and at equal effect."""

from warnings import warn

import numpy as np
import pandas as pd

from ..errors import DomainError
from ..measure.stats import Interval, crossed, paired, student
from ..store import results
from .rows import pick

#: What edits are brought to when they are compared at equal effect, in standard deviations of the factor.
EFFECT = 1.0


def at_effect(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the last epoch at the strength at which a variant's f_t of one seed moves its factor by
    `EFFECT`, mean over the faces: every score of each face, on the lines between the measured strengths, and
    as the score "strength" that strength.

    An f_t that does not reach it at any measured strength has no rows; `strength` is empty, since it differs.
    No rows, and a warning, where no oracle saw any effect.
    """
    if lacks := _unseen(rows, "aimed"):
        warn(lacks, stacklevel=2)
    last, parts = rows[(rows["epoch"] == rows["epoch"].max()) & rows["strength"].notna()], []
    for _, of in last.groupby(["edit", "variant", "seed"], sort=False):
        faces = of[of["image"].notna()]
        table = faces.pivot(index="strength", columns=["score", "image"], values="value").sort_index()
        if "aimed" not in table or (at := reached(table["aimed"].mean(axis=1), EFFECT)) is None:
            continue
        table = table.dropna(axis=1)  # sizes of Δh are measured at strength 1 alone
        values = [float(np.interp(at, table.index, table[column])) for column in table]
        where = of.iloc[0].drop(["score", "image", "value", "strength"]).to_dict()
        found = pd.DataFrame(list(table.columns), columns=["score", "image"]).assign(value=values, **where)
        parts += [found, pd.DataFrame([where | {"score": "strength", "value": at}])]
    return pd.concat(parts, ignore_index=True).reindex(columns=rows.columns) if parts else rows.iloc[:0]


def reached(curve: pd.Series, effect: float) -> float | None:
    """The least strength at which a curve strength -> value, rising from strength 0, reaches an effect."""
    curve = curve[curve.index >= 0]
    for (low, a), (high, b) in zip(curve.items(), curve.iloc[1:].items()):
        if a < effect <= b:
            return float(low + (high - low) * (effect - a) / (b - a))
    return None


def difference(rows: pd.DataFrame, score: str, a: str, b: str) -> Interval:
    """Variant a minus variant b in one score of `at_effect`, or of other rows with one number for each seed
    and face, on the same seeds and faces.
    """
    return crossed(paired(*(pick(rows, score, variant=variant) for variant in (a, b))))


def mean_of(rows: pd.DataFrame, score: str, variant: str) -> Interval:
    """One score of a variant over seeds and faces, from such rows."""
    return crossed(pick(rows, score, variant=variant))


def per_seed(rows: pd.DataFrame, score: str, variant: str) -> pd.Series:
    """seed -> mean over its faces of one score of a variant."""
    return pick(rows, score, variant=variant).groupby("seed")["value"].mean()


def over(values: pd.Series, faces: int = 0) -> Interval:
    """The mean of one number for each seed, with Student's t interval; what is not finite is left out."""
    values = values[np.isfinite(values.astype(float))]
    return student(values, len(values), faces) if len(values) else Interval(np.nan, np.nan, np.nan, 0, faces)


def brought(rows: pd.DataFrame) -> pd.Series:
    """(variant, seed) -> what an edit brings beyond what it breaks, by the rule of `experiments.settings`:
    its mean aimed shift less the worst untied factor's, a root mean square, at strength 1, last epoch.
    DomainError: no oracle saw them.
    """
    if lacks := _unseen(rows, *_BROUGHT):
        raise DomainError(lacks)
    here, keys = at(rows), ["variant", "seed"]
    parts = [pick(here, score).groupby(keys, sort=False)["value"].mean() for score in _BROUGHT]
    return parts[0] - parts[1]


def chosen(rows: pd.DataFrame, of: str, by: str) -> dict:
    """Each value of the column `of` -> the value of the column `by` that brings most, mean over seeds;
    DomainError: see `brought`.
    """
    names = rows.drop_duplicates("variant").set_index("variant")[[of, by]]
    table = brought(rows).groupby("variant", sort=False).mean().rename("brought").to_frame().join(names)
    best = table.loc[table.groupby(of, sort=False)["brought"].idxmax()]
    return dict(zip(best[of], best[by]))


_BROUGHT = ("aimed", "worst")


def _unseen(rows: pd.DataFrame, *scores: str) -> str:
    """What to say of rows that lack scores which only an oracle gives; nothing if they have them."""
    missing = [score for score in scores if score not in set(rows["score"])]
    told = f"These rows have no {' and no '.join(missing)}; expected those of a domain with an oracle; "
    cure = "without one compare at strength 1 (`compare.at`), and choose by eye or by S_dir, and say so."
    return told + cure if missing else ""


def stored_grid(domain, name: str) -> pd.DataFrame:
    """The rows of a grid that `ablation.run_grid` wrote; WeightsError, with the command that makes them,
    without.
    """
    command = f"python -m asyrp_lib grid ablations/{name}.yaml --domain {domain.name}"
    return results.load_rows(f"{domain.name}_grid_{name}", command)[0]


def at(rows: pd.DataFrame, epoch: int | None = None, strength: float = 1.0) -> pd.DataFrame:
    """Rows after an epoch (None: the last) at a strength, or of none."""
    epoch = rows["epoch"].max() if epoch is None else epoch
    return rows[(rows["epoch"] == epoch) & (rows["strength"].isna() | (rows["strength"] == strength))]


def summary(rows: pd.DataFrame, *names: str) -> pd.DataFrame:
    """(variant, epoch) × score, at strength 1 or of none: mean and interval over seeds and faces."""
    return _intervals(rows, names, lambda part, _: crossed(part))


def differences(rows: pd.DataFrame, *names: str) -> pd.DataFrame:
    """(variant, epoch) × score, at strength 1 or of none: the variant minus the first one at that epoch, on
    the same seeds and faces, with its interval.
    """
    base = rows["variant"].iloc[0]
    own = _plain(rows[rows["variant"] == base])
    less = lambda part, at: crossed(paired(part, pick(own, at["score"], epoch=at["epoch"])))
    return _intervals(rows[rows["variant"] != base], names, less)


def _intervals(rows: pd.DataFrame, names: tuple[str, ...], interval) -> pd.DataFrame:
    keys, made = ["variant", "epoch", "score"], {}
    for where, part in _plain(rows[rows["score"].isin(names)]).groupby(keys, sort=False):
        at = dict(zip(keys, where))
        made.setdefault((at["variant"], at["epoch"]), {})[at["score"]] = interval(part, at)
    index = pd.MultiIndex.from_tuples(list(made), names=keys[:2]) if made else None
    columns = [name for name in names if name in set(rows["score"])]
    return pd.DataFrame(list(made.values()), index, columns)


def _plain(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows at strength 1, or of none."""
    return rows[rows["strength"].isna() | (rows["strength"] == 1)]
