"""What a text can say that follows from stored rows: numbers in its sentences, and its tables, by name.

A number stands as `<!-- n: source | what -->1.15<!-- /n -->`, a table after `<!-- kind names: made by make
blogpost -->` and before `<!-- end of kind names -->`.  GitHub shows none of these marks.
"""

import re
from functools import cached_property
from pathlib import Path

import pandas as pd
import torch

from ..deltas import StudyDelta
from ..errors import AsyrpError, UnknownNameError
from . import trial
from .claims import JUDGES, claims, table_of
from .faults import H_SHAPE, TEMB

#: A number in a sentence, and a table between two lines.
NUMBER = re.compile(r"(<!-- n: ([^|>]+?) \| (.+?) -->)(.*?)(<!-- /n -->)", re.DOTALL)
BLOCK = re.compile(
    r"^(<!-- (\w+)(?: ([^:\n]+))?: made by make blogpost -->)\n\n(.*?)(\n\n<!-- end of \2(?: \3)? -->)$",
    re.DOTALL | re.MULTILINE,
)
#: What a passage rests on: a verdict.
WHILE = re.compile(r"<!-- while: ([^|>]+?) \| (.+?) -->")
MADE_BY = "made by make blogpost"


class Facts:
    """All facts of a domain; what is asked for is computed once.

    `root`: where `figures/` lies; `strict`: a number that no rows give is an error, else "–".
    """

    def __init__(self, domain, root: Path, *, strict: bool = True):
        self.domain, self.root, self.strict = domain, root, strict

    @cached_property
    def claims(self) -> pd.DataFrame:
        """As `claims.claims`."""
        return claims(self.domain)

    @cached_property
    def trial(self) -> pd.DataFrame:
        """As `trial.trial`; of what was published alone, where the domain is another than the text's."""
        return trial.trial(self.domain if self.strict else None, judged=self.claims)

    def number(self, source: str, what: str) -> str:
        """A fact for a sentence.

        Args:
            source: id of a claim, id of a row of the trial, or "tally".
            what: of a claim "verdict", "mean", "interval", "faces", "seeds" or "mind"; of a row "verdict" or
                "published"; or the words around what it says, with {} for the number: "moves {} sd"; of the
                tally "claims, undecided", or "all".
        Raises UnknownNameError: nothing is so called, or it does not say so (any more).
        """
        if source == "tally":
            return self._counted(what)
        if source in self.claims.index:
            row = self.claims.loc[source]
            effect, said = row["effect"], str(row["ours"])
            mean, _, interval = str(effect).partition(" ")
            known = {"mean": mean, "interval": interval, "faces": str(effect.faces), "of": row["of"]}
            known |= {"seeds": str(effect.seeds), "verdict": row["verdict"], "mind": row["mind"]}
        elif source in self.trial.index:
            row = self.trial.loc[source]
            said, known = str(row["recomputed"]), {k: str(row[k]) for k in ("verdict", "published")}
        else:
            names = f"{', '.join(map(str, self.claims.index))}, tally, or a row of the trial"
            wanted = f"expected one of {names}; measure it first."
            raise UnknownNameError(f"The text asks for {source!r}; {wanted}")
        if what in known:
            return known[what]
        before, _, after = what.partition("{}")
        found = re.search(f"{re.escape(before)}(.+?){re.escape(after) if after else '$'}", said)
        if "{}" not in what or found is None:
            raise UnknownNameError(
                f"{source!r} does not say {what!r}; expected words of it with {{}} for the number, or one of "
                f"{', '.join(known)}; it says: {said}"
            )
        return found[1].replace("-", "−")

    def _counted(self, what: str) -> str:
        if what == "all":
            return str(len(self.trial))
        group, _, verdict = what.partition(", ")
        table = trial.tally(self.trial)
        groups, verdicts = (", ".join(map(str, names)) for names in (table.index, table))
        table.loc["all"] = table.sum()
        if group not in table.index or verdict not in table:
            wanted = f"one of {groups} or all, a comma, and one of {verdicts}"
            raise UnknownNameError(f"The tally has no {what!r}; expected {wanted}.")
        return str(table.loc[group, verdict])

    def block(self, kind: str, names: str) -> str:
        """What stands between two marks; UnknownNameError: there is no such kind."""
        known = {name: getattr(self, f"_{name}") for name in KINDS}
        if kind not in known:
            raise UnknownNameError(f"There is no block {kind!r}; expected one of {', '.join(known)}.")
        return known[kind](*filter(None, names.split(", ")))

    def _claims(self, *ids: str) -> str:
        """Those of some claims that are measured, in short."""
        if unknown := set(ids) - {*JUDGES, *trial.AWAITED}:
            raise UnknownNameError(f"There is no claim {min(unknown)!r}; known are {', '.join(JUDGES)}.")
        part = self.claims.loc[[name for name in ids if name in self.claims.index]]
        if part.empty:
            return f"*Not measured yet: {', '.join(ids)}.*"
        number = part["effect"].map(str) + " " + part["of"]
        part = part.assign(number=number, verdict="**" + part["verdict"] + "**")
        said = {"published": "claim", "source": "where", "number": "main number [95 %]", "verdict": "verdict"}
        return _table(part, said)

    def _trial(self, *ids: str) -> str:
        """Rows of the trial: what is said, what its own data say, and what ours say."""
        said = {"published": "said", "recomputed": "their own data", "here": "here", "verdict": "verdict"}
        return _table(self._rows(ids), said)

    def _theirs(self, *ids: str) -> str:
        """The same by their data alone."""
        part = self._rows(ids)
        said = {"id": "taken for granted", "recomputed": "what their own files say", "verdict": "verdict"}
        return _table(part.assign(id="**" + part.index + "** " + part["published"]), said)

    def _rows(self, ids: tuple[str, ...]) -> pd.DataFrame:
        if unknown := set(ids) - set(self.trial.index):
            raise UnknownNameError(f"The trial has no row {min(unknown)!r}; see data/trial.json.")
        return self.trial.loc[list(ids)]

    def _tally(self) -> str:
        """How many rows of each group have which verdict."""
        table = trial.tally(self.trial)
        return table_of(table.rename_axis("", axis=0).reset_index())

    def _parameters(self) -> str:
        """Numbers of weights of the study's f_t at the paper's size, counted."""
        count = lambda **how: sum(p.numel() for p in StudyDelta(H_SHAPE, TEMB, **how).parameters())
        torch.manual_seed(0)
        rows = {
            layout: {
                "time added or multiplied": f"{count(layout=layout):,}",
                "time by AdaGN": f"{count(layout=layout, temb='adagn'):,}",
            }
            for layout in ("conv", "c", "p", "pc")
        }
        table = pd.DataFrame(rows).T.rename(index={"pc": "pc, cp"})
        return table_of(table.rename_axis("layout").reset_index())

    def _figures(self, number: str) -> str:
        """All figures of a notebook, or where they will be."""
        files = sorted((self.root / "figures").glob(f"{number}_*.png"))
        if not files:
            return f"*Figures of notebook {number} come here.*"
        said = [f"![{file.stem[3:].replace('_', ' ')}](figures/{file.name})" for file in files]
        return "\n\n".join([*said, f"*Made by notebook {number}.*"])


