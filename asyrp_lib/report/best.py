"""The study's best f_t, an untuned edit, and transfer: judges of its claims, from the rows of grids.

Bounds and words as in `study`.
"""

import pandas as pd

from ..experiments.compare import at, at_effect, difference, over, per_seed, stored_grid
from ..experiments.rows import pick
from .claim import Claim, decider, spread, verdict
from .study import DISTANCE, SEEN, judged, reaching, share, superior

#: Of a share between 0 and 1, such as SC, or of the way to a target: what can be seen.
SEEN_SHARE = 0.02
#: Of a share of the way to a target.
AWAY = "below 0: away from it"
#: The end of a rule; see `judged`.
NEED = "holds if {} do"


def best(domain) -> Claim:
    """Does the best f_t as it is written come nearer to the true targets than the original?  At equal effect
    where an edit has a factor, else at strength 1.
    """
    names = lambda edit: (_name(edit, "best"), _name(edit, "original"))
    found = {e: share(rows, DISTANCE, *names(e)) for e, rows in _by_edit(domain, "best").items()}
    why = f"an edit counts if it is surely nearer, against if surely less than {SEEN:.0%} nearer; {NEED}"
    mind = "edits, or longer trainings, in which the best f_t is surely nearer"
    where = _equal(domain, "best")
    return judged(found, SEEN, "it is nearer", "share nearer, {}", why, mind, where=where)


def keeps_structure(domain) -> Claim:
    """Has it a higher SC than the original, at equal effect?"""
    found = {}
    for edit, rows in _by_edit(domain, "best").items():
        if (rows["score"] == "SC").any():
            found[edit] = difference(rows, "SC", _name(edit, "best"), _name(edit, "original"))
    why = (
        f"an edit counts if its SC is surely higher, against if surely less than {SEEN_SHARE} higher; {NEED}"
    )
    mind = "edits in which it surely keeps more"
    how = {"where": _equal(domain, "best"), "form": "+.2f"}
    return judged(found, SEEN_SHARE, "SC is higher", "more SC, {}", why, mind, **how)


def _by_edit(domain, grid: str) -> dict[str, pd.DataFrame]:
    """edit -> rows at equal effect, or at strength 1 after the last epoch where an edit has no factor."""
    rows = stored_grid(domain, grid)
    parts = {edit: pick(rows, edit=edit) for edit in rows["edit"].unique()}
    return {e: at_effect(of) if domain.edit_named(e).factor else at(of) for e, of in parts.items()}


def _equal(domain, grid: str) -> str:
    """Where its edits are compared, and how many seeds that leaves."""
    rows = stored_grid(domain, grid)
    own = rows[rows["edit"].map(lambda edit: domain.edit_named(edit).factor is not None)]
    return f"{reaching(own, at_effect(own))}, of unseen edits at strength 1"


def _name(edit: str, f_t: str) -> str:
    return f"edit {edit}, f_t {f_t}"


def untuned(domain) -> Claim:
    """Does pc with 8 heads bring an untuned edit nearer to its true target than the original?"""
    rows = stored_grid(domain, "goblin")
    names = {kind: f"f_t {kind}" for kind in ("original", "pc, 8 heads")}
    ways = {kind: way(rows, name) for kind, name in names.items()}
    effect = over(ways["pc, 8 heads"] - ways["original"], rows["image"].nunique())
    told = " and ".join(f"{kind} {values.mean():.0%}" for kind, values in ways.items()).replace("-", "−")
    ours = f"of the way to the true goblin go, at strength 1, {told} ({AWAY})"
    why = f"holds if pc surely goes farther, fails if surely less than {SEEN:.0%} of the way farther"
    mind = "other edits that nobody tuned"
    return Claim(ours, effect, "of the way more", verdict([superior(effect, SEEN)]), why, mind)


def tuning(domain) -> Claim:
    """Does an untuned edit go less of the way to its true target than edits that were tuned?"""
    free = way(stored_grid(domain, "goblin"), "f_t original")
    rows = stored_grid(domain, "best")
    tuned = {e: way(pick(rows, edit=e), _name(e, "original")) for e in ("pixar", "neanderthal")}
    found = {edit: over(values - free, rows["image"].nunique()) for edit, values in tuned.items()}
    sides = [superior(interval, SEEN) for interval in found.values()]
    name, effect = decider(found)
    far = spread([v.mean() for v in tuned.values()], ".0%")
    ours = f"tuned edits go {far} of the way, the goblin {free.mean():.0%} ({AWAY})".replace("-", "−")
    why = f"a tuned edit counts if it surely goes farther, against if surely less than {SEEN:.0%} farther"
    mind = "more edits, tuned and not"
    return Claim(ours, effect, f"of the way more, {name}", verdict(sides), why, mind)


def way(rows: pd.DataFrame, variant: str) -> pd.Series:
    """seed -> share of the perceptual distance to the true target that the edit closes at strength 1."""
    before, after = (per_seed(at(rows, strength=s), DISTANCE, variant) for s in (0.0, 1.0))
    return 1 - after / before


def transfer(domain) -> Claim:
    """After one epoch, is the CLIP loss of an f_t that began from another edit's lower than that of one from
    scratch after two?
    """
    rows = stored_grid(domain, "transfer")
    mind = "other edits to begin from, and steps of that training counted, too"
    early = at(rows, rows["epoch"].min())
    return _below_scratch(rows, early, "one epoch after transfer is below two from scratch", mind)


def stays_lower(domain) -> Claim:
    """Is it still lower after two epochs of both?"""
    rows = stored_grid(domain, "transfer")
    mind = "longer trainings in which the two meet, or do not"
    return _below_scratch(rows, at(rows), "after two epochs it is below scratch", mind)


def _below_scratch(rows: pd.DataFrame, after: pd.DataFrame, ours: str, mind: str) -> Claim:
    """Whether the CLIP loss in some rows after transfer is below that from scratch after the last epoch."""
    found = {}
    for name, (scratch, moved) in _pairs(rows).items():
        slow, fast = per_seed(at(rows), "clip", scratch), per_seed(after, "clip", moved)
        found[name] = over((slow - fast) / slow.mean())
    why = f"an edit and f_t count, for or against, by the sign of the difference; {NEED}"
    return judged(found, 0, ours, "share lower, {}", why, mind)


def reaches_farther(domain) -> Claim:
    """At equal effect or strength 1, is an edit that began from another's as near to its true target?"""
    rows, found = stored_grid(domain, "transfer"), {}
    for edit, of in _by_edit(domain, "transfer").items():
        for name, (scratch, moved) in _pairs(pick(rows, edit=edit)).items():
            found[name] = share(of, DISTANCE, moved, scratch)
    ours, where = "after two epochs it is nearer than from scratch", _equal(domain, "transfer")
    why = f"an edit and f_t count if surely nearer, against if surely less than {SEEN:.0%}; {NEED}"
    mind = "edits that transfer brings surely nearer"
    return judged(found, SEEN, ours, "share nearer, {}", why, mind, where=where)


def _pairs(rows: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """ "edit, f_t" -> its variants from scratch and after transfer."""
    short = lambda v: v.removeprefix("edit ").replace("f_t ", "").replace(", begin scratch", "")
    begun = [v for v in rows["variant"].unique() if "scratch" in v]
    return {short(v): (v, v.replace("begin scratch", "begin transfer")) for v in begun}
