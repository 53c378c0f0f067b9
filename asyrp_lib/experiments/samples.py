"""Random samples: do edits work on what noise generates as they do on real images?  (Asyrp appendix)

The same edits of real images are the experiment `final`.
"""

from collections.abc import Sequence

import pandas as pd

from ..measure.judge import all_trained
from ..measure.stats import Interval, student
from .rows import joined, pick
from .trial import Trial, begin


def measure(
    domain,
    *,
    n: int = 30,
    names: Sequence[str] | None = None,
    trial: Trial | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Edit the samples of `Domain.seeded_noise` 0 … n − 1 at strength 1.

    Args:
        names: of the edits; None: all in-domain ones.
    Returns:
        rows of `judge.scores`, where the plain sample is original and reconstruction; image: the noise's
        number.
    Raises:
        DomainError: no in-domain edit is trained.
    """
    names = all_trained(domain, names, in_domain=True)
    trial = begin(domain, trial, n, progress, "noise")
    found = trial.sweep("samples", names)
    return joined([run.rows(run.trial.scores(run.where["edit"], edited)) for run, edited in found])


def gap(samples: pd.DataFrame, real: pd.DataFrame, edit: str) -> Interval:
    """Mean aimed shift on samples minus that on real images (rows of `final`, say), both at strength 1.

    The same f_t stand on both sides, so differences are taken seed by seed: Student's t over them; one seed
    has no interval.
    """
    means = [
        pick(rows, "aimed", edit=edit, variant=None, strength=1.0).groupby("seed")["value"].mean()
        for rows in (samples, real)
    ]
    both = (means[0] - means[1]).dropna()
    faces = int(pick(samples, "aimed", edit=edit, strength=1.0)["image"].nunique())
    return student(both, len(both), faces)
