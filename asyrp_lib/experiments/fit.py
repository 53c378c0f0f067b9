"""The render fit beside the oracle: do two judges that err differently see the same edits?

The fit looks for the factors whose render is nearest to an image.  What it reads lies inside the factors'
ranges, and what is left over, the residual, says how far an image is from any face of this world.
"""

from collections.abc import Sequence
from functools import partial

import pandas as pd

from ..errors import DomainError
from ..measure.judge import all_trained
from .rows import joined
from .trial import Trial, begin
from .world import explained, readings, standardised


def measure(
    domain,
    *,
    n: int = 15,
    names: Sequence[str] | None = None,
    trial: Trial | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Fit test images, their reconstructions and their edits at strength 1.

    Args:
        names: of the edits; None: all in-domain ones.
    Returns:
        rows of each factor, in standard deviations of the data, at the variants "truth", what the test images
        were drawn with, and "fit", and there "residual" (mean absolute difference, images in [-1, 1]);
        "residual" of "reconstruction"; and of each edit `judge.scores`, residual, and fitted: what the aimed
        factor moved by the fit, beside aimed by the oracle.
    Raises:
        DomainError: the domain has no fit, or no in-domain edit is trained.
    """
    if domain.fit is None:
        raise DomainError(f"The domain {domain.name!r} cannot be fitted: it draws no images; use synthfaces.")
    names = all_trained(domain, names, in_domain=True)
    trial = begin(domain, trial, n, progress)
    fitted = lambda images: domain.fit(images, progress=progress)
    scaled = partial(standardised, domain)
    own, plain = fitted(trial.x_0), fitted(trial.plain)
    parts = [
        trial.rows(scaled(domain.factors("test", n)), variant="truth"),
        trial.rows(scaled(own.factors).assign(residual=own.residual.cpu()), variant="fit"),
        trial.rows({"residual": plain.residual.cpu()}, variant="reconstruction"),
    ]
    before = scaled(plain.factors)
    for run, edited in trial.sweep("fit", names):
        edit, found = domain.edit_named(run.where["edit"]), fitted(edited)
        of = run.trial.part(before)[edit.factor].to_numpy()
        table = run.trial.scores(edit.name, edited)
        table["fitted"] = edit.sign * (scaled(found.factors)[edit.factor] - of)
        table["residual"] = found.residual.cpu()
        parts.append(run.rows(table))
    return joined(parts)


def recovered(rows: pd.DataFrame) -> pd.Series:
    """factor -> R² of the fit on renders whose factors are known."""
    truth = readings(rows, "truth")
    return explained(readings(rows, "fit")[list(truth)], truth)
