"""How Δh_t is applied and scored: the judges of the paper's claims about its protocol, from stored rows."""

from functools import partial

import numpy as np
import pandas as pd

from ..experiments import intervals, stored
from ..experiments.asymmetry import ALONE, BOTH, MATCHED, TRAINED, TRAINED_MATCHED
from ..experiments.final import CONTROLS
from ..experiments.places import aim
from ..experiments.rows import pick, with_ends
from ..measure.stats import Interval, over_seeds
from .claim import VISIBLE, Claim, above, all_of, by_edit, by_seeds, counted, decider, spread, verdict, within
from .recount import cosines, published


def asymmetric(domain) -> Claim | None:
    """Does the shift do more in P_t alone, also against a symmetric process at matched gain or trained so?"""
    table = stored(domain, "asymmetry")
    rows = pick(table, "aimed")
    rivals = (MATCHED, TRAINED_MATCHED)
    if not {ALONE, BOTH, TRAINED, *rivals} <= set(rows["variant"]):  # rows from before these were asked
        return None
    of = {v: by_edit(pick(rows, variant=v)) for v in (ALONE, BOTH, TRAINED, *rivals)}
    apart = lambda v: partial(_mean_difference, ALONE, v)
    beside = lambda v: by_edit(rows[rows["variant"].isin([ALONE, v])], apart(v))
    more = {(v, name): i for v in (BOTH, *rivals) for name, i in beside(v).items()}
    hard = {key: interval for key, interval in more.items() if key[0] in rivals}
    changed = pick(table, "distance").groupby(["variant", "edit"])["value"].mean()
    gain = {(v, name): changed[v, name] / changed[ALONE, name] for v in (TRAINED, *rivals) for name in of[v]}
    weak = {key for key in hard if gain[key] < 0.9}  # it changes less: it cannot tell
    told = {
        v: f"{spread(of[v].values(), '.2f')} ({spread([gain[v, n] for n in of[v]], '.0%')} of the change)"
        for v in (TRAINED, *rivals)
    }
    side = {key: min(above(i, VISIBLE), 0 if key in weak else 1) for key, i in hard.items()}
    sides, ((against, name), effect) = list(side.values()), decider(hard)
    easy = [above(interval, VISIBLE) for key, interval in more.items() if key[0] == BOTH]
    ours = (
        f"the aimed factor moves {spread(of[ALONE].values(), '.2f')} sd in P_t alone, in both "
        f"{spread(of[BOTH].values(), '.2f')}, at matched change {told[MATCHED]}, trained so {told[TRAINED]}, "
        f"trained so and matched {told[TRAINED_MATCHED]}; "
        f"more in P_t alone than at equal strength: {counted(easy)}, than matched rivals: "
        f"{counted(sides)}"
    )
    whole = verdict(sides)
    if whole != "holds" and verdict(easy) == "holds":
        matched = [side[key] for key in hard if key[0] == MATCHED]
        whole = "a matter of strength" if verdict(matched) == "fails" else "at equal strength"
    why = (
        f"a matched rival (the same f_t, one trained so) counts if P_t alone does {VISIBLE} sd more and it "
        "changes the image at least 90 % as much; holds if all do; where all do "
        "at equal strength: a matter of strength if a matched one fails, else at equal strength"
    )
    mind = "a symmetric process, matched or trained so, that moves the factor as far, or one that cannot"
    return Claim(ours, effect, f"sd more than {against}, {name}", whole, why, mind)


def _mean_difference(one: str, other: str, part: pd.DataFrame) -> float:
    means = part.groupby("variant")["value"].mean()
    return means[one] - means[other]


