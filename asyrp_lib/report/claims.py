"""What holds here: the paper's claims judged from stored results.

README and notebooks print from this; `python -m asyrp_lib.report.claims` writes README's table.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from ..errors import WeightsError
from ..experiments import stored_rows
from ..measure.evaluate import load_evaluations
from ..store.paths import data_dir, repo_root

#: README's table stands between these.
MARKERS = ("<!-- claims: made by python -m asyrp_lib.report.claims -->", "<!-- end of claims -->")


class Claim(NamedTuple):
    """A claim of the paper and what is left of it here."""

    id: str
    source: str  # where the paper makes it
    published: str
    ours: str  # what was measured
    interval: tuple[float, float] | None  # of the number that decides, None where it is a count
    verdict: str  # holds, mostly, fails, or what else there is to say in a few words
    why: str  # the rule of the verdict


def claims(domain) -> pd.DataFrame:
    """All claims whose results are stored, one row each, by id; none where no oracle knows the truth."""
    found, judges = [], (known, unseen, linear, composable, robust, consistent, steps, boosting, s_dir)
    for judge in judges if domain.oracle is not None else ():
        with suppress(WeightsError):  # not measured yet
            found.append(judge(domain))
    return pd.DataFrame(found, columns=Claim._fields).set_index("id")


def known(domain) -> Claim:
    """Does the aimed factor move, the right way and more than any other?"""
    shifts, most, other = [], 0, []
    for name, result in load_evaluations(domain).items():
        edit, at = domain.edits[name], {c: cell["mean"] for c, cell in result["data"]["1"].items()}
        moved = {c: abs(shift) for c, shift in at.items() if c not in ("S_dir", "SC")}
        shifts.append(edit.sign * at[edit.factor])
        other.append(max(shift for c, shift in moved.items() if c != edit.factor))
        most += moved[edit.factor] > other[-1]
    ours = (
        f"the aimed factor moves {_range(shifts, '.1f')} sd and more than any other in {most} of "
        f"{len(shifts)} edits; the next one moves {_range(other, '.1f')} sd"
    )
    right = sum(shift > 0 for shift in shifts)
    verdict, why = _share(min(most, right), len(shifts))
    return Claim("known", "Fig. 4", "h-space edits what the model knows", ours, None, verdict, why)


def unseen(domain) -> Claim:
    """Does an edit come nearer to the true target of its text, and would one that is shown it?"""
    rows, shown = stored_rows(domain, "unseen"), stored_rows(domain, "reach")
    near = {kind: _pick(rows, "gain low", variant=kind, strength=1.0) > 0 for kind in ("distance", "error")}
    way = {of: _pick(shown, "gain mean", variant=f"{of} | error") for of in ("CLIP", "target")}
    reached = _pick(shown, "gain low", variant="target | error") > 0
    farther = (way["target"] / way["CLIP"])[reached & (way["CLIP"] > 0)]
    n = len(reached)
    ours = (
        f"nearer to the true target in {near['distance'].sum()} of {n} styles by the perceptual distance, "
        f"{near['error'].sum()} of {n} by the error; an f_t that is *shown* the target instead of told "
        f"by CLIP comes nearer in {reached.sum()} of {n}, {_range(farther, '.1f')} times as far"
    )
    all_near = bool(near["distance"].all() and near["error"].all())
    verdict = (
        f"fails at this size: in {reached.sum()} styles the teacher, in {n - reached.sum()} h-space itself"
    )
    why = "holds if both distances fall in every style, with the whole interval"
    text = "it reaches what the model never saw"
    return Claim("unseen", "Fig. 5", text, ours, None, "holds" if all_near else verdict, why)


def linear(domain) -> Claim:
    """Is the shift in proportion to the strength?"""
    rows = stored_rows(domain, "linearity")
    faces = rows[rows["score"] == "correlation"].groupby("edit")["value"].median()
    fits = _pick(rows, "R2")
    ends = [_pick(rows, "break at", variant=side) for side in ("+", "-")]
    ours = (
        f"median correlation per face of strength and shift {_range(faces, '.2f')} over −1 … 1, R² of the "
        f"common line ≥ 0.9 in {(fits >= 0.9).sum()} of {len(fits)}; above 0 the curves leave their lines at "
        f"{_listed(ends[0])}, below at {_listed(-ends[1])}"
    )
    ordered = bool((faces >= 0.9).all())
    verdict = "holds" if (fits >= 0.9).all() else "order and sign, not proportion" if ordered else "fails"
    why = "holds if R² >= 0.9 in every edit; order and sign if the median correlation per face is >= 0.9"
    return Claim("linear", "Fig. 7", "linear", ours, (fits.min(), fits.max()), verdict, why)


def composable(domain) -> Claim:
    """What share of its effect does an edit keep beside others, by the paper's rule?"""
    rows = stored_rows(domain, "composition")
    of = lambda part: _ending(rows[rows["score"] == f"share {part}"], "| 1/√n")
    share = of("mean").set_index(["variant", "edit"])["value"]
    sizes = share.groupby("variant").transform("size")
    pairs, triples = share[sizes == 2], share[sizes == 3]
    few = ", ".join(
        f"{value:.0%}".replace("%", " %").replace("-", "−")
        for value in sorted(pairs[pairs < 0.7], reverse=True)
    )
    ours = (
        f"in pairs {(pairs >= 0.7).sum()} of {len(pairs)} edits keep 70 % or more"
        f"{f' ({few} the others)' * bool(few)}, in triples {(triples >= 0.7).sum()} of {len(triples)}"
    )
    verdict, why = _share(int((share >= 0.7).sum()), len(share))
    interval = (of("low")["value"].min(), of("high")["value"].max())
    return Claim(
        "composable", "Fig. 8", "composable", ours, interval, verdict, f"an edit counts from 70 % on; {why}"
    )


