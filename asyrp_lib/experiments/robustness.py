"""Robustness: is a random shift of h harmless where one of ε is not, at the lengths of real edits?

Which lengths "match" decides the answer.  The paper takes those of edits that were optimised in h and in ε;
two other meanings stand beside it, see `MEANINGS`.  (Asyrp Fig. 9)
"""

from collections.abc import Mapping, Sequence
from itertools import product

import pandas as pd
import torch
from torch import Tensor

from .. import check
from ..errors import WeightsError
from ..measure.judge import usual
from ..method.cut import Cut
from ..method.random_shift import KINDS, shifted
from ..method.schedule import interval_pairs
from ..progress import tqdm
from . import stored
from .rows import joined, pick
from .trial import Trial, begin

#: How long the shift of ε is: as that of an edit optimised in ε; by the relative length that Δh has in h; as
#: what arrives in ε of the random Δh.
MEANINGS = ("optimised", "relative", "arriving")


def measure(
    domain,
    *,
    n: int = 24,
    names: Sequence[str] | None = None,
    lengths: Mapping[str, float | Mapping[int, float]] | None = None,
    strengths: Sequence[float] = (1, 2),
    trial: Trial | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Shift h, or ε, at random while t >= t_edit, in P_t only, as an edit does; and edit with f_t.

    Args:
        names: of the edits whose lengths and t_edit are taken; None: smiling, or what there is.
        lengths: {"Δh": …, "Δε": …}, Euclidean, of one image at a step, one for all times or t -> length;
            None: at each time the means over what the stored experiment `homogeneity` optimised for that
            edit.
        strengths: multiples of these lengths.
    Returns:
        rows of `judge.scores` and "relative length" (|Δh| / |h| or |Δε| / |ε|, mean over times); variant:
        "f_t" at strength 1; "h, held"; "ε, held, optimised"; …, see `KINDS` and `MEANINGS`: these have no
        seed, each image has its own direction.  apart: perceptual distance to another test image.
    Raises:
        WeightsError: no lengths are given, and `homogeneity` is not stored or has not measured the edit.
    Source: Asyrp Fig. 9.
    """
    names = usual(domain, names, ("smiling",))
    long = {name: edit_lengths(domain, name, lengths) for name in names}
    trial = begin(domain, trial, n, progress)
    parts = [trial.rows({"apart": domain.distance(trial.x_0, trial.x_0.roll(1, 0)).cpu()})]
    for run, edited in trial.sweep("f_t", names):
        parts.append(run.trial.rows(run.trial.scores(run.where["edit"], edited), variant="f_t", **run.where))
    asked = list(product(names, map(float, strengths), KINDS))
    passes = len(asked) * (1 + len(MEANINGS)) * -(-n // domain.unet.batch_size) * trial.steps
    with tqdm(total=passes, desc="robustness", unit="step", disable=not progress) as bar:
        for name, strength, kind in asked:
            how = {"t_edit": domain.delta(name).t_edit, "kind": kind, "steps": trial.steps, "progress": bar}
            at = {space: {t: strength * d for t, d in of.items()} for space, of in long[name].items()}
            for place, (made, seen) in as_long(domain.unet, trial.x_T, at, **how).items():
                variant = f"h, {kind}" if place == "h" else f"ε, {kind}, {place}"
                table = trial.scores(name, domain.codec.decode(made))
                relative = torch.stack(list(seen["relative"].values())).mean(0)
                table["relative length"] = relative.flatten().cpu().numpy()
                parts.append(trial.rows(table, edit=name, variant=variant, strength=strength))
    return joined(parts)


def as_long(
    unet, x_T: Tensor, lengths: Mapping[str, Mapping[int, float]], **how
) -> dict[str, tuple[Tensor, dict]]:
    """What `shifted` gives for "h", shifted by lengths["Δh"], and for ε by each of `MEANINGS`."""
    per_image = lambda at: {t: torch.full((len(x_T), 1, 1, 1), d).to(x_T) for t, d in at.items()}
    found = {"h": shifted(unet, x_T, per_image(lengths["Δh"]), **how)}
    seen = found["h"][1]
    sizes = {
        "optimised": per_image(lengths["Δε"]),
        "relative": {t: share * seen["ε"][t] for t, share in seen["relative"].items()},
        "arriving": seen["arriving"],
    }
    cut = Cut(unet, "ε")
    return found | {m: shifted(cut, x_T, sizes[m], **how) for m in MEANINGS}


def ratio(rows: pd.DataFrame, kind: str, meaning: str) -> float:
    """How much farther a random ε leads than a random h: ratio of the means over faces.

    Of rows of one edit and strength; for `stats.over_seeds` those without a seed.  Where `of_apart` of ε is
    near 1 the ratio stands under a ceiling and says less than it seems.
    """
    mean = lambda variant: pick(rows, "distance", variant=variant)["value"].mean()
    return mean(f"ε, {kind}, {meaning}") / mean(f"h, {kind}")


def of_apart(rows: pd.DataFrame, variant: str) -> float:
    """Mean distance to the reconstruction over that between two test images: at 1 it is another face."""
    return pick(rows, "distance", variant=variant)["value"].mean() / pick(rows, "apart")["value"].mean()


def far(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of `distance` in units of that between two test images: at 1 it is another face."""
    distance = pick(rows, "distance")
    return distance.assign(value=distance["value"] / pick(rows, "apart")["value"].mean())


def edit_lengths(
    domain, name: str, given: Mapping[str, float | Mapping[int, float]] | None
) -> dict[str, dict[int, float]]:
    """ "Δh" and "Δε" -> t -> length while t >= t_edit of an edit: those given, one for all times or one for
    each, or the means in `homogeneity`; WeightsError: neither.
    """
    if given is None:
        rows = stored(domain, "homogeneity")
        rows = rows[rows["score"].str.startswith("length at ") & (rows["edit"] == name)]
        at = rows["score"].str.removeprefix("length at ").astype(int)
        means = rows.assign(t=at).groupby(["variant", "t"])["value"].mean()
        given = {kind: means[kind].to_dict() for kind in ("Δh", "Δε") if kind in means}
        if len(given) < 2:
            command = f"python -m asyrp_lib experiment homogeneity --domain {domain.name} --replace"
            raise WeightsError(
                f"The stored homogeneity of {domain.name!r} has no lengths of {name!r}; expected those of Δh "
                f"and Δε; make them: {command} --set 'names=[\"{name}\"]'; or give lengths."
            )
    check.kind("lengths", given, Mapping, '{"Δh": 3.0, "Δε": 0.5}')
    found: dict[str, dict[int, float]] = {"Δh": {}, "Δε": {}}
    pairs = interval_pairs(40, domain.delta(name).t_edit, len(domain.unet.schedule))
    for kind, (t, _) in product(found, pairs):
        of = given.get(kind)
        size = of.get(t) if isinstance(of, Mapping) else of
        found[kind][t] = check.number(f"The length of {kind}", size, 0)
    return found
