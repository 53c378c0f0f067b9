"""What Δh_t does: the judges of the paper's claims about h-space, one function each, from stored rows."""

import math
from functools import partial
from itertools import product

import pandas as pd

from ..experiments import composition, consistency, homogeneity, intervals, linearity, robustness, stored
from ..experiments.rows import pick
from ..experiments.unseen import beyond_others, confusion, gains, own
from ..measure.judge import untied
from ..measure.stats import Interval, over_seeds
from .claim import VISIBLE, Claim, above, all_of, by_edit, counted, decider, most, spread, verdict, within


def known(domain) -> Claim:
    """Does the aimed factor move, and does everything that is not tied to it stay?"""
    rows = stored(domain, "final")
    at = pick(rows, variant=None, strength=1.0)
    moved, leaks, apart, far, sides, parts = by_edit(pick(at, "aimed")), {}, {}, [], [], []
    for name, shift in moved.items():
        of, edit = pick(at, edit=name), domain.edit_named(name)
        seen = [s.removeprefix("rms ") for s in of["score"].unique() if s.startswith("rms ")]
        shares = {factor: over_seeds(pick(of, f"rms {factor}")) for factor in seen}
        factors = untied(domain, edit, seen)
        leaks[name] = max((shares[factor] for factor in factors), key=lambda share: share.mean)
        room = over_seeds(room_taken(rows, name), intervals.kept) if len(room_taken(rows, name)) else None
        apart[name] = pick(of, "disagreement")["value"].mean() if len(pick(of, "disagreement")) else 0.0
        enough = above(shift, max(1.0, 2 * apart[name]))
        far.append(max(enough, above(room, 0.5) if room else -1))
        sides.append(all_of(far[-1], *(-above(shares[factor], 0.5) for factor in factors)))
        parts.append(shares[edit.factor].mean ** 2 / sum(s.mean**2 for s in shares.values()))
    wrong = {name: float((pick(at, "aimed", edit=name)["value"] < 0).mean()) for name in moved}
    chance = pick(rows, variant="random Δh")
    floor = chance[chance["score"].str.startswith("rms ")].groupby("score")["value"].mean().max()
    away, need = max(wrong, key=wrong.__getitem__), most(sides)
    name, effect = decider(moved, need)
    of = f"sd, {name}"
    if verdict(far, need) == "holds":  # so it is the leaks that decide; an rms is of a seed's faces together
        name, effect = sorted(leaks.items(), key=lambda one: one[1].mean)[need - 1]
        of, effect = f"sd of the worst untied factor, {name}", effect._replace(faces=moved[name].faces)
    ours = (
        f"the aimed factor moves {spread(moved.values(), '.1f')} sd (the oracles are "
        f"{spread(apart.values(), '.1f')} apart), {spread(parts, '.0%')} of the squared movement, the worst "
        f"untied one {spread(leaks.values(), '.1f')} (root mean square; by a random "
        f"Δh_t as long as f_t's {floor:.1f}); up to {wrong[away]:.0%} of the faces go the wrong way "
        f"({away}); both bounds: {counted(sides)}"
    )
    why = (
        "an edit counts if its factor moves 1 sd and twice as far as the oracles are apart, or half its "
        f"room, and no untied one 0.5 sd (root mean square); holds if {need} of {len(sides)} do"
    )
    mind = f"{need} of {len(sides)} edits within both bounds, or fewer, on other sealed faces"
    return Claim(ours, effect, of, verdict(sides, need), why, mind)