#: What a block can be.
KINDS = ("claims", "trial", "theirs", "tally", "parameters", "figures")


def renewed(text: str, facts: Facts) -> str:
    """A text with all its numbers and tables as the facts have them; AsyrpError: marks that do not fit."""
    if loose := re.search(r"^<!-- (n|while): .*", text, re.MULTILINE):
        raise AsyrpError(
            f"A line begins with a mark ({loose[0][:60]}…), so that GitHub shows it as it is; expected a "
            "word before it; move the line break."
        )
    # before anything is replaced: what is not closed would take all up to the next end
    marks = {"<!-- n: ": NUMBER, "<!-- /n -->": NUMBER, MADE_BY: BLOCK, "<!-- while": WHILE}
    if any(text.count(mark) != len(whole.findall(text)) for mark, whole in marks.items()):
        raise AsyrpError(
            "A mark of the text is not whole or not closed; expected <!-- n: source | what -->…<!-- /n -->, "
            "<!-- while: source | verdict -->, or a table's line with <!-- end of … -->; mend it."
        )
    for source, verdict in WHILE.findall(text) if facts.strict else ():
        if (now := facts.number(source, "verdict")) != verdict:
            raise AsyrpError(
                f"A passage of the text was written while {source!r} was {verdict!r}, and it is {now!r} now; "
                f"expected words that fit; write the passage anew, and its mark: {source} | {now}"
            )
    text = BLOCK.sub(lambda m: f"{m[1]}\n\n{facts.block(m[2], m[3] or '')}{m[5]}", text)
    return NUMBER.sub(lambda m: f"{m[1]}{_said(facts, m[2], m[3])}{m[5]}", text)


def _said(facts: Facts, source: str, what: str) -> str:
    try:
        return facts.number(source, what)
    except UnknownNameError:
        if facts.strict:
            raise
        return "–"


def _table(rows: pd.DataFrame, columns: dict[str, str]) -> str:
    return table_of(rows[list(columns)].rename(columns=columns))
