"""Places: is it h that is special, or would another place of the U-Net do?  (Asyrp Sec. 3.2)

One f_t is trained at every place where the frozen U-Net can be cut, by the same loss, on the same images, for
as long.  A 1×1 convolution has C² parameters, so places differ in what they can learn, too: it is said.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import gcd

import pandas as pd

from .. import check
from ..errors import SettingsError
from ..measure.judge import usual
from ..measure.stats import Interval, over_seeds
from ..method import cut
from .rows import joined, numbers, pick
from .teach import lengths, losses, through, told
from .trial import Trial, begin


def measure(
    domain,
    *,
    n: int = 48,
    names: Sequence[str] | None = None,
    places: Sequence[str] | None = None,
    images: int = 12,
    epochs: int = 2,
    trainings: int = 3,
    trial: Trial | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Train an f_t of the domain's kind at each place, in P_t alone, and edit test images with it.

    Args:
        names: of the edits; None: smiling and old, or what there is.
        places: of `cut.places`; None: all.
        images: of the train split; epochs: passes over them.  The f_t that are shipped had more.
        trainings: f_t at each place, from seeds 0 …, 2 or more, each with a share of the test images: the
            best of many places may owe it to a lucky seed.
    Returns:
        rows with the place as variant: of each image `judge.scores`, `length` and `relative length` (see
        `teach.lengths`); of each training `teach.losses`, and `parameters` of f_t.
    Source: Asyrp Sec. 3.2 (the choice of h).
    """
    names = usual(domain, names, ("smiling", "old"))
    check.whole("trainings", trainings, 2, n, error=SettingsError)
    trial, parts = begin(domain, trial, n, progress), []
    train = trial.like(split="train", n=images)
    for name in names:
        settings = replace(domain.training, t_edit=domain.delta(name).t_edit, epochs=epochs)
        for place in cut.places(domain.unet) if places is None else places:
            unet = cut.Cut(domain.unet, place)
            groups = gcd(domain.delta_config.get("groups", 32), unet.h_channels)
            config = {**domain.delta_config, "groups": groups}
            for seed, here in through(trial, unet).shares(range(trainings)).items():
                delta, history = told(through(train, unet), name, config, replace(settings, seed=seed))
                where = {"edit": name, "variant": place, "seed": seed}
                edited, sizes, _ = lengths(here, delta)
                size = {"parameters": sum(p.numel() for p in delta.parameters())}
                parts.append(numbers(losses(history) | size, **where))
                parts.append(here.rows(here.scores(name, edited).assign(**sizes), strength=1.0, **where))
    return joined(parts)


def aim(rows: pd.DataFrame) -> dict[str, float]:
    """Place -> what moved as aimed over what leaked into untied factors, means over images, of one edit.

    Unlike the effect itself it does not grow with the strength of an edit, as long as both do.
    """
    means = {score: pick(rows, score).groupby("variant")["value"].mean() for score in ("aimed", "leaked")}
    return {str(place): ratio for place, ratio in (means["aimed"] / means["leaked"]).items()}


def aims(rows: pd.DataFrame) -> dict[str, dict[str, Interval]]:
    """Place -> edit -> `aim` with its interval over seeds and faces."""
    keys, found = ["variant", "edit", "seed", "image"], {}
    faces = rows[rows["score"].isin(["aimed", "leaked"])].pivot(index=keys, columns="score", values="value")
    for (place, edit), part in faces.reset_index().groupby(["variant", "edit"]):
        ratio = lambda drawn: drawn["aimed"].mean() / drawn["leaked"].mean()
        found.setdefault(str(place), {})[str(edit)] = over_seeds(part, ratio)
    return found
