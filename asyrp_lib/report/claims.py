"""What holds here: the paper's claims judged from stored rows.

README and notebooks print from this; `python -m asyrp_lib.report.claims` writes README's table.
"""

from contextlib import suppress
from pathlib import Path

import pandas as pd

from ..errors import WeightsError
from ..store.paths import repo_root
from . import protocols, verdicts
from .claim import Claim

#: README's table stands between these.
MARKERS = ("<!-- claims: made by python -m asyrp_lib.report.claims -->", "<!-- end of claims -->")
HEADLINE_MARKERS = (MARKERS[0].replace("claims:", "headline:"), "<!-- end of headline -->")
#: What stands on README's first screen, chosen before anything was measured.
HEADLINE = ("asymmetric", "known", "unseen", "linear", "homogeneous")
#: id of a claim -> its judge, in the order of the table.
JUDGES = {
    "known": verdicts.known,
    "unseen": verdicts.unseen,
    "reach": verdicts.reach,
    "homogeneous": verdicts.homogeneous,
    "linear": verdicts.linear,
    "composable": verdicts.composable,
    "robust": verdicts.robust,
    "consistent": verdicts.consistent,
    "asymmetric": protocols.asymmetric,
    "places": protocols.places,
    "t_edit rule": protocols.t_edit_rule,
    "steps": protocols.steps,
    "boosting": protocols.boosting,
    "S_dir": protocols.s_dir,
    "Table 4": protocols.table_4,
}


def claims(domain, *ids: str) -> pd.DataFrame:
    """The claims of `JUDGES` asked for, or all, whose rows are stored, one row each, by id; none where no
    oracle knows the truth.
    """
    found = []
    for name in ids or JUDGES if domain.oracle is not None else ():
        with suppress(WeightsError):  # not measured yet
            found.append(JUDGES[name](domain))
    told = [claim for claim in found if claim is not None]  # what a judge asks for was not in the rows
    return pd.DataFrame(told, columns=Claim._fields).set_index("id")


def markdown(table: pd.DataFrame) -> str:
    """Claims as README shows them."""
    return table_of(_told(table))


def headline(table: pd.DataFrame) -> str:
    """README's first words on what holds: `HEADLINE`, those that are measured, in short."""
    chosen = table.reindex([name for name in HEADLINE if name in table.index])
    short = _told(chosen).assign(claim=chosen["published"])
    return table_of(short.drop(columns=["measured", "faces, seeds"]))


def _told(table: pd.DataFrame) -> pd.DataFrame:
    """The columns of README's tables, texts all."""
    columns = {
        "claim": table["published"] + " (" + table["source"] + ")",
        "measured": table["ours"],
        "main number [95 %]": table["effect"].map(str) + " " + table["of"],
        "faces, seeds": [f"{effect.faces}, {effect.seeds}" for effect in table["effect"]],
        "verdict": "**" + table["verdict"] + "**",
        "what would change our mind": table["mind"],
    }
    return pd.DataFrame(columns)


def table_of(table: pd.DataFrame) -> str:
    """A table in Markdown, without its index."""
    lines = [table.columns, ["---"] * len(table.columns), *table.itertuples(index=False, name=None)]
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)


def between(text: str, markers: tuple[str, str] = MARKERS) -> tuple[str, str, str]:
    """A text before, in, and after what stands between two marker lines."""
    start, end = (text.index(marker) for marker in markers)
    start += len(markers[0]) + 2
    return text[:start], text[start : end - 2], text[end - 2 :]


def rewrite(file: Path, markers: tuple[str, str], table: str) -> None:
    """Put a table between two marker lines of a file."""
    before, _, after = between(file.read_text(), markers)
    file.write_text(f"{before}{table}{after}")


if __name__ == "__main__":
    from ..domains.load import load_domain

    table = claims(load_domain("synthfaces"))
    rewrite(repo_root() / "README.md", HEADLINE_MARKERS, headline(table))
    rewrite(repo_root() / "README.md", MARKERS, markdown(table))
