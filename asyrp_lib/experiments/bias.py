"""Bias: do edits treat groups of faces differently, beyond what inversion already does?  (Study Table 4)

Groups are of equal size and by the true factor, the outer thirds of the data: faces of the middle look alike,
and there an error of the oracle would count as a flip.  All is measured from the original, and from each
edit's number that of the face's own reconstruction is taken.  Groups differ in more than their factor, so
beside them stand twins: one face drawn twice, with a factor at the medians of its two groups and all else
equal; what an edit does differently to twins, the factor causes.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from .. import check
from ..domains.edits import Edit
from ..errors import DomainError, ImageError
from ..measure.judge import shift_scores, usual
from ..measure.scores import frechet_distance, s_dir
from .final import TABLE_4, _features
from .gaps import MIDDLES, SIDES
from .reach import gain
from .rows import ends, joined, numbers
from .trial import POOL, Run, Trial, begin
from .unseen import absolute_error

#: Groups are of these: skin is light … dark, gender feminine … masculine.
GROUPED = ("skin", "gender")
#: What both twins of a factor share, since only one of them could have it: beards and bald heads are men's,
#: and at this length of hair are some of both.
HELD = {"gender": {"beard": 0.0, "bald": 0.0, "hair_length": 0.375}}
#: Of faces and seeds together, for a ratio of Fréchet distances; and of groups at random.
RESAMPLES = 200
#: Below this a Fréchet distance is rounding.
EXACT = 1e-9


def measure(
    domain,
    *,
    n: int = 16,
    names: Sequence[str] | None = None,
    groups: Mapping[str, Sequence[Sequence[int]]] | None = None,
    trainings: int = 3,
    trial: Trial | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Edit the first n test faces of each group, and n // 2 faces as twins, with the same f_t of every edit.

    Args:
        n: faces of a group, the same in all; those of different factors share faces.
        groups: factor -> numbers of test faces at its low and its high end, where the truth is not known.
        trainings: seeds of f_t at most, each on all faces.
    Returns:
        rows of images, all from the original: "S_dir", "distance", `judge.shift_scores` and of unseen edits
        the "gain", what share of its way to the true target an image went, of edits and of reconstructions
        as if they were the edit; "read F", the oracle's reading of a factor of `gaps.MIDDLES`, of
        edits and their true targets, and without an edit of reconstructions and originals; there also
        "group F", −1 or 1.  Variants: "original", "reconstruction", "target", none for an edit; of twins
        with "twin F low" or "twin F high" behind.
        Of no image "middle F", in sd; and with n >= 2 by factor, of edits and reconstructions, fd in features
        of the second CLIP (fid: see `final`) to the originals: "fd" of each side, the "fd ratio" high / low,
        "fd excess", that ratio over the reconstructions', with low and high; and of both "… chance": what
        95 % of divisions of the same faces by chance stay below.  A distance of 0 has no ratio.
    Raises:
        DomainError: no truth is known and no groups are given.  ImageError: a group has fewer than n faces.
    Source: study Table 4, Fig. 12; Asyrp has no such measurement.
    """
    names, trial = usual(domain, names, TABLE_4), begin(domain, trial, 1, progress)
    trainings = check.whole("trainings", trainings, 1, 1000)
    check.kind("groups", groups, (type(None), Mapping), '{"skin": [[20, 47], [21, 33]]}')
    members = _members(domain, n, groups)
    alike = {} if domain.draw is None or groups is not None else poses(domain, max(1, n // 2))
    trial, shares = _cast(trial, members, alike)
    parts = [numbers(_middles(domain))] if groups is None else []
    for factor, (low, high) in members.items():
        faces = pd.DataFrame({"image": [*low, *high], "value": [-1.0] * len(low) + [1.0] * len(high)})
        parts.append(faces.assign(score=f"group {factor}", variant="original"))

    def add(scores: Mapping, variant: str | None = None, **where) -> None:
        table = pd.DataFrame({name: np.asarray(values) for name, values in scores.items()})
        for twin, share in shares.items():
            called = ", ".join(filter(None, (variant, twin))) or None
            parts.append(share.rows(share.part(table), variant=called, **where))

    split = shares[None]
    aims = {name: _aims(domain, name, split.numbers) for name in names if domain.target_source}

    def add_gain(images: Tensor, edit: str, **where) -> None:
        if edit in aims and domain.edit_named(edit).factor is None:
            ways = (absolute_error(x, aims[edit]).cpu().numpy() for x in (split.x_0, split.part(images)))
            parts.append(split.rows({"gain": gain(*ways)}, edit=edit, **where))

    before, plain = _read(domain, trial.x_0), _read(domain, trial.plain)
    if before is not None and plain is not None:
        add(_protected(before), "original")
        add(_protected(plain), "reconstruction")
    for name in names:
        scores = _scores(domain, domain.edit_named(name), trial.x_0, trial.plain, before, plain)
        add(scores, "reconstruction", edit=name)
        add_gain(trial.plain, name, variant="reconstruction")
        if name in aims and domain.oracle is not None:
            found = _protected(domain.oracle.read(aims[name]))
            parts.append(split.rows(found, edit=name, variant="target"))
    runs = [
        Run(trial, {domain.delta(name, seed): 1.0}, {"edit": name, "seed": seed, "strength": 1.0})
        for name in names
        for seed in domain.seeds(name)[:trainings]
    ]
    kinds = _features(domain) if n > 1 else {}
    see = lambda images: {kind: np.asarray(features(split.part(images))) for kind, features in kinds.items()}
    real, seen = see(trial.x_0), {"": [see(trial.plain)]}
    for run, edited in trial.runs("bias", runs):
        name, after = run.where["edit"], _read(domain, edited)
        scores = _scores(domain, domain.edit_named(name), trial.x_0, edited, before, after)
        add(scores if after is None else {**scores, **_protected(after)}, **run.where)
        add_gain(edited, **run.where)
        seen.setdefault(name, []).append(see(edited))
    place = {image: k for k, image in enumerate(split.numbers)}
    for kind in kinds:
        of = {name: [one[kind] for one in found] for name, found in seen.items()}
        for factor, sides in members.items():
            rows = [np.array([place[image] for image in side]) for side in sides]
            parts += _distances(kind, factor, real[kind], of, *rows)
    return joined(parts)


def _members(domain, n: int, groups) -> dict[str, tuple[list[int], list[int]]]:
    """factor -> the numbers of the first n test faces in its lowest third, and in its highest."""
    if groups is None:
        if domain.factor_source is None:
            raise DomainError(
                f"The domain {domain.name!r} has no table of factors to form groups by; give the numbers of "
                'test faces at both ends: groups={"skin": [[20, 47], [21, 33]]}.'
            )
        table = domain.factors("test", POOL)
        groups = {f: [np.flatnonzero(side) for side in _thirds(table[f])] for f in GROUPED if f in table}
    made = {}
    for factor, sides in groups.items():
        if len(sides) != 2 or set(sides[0]) & set(sides[1]):
            text = f"The groups of {factor!r} are {sides!r}"
            raise ImageError(f"{text}; expected two lists of faces, low end first, and no face in both.")
        check.whole("n", n, 1, min(map(len, sides)), error=ImageError)
        low, high = ([int(image) for image in side[:n]] for side in sides)
        made[factor] = low, high
    return made


def _thirds(values: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Which faces are in the lowest third, and in the highest."""
    return values <= values.quantile(1 / 3), values >= values.quantile(2 / 3)


def poses(domain, n: int) -> dict[str, pd.DataFrame]:
    """Twins as measured: "twin F low" or "twin F high" -> factors of the first n test faces, with F at the
    median of that group and what `HELD` says.
    """
    table, faces, made = domain.factors("test", POOL), domain.factors("test", n), {}
    for factor in [factor for factor in GROUPED if factor in table]:
        held = {name: value for name, value in HELD.get(factor, {}).items() if name in table}
        for side, inside in zip(SIDES, _thirds(table[factor])):
            value = float(table[factor][inside].median())
            made[f"twin {factor} {side}"] = faces.assign(**held, **{factor: value})
    return made


def _cast(trial: Trial, members: Mapping, alike: Mapping) -> tuple[Trial, dict[str | None, Trial]]:
    """All faces as one trial, and what of it is twins of each kind, or (None) faces of the split."""
    faces = sorted({image for sides in members.values() for side in sides for image in side})
    first = replace(trial, n=len(faces), order=tuple(faces), larger=None)
    sizes = {None: len(faces)} | {twin: len(table) for twin, table in alike.items()}
    order = [*faces, *(k for table in alike.values() for k in range(len(table)))]
    whole = replace(first, n=len(order), order=tuple(order))
    draw = trial.domain.draw
    drawn = [draw(table).to(first.x_0) for table in alike.values()] if draw else []
    vars(whole)["x_0"] = torch.cat([first.x_0, *drawn])  # twins are in no split, from which it would read
    starts = np.cumsum([0, *sizes.values()]).tolist()
    return whole, {twin: whole.like(first=a, n=size) for (twin, size), a in zip(sizes.items(), starts)}


def _middles(domain) -> dict[str, float]:
    """ "middle F" -> where the reading of F flips, in sd of the data."""
    table = domain.factors("test", POOL)
    middles = {f: table[f].median() if at is None else at for f, at in MIDDLES.items() if f in table}
    return {f"middle {f}": float((at - table[f].mean()) / table[f].std()) for f, at in middles.items()}


def _aims(domain, name: str, faces: Sequence[int]) -> Tensor:
    """The true targets of test faces."""
    return torch.cat([domain.targets(name, "test", 1, first=k) for k in faces])


def _read(domain, images: Tensor) -> pd.DataFrame | None:
    return None if domain.oracle is None else domain.oracle.read(images)


def _protected(reading: pd.DataFrame) -> dict[str, pd.Series]:
    return {f"read {factor}": reading[factor] for factor in MIDDLES if factor in reading}


def _scores(domain, edit: Edit, x_0: Tensor, images: Tensor, before, after) -> dict:
    """Scores of images as if the edit had made them of originals; before, after: what the oracle reads."""
    judge = domain.second_clip or domain.clip
    table = {"S_dir": s_dir(judge, x_0, images, edit.source, edit.target).numpy()}
    table["distance"] = domain.distance(x_0, images).cpu().numpy()
    return table if after is None else {**table, **shift_scores(domain, edit, after - before)}


def _distances(
    kind: str, factor: str, real: np.ndarray, of: Mapping[str, list[np.ndarray]], low, high
) -> list[pd.DataFrame]:
    """Distances to the originals by side, and their ratios, of edits and ("") reconstructions, as rows.

    real: features of originals (N, D); of: name -> those of each seed; low, high: rows of the two sides.
    """
    rng, both = np.random.default_rng(0), np.concatenate([low, high])
    again = lambda values: values[rng.integers(len(values), size=len(values))]

    def at(low, high, pick: Callable = lambda seeds: seeds) -> np.ndarray:
        """(names, 4): distances of both sides, and the logarithms of their ratio and of the excess."""
        seeds = {name: pick(np.arange(len(found))) for name, found in of.items()}
        apart = lambda name, k, rows: frechet_distance(of[name][k][rows], real[rows])
        mean = lambda name, rows: np.mean([apart(name, k, rows) for k in seeds[name]])
        table = [[mean(name, rows) for rows in (low, high)] for name in of]
        sides = np.where(np.asarray(table) < EXACT, np.nan, table)
        ratio = np.log(sides[:, 1] / sides[:, 0])
        return np.column_stack([table, ratio, ratio - ratio[list(of).index("")]])

    found = at(low, high)
    spread = np.std([at(again(low), again(high), again) for _ in range(RESAMPLES)], axis=0, ddof=1)
    mixed = [rng.permutation(both) for _ in range(RESAMPLES)]
    chance = np.quantile([np.abs(at(m[: len(low)], m[len(low) :])) for m in mixed], 0.95, axis=0)
    parts = []
    for i, name in enumerate(of):
        where = {"edit": name or None, "strength": 1.0 if name else None}
        called = lambda what, name=name: what if name else f"reconstruction, {what}"
        for j, column in enumerate((*SIDES, "ratio", "excess")):
            value, half = float(found[i, j]), 1.96 * float(spread[i, j])
            span = value, value - half, value + half
            if column in SIDES:
                parts.append(numbers(ends(kind, span), variant=called(f"{factor} {column}"), **where))
            elif np.isfinite(span).all() and (name or column == "ratio"):
                made = ends(
                    f"{kind} {column}", (math.exp(value), math.exp(value - half), math.exp(value + half))
                )
                made[f"{kind} {column} chance"] = math.exp(chance[i, j])
                parts.append(numbers(made, variant=called(factor), **where))
    return parts
