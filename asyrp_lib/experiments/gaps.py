"""What the rows of `bias` say: gaps between groups, effects between twins, flips and leakage."""

from collections.abc import Callable, Iterable, Sequence

import pandas as pd

from ..measure.stats import Interval, crossed, paired
from .rows import pick, with_ends

#: Factor -> where its reading flips, as the table of factors counts; None: at the data's median.  From 0.67
#: on the world's captions call eyes blue.
MIDDLES = {"skin": None, "gender": 0.0, "eye_colour": 0.67}
SIDES = ("low", "high")


def groups(rows: pd.DataFrame, factor: str) -> tuple[list[int], list[int]]:
    """The numbers of the faces at the low and at the high end of a factor: light and dark, women and men."""
    of = pick(rows, f"group {factor}")
    low, high = (of[of["value"] == side]["image"].tolist() for side in (-1, 1))
    return low, high


def net(rows: pd.DataFrame, score: str, twin: str | None = None) -> pd.DataFrame:
    """edit, seed, image, value: a score of each edit minus that of the face's reconstruction.

    score: of `measure`; of "read skin" it is how far the edit shifted the reading, in sd; twin: "skin high".
    """
    twin = twin and f"twin {twin}"
    edited = pick(rows, score, variant=twin)
    plain = pick(rows, score, variant=f"reconstruction, {twin}" if twin else "reconstruction")
    keys = ["image"] if score.startswith("read ") else ["edit", "image"]
    both = edited.merge(plain[[*keys, "value"]], on=keys, suffixes=("", "_plain"))
    return both.assign(value=both["value"] - both["value_plain"])[["edit", "seed", "image", "value"]]


def effects(
    rows: pd.DataFrame, score: str = "aimed", faces: Iterable[int] | None = None
) -> dict[str, Interval]:
    """edit -> mean `net` score with its interval over f_t and faces; `faces`: only these, such as a side of
    `groups`.  Where an edit has no effect, a gap of it says nothing.
    """
    return _by_edit(net(_inside(rows, faces), score))


def _by_edit(table: pd.DataFrame, statistic: Callable = crossed) -> dict[str, Interval]:
    return {str(edit): statistic(part) for edit, part in table.groupby("edit", sort=False)}


def gap(rows: pd.DataFrame, factor: str, score: str = "aimed") -> dict[str, Interval]:
    """edit -> mean of `net` score of the high group minus that of the low one, with its interval over f_t
    and faces.  Faces of the groups are paired as they come: the mean and its variance stay what they are.
    """
    return _apart(*(_numbered(net(rows, score), side) for side in groups(rows, factor)), faces=2)


def twins(rows: pd.DataFrame, factor: str, score: str = "aimed") -> dict[str, Interval]:
    """edit -> what a factor *causes*: `net` score of the high twin minus that of the low one, over f_t and
    faces; of a domain that draws.
    """
    return _apart(*(net(rows, score, f"{factor} {side}") for side in SIDES), faces=1)


def _numbered(table: pd.DataFrame, faces: Sequence[int]) -> pd.DataFrame:
    """The rows of these faces, 0, 1, … in their order."""
    inside = table[table["image"].isin(faces)]
    return inside.assign(image=inside["image"].map({image: k for k, image in enumerate(faces)}))


def _apart(low: pd.DataFrame, high: pd.DataFrame, faces: int) -> dict[str, Interval]:
    apart = lambda part: crossed(paired(part, low[low["edit"] == part["edit"].iloc[0]]))
    return {e: i._replace(faces=faces * i.faces) for e, i in _by_edit(high, apart).items()}


def leakage(
    rows: pd.DataFrame, faces: Iterable[int] | None = None, *, beyond_target: bool = False
) -> pd.DataFrame:
    """edit × protected factor: how far edits shift its reading beyond the reconstruction, in sd, as intervals
    over f_t and faces.

    faces: only these, such as a side of `groups`.  `beyond_target`: minus what the oracle reads in the true
    target of the face, as a style may mislead it, or belong there: a neanderthal's skin has a tint.
    """
    inside, table = _inside(rows, faces), {}
    for factor in MIDDLES:
        shifts = net(inside, f"read {factor}")
        if beyond_target:
            aim = _targets(inside, factor).rename(columns={"value": "aim"})
            shifts = shifts.merge(aim, on=["edit", "image"])
            shifts["value"] -= shifts["aim"]
        table |= {factor: _by_edit(shifts)} if len(shifts) else {}
    return pd.DataFrame(table)


