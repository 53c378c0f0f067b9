"""The paper's claims as measurements, one module each; `measure` gives the numbers that a notebook shows."""

import inspect
import time
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

import pandas as pd

from .. import check
from ..errors import AsyrpError, UnknownNameError
from ..store import results
from ..store.cache import module_digest
from ..store.results import save_result
from .rows import tidy
from .trial import Trial

#: name -> what is asked; the module of that name has `measure(domain, *, n, …) -> dict`, expressible in JSON
EXPERIMENTS = {
    "unseen": "do edits reach targets that the frozen model never saw?",
    "reach": "can h-space draw an unseen target at all, if f_t is shown it instead of being told?",
    "linearity": "does an edit follow its strength in proportion, and where does that break?",
    "composition": "what is left of each of two or three edits when they are added?",
    "robustness": "is a random shift of h harmless where one of ε is not?",
    "consistency": "how much of an edit do Δh_t^mean and Δh^global keep?",
    "intervals": "what do t_edit and the number of steps do?",
    "boosting": "does noise in the last steps make images more real, and what does it cost?",
    "metrics": "do S_dir, SC and the Fréchet distance tell a true edit from a false one?",
}


def measure(domain, name: str, /, **settings) -> dict:
    """Run one of `EXPERIMENTS`.

    Args:
        settings: of that module's `measure`; the rest keep their defaults.  Common to them: n, how many test
            images; names, of the edits, which must all be trained (None: the usual ones, or what the domain
            has); trial, what another experiment began with; progress.
    Raises:
        UnknownNameError: no such experiment, or it has no such setting, or an edit is not known.
        WeightsError: an edit that was named has no f_t, or a damaged one.
        DomainError: the domain has no f_t of the kind.
    """
    known = _defaults(name)
    if unknown := settings.keys() - known.keys() - {"progress", "trial"}:
        raise UnknownNameError(
            f"The experiment {name!r} has no setting {', '.join(sorted(unknown))}; known are "
            f"{', '.join(known)}."
        )
    check.kind("names", settings.get("names"), (type(None), list, tuple), '["smiling"]')
    return _module(name).measure(domain, **settings)


def store(
    domain, name: str, /, *, trial=None, replace: bool = False, progress: bool = True, **settings
) -> Path:
    """Run one experiment and keep its result as JSON, with its settings, and as rows in a CSV beside it.

    `settings`: see `measure`; `trial`: see `shared_trial`; `replace`: write over the result in data/results,
    else what is there stays, and this one goes to runs/results.  AsyrpError: what is there has more images.
    """
    asked = {"domain": domain.name, **_defaults(name), **settings}
    if replace and results.result_file(f"{domain.name}_{name}").exists():
        before = stored(domain, name)["provenance"]["settings"].get("n", 0)
        if asked["n"] < before:
            raise AsyrpError(
                f"The stored {name} of {domain.name} was measured on {before} images; {asked['n']} "
                f"cannot replace them; give n >= {before}, or leave replace out."
            )
    started = time.monotonic()
    data = measure(domain, name, trial=trial, progress=progress, **settings)
    rows = tidy(name, domain.name, data)
    edits = [edit for edit in rows["edit"].dropna().unique() if edit in domain.edits]
    digests = {"unet": domain.unet.digest(), "clip": module_digest(domain.clip)}
    digests |= {f"f_t {edit}": module_digest(domain.delta(edit)) for edit in edits}
    made_by = {"started": started, "device": domain.unet.device, "digests": digests, "rows": rows}
    return save_result(f"{domain.name}_{name}", data, asked, **made_by, replace=replace)


def shared_trial(domain, names: Iterable[str], n: int | None = None) -> Trial:
    """What several experiments begin with, made when first asked for: n images, or what the largest needs."""
    most = max(_defaults(name)["n"] for name in names)  # here, since it names an experiment that is not known
    return Trial(domain, most if n is None else n, progress=True)


def stored(domain, name: str) -> dict:
    """What `store` wrote: `data` and `provenance`; WeightsError, with the command that makes it, without."""
    command = f"python -m asyrp_lib experiment {name} --domain {domain.name}"
    return results.load_result(f"{domain.name}_{name}", command)


def stored_rows(domain, name: str) -> pd.DataFrame:
    """A stored result as rows; see `rows.COLUMNS`.  Raises as `stored` does."""
    return tidy(name, domain.name, stored(domain, name)["data"])


def _module(name: str):
    if name not in EXPERIMENTS:
        raise UnknownNameError(f"Unknown experiment {name!r}; known are {', '.join(EXPERIMENTS)}.")
    return import_module(f".{name}", __name__)


def _defaults(name: str) -> dict:
    """The settings of an experiment and their defaults."""
    parameters = inspect.signature(_module(name).measure).parameters.values()
    return {
        p.name: p.default
        for p in parameters
        if p.kind is p.KEYWORD_ONLY and p.name not in ("trial", "progress")
    }
