"""What people answer to the blind choice: do they see the edits, and can they tell them from originals?

People, not a machine, make these rows: a page that `report.choice` wrote is given away, and what its judges
save is put beside it.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from .. import check
from ..errors import DomainError, FileError, SettingsError
from ..measure.choices import CATCH, read_choices
from ..measure.stats import Interval, over_seeds
from ..store.paths import runs_dir
from .rows import COLUMNS, joined, pick
from .trial import Trial


def measure(
    domain, *, n: int = 1, folder: str | None = None, trial: Trial | None = None, progress: bool = True
) -> pd.DataFrame:
    """Read what people answered to the page of a domain; no image is made.

    Args:
        n: judges that must have answered, at least.
        folder: where the page, its key and the answers lie, together, or in a folder of it: the newest page
            that has answers; None: `runs/choice/<domain>`, where notebook 10 writes.
    Returns:
        rows of each answer: right (1, or 0) and seconds until it was given; variant: the question's kind,
        "edit", "real" or "catch"; seed: the judge, 0, 1, … in the order of their names; image: the face.
        `attrs["page"]`: the page's digest.
    Raises:
        DomainError: no answers are there, or of fewer than n judges.
        FileError: a file is damaged or does not fit, see `read_choices`.
    """
    n = check.whole("n", n, 1, 1_000_000, error=SettingsError)
    top = runs_dir() / "choice" / domain.name if folder is None else check.path(folder, error=FileError)
    answered = [key for key in top.rglob("*.key.json") if _logs(key)]
    if not answered:
        wanted = "expected files that judges saved beside its key; give the page to some"
        raise DomainError(f"No answers to a page are in {top}; {wanted}.")
    page = max(answered, key=lambda key: key.stat().st_mtime)
    found = read_choices(page, *_logs(page))
    judges = found["judge"].nunique()
    if judges < n:
        wanted = f"expected {n} or more; ask others, or lower n"
        raise DomainError(f"Judges who answered in {page.parent}: {judges}; {wanted}.")
    where = found.reindex(columns=["edit", "face", "strength"]).rename(columns={"face": "image"})
    where = where.assign(variant=found["kind"], seed=pd.factorize(found["judge"], sort=True)[0])
    scores = {"right": found["right"], "seconds": found["milliseconds"] / 1000}
    parts = [where.assign(score=score, value=value)[[*COLUMNS]] for score, value in scores.items()]
    try:
        rows = joined(parts)
    except (TypeError, ValueError) as error:
        wanted = "expected whole numbers as faces, numbers as strengths; write the page again"
        raise FileError(f"{page} is no key for this ({error}); {wanted}.") from None
    rows.attrs["page"] = found.attrs["page"]
    return rows


def _logs(key: Path) -> list[Path]:
    """What lies beside a key and is none."""
    return sorted({*key.parent.glob("*.json")} - {*key.parent.glob("*.key.json")})


def shares(rows: pd.DataFrame) -> dict[str, Interval]:
    """Kind and edit, such as "edit smiling" -> share of right answers (0 … 1); chance is 0.5.

    At each end the farther of two 95 % intervals: over judges and faces (`over_seeds`), and the exact one of
    as many independent answers (Clopper and Pearson 1934), as the first has no width where all are right.
    """
    right, found = pick(rows, "right"), {}
    right = right.assign(edit=right["edit"].where(right["variant"] != CATCH).fillna(""))
    for (kind, edit), part in right.groupby(["variant", "edit"]):
        over, exact = over_seeds(part), binomtest(int(part["value"].sum()), len(part)).proportion_ci()
        low, high = np.fmin(over.low, exact.low), np.fmax(over.high, exact.high)
        found[f"{kind} {edit}".strip()] = over._replace(low=max(0.0, float(low)), high=min(1.0, float(high)))
    return found
