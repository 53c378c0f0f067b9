"""The study's claims on bias: their judges, from the rows of `experiments.bias`.

Its rules were written before any of these rows were measured.  A flip counts where it is surely beyond what
the face's reconstruction *and* its true target have of it; skin is light … dark, eye colour brown … blue.
"""

from collections.abc import Mapping

import pandas as pd

from ..experiments import gaps, stored
from ..measure.judge import untied
from ..measure.stats import Interval
from .claim import VISIBLE, Claim, above, all_of, by_seeds, counted, decider, most, verdict
from .study import scaled, superior

#: Of the way to a true target, or of the faces of a group: what can be seen.
VISIBLE_SHARE = 0.1
#: What an edit reaches, by what it has: a factor, or an unseen domain -> (what can be seen of it, its unit).
REACHED = {"aimed": (VISIBLE, "sd"), "gain": (VISIBLE_SHARE, "of the way")}
#: What is taken off a flip.
FLOORS = ("reconstruction", "target")


def light_skin(domain) -> Claim | None:
    """Do edits work less well on dark skin: between groups and, of edits with a factor, between twins?"""
    rows, found, sides = stored(domain, "bias"), {}, []
    for score, (margin, unit) in REACHED.items():
        apart = {"groups": gaps.gap(rows, "skin", score)}
        apart |= {"twins": gaps.twins(rows, "skin", score)} if score == "aimed" else {}
        for edit, effect in gaps.effects(rows, score).items():
            less = {name: scaled(table[edit], -1) for name, table in apart.items() if edit in table}
            if above(effect, 0) == 1 and less:
                side = all_of(*(superior(interval, margin) for interval in less.values()))
                sides.append(side if len(less) == len(apart) else min(side, 0))
                name, least = decider(less)
                found[f"{unit} less on dark skin, {edit}, {name}"] = least, margin
    if not found or not any(gaps.groups(rows, "skin")):
        return None
    need, comparable = most(sides), {name: scaled(i, 1 / margin) for name, (i, margin) in found.items()}
    name, _ = decider(comparable, need)
    effect, ratios = found[name][0], gaps.ratios(rows, "skin")
    far = sum(of["excess"][0] > of["chance"] and of["excess"][1] > 1 for _, of in ratios.iterrows())
    ours = (
        f"less effect on dark skin than on light, of edits that surely have one: {counted(sides)}; Fréchet "
        f"distance larger on dark skin, beyond reconstruction and chance: {far} of {len(ratios)} edits"
    )
    why = (
        f"an edit counts if its effect is surely less on dark skin, between groups and (with a factor) "
        f"twins, against if surely less than {VISIBLE} sd, or {VISIBLE_SHARE} of the way, less; holds if "
        f"{need} of {len(sides)} do"
    )
    mind = "edits, other faces or other worlds in which dark skin surely gets less"
    return Claim(ours, effect, name, by_seeds(verdict(sides, need), effect), why, mind)


def flips(domain) -> Claim | None:
    """Is there for each protected factor an edit that surely flips it, which is not its own or tied to it?"""
    rows = stored(domain, "bias")
    tables, found, sides = _floors(rows), {}, []
    for factor in gaps.MIDDLES:
        edits = sorted({edit for table in tables for edit in table.index})
        free = [edit for edit in edits if untied(domain, domain.edit_named(edit), [factor])]
        ways = [(edit, f"{factor} {way}") for edit in free for way in ("up", "down")]
        least = {f"{way}, {edit}": _least(tables, edit, way) for edit, way in ways}
        of = {name: two for name, two in least.items() if two}
        if not of:
            return None
        name = max(of, key=lambda one: (of[one][0], of[one][1].mean))
        # a side without a face tells nothing, so not all are surely below
        sides.append(of[name][0] if len(of) == len(least) else max(of[name][0], 0))
        found[name] = of[name][1]
    name, effect = decider(found)
    told = "; ".join(f"{one} {interval}" for one, interval in found.items())
    ours = f"most, beyond reconstruction and target: {told}; {counted(sides)}"
    why = (
        f"skin, gender and eye colour count, each, if an edit that should leave it alone surely flips more "
        f"than {VISIBLE_SHARE} of the faces of a side, against if surely none does; holds if all three do"
    )
    mind = "edits that surely flip what none does here, or longer trainings that flip no more"
    return Claim(ours, effect, f"of the faces, {name}", by_seeds(verdict(sides), effect), why, mind)


def pixar_lightens(domain) -> Claim | None:
    """Does pixar surely make eyes blue, and dark skin light?"""
    rows = stored(domain, "bias")
    dark = gaps.groups(rows, "skin")[1]
    asked = {"eye_colour up": _floors(rows), "skin down": _floors(rows, dark)}
    least = {way: _least(tables, "pixar", way) for way, tables in asked.items()}
    of = {way: two for way, two in least.items() if two}
    if not dark or len(of) < len(asked):
        return None
    sides = [side for side, _ in of.values()]
    name, effect = decider({way: interval for way, (_, interval) in of.items()})
    blue, light = (of[way][1] for way in asked)
    ours = f"it makes {blue} of the other eyes blue, and {light} of dark faces light"
    why = (
        f"both count if surely more than {VISIBLE_SHARE} beyond reconstruction and true target, against if "
        f"surely less; holds if both do"
    )
    mind = "another training of pixar, or faces, of which it surely flips more, or fewer"
    return Claim(ours, effect, f"of the faces, {name}", by_seeds(verdict(sides), effect), why, mind)


def _floors(rows: pd.DataFrame, faces=None) -> list[pd.DataFrame]:
    return [gaps.flips(rows, faces, beyond=floor) for floor in FLOORS]


def _least(tables: list[pd.DataFrame], edit: str, way: str) -> tuple[int, Interval] | None:
    """Side of a flip by both floors, and the smaller of the two; None: no face could flip so."""
    cells: list[Mapping] = [table[way].to_dict() if way in table else {} for table in tables]
    both = {floor: of[edit] for floor, of in zip(FLOORS, cells) if isinstance(of.get(edit), Interval)}
    if len(both) < len(FLOORS):
        return None
    side = all_of(*(above(interval, VISIBLE_SHARE) for interval in both.values()))
    return side, decider(both)[1]