def robust(domain) -> Claim:
    """Is a random shift of ε worse than one of h?"""
    rows = stored_rows(domain, "robustness")

    def ratio(rule: str, part: str = "mean", **where) -> pd.Series:
        return _pick(_ending(rows, f"| {rule}"), f"ratio distance {part}", **where)

    arrived, trained = pd.concat([ratio("effect"), ratio("edit")]), ratio("relative", strength=1.0)
    ours = (
        f"at the same relative length, that of the edit, noise in ε changes an image "
        f"{_range(trained, '.0f')} times as much; matched by what arrives in ε, at any length "
        f"at most {arrived.max():.2f} times"
    )
    worse, milder = bool((ratio("relative") > 1).all()), bool((arrived < 1).all())
    verdict = 'depends on "matched"' if worse and milder else "holds" if worse else "fails"
    why = "holds if ε is worse by every meaning of matched, depends if by some only"
    interval = tuple(f(ratio("relative", part, strength=1.0)) for f, part in ((min, "low"), (max, "high")))
    text = "noise in h is harmless, noise in ε is not"
    return Claim("robust", "Fig. 9", text, ours, interval, verdict, why)


def consistent(domain) -> Claim:
    """How much of an edit do the means of f_t keep?"""
    rows = stored_rows(domain, "consistency")
    share = {kind: _pick(rows, "share mean", variant=kind) for kind in ("mean", "global", "global of 1")}
    ours = (
        f"Δh_t^mean keeps {_range(100 * share['mean'], '.0f')} % of the effect, Δh^global "
        f"{_range(100 * share['global'], '.0f')} %, that of one face "
        f"{_range(100 * share['global of 1'], '.0f')} %"
    )
    kept = bool((pd.concat(list(share.values())) >= 0.75).all())
    over = "; Δh^global overshoots" * bool((share["global"] > 1.25).any())
    low, high = (_pick(rows, f"share {part}", variant="global") for part in ("low", "high"))
    why = "holds if at least 75 % is kept in every edit; overshoots above 125 %"
    verdict, interval = f"{'holds' if kept else 'fails'}{over}", (low.min(), high.max())
    return Claim("consistent", "Fig. 10", "one Δh serves all times and images", ours, interval, verdict, why)


def steps(domain) -> Claim:
    """Does the effect stay when the number of steps changes and Δh_t is multiplied by S_train / S?"""
    rows = _ending(stored_rows(domain, "intervals"), "| scaled")
    rows = rows[rows["image"].notna() & (rows["score"] == "aimed")]
    rows = rows.assign(S=[int(variant.split(" ")[0]) for variant in rows["variant"]])
    table = rows.pivot(index=["edit", "image"], columns="S", values="value")
    ratios = [
        both[S].mean() / both[40].mean()
        for _, of_edit in table.groupby("edit")
        for S in table.columns.drop(40)
        if len(both := of_edit[[S, 40]].dropna())
    ]
    inside = sum(abs(ratio - 1) <= 0.25 for ratio in ratios)
    ours = f"within 25 % of 40 steps in {inside} of {len(ratios)} runs, {_range(table.columns, 'd')} steps"
    verdict, why = _share(inside, len(ratios))
    text = "Δh_t · S_train/S serves any number of steps"
    return Claim("steps", "Fig. 17", text, ours, (min(ratios), max(ratios)), verdict, why)


