"""What the study says of f_t: the judges of its claims, one function each, from the rows of grids.

All compare f_t of the same seeds on the same faces.  The *distance* is the perceptual one to the true target
of an edit, drawn from the face's own factors; "at equal effect" means at the strength at which the oracle
sees `EFFECT` of the edit's factor (`experiments.compare`), since the size of Δh differs between kinds of f_t.
"""

from collections.abc import Mapping

import pandas as pd

from ..experiments import compare
from ..experiments.compare import EFFECT, at, at_effect, over, per_seed, stored_grid
from ..experiments.rows import pick
from ..measure.stats import Interval
from .claim import Claim, above, counted, decider, most, spread, verdict, within

#: A share of the compared number that can be seen.
SEEN = 0.05
DISTANCE = "distance to target"
EQUAL = f"at {EFFECT:g} sd of effect"


def superior(more: Interval, margin: float) -> int:
    """1: surely more than nothing, −1: surely less than the margin, not to be seen, 0: neither."""
    return -1 if more.below(margin) else above(more, 0)


def share(rows: pd.DataFrame, score: str, a: str, b: str) -> Interval:
    """How much less a has of a score than b, as a share of b's mean."""
    base = compare.mean_of(rows, score, b).mean
    return scaled(compare.difference(rows, score, b, a), 1 / base)


def reaching(rows: pd.DataFrame, equal: pd.DataFrame, *variants: str) -> str:
    """ "at 1 sd of effect (seeds that reach it: 3 to 5 of 5)": of all variants, or of these, what `at_effect`
    kept of rows.
    """
    seeds = rows.groupby("variant")["seed"].nunique()
    seeds = seeds.reindex(list(variants), fill_value=0) if variants else seeds
    kept = equal.groupby("variant")["seed"].nunique().reindex(seeds.index, fill_value=0)
    return f"{EQUAL} (seeds that reach it: {spread(kept, '.0f')} of {seeds.max()})"


def scaled(interval: Interval, factor: float) -> Interval:
    """An interval times a number."""
    low, high = sorted((interval.low * factor, interval.high * factor))
    return interval._replace(mean=interval.mean * factor, low=low, high=high)


def judged(
    found: Mapping[str, Interval],
    margin: float,
    ours: str,
    of: str,
    why: str,
    mind: str,
    *,
    where: str = "",
    form: str = "+.1%",
) -> Claim:
    """What is left of a claim that some comparisons, by name, decide together, each by `superior`.

    It says "<ours> by <means, in a form> <where>: <count>".  `why`: with {} for how many must hold, which
    then are `most`; else all.  `of`: with {} for the name of the one that decides.
    """
    sides = [superior(interval, margin) for interval in found.values()]
    need = most(sides) if "{}" in why else len(sides)
    name, effect = decider(found, need)
    ours = f"{ours} by {spread(found.values(), form)}{where and f' {where}'}: {counted(sides)}"
    why = why.format(f"{need} of {len(sides)}")
    return Claim(ours, effect, of.format(name), verdict(sides, need), why, mind)


def layout(domain) -> Claim:
    """Has pc the lowest CLIP loss of all layouts, for both edits?"""
    rows, found = at(stored_grid(domain, "layouts")), {}
    for edit in rows["edit"].unique():
        for other in ("conv", "p", "c", "cp"):
            names = (f"edit {edit}, f_t {kind}" for kind in ("pc", other))
            found[f"{other}, {edit}"] = share(rows, "clip", *names)
    ours = "CLIP loss of pc below that of conv, p, c, cp"
    why = "another layout counts if its CLIP loss in the last epoch is surely higher; holds if all do"
    mind = "longer trainings, or other rates, in which pc is surely lowest"
    return judged(found, 0, ours, "share lower than {}", why, mind)


def loss_as_rule(domain) -> Claim:
    """Does the f_t with the lower CLIP loss come nearer to the true target?"""
    rows = at(stored_grid(domain, "layouts"))
    ranks = {edit: _rank_agreement(of) for edit, of in rows.groupby("edit")}
    sides = [above(interval, 0.5) for interval in ranks.values()]
    name, effect = decider(ranks)
    kinds = rows["variant"].nunique() // len(ranks)
    ours = f"rank correlation of CLIP loss and distance over {kinds} f_t: {spread(ranks.values(), '.2f')}"
    why = "an edit counts, for or against, by a correlation of 0.5, mean over seeds; holds if all do"
    mind = "other edits in which the ranks agree, or do not"
    return Claim(f"{ours}; {counted(sides)}", effect, f"rank correlation, {name}", verdict(sides), why, mind)


def _rank_agreement(rows: pd.DataFrame) -> Interval:
    found = {}
    for seed, of in rows.groupby("seed"):
        table = {s: _means(of, s) for s in ("clip", DISTANCE)}
        found[seed] = pd.DataFrame(table).corr("spearman").iloc[0, 1]
    return over(pd.Series(found), rows["image"].nunique())