def room_taken(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """seed, image, value, base: by how much of its factor's range an edit moved each face, and how much of it
    was left before.
    """
    edited = pick(rows, variant=None, edit=name, strength=1.0)
    keys = ["seed", "image"]
    after, start = (pick(edited, score).set_index(keys)["value"] for score in ("position", "start"))
    return pd.DataFrame({"value": after - start, "base": 1 - start}).reset_index()


def unseen(domain) -> Claim | None:
    """Does an edit come nearer to the true target of its text, and nearer to it than to others?"""
    rows = stored(domain, "unseen")
    gained = {kind: gains(rows, kind) for kind in ("error", "distance")}
    if gained["error"].empty:
        return None
    ways = {kind: by_edit(own(table)) for kind, table in gained.items()}
    table = confusion(gained["distance"])
    hits = [table.loc[name, name] for name in table.index]
    ways["more"] = by_edit(own(beyond_others(gained["distance"])))
    sides = [all_of(*(above(ways[kind][name], 0) for kind in ways)) for name in table.index]
    need = most(sides)
    name, effect = decider(ways["distance"], need)
    far = {kind: spread(found.values(), ".0%") for kind, found in ways.items()}
    ours = (
        f"edits go {far['distance']} of the way to their true targets by the perceptual distance, "
        f"{far['error']} by the error, {far['more']} more than the other edits do by the distance; all three "
        f"above 0: {counted(sides)}; {spread(hits, '.0%')} of the faces gain most towards their own target "
        f"of {len(table.columns)}"
    )
    why = (
        "an edit counts if it comes nearer to its true target by both distances, and nearer than the other "
        f"edits do; holds if {need} of {len(sides)} do"
    )
    mind = "a teacher that brings them nearer: the claim `reach` says whether h-space could"
    return Claim(ours, effect, f"share of the way, {name}", verdict(sides, need), why, mind)


def linear(domain) -> Claim | None:
    """Is the shift in proportion to the strength, away from walls, beside what is not linear?"""
    rows = linearity.unwalled(stored(domain, "linearity"))
    rows = rows[rows["strength"].abs() <= 1]
    if rows.empty:
        return None
    null = linearity.nulls(sorted(rows["strength"].unique()))
    faces = by_edit(linearity.proportions(rows), lambda part: part["value"].median())
    curves = by_edit(rows, _of_mean_curve)
    bound = max(null.values())
    ended = linearity.ended(stored(domain, "linearity"))
    clear = {name: i for name, i in faces.items() if ended[name] <= 0.2}
    sides = [above(i, bound) * (name in clear) for name, i in faces.items()]
    name, effect = decider(clear or faces)
    ours = (
        f"a line through the origin explains {spread(faces.values(), '.2f')} of a face's curve (median, "
        f"mid-range, logit scale), {spread(curves.values(), '.2f')} of the mean curve; of a step "
        f"{null['step']:.2f}, of random rising curves {null['rising']:.2f} (median; 5 % lie above "
        f"{null['rising, 95 %']:.2f}); above all of these: {counted(sides)}; "
        f"{spread(ended.values(), '.0%')} of an edit's readings stand at the scale's ends, where all bends"
    )
    why = (
        "an edit counts, for or against, by the median of its faces, above a step and 95 % of random rising "
        f"curves ({bound:.2f}), if at most 20 % of its readings stand at the scale's ends; holds if all do"
    )
    mind = "more faces in mid-range whose curves bend away from their line, or follow it"
    return Claim(ours, effect, f"share explained, {name}", verdict(sides), why, mind)


def _of_mean_curve(part: pd.DataFrame) -> float:
    curve = part.groupby("strength")["value"].mean()
    return linearity.proportion(curve.index, curve - curve[0.0])


def composable(domain) -> Claim:
    """Do edits leave each other alone, but for the rule's strength and the walls of their factors?"""
    rows, found, kept = stored(domain, "composition"), {}, {}
    paper = [v for v in rows["variant"].dropna().unique() if " + " in v]
    for group in (tuple(label.split(" + ")) for label in paper):
        for edit in (name for name in group if len(pick(rows, "room", edit=name))):
            asked, label = {"edit": edit, "group": group}, f"{edit} in {' + '.join(group)}"
            kept[label] = over_seeds(rows, partial(composition.kept, **asked))
            found[label] = over_seeds(rows, partial(_more_than_added, **asked))
    sides = [above(i, -0.2) for i in found.values()]
    need = most(sides)
    name, effect = decider(found, need)
    ours = (
        f"by the paper's rule an edit keeps {spread(kept.values(), '.0%')} of its effect alone, "
        f"{spread(found.values(), '+.2f')} of it more than its strength and walls explain; less than 0.2 "
        f"lost to the others: {counted(sides)}"
    )
    why = (
        "an edit in a group counts if it loses less than 20 % to the others; holds if "
        f"{need} of {len(sides)} do"
    )
    mind = "groups that lose more than their strength and walls explain, or none, with more seeds"
    return Claim(ours, effect, f"gained or lost, {name}", verdict(sides, need), why, mind)


def _more_than_added(rows: pd.DataFrame, **asked) -> float:
    return composition.kept(rows, **asked) - composition.added(rows, **asked)


def homogeneous(domain) -> Claim:
    """Does the Δh_t of one face edit others, and more so than the Δε_t of one face?  A Δε_t that is not seen
    on its own face has nothing to carry over: it is no rival.
    """
    table = stored(domain, "homogeneity")
    rows = pick(table, "aimed")
    alone = {space: by_edit(pick(rows, variant=f"{space}, own")) for space in ("Δh", "Δε")}
    loss = pick(table, "loss").groupby("variant")["value"].mean()
    share = {space: by_edit(rows, partial(homogeneity.kept, space=space)) for space in ("Δh", "Δε")}
    more = by_edit(rows, lambda part: homogeneity.kept(part, "Δh") - homogeneity.kept(part, "Δε"))
    sides = []
    for name in more:
        seen, rival = (above(alone[space][name], VISIBLE) == 1 for space in ("Δh", "Δε"))
        sides.append(all_of(above(share["Δh"][name], 0.5), above(more[name], 0) if rival else 1) * seen)
    name, effect = decider(share["Δh"])
    ours = (
        f"a Δh_t optimised on one face moves it by {spread(alone['Δh'].values(), '.2f')} sd (loss "
        f"{loss['Δh']:.2f}) and has {spread(share['Δh'].values(), '.0%')} of that effect on others, a Δε_t "
        f"{spread(alone['Δε'].values(), '.2f')} sd (loss {loss['Δε']:.2f}) and "
        f"{spread(share['Δε'].values(), '.0%')}; more than half, and more than Δε_t: {counted(sides)}"
    )
    why = (
        f"an edit counts if its own effect is above {VISIBLE} sd, others get more than half of it, and more "
        f"than from a Δε_t whose own effect is above {VISIBLE} sd; holds if all do"
    )
    mind = "source faces whose Δh_t does not carry over, or a Δε_t that does, at equal loss on the source"
    return Claim(ours, effect, f"share, {name}; seeds: source faces", verdict(sides), why, mind)


def robust(domain) -> Claim:
    """Is a random shift of h harmless, and one of ε not, by every meaning of "as long"?"""
    rows, harm = stored(domain, "robustness"), []
    found, far = {m: {} for m in robustness.MEANINGS}, {m: [] for m in robustness.MEANINGS}
    for name, of in pick(rows, strength=1.0).groupby("edit"):
        both = pd.concat([of, pick(rows, "apart")])
        for kind in robustness.KINDS:
            share = partial(robustness.of_apart, variant=f"h, {kind}")
            harm.append(over_seeds(pick(both, seed=None), share))
        for kind, meaning in product(robustness.KINDS, robustness.MEANINGS):
            times = partial(robustness.ratio, kind=kind, meaning=meaning)
            found[meaning][f"{name}, {kind}"] = over_seeds(pick(of, "distance", seed=None), times)
            far[meaning].append(robustness.of_apart(both, f"ε, {kind}, {meaning}"))
    harmless = [-above(i, 0.5) for i in harm]
    said = {m: verdict([*harmless, *(above(i, 1) for i in part.values())]) for m, part in found.items()}
    listed = "; ".join(
        f"{meaning} {spread(i.values(), '.1f')} times ({spread(far[meaning], '.0%')}), {said[meaning]}"
        for meaning, i in found.items()
    )
    name, effect = decider(found["optimised"])
    ours = (
        f"a random Δh_t as long as one optimised on one face leads {spread(harm, '.0%')} as far as another "
        f"face is; a random Δε_t as long, by three meanings, in multiples of that (as far): {listed}"
    )
    whole = min(said.values(), key=("fails", "undecided", "holds").index)
    if {"holds", "fails"} <= set(said.values()):
        whole = 'depends on "as long"'
    why = (
        'a meaning of "as long" holds if ε leads farther than h in all edits and kinds, and h not half as '
        "far as another face; the claim, if all do"
    )
    mind = "lengths of other edits optimised in h and in ε; a ratio at a ceiling of 100 % says little"
    return Claim(ours, effect, f"times, optimised, {name}", whole, why, mind)


def consistent(domain) -> Claim:
    """How much of an edit do means of Δh_t over faces, and over times, keep?"""
    rows = stored(domain, "consistency")
    aimed, variants = pick(rows, "aimed"), ("mean", "global", "global of one", "global" + consistency.MATCHED)
    share = {v: by_edit(aimed, partial(consistency.kept, variant=v)) for v in variants}
    sides = [within(share[v][name], 0.75, 1.25) for v in ("mean", "global") for name in share[v]]
    cosine = lambda kind: spread(by_edit(pick(rows, "cosine of times", variant=kind)).values(), ".2f")
    name, effect = max(share["global"].items(), key=lambda one: abs(one[1].mean - 1))
    ours = (
        f"Δh_t^mean keeps {spread(share['mean'].values(), '.0%')} of the effect, Δh^global "
        f"{spread(share['global'].values(), '.0%')} (as long as Δh_t "
        f"{spread(share['global' + consistency.MATCHED].values(), '.0%')}), that of one face "
        f"{spread(share['global of one'].values(), '.0%')}; cosine between times "
        f"{cosine(consistency.TRAINED)}, of random f_t {cosine(consistency.RANDOM)}; both means within 75 "
        f"to 125 %: {counted(sides)}"
    )
    why = "a mean counts if it keeps 75 to 125 % of an edit's effect; holds if all do"
    mind = "an edit whose Δh^global does less, or much more, than its f_t; the cosines alone would not"
    return Claim(ours, effect, f"kept by Δh^global, {name}", verdict(sides), why, mind)


def reach(domain) -> Claim | None:
    """Can h-space draw an unseen target at all, with a Δh_t of each face's own?"""
    rows = stored(domain, "reach")
    gained = pick(rows, "error gain")
    if gained.empty:
        return None
    ways = {v: by_edit(pick(gained, variant=v)) for v in ("CLIP", "target", "Δh", "Δε")}
    free = {edit: above(i, 0.5) for edit, i in ways["Δε"].items()}  # else the optimisation stopped too early
    sides = [above(i, 0.5) if free[edit] == 1 else max(above(i, 0.5), 0) for edit, i in ways["Δh"].items()]
    name, effect = decider(ways["Δh"])
    more = [above(difference(i, ways["CLIP"][edit]), 0) for edit, i in ways["Δh"].items()]
    listed = ", ".join(f"{told} {spread(ways[v].values(), '.0%')}" for v, told in _TEACHERS.items())
    ours = (
        f"share of the way to the true target ({', '.join(ways['Δh'])}), by the error: {listed}; a free Δh_t "
        f"goes half of it: {counted(sides)}, farther than CLIP's f_t: {counted(more)}"
    )
    why = (
        "a target counts if a free Δh_t goes half of the way to it, and against only where a free Δε_t does; "
        "holds if all do"
    )
    mind = "longer optimisation that gets there, or other targets and faces"
    return Claim(ours, effect, f"share of the way, {name}", verdict(sides), why, mind)


def difference(a: Interval, b: Interval) -> Interval:
    """a − b of two intervals that were measured on different faces."""
    half = math.hypot(*(max(i.high - i.mean, i.mean - i.low) for i in (a, b)))
    mean = a.mean - b.mean
    return Interval(mean, mean - half, mean + half, min(a.seeds, b.seeds), min(a.faces, b.faces))


#: variants of the experiment `reach` in words
_TEACHERS = {
    "CLIP": "the f_t that CLIP taught",
    "target": "one that was shown targets",
    "Δh": "a free Δh_t for each face",
    "Δε": "a free Δε_t",
}
