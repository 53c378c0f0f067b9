"""Results as long rows, one number each; pandas opens them in one line: `pd.read_csv(file)`."""

from collections.abc import Mapping

import pandas as pd

#: `image` is the face's number, `seed` that of the f_t's training; both are empty where a number belongs to
#: none: the seed where f_t are not trained, the image where a number is of all faces together.
COLUMNS = ("edit", "variant", "seed", "image", "strength", "score", "value")
#: Of a score's name where it has an interval: the value, and the interval's ends.
ENDS = ("", " low", " high")


def numbers(scores: Mapping[str, float], **where) -> pd.DataFrame:
    """Numbers that belong to no single image, score -> value, as rows; `where`: other columns."""
    table = pd.DataFrame({"score": list(scores), "value": list(scores.values())})
    return table.assign(**where).reindex(columns=COLUMNS)


def joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """All rows of an experiment, columns in their types."""
    table = pd.concat([part.astype(object) for part in parts], ignore_index=True)
    types = {"seed": "Int64", "image": "Int64", "strength": float, "value": float}
    return table.astype(types).assign(**{c: table[c].astype("string") for c in ("edit", "variant", "score")})


def pick(rows: pd.DataFrame, score: str | None = None, **where) -> pd.DataFrame:
    """The rows of one score, or of any, and of given values of other columns; None: those that are empty."""
    for column, value in where.items() if score is None else [("score", score), *where.items()]:
        rows = rows[rows[column].isna() if value is None else (rows[column] == value).fillna(False)]
    return rows


def ends(score: str, found: tuple[float, float, float]) -> dict[str, float]:
    """(value, low, high) of a number as the scores under which it is stored with its interval."""
    return {f"{score}{end}": value for end, value in zip(ENDS, found)}


def with_ends(rows: pd.DataFrame, score: str, **where) -> tuple[float, float, float]:
    """(value, low, high) of a number that is stored as `ends`, such as a Fréchet distance; NaN for what is
    not there.
    """
    found = (pick(rows, f"{score}{end}", **where)["value"] for end in ENDS)
    value, low, high = (float(part.iloc[0]) if len(part) else float("nan") for part in found)
    return value, low, high
