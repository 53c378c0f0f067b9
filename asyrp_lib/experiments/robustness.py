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
from ..method.random_shift import KINDS, EpsSpace, shifted
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
    lengths: Mapping[str, float] | None = None,
    strengths: Sequence[float] = (0.5, 1, 2),
    trial: Trial | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Shift h, or ε, at random while t >= t_edit, in P_t only, as an edit does; and edit with f_t.

    Args:
        names: of the edits whose lengths and t_edit are taken; None: smiling, or what there is.
        lengths: {"Δh": …, "Δε": …}, Euclidean, of one image and one step; None: the means over what the
            stored experiment `homogeneity` optimised for that edit.
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
            lengths = {space: strength * length for space, length in long[name].items()}
            for place, (made, seen) in as_long(domain.unet, trial.x_T, lengths, **how).items():
                variant = f"h, {kind}" if place == "h" else f"ε, {kind}, {place}"
                table = trial.scores(name, domain.codec.decode(made))
                relative = torch.stack(list(seen["relative"].values())).mean(0)
                table["relative length"] = relative.flatten().cpu().numpy()
                parts.append(trial.rows(table, edit=name, variant=variant, strength=strength))
    return joined(parts)


def as_long(unet, x_T: Tensor, lengths: Mapping[str, float], **how) -> dict[str, tuple[Tensor, dict]]:
    """What `shifted` gives for "h", shifted by lengths["Δh"], and for ε by each of `MEANINGS`."""
    found = {"h": shifted(unet, x_T, lengths["Δh"], **how)}
    seen = found["h"][1]
    sizes = {
        "optimised": lengths["Δε"],
        "relative": {t: share * seen["ε"][t] for t, share in seen["relative"].items()},
        "arriving": seen["arriving"],
    }
    return found | {m: shifted(EpsSpace(unet), x_T, sizes[m], **how) for m in MEANINGS}


def ratio(rows: pd.DataFrame, kind: str, meaning: str, score: str = "distance") -> float:
    """How much farther a random ε leads than a random h: ratio of the means over faces.

    Of rows of one edit and strength; for `stats.over_seeds` those without a seed.  Where `of_apart` of ε is
    near 1 the ratio stands under a ceiling and says less than it seems.
    """
    mean = lambda variant: pick(rows, score, variant=variant)["value"].mean()
    return mean(f"ε, {kind}, {meaning}") / mean(f"h, {kind}")


def of_apart(rows: pd.DataFrame, variant: str) -> float:
    """Mean distance to the reconstruction over that between two test images: at 1 it is another face."""
    return pick(rows, "distance", variant=variant)["value"].mean() / pick(rows, "apart")["value"].mean()


def far(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of `distance` in units of that between two test images: at 1 it is another face."""
    distance = pick(rows, "distance")
    return distance.assign(value=distance["value"] / pick(rows, "apart")["value"].mean())


def edit_lengths(domain, name: str, given: Mapping[str, float] | None) -> dict[str, float]:
    """{"Δh": …, "Δε": …} of an edit: those given, or the means in `homogeneity`; WeightsError: neither."""
    if given is None:
        rows = pick(stored(domain, "homogeneity"), "length", edit=name)
        given = {str(kind): part["value"].mean() for kind, part in rows.groupby("variant")}
        if not {"Δh", "Δε"} <= given.keys():
            command = f"python -m asyrp_lib experiment homogeneity --domain {domain.name} --replace"
            raise WeightsError(
                f"The stored homogeneity of {domain.name!r} has no lengths of {name!r}; expected those of Δh "
                f"and Δε; make them: {command} --set 'names=[\"{name}\"]'; or give lengths."
            )
    check.kind("lengths", given, Mapping, '{"Δh": 3.0, "Δε": 0.5}')
    return {kind: check.number(f"The length of {kind}", given.get(kind), 0) for kind in ("Δh", "Δε")}