def boosting(domain) -> Claim:
    """Does noise in the last steps make images more real?"""
    rows = stored_rows(domain, "boosting")
    full = str(int(rows.loc[rows["score"] == "t_boost", "value"].iloc[0]))
    at = lambda score, start: _pick(rows, score, variant=start)
    falls, sure = at("fd value", full) < at("fd value", "0"), at("fd value", full) < at("fd low", "0")
    finer = (at("fine mean", full) - 1).abs() < (at("fine mean", "0") - 1).abs()
    weaker = at("aimed mean", full) < at("aimed mean", "0")
    ours = (
        f"FD-CLIP falls in {falls.sum()} of {len(falls)} and nowhere beyond its interval"
        if not sure.any()
        else f"FD-CLIP falls in {falls.sum()} of {len(falls)}, in {sure.sum()} of them beyond its interval"
    )
    ours += f"; fine detail comes nearer in {finer.sum()} of {len(finer)}; the edit gets weaker in "
    ours += f"{weaker.sum()} of {len(weaker)}"
    verdict = "holds" if sure.all() and finer.all() else "not here"
    why = "holds if in every run FD-CLIP falls beyond its interval and fine detail comes nearer"
    return Claim("boosting", "Fig. 11", "quality boosting makes images more real", ours, None, verdict, why)


def s_dir(domain) -> Claim:
    """Does a higher S_dir mean a better edit?"""
    rows = stored_rows(domain, "metrics")
    of = lambda score: rows[rows["score"] == f"{score} mean"].set_index(["edit", "strength"])["value"]
    table = pd.DataFrame({score: of(score) for score in ("S_dir", "aimed", "leaked")}).dropna()
    (pure, p_pure), (strong, p_strong) = (
        stats.spearmanr(table["S_dir"], truth) for truth in (table["aimed"] / table["leaked"], table["aimed"])
    )
    p = lambda value: "p < 0.001" if value < 0.001 else f"p {value:.2f}"
    published = json.loads((data_dir() / "published.json").read_text())
    printed = [
        round(1 - published[f"raw_sdir_{strength}"][edit]["sdir_oe"], 3) == values[0]
        for strength in ("1.0", "0.5")
        for edit, values in published["table_2_s_dir"][f"study_{strength}"].items()
    ]
    ours = (
        f"rank correlation with purity {pure:.2f} ({p(p_pure)}), with strength {strong:.2f} "
        f"({p(p_strong)}); the study's S_dir is 1 − cosine, {sum(printed)} of {len(printed)}"
    )
    told = [name for name, at in (("of purity", p_pure), ("of strength", p_strong)) if at < 0.05]
    verdict = "holds" if len(told) == 2 else told[0] if told else "fails"
    why = "a rank correlation counts where p < 0.05"
    return Claim("S_dir", "Table 4", "a higher S_dir is a better edit", ours, None, verdict, why)


def markdown(table: pd.DataFrame) -> str:
    """Claims as README shows them."""
    shown = table[["published", "source", "ours", "verdict"]].itertuples(index=False)
    lines = [f"| {published} ({source}) | {ours} | {verdict} |" for published, source, ours, verdict in shown]
    return "\n".join(["| claim | measured | verdict |", "|---|---|---|", *lines])


def in_readme(text: str) -> tuple[str, str, str]:
    """README's text before, in, and after its table of claims."""
    start, end = (text.index(marker) for marker in MARKERS)
    start += len(MARKERS[0]) + 2
    return text[:start], text[start : end - 2], text[end - 2 :]


def _pick(rows: pd.DataFrame, score: str, **where) -> pd.Series:
    """edit -> value of a score over all images."""
    keep = (rows["score"] == score) & rows["image"].isna()
    for column, value in where.items():
        keep &= rows[column] == value
    return pd.Series(rows.loc[keep].set_index("edit")["value"])


def _ending(rows: pd.DataFrame, ending: str) -> pd.DataFrame:
    """Those whose variant ends so."""
    return rows.loc[rows["variant"].astype(str).str.endswith(ending)]


def _range(values: Sequence[float], form: str) -> str:
    """Low to high."""
    return f"{min(values):{form}} to {max(values):{form}}" if len(values) else "none"


def _listed(values: pd.Series) -> str:
    """Different values, "–" for none."""
    return " or ".join(f"{v:g}".replace("-", "−") for v in np.unique(values)) or "–"


def _share(count: int, n: int) -> tuple[str, str]:
    verdict = "holds" if count == n else "mostly" if 2 * count > n else "fails"
    return verdict, "holds in all, mostly in more than half"


if __name__ == "__main__":
    from ..domains.load import load_domain

    file = repo_root() / "README.md"
    before, _, after = in_readme(file.read_text())
    file.write_text(f"{before}{markdown(claims(load_domain('synthfaces')))}{after}")