def finer(domain) -> Claim:
    """Is a transformer's edit nearer to the true target than a convolution's, at equal effect?"""
    whole = pick(stored_grid(domain, "layouts"), edit="smiling")
    rows, name = at_effect(whole), "edit smiling, f_t {}".format
    found = {k: share(rows, DISTANCE, name("pc"), name(k)) for k in ("original", "conv")}
    sides = [superior(interval, SEEN) for interval in found.values()]
    rival, effect = decider(found)
    far = spread(found.values(), "+.1%")
    reached = reaching(whole, rows, *map(name, ("pc", *found)))
    ours = f"the distance of pc is lower than that of original, conv by {far} {reached}"
    why = f"a convolution counts if pc is surely nearer, against if surely less than {SEEN:.0%}; needs both"
    mind = "edits of other small parts of the face"
    return Claim(ours, effect, f"share nearer than {rival}", verdict(sides), why, mind)


def epochs(domain) -> Claim:
    """Do transformers reach less of their final effect in their first epoch than a convolution?"""
    rows = pick(stored_grid(domain, "layouts"), edit="smiling")
    first = {k: _first_share(rows, f"edit smiling, f_t {k}") for k in ("original", "p", "c", "pc", "cp")}
    found = {k: over(first["original"] - first[k], rows["image"].nunique()) for k in first if k != "original"}
    sides = [above(interval, 0) for interval in found.values()]
    name, effect = decider(found, need := most(sides))
    means = ", ".join(f"{kind} {values.mean():.0%}" for kind, values in first.items())
    ours = f"of the effect after two epochs there is after one: {means}; less than original: {counted(sides)}"
    why = f"a layout counts if it has surely less of its effect after one epoch; holds if {need} of 4 do"
    mind = "trainings of many epochs at one rate"
    return Claim(ours, effect, f"share more of original than of {name}", verdict(sides, need), why, mind)


def _first_share(rows: pd.DataFrame, variant: str) -> pd.Series:
    early, late = (per_seed(at(rows, epoch), "aimed", variant) for epoch in (rows["epoch"].min(), None))
    return early / late


def heads(domain) -> Claim:
    """Are more heads nearer to the true target, at equal effect?"""
    return _nearer(domain, "heads", ("2", "4", "8"), "more heads that are surely nearer")


def depth(domain) -> Claim:
    """Are deeper encoders?"""
    return _nearer(domain, "depth", ("2", "4"), "deeper encoders that are surely nearer")


def _nearer(domain, grid: str, more: tuple[str, ...], mind: str) -> Claim:
    whole = stored_grid(domain, grid)
    rows = at_effect(whole)
    found = {k: share(rows, DISTANCE, f"{grid} {k}", f"{grid} 1") for k in more}
    ours = f"the distance of {grid} {', '.join(more)} is lower than that of {grid} 1"
    why = f"each counts if surely nearer than 1, against if surely less than {SEEN:.0%}; holds if all do"
    return judged(found, SEEN, ours, "share nearer, {}", why, mind, where=reaching(whole, rows))


def epochs_of_heads(domain) -> Claim:
    """Do 8 heads have less of their effect after one epoch than 1, and does a step of theirs cost more?"""
    rows = stored_grid(domain, "heads")
    first = {k: _first_share(rows, f"heads {k}") for k in (1, 8)}
    slower = over(first[1] - first[8], rows["image"].nunique())
    took = {k: per_seed(at(rows), "seconds", f"heads {k}") for k in (1, 8)}
    cost = over(took[8] / took[1] - 1)
    sides = [above(slower, 0), superior(cost, SEEN)]
    ours = (
        f"after one of two epochs 1 head has {first[1].mean():.0%} of its effect, 8 heads "
        f"{first[8].mean():.0%}; a training with 8 takes {1 + cost.mean:.0%} of the time of one with 1"
    )
    why = f"both count: surely less after one epoch, surely more time (against: surely less than {SEEN:.0%})"
    return Claim(ours, slower, "share more of 1 head", verdict(sides), why, "trainings of many epochs")


def strength_of_heads(domain) -> Claim:
    """Do more heads need less strength for the same effect?"""
    whole = stored_grid(domain, "heads")
    rows = at_effect(whole)
    found = {k: share(rows, "strength", f"heads {k}", "heads 1") for k in ("2", "4", "8")}
    found = {k: i._replace(faces=rows["image"].nunique()) for k, i in found.items()}  # a mean over them
    ours = "the strength that 2, 4, 8 heads need is lower than that of 1"
    why = f"each counts if surely less, against if surely less than {SEEN:.0%} less; holds if all do"
    mind = "head counts whose strengths surely differ"
    return judged(found, SEEN, ours, "share less, {} heads", why, mind, where=reaching(whole, rows))


