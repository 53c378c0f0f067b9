"""Homogeneity: does the Δh_t of one face edit others?  And the Δε_t of one face?  (Asyrp Sec. 5.2, Fig. 6)

The first of the properties that the paper claims for h-space.  Both shifts are free, one tensor per time, and
optimised on one face alone by the loss that f_t is trained with, equally long; then they are put on others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from .. import check
from ..errors import ImageError, SettingsError
from ..measure.judge import usual
from ..method.cut import Cut
from .rows import joined, numbers, pick
from .teach import SPACES, STEPS, free, freely, lengths, losses, through, told
from .trial import Trial, begin


def measure(
    domain,
    *,
    n: int = 18,
    names: Sequence[str] | None = None,
    sources: int = 6,
    epochs: int = 20,
    lr: Mapping[str, float] = STEPS,
    trial: Trial | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Optimise a free Δh_t, and a free Δε_t in P_t alone, on one test image each; put them on other ones.

    Args:
        n: test images in mid-range, see `Trial.in_mid_range`; each source takes the first of its share, the
            rest are its others.
        names: of the edits; None: smiling and old, or what there is.
        sources: on how many images they are optimised, one by one, n / 2 at most; the part of seeds.
        epochs: Adam's steps at each time, the same for both.
        lr: its step in either space, in the units of `teach.free`; it falls by 5 % in every epoch.
    Returns:
        rows of `judge.scores` with the variants "Δh, own", "Δh, others", "Δε, own", "Δε, others", seed: the
        number of the source; variants "Δh" and "Δε" have, of the source, all of `teach.lengths`, and of its
        training `teach.losses`: what both have reached when they are compared.
    Source: Asyrp Sec. 5.2, Fig. 6; the shift of ε: Sec. 3.1, Eq. 5.
    """
    check.whole("n", n, 2, 10**6, error=ImageError)
    check.whole("sources", sources, 1, 10**6, error=SettingsError)
    names = usual(domain, names, ("smiling", "old"))
    trial, parts = begin(domain, trial, n, progress), []
    for name in names:
        middle = trial.in_mid_range(name)
        for source, share in middle.shares(range(min(sources, n // 2))).items():
            for space, place in SPACES.items():
                settings = freely(domain.training, epochs, lr, space)
                settings = replace(settings, t_edit=domain.delta(name).t_edit)
                here = through(share, Cut(domain.unet, place))
                own, others = here.like(n=1), here.like(first=here.first + 1, n=here.n - 1)
                delta, history = told(own, name, free(own, settings.t_edit), settings)
                where = {"edit": name, "seed": source}
                edited, sizes, at = lengths(own, delta)
                reached = {score: [value] for score, value in losses(history).items()}
                parts.append(own.rows({**sizes, **reached}, variant=space, **where))
                parts.append(numbers(at, variant=space, **where))
                on = {"own": (own, edited), "others": (others, others.edit({delta: 1.0}))}
                for whose, (images, made) in on.items():
                    scores = images.scores(name, made)
                    parts.append(images.rows(scores, variant=f"{space}, {whose}", strength=1.0, **where))
    return joined(parts)


def kept(rows: pd.DataFrame, space: str) -> float:
    """What share of its effect on the own face the shift of a space ("Δh", "Δε") has on others.

    Of rows of one edit: the mean aimed shift of others by that of the own faces.  1: as much; 0: none.
    It says little where the own faces hardly moved.
    """
    own, others = (pick(rows, "aimed", variant=f"{space}, {whose}")["value"] for whose in ("own", "others"))
    return float(others.mean() / own.mean())
