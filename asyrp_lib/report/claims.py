"""What holds here: the paper's claims judged from stored rows.

README and notebooks print from this; `python -m asyrp_lib.report.claims` writes README's table.
"""

from pathlib import Path

import pandas as pd

from ..errors import WeightsError
from ..experiments.reproduce import check_fresh
from ..progress import tqdm
from ..store.paths import repo_root
from . import best, groups, protocols, study, verdicts
from .claim import Claim

#: README's table stands between these.
MARKERS = ("<!-- claims: made by python -m asyrp_lib.report.claims -->", "<!-- end of claims -->")
STUDY_MARKERS = (MARKERS[0].replace("claims:", "study:"), "<!-- end of study -->")
HEADLINE_MARKERS = (MARKERS[0].replace("claims:", "headline:"), "<!-- end of headline -->")
#: What stands on README's first screen, chosen before anything was measured.
HEADLINE = ("asymmetric", "known", "unseen", "linear", "homogeneous")
#: id of a claim -> where the paper makes it, what it says, and our judge; in the order of the table.
PAPER = {
    "known": ("Fig. 4", "h-space edits what the model knows", verdicts.known),
    "unseen": ("Fig. 5", "it reaches what the model never saw", verdicts.unseen),
    "reach": ("control of Fig. 5", "h-space can draw what the model never saw", verdicts.reach),
    "homogeneous": ("Fig. 6", "homogeneous: one face's Δh_t edits others", verdicts.homogeneous),
    "linear": ("Fig. 7", "linear", verdicts.linear),
    "composable": ("Fig. 8", "composable", verdicts.composable),
    "robust": ("Fig. 9", "noise in h is harmless, noise in ε is not", verdicts.robust),
    "consistent": ("Fig. 10", "one Δh serves all times and faces", verdicts.consistent),
    "asymmetric": ("Theorem 1, Fig. 3", "the shift belongs into P_t alone", protocols.asymmetric),
    "places": ("Sec. 3.2", "it is h that is special", protocols.places),
    "t_edit rule": (
        "Sec. 4",
        "no t_edit is better than where LPIPS(x, P_t) = 0.33 cos",
        protocols.t_edit_rule,
    ),
    "steps": ("Fig. 17", "Δh_t · S_train/S serves any number of steps", protocols.steps),
    "boosting": ("Sec. 3.4, Fig. 11", "quality boosting makes images more real", protocols.boosting),
    "S_dir": ("Table 4", "a higher S_dir is a better edit", protocols.s_dir),
    "Table 4": ("Table 4", "S_dir is 0.81 to 0.99", protocols.table_4),
}
#: The same of the study.
STUDY = {
    "layout": ("study Fig. 15", "pc has the lowest CLIP loss", study.layout),
    "loss as rule": ("study Sec. 4", "the lowest CLIP loss is the best f_t", study.loss_as_rule),
    "layout finer": ("study Sec. 7", "a transformer's edits are finer", study.finer),
    "epochs": ("study Sec. 4", "transformers need more epochs", study.epochs),
    "heads": ("study Fig. 13", "more heads are better", study.heads),
    "epochs of heads": ("study Fig. 13", "more heads need more epochs and time", study.epochs_of_heads),
    "strength of heads": ("study Fig. 18", "more heads need less strength", study.strength_of_heads),
    "subtle": ("study Fig. 18", "better f_t edit more subtly", study.subtle),
    "depth": ("not in the study", "deeper encoders are better", study.depth),
    "time": ("study Fig. 16", "AdaGN has the lower loss", study.time),
    "norm and activation": ("study Fig. 16", "norm and activation do not matter", study.norm_and_activation),
    "optimiser": ("study Sec. 5", "untuned, AdamW beats SGD", study.optimiser),
    "conv with Adam": ("study Fig. 18", "the original learns nothing with AdamW", study.conv_with_adam),
    "best": ("study Table 5", "the best f_t is better than the original", best.best),
    "best keeps structure": ("study Table 5", "it keeps structure better", best.keeps_structure),
    "untuned": ("study Fig. 17", "untuned, pc does the goblin better", best.untuned),
    "tuning": ("study Sec. 5", "an edit needs tuning", best.tuning),
    "transfer": ("study Fig. 19", "f_t from another edit's is faster", best.transfer),
    "transfer stays lower": ("study Fig. 19", "and its loss stays lower", best.stays_lower),
    "transfer nearer": ("not in the study", "and its edits are nearer", best.reaches_farther),
    "bias flips": ("study Fig. 12", "edits flip gender, skin and eye colour", groups.flips),
    "pixar lightens": ("study Fig. 12", "pixar makes eyes blue and dark skin light", groups.pixar_lightens),
    "light skin": ("study Table 4", "edits work better on light skin", groups.light_skin),
}
JUDGES = PAPER | STUDY


def claims(domain, *ids: str) -> pd.DataFrame:
    """The claims of `JUDGES` asked for, or all, whose rows are stored, one row each, by id; none where no
    oracle knows the truth.  Raises WeightsError: rows are damaged.
    """
    found = []
    asked = ids or JUDGES if domain.oracle is not None else ()
    for name in tqdm(asked, desc="claims", unit="claim", leave=False, disable=len(ids) == 1):
        source, published, judge = JUDGES[name]
        try:
            claim = judge(domain)
        except WeightsError as error:
            if isinstance(error.__cause__, FileNotFoundError):  # not measured yet
                continue
            raise
        if claim:  # else what it asks for was not in the rows
            found.append((name, source, published, *claim))
    return pd.DataFrame(found, columns=["id", "source", "published", *Claim._fields]).set_index("id")


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


def write(domain, file: Path) -> None:
    """Write both tables into a README; AsyrpError: rows are stale."""
    check_fresh(domain)
    table = claims(domain)
    rewrite(file, HEADLINE_MARKERS, headline(table))
    rewrite(file, MARKERS, markdown(table[table.index.isin(list(PAPER))]))
    rewrite(file, STUDY_MARKERS, markdown(table[table.index.isin(list(STUDY))]))


if __name__ == "__main__":
    from ..domains.load import load_domain

    write(load_domain("synthfaces"), repo_root() / "README.md")