def subtle(domain) -> Claim:
    """Do f_t with a lower CLIP loss break less, at equal effect?"""
    rows = pick(stored_grid(domain, "layouts"), edit="smiling")
    equal, found = at_effect(rows), {}
    for seed in sorted(pick(equal, "leaked")["seed"].unique()):
        leak, loss = _means(pick(equal, seed=seed), "leaked"), _means(pick(at(rows), seed=seed), "clip")
        found[seed] = leak.corr(loss, "spearman")
    effect = over(pd.Series(found, dtype=float), equal["image"].nunique())
    leak = f"{spread(_means(equal, 'leaked'), '.2f')} sd {reaching(rows, equal)}"
    ours = f"rank correlation of CLIP loss and leak over f_t; they leak {leak}"
    why = "holds if the correlation is surely above 0.5, fails if surely below"
    mind = "other edits in which a lower loss goes with less leak, or does not"
    return Claim(ours, effect, "rank correlation", verdict([above(effect, 0.5)]), why, mind)


def time(domain) -> Claim:
    """Has AdaGN a lower CLIP loss than addition and multiplication?"""
    rows = at(stored_grid(domain, "parts"))
    found = {k: share(rows, "clip", "part AdaGN", f"part {k}") for k in ("add, group, SiLU", "mult")}
    ours = "CLIP loss with AdaGN lower than with add, mult"
    why = "each other way counts if its CLIP loss in the last epoch is surely higher; holds if both do"
    mind = "more seeds, or trainings, in which AdaGN is surely lower"
    return judged(found, 0, ours, "share lower than {}", why, mind)


def norm_and_activation(domain) -> Claim:
    """Do norm and activation leave distance and CLIP loss as they are?"""
    rows, base, found = stored_grid(domain, "parts"), "part add, group, SiLU", {}
    others, equal = ("instance norm", "ReLU", "GELU"), at_effect(rows)
    for name in others:
        found[f"CLIP loss, {name}"] = share(at(rows), "clip", f"part {name}", base)
        found[f"distance, {name}"] = share(equal, DISTANCE, f"part {name}", base)
    sides = [within(interval, -SEEN, SEEN) for interval in found.values()]
    name, effect = max(found.items(), key=lambda one: (one[1].mean == one[1].mean, abs(one[1].mean)))
    reached = reaching(rows, equal, base, *(f"part {other}" for other in others))
    far = spread(found.values(), "+.1%")
    ours = f"CLIP loss, and distance {reached}, differ by {far}: {counted(sides)}"
    why = f"each counts if it is surely within {SEEN:.0%}, against if surely beyond; holds if all do"
    mind = "a norm or an activation whose difference is surely larger"
    return Claim(ours, effect, f"share less, {name}", verdict(sides), why, mind)


def optimiser(domain) -> Claim:
    """Untuned, does AdamW at 1e-4 bring more than SGD at 0.5, the rates that study and paper took?"""
    rows, found = stored_grid(domain, "optimiser"), {}
    bring = compare.brought(rows)
    name = "f_t {}, optimiser {}".format
    for kind in ("original", "pc"):
        found[kind] = over(bring[name(kind, "AdamW 0.0001")] - bring[name(kind, "SGD 0.5")])
    sides = [above(interval, 0) for interval in found.values()]
    rival, effect = decider(found)
    best = {o: max(bring[v].mean() for v in bring.index.unique(0) if o in v) for o in ("SGD", "AdamW")}
    ours = (
        f"aimed − worst is {spread(found.values(), '+.2f')} sd more with AdamW at 0.0001 than with SGD at "
        f"0.5; at its best rate AdamW brings {best['AdamW']:.2f}, SGD {best['SGD']:.2f}"
    )
    why = "each f_t counts, for or against, by the sign of the difference; holds if both do"
    mind = "other rates that one would take unseen"
    return Claim(ours, effect, f"sd more, {rival}", verdict(sides), why, mind)


def conv_with_adam(domain) -> Claim:
    """Does the original f_t, trained with AdamW, move its factor less than half as far as pc?"""
    rows = at(stored_grid(domain, "layouts"))
    name = "edit smiling, f_t {}".format
    moved = {kind: per_seed(rows, "aimed", name(kind)) for kind in ("original", "pc")}
    effect = over(moved["original"] / moved["pc"], rows["image"].nunique())
    ours = f"it moves its factor by {moved['original'].mean():.2f} sd, pc by {moved['pc'].mean():.2f}"
    why = "holds if it is surely less than half, at the rate that was chosen for each; fails if surely more"
    mind = "an edit at which the original learns nothing with AdamW"
    return Claim(ours, effect, "of pc's effect", verdict([-above(effect, 0.5)]), why, mind)


def _means(rows: pd.DataFrame, score: str) -> pd.Series:
    """variant -> mean of one score."""
    return pick(rows, score).groupby("variant")["value"].mean()