def places(domain) -> Claim:
    """Does an f_t at h aim better than one at any other place of the U-Net?"""
    rows = stored(domain, "places")
    more, said = {}, []
    for name, of in rows[rows["score"].isin(["aimed", "leaked"])].groupby("edit"):
        at, moved = aim(of), pick(of, "aimed").groupby("variant")["value"].mean()
        best = max((place for place in at if place != "h"), key=at.__getitem__)
        more[name] = over_seeds(_with_rival(of), lambda part: aim(part)["h"] - aim(part)["rival"])
        told = {place: f"{at[place]:.1f} ({moved[place]:.1f} sd)" for place in ("h", best)}
        said.append(f"{name} {told['h']}, at {best} {told[best]}")
    sides, (name, effect) = [above(i, 0) for i in more.values()], decider(more)
    ours = f"aimed over leaked (aimed) at h and at the best other place: {'; '.join(said)}; {counted(sides)}"
    why = (
        "an edit counts if f_t at h aims better than at the best other place, which is chosen by f_t of "
        "other seeds, on other faces; holds if all do"
    )
    mind = "other places trained as long as the shipped f_t"
    return Claim(ours, effect, f"ratio more at h than at the other, {name}", verdict(sides), why, mind)


def _with_rival(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of h, and as "rival" of each seed those of the place that aims best by the other seeds."""
    others, parts = rows[rows["variant"] != "h"], [pick(rows, variant="h")]
    for seed in rows["seed"].unique():
        at = aim(others[others["seed"] != seed])
        best = max(at, key=at.__getitem__)
        parts.append(pick(rows, seed=seed, variant=best).assign(variant="rival"))
    return pd.concat(parts)


def t_edit_rule(domain) -> Claim | None:
    """Is no f_t that was trained for another t_edit better than the one for the rule's?"""
    rows = stored(domain, "intervals")
    net, rule = intervals.net(rows), pick(rows, "t_edit_rule").set_index("edit")["value"].astype(int)
    found, means = {}, {}
    for name, part in net[net["edit"].isin(rule.index)].groupby("edit"):
        at = part[part["t_edit"] == rule[name]].set_index("image")["value"]
        for t, other in part[part["t_edit"] != rule[name]].groupby("t_edit"):
            more = (at - other.set_index("image")["value"]).reindex(other["image"])
            found[f"{name} from {t}"] = over_seeds(other.assign(value=more.to_numpy()))
        means[name] = part.groupby("t_edit")["value"].mean()
    if not found:
        return None
    sides, (label, effect) = [above(i, -VISIBLE) for i in found.values()], decider(found)
    curves = "; ".join(
        f"{name} (rule {rule[name]}) {', '.join(f'{t}: {v:.1f}' for t, v in curve.items())}"
        for name, curve in means.items()
    )
    ours = (
        f"aimed − leaked, sd, of f_t trained for each t_edit: {curves}; not {VISIBLE} better than the rule's:"
        f" {counted(sides)}"
    ).replace(": -", ": −")
    why = (
        f"another t_edit counts if its f_t is surely not {VISIBLE} sd better; holds if all do; undecided "
        "while there is one f_t of each"
    )
    mind = "f_t of more seeds, or t_edit nearer to the rule's, that are surely better"
    whole = by_seeds(verdict(sides), effect)
    return Claim(ours, effect, f"sd more at the rule's than {label}", whole, why, mind)


def steps(domain) -> Claim:
    """Does the effect stay when the number of steps changes and Δh_t is multiplied by S_train / S?"""
    rows = stored(domain, "intervals")
    grids = sorted({int(v.split()[1]) for v in rows["variant"].dropna() if v.startswith("S ")} - {40})
    found, without = {}, {}
    for table, rule in ((found, "scaled"), (without, "unscaled")):
        for grid in grids:
            both = intervals.beside(rows, f"S {grid} {rule}")
            table |= {f"{name}, {grid} steps": i for name, i in by_edit(both, intervals.kept).items()}
    full = {label: i for label, i in found.items() if i.faces == max(i.faces for i in found.values())}
    sides = [within(interval, 0.75, 1.25) for interval in full.values()]
    label, effect = max(full.items(), key=lambda one: abs(one[1].mean - 1))
    rest = {label: i for label, i in found.items() if label not in full}
    few = "; ".join(f"{label} on {i.faces} faces: {i.mean:.0%}" for label, i in rest.items())
    ours = (
        f"at {grids[0]} to {grids[-1]} steps {spread(found.values(), '.0%')} of the effect at 40 is left, "
        f"without the rule {spread(without.values(), '.0%')}; within 75 to 125 %: {counted(sides)}"
        f"{f' ({few})' if few else ''}"
    )
    why = "a run on all of the faces counts if it has 75 to 125 % of the effect at 40 steps; holds if all do"
    mind = "a grid on which the same faces keep less or more, on more faces where they were few"
    return Claim(ours, effect, f"share, {label}", verdict(sides), why, mind)


def boosting(domain) -> Claim | None:
    """Does noise in the last steps make images more real?"""
    rows = stored(domain, "boosting").astype({"edit": object})
    rows["edit"] = rows["edit"].where(rows["edit"].notna(), "reconstruction")
    fallen = pick(rows, "fd_fall", variant="full")["edit"].unique()
    falls = {name: _fall(pick(rows, edit=name)) for name in sorted(fallen)}
    if not falls:
        return None
    fine = rows[rows["edit"].isin(falls) & (rows["score"] == "fine")]
    fine = fine.assign(value=-np.abs(np.log(fine["value"].clip(lower=1e-6))))
    boosted = partial(_mean_difference, "full", "none")
    nearer = by_edit(fine, boosted)
    weaker = by_edit(pick(rows[rows["edit"].isin(falls)], "aimed"), boosted)
    sides = [all_of(above(falls[name], 0), above(nearer[name], 0)) for name in falls]
    left = sorted(pick(rows, "left out", variant="full")["edit"].unique())
    name, effect = decider(falls)
    cost = f"; the aimed factor then moves {spread(weaker.values(), '+.2f')} sd" if weaker else ""
    out = f"; left out, since t_edit is lower: {', '.join(left)}" if left else ""
    ours = (
        f"the Fréchet distance falls by {spread(falls.values(), '.3g')}; fine detail comes nearer to the "
        f"original's by {spread(nearer.values(), '+.2f')} (log of the ratio); both: {counted(sides)}{cost}"
        f"{out}"
    )
    why = "reconstructions, or an edit, count if the distance falls and detail comes nearer; holds if all do"
    mind = "a t_boost that does both, chosen on validation faces"
    return Claim(ours, effect, f"fall, {name}", verdict(sides), why, mind)


def _fall(part: pd.DataFrame) -> Interval:
    """Its interval is over faces alone, of whichever f_t."""
    faces = pick(part, "fine", variant="full")["image"].nunique()
    return Interval(*with_ends(part, "fd_fall", variant="full"), 1, faces)


#: Scores that could stand for the truth, where they were measured.
SCORES = ("S_dir", "S_dir_teacher", "S_dir_recon", "distance", "SC", "SC_original")


def s_dir(domain) -> Claim | None:
    """Does a higher S_dir mean a better edit, among faces that began equally, and no edit at all none?"""
    rows = stored(domain, "final")
    table = truth_beside_scores(rows)
    if table.empty or "S_dir" not in table:
        return None
    known = [score for score in SCORES if score in table]
    found = {score: over_seeds(table, partial(agreement, score)) for score in known}
    raw = over_seeds(table, partial(agreement, "S_dir", given=None))
    less = above_controls(pick(rows, "S_dir"))
    ranks = [above(interval, 0) for interval in less.values()]
    best = max(found, key=lambda score: abs(found[score].mean))
    listed = ", ".join(f"{score} {interval.mean:.2f}" for score, interval in found.items()).replace("-", "−")
    ours = (
        f"rank correlation with the aimed shift over faces, their start held: {listed}; S_dir without that "
        f"{raw.mean:.2f}; {best} agrees most; S_dir ranks the edit above a control: {counted(ranks)}"
    )
    sides = [all_of(above(found["S_dir"], 0.3), *ranks)]
    why = "holds if the correlation of S_dir is above 0.3 and it ranks every edit above every control"
    mind = "another CLIP whose S_dir agrees with the oracle among faces that begin equally"
    return Claim(ours, found["S_dir"], "correlation of S_dir, start held", verdict(sides), why, mind)


def above_controls(rows: pd.DataFrame) -> dict[tuple[str, str], Interval]:
    """(edit, control) -> by how much a score of `final` is higher for the edit at strength 1 than for the
    control, on the same faces; from the rows of that score.
    """
    edited = pick(rows, variant=None, strength=1.0)
    controls = rows[rows["variant"].isin(CONTROLS)][["edit", "variant", "image", "value"]]
    both = edited.drop(columns="variant").merge(controls, on=["edit", "image"], suffixes=("", "_control"))
    both = both.assign(value=both["value"] - both["value_control"])
    return {(str(e), str(v)): over_seeds(part) for (e, v), part in both.groupby(["edit", "variant"])}


def truth_beside_scores(rows: pd.DataFrame) -> pd.DataFrame:
    """edit, seed, image, and a column of each score at strength 1, of the edits whose factor is known."""
    edited = pick(rows, variant=None, strength=1.0).dropna(subset="image")
    table = edited.pivot(index=["edit", "seed", "image"], columns="score", values="value").reset_index()
    return table.dropna(subset=["aimed"]) if "aimed" in table else table.iloc[:0]


def agreement(score: str, table: pd.DataFrame, given: str | None = "start") -> float:
    """Mean over edits of the rank correlation of a score with `aimed` over faces; `given`: a column that is
    held, the partial correlation of ranks.  Edits of which nothing varies, or nothing is left, do not count.
    """
    found = []
    for _, part in table.groupby("edit"):
        r = part[[score, "aimed", *([given] if given else [])]].corr("spearman").fillna(0.0)  # a constant: 0
        x, y = (r.loc[c, given] if given else 0.0 for c in (score, "aimed"))
        left = min(r.loc[score, score], 1 - x**2), min(r.loc["aimed", "aimed"], 1 - y**2)
        if min(left) > 1e-9:
            found.append((r.loc[score, "aimed"] - x * y) / (left[0] * left[1]) ** 0.5)
    return float(np.mean(found)) if found else 0.0


def published_s_dir() -> pd.DataFrame:
    """What was published as S_dir, by strength and edit: of the paper, as the study cites it; of the study,
    as it prints it; and the cosine that the study stored with its code.
    """
    found, parts = published(), {}
    printed, paper = found["table_2_s_dir"], pd.Series(found["table_2_s_dir"]["paper_as_cited"])
    for strength in (1.0, 0.5):
        study = pd.Series({edit: value for edit, (value, _) in printed[f"study_{strength}"].items()})
        columns = {"paper": paper if strength == 1 else np.nan, "study": study}
        parts[strength] = pd.DataFrame(columns | {"cosine": cosines(found, str(strength))}).loc[study.index]
    return pd.concat(parts, names=["strength", "edit"])


def table_4(domain) -> Claim | None:
    """Are our S_dir those of the paper's table?"""
    printed = published_s_dir()
    paper = printed["paper"].xs(1.0).dropna()
    rows = pick(stored(domain, "final"), "S_dir", variant=None, strength=1.0)
    ours = {name: i for name, i in by_edit(rows).items() if name in paper}
    if not ours:
        return None
    less = {
        name: Interval(i.mean - paper[name], i.low - paper[name], i.high - paper[name], i.seeds, i.faces)
        for name, i in ours.items()
    }
    same = (1 - printed["cosine"]).round(3) == printed["study"]
    sides, (name, effect) = [above(gap, -0.1) for gap in less.values()], decider(less)
    listed = ", ".join(f"{edit} {i.mean:.2f} ({paper[edit]:.2f})" for edit, i in ours.items())
    listed = listed.replace("-", "−")
    said = (
        f"cosine here (paper): {listed}; the study's row is 1 − cosine in {sum(same)} of {len(same)} "
        f"cells, and 1 − ours is {spread([1 - i.mean for i in ours.values()], '.2f')}; {counted(sides)}"
    )
    why = "an edit counts if its S_dir is at most 0.1 below the paper's; holds if all do"
    mind = "the paper's own images, f_t and CLIP; or its authors' word on what the row prints"
    return Claim(said, effect, f"more than the paper's, {name}", verdict(sides), why, mind)