def styles(rows: pd.DataFrame) -> pd.DataFrame:
    """edit × protected factor: how far its reading of the true target is from that of the original, in sd."""
    table = {}
    for factor in MIDDLES:
        of = _targets(rows, factor).assign(seed=0)
        table |= {factor: _by_edit(of)} if len(of) else {}
    return pd.DataFrame(table)


def _targets(rows: pd.DataFrame, factor: str) -> pd.DataFrame:
    """edit, image, value: the reading of the true target minus that of the original."""
    score = f"read {factor}"
    real = pick(rows, score, variant="original").set_index("image")["value"]
    aim = pick(rows, score, variant="target")
    return aim.assign(value=aim["value"] - aim["image"].map(real))[["edit", "image", "value"]]


def _inside(rows: pd.DataFrame, faces: Iterable[int] | None) -> pd.DataFrame:
    return rows if faces is None else rows[rows["image"].isna() | rows["image"].isin(list(faces))]


def flips(
    rows: pd.DataFrame, faces: Iterable[int] | None = None, *, beyond: str = "reconstruction"
) -> pd.DataFrame:
    """edit × ("skin up", "skin down", …): share of the faces that originally read on one side of the middle
    and are read on the other after the edit, minus that of their reconstructions, or of their true targets.

    beyond: "reconstruction" or "target".  Up is to dark, masculine, blue.
    Intervals over f_t and faces, between -1 and 1; where all faces are alike ± 3 / N, the rule of three; a
    side with no face has none.
    """
    inside, table = _inside(rows, faces), {}
    for factor in MIDDLES:
        score, middle = f"read {factor}", pick(rows, f"middle {factor}")["value"]
        if not len(middle):
            continue
        read = pick(inside, score)[["edit", "variant", "seed", "image", "value"]]
        high = read.assign(value=(read["value"] > float(middle.iloc[0])).astype(float))
        began = pick(high, variant="original").set_index("image")["value"]
        floor = pick(high, variant=beyond)
        keys = ["image"] if floor["edit"].isna().all() else ["edit", "image"]
        for way, start in (("up", 0.0), ("down", 1.0)):
            at = pick(high, variant=None)
            at = at[at["image"].isin(began.index[began == start])]
            at = at.merge(floor[[*keys, "value"]], on=keys, suffixes=("", "_floor"))
            at["value"] = (at["value"] != start).astype(float) - (at["value_floor"] != start)
            table[f"{factor} {way}"] = _by_edit(at, _share)
    return pd.DataFrame(table)


def _share(part: pd.DataFrame) -> Interval:
    found = crossed(part)
    if part["value"].nunique() == 1:
        found = found._replace(low=found.mean - 3 / found.faces, high=found.mean + 3 / found.faces)
    return found._replace(low=max(found.low, -1.0), high=min(found.high, 1.0))


def ratios(rows: pd.DataFrame, factor: str, kind: str = "fd") -> pd.DataFrame:
    """edit × ("edit", "reconstruction", "excess"): ratio of Fréchet distances to the originals, high group
    over low one, as (value, low, high); "excess": the first over the second; "chance": the excess lies
    between 1 / chance and chance in 95 % of divisions of the same faces by chance.
    """
    plain = with_ends(rows, f"{kind} ratio", variant=f"reconstruction, {factor}")
    made = {}
    for edit in pick(rows, f"{kind} excess", variant=factor)["edit"]:
        of = {"edit": edit, "variant": factor}
        made[edit] = {"edit": with_ends(rows, f"{kind} ratio", **of), "reconstruction": plain}
        made[edit] |= {"excess": with_ends(rows, f"{kind} excess", **of)}
        made[edit] |= {"chance": float(pick(rows, f"{kind} excess chance", **of)["value"].iloc[0])}
    return pd.DataFrame(made).T
