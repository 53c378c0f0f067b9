"""The trial of the published numbers: one row for each of them, what its own data say, what ours say.

What was published stands in `data/trial.json`, with where, and what was read in the code; what their numbers
say is computed by `recount`, `sentences` and `evidence`, what ours say by `claims` and `faults`.
"""

import json
from collections.abc import Sequence

import pandas as pd

from ..errors import UnknownNameError
from ..progress import tqdm
from ..store.paths import data_dir
from . import evidence, faults, recount, sentences
from .claims import JUDGES, claims
from .recount import Recount, published

CONTRADICTED, REPRODUCED, FAILED, UNDECIDED, UNKNOWABLE = VERDICTS = (
    "contradicted by their own data",
    "reproduced",
    "not reproduced here",
    "undecided",
    "cannot be checked",
)
#: The groups of rows, by how an id begins.
GROUPS = {"E": "inconsistencies", "P": "numbers", "T": "numbers", "F": "numbers"}
#: Claims that other notebooks will make: once they stand among `JUDGES` they are read like the others.
AWAITED = ("latent", "latent cost")
#: What a verdict of ours says of a claim; other words leave it undecided.
SIDES = {"holds": 1, "fails": -1}
NOT_YET = "python -m asyrp_lib reproduce"


def entries() -> dict[str, dict]:
    """id -> source, where, published, printed (where its numbers stand in what `published` gives), and what
    can decide it.

    recount: a function of theirs to compute, and its arguments; beside: one that informs and does not decide;
    read: what their code says, its side as in `Recount`, and where; here: claims or `faults.MEASURES`, with
    "not" for the opposite; shown: those that inform and do not decide; takes: what is missing; never: why it
    cannot be checked.
    """
    return json.loads((data_dir() / "trial.json").read_text())


def group(row: str) -> str:
    """numbers, claims or inconsistencies, of an id."""
    return GROUPS.get(row[0], "claims")


def printed(numbers: dict, path: Sequence) -> str:
    """ ": smiling 89.2, sad 92.9": the numbers at a path; a step that is no key is taken of each."""
    found = numbers if path else {}
    for step in path:
        if isinstance(found, list):
            found = {row["edit"]: row[step] for row in found}
        else:
            found = found[step] if step in found else {name: value[step] for name, value in found.items()}
    return f": {', '.join(f'{name} {value}' for name, value in found.items())}" if found else ""


def again(numbers: dict, call: Sequence[str]) -> Recount:
    """What their numbers say, by the name of a function and its arguments."""
    name, *arguments = call
    for module in (recount, sentences, evidence):
        if found := getattr(module, name, None):
            return found(numbers, *arguments)
    raise UnknownNameError(f"Nothing recounts {name!r}; expected a function of {recount.__name__} or beside.")


def ours(domain, name: str, judged: pd.DataFrame | None = None) -> Recount | None:
    """What is measured here, by the claims that are `judged` already if they are given; None: nothing yet."""
    base = name.removeprefix("not ")
    if base in faults.MEASURES:
        found = faults.MEASURES[base](domain)
    elif base in JUDGES:
        found = None
        table = claims(domain, base) if judged is None else judged.loc[judged.index == base]
        for _, row in table.iterrows():
            side, text = SIDES.get(row["verdict"], 0), f"{base} {row['verdict']}: {row['effect']} {row['of']}"
            found = Recount(side, text if side else f"{text} (it takes {row['mind']})")
    elif base in AWAITED:
        found = None
    else:
        wanted = "expected a claim, a fault or what is awaited"
        raise UnknownNameError(f"Nothing here measures {base!r}; {wanted}.")
    return found and found._replace(side=found.side if name == base else -found.side)


def judge(row: dict, theirs: Recount | None, here: Sequence[Recount | None]) -> tuple[str, str]:
    """Verdict and reason.  Their own numbers decide against it first, then their code, then what is measured
    here; only then what they have for it.
    """
    read, there = row.get("read", {"side": 0}), [one for one in here if one]
    against, whole = [one for one in there if one.side < 0], len(there) == len(here) > 0
    if theirs and theirs.side < 0:
        return CONTRADICTED, "their own files say otherwise"
    if read["side"] < 0:
        return CONTRADICTED, f"{read['says']} ({read['where']})"
    if against:
        return FAILED, f"here: {against[0].text}"
    if whole and all(one.side > 0 for one in there):
        return REPRODUCED, "measured here"
    if theirs and theirs.side > 0:
        return REPRODUCED, "their own files give it"
    if read["side"] > 0:
        return REPRODUCED, f"{read['says']} ({read['where']})"
    if "never" in row:
        return UNKNOWABLE, row["never"]
    return UNDECIDED, "what is measured here does not tell" if whole else "not measured here yet"


def trial(
    domain, numbers: dict | None = None, ids: Sequence[str] = (), judged: pd.DataFrame | None = None
) -> pd.DataFrame:
    """All rows, or those of the ids given: source, where, published, recomputed, here, verdict, reason.

    `domain`: whose stored rows and images stand for "here"; None: their numbers alone.  `numbers`: those that
    were published, or None.  `judged`: all `claims.claims` of the domain, if they are known.
    """
    numbers, known, table, seen = numbers or published(), entries(), {}, {}
    for name in tqdm(ids or known, desc="trial", unit="row", leave=False):
        row = known[name]
        theirs = again(numbers, row["recount"]) if "recount" in row else None
        beside = again(numbers, row["beside"]) if "beside" in row else None
        for asked in (*row.get("here", ()), *row.get("shown", ())):
            if domain is not None and asked not in seen:
                seen[asked] = ours(domain, asked, judged)
        here, shown = ([seen.get(asked) for asked in row.get(key, ())] for key in ("here", "shown"))
        parts = [one.text for one in (theirs, beside) if one]
        parts += [f"{row['read']['says']} ({row['read']['where']})"] if "read" in row else []
        verdict, reason = judge(row, theirs, here)
        table[name] = {
            "source": row["source"],
            "where": row["where"],
            "published": row["published"] + printed(numbers, row.get("printed", ())),
            "recomputed": "; ".join(parts) or "–",
            "here": _here(row, here, shown),
            "verdict": verdict,
            "reason": reason,
        }
    return pd.DataFrame.from_dict(table, orient="index")


def _here(row: dict, here: Sequence[Recount | None], shown: Sequence[Recount | None]) -> str:
    """The column "here"."""
    there = "; ".join(dict.fromkeys(one.text for one in (*here, *shown) if one))
    if here and all(here):
        return there
    if not here and "takes" not in row:
        return "nothing to measure"
    return f"{there + '; ' if there else ''}not yet: {row.get('takes', NOT_YET)}"


def tally(table: pd.DataFrame) -> pd.DataFrame:
    """How many rows of each group have which verdict."""
    groups = pd.Series([group(name) for name in table.index], table.index, name="")
    found = pd.crosstab(groups, table["verdict"])
    return found.reindex(index=list(dict.fromkeys(groups)), columns=list(VERDICTS), fill_value=0)
