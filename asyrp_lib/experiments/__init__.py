"""The paper's claims as measurements: one module for each, whose `measure` answers with the numbers that a notebook shows."""

import inspect
import time
from importlib import import_module
from pathlib import Path

from ..errors import UnknownNameError
from ..store.paths import data_dir
from ..store.results import load_result, save_result

#: name -> what is asked; the module of that name has `measure(domain, *, n, …, progress) -> dict`, expressible in JSON
EXPERIMENTS = {
    "unseen": "do edits reach targets that the frozen model never saw?",
    "reach": "can h-space draw an unseen target at all, if f_t is shown it instead of being told?",
    "linearity": "does an edit follow its strength in proportion, and where does that break?",
    "composition": "what is left of each of two or three edits when they are added?",
    "robustness": "is a random shift of h harmless where one of ε is not?",
    "consistency": "how much of an edit do Δh_t^mean and Δh^global keep?",
    "intervals": "what do t_edit and the number of steps do?",
    "boosting": "does noise in the last steps make pictures more real, and what does it cost?",
    "metrics": "do S_dir, SC and the Fréchet distance tell a true edit from a false one?",
}


def measure(domain, name: str, /, **settings) -> dict:
    """Run one experiment.

    Args:
        domain: a Domain.
        name: one of `EXPERIMENTS`.
        settings: of that module's `measure`, e.g. n; the rest keep their defaults.
    Raises:
        UnknownNameError: no such experiment, or it has no such setting.
    """
    known = _defaults(name)
    if unknown := settings.keys() - known.keys() - {"progress", "trial"}:
        raise UnknownNameError(
            f"The experiment {name!r} has no setting {', '.join(sorted(unknown))}; known are {', '.join(known)}."
        )
    return _module(name).measure(domain, **settings)


def store(domain, name: str, /, **settings) -> Path:
    """Run one experiment and write `data/results/<domain>_<name>.json` with all its settings."""
    started = time.monotonic()
    data = measure(domain, name, **settings)
    return save_result(
        f"{domain.name}_{name}", data, {"domain": domain.name, **_defaults(name), **settings}, started=started
    )


def result_file(domain, name: str) -> Path:
    """Where `store` writes."""
    return data_dir() / "results" / f"{domain.name}_{name}.json"


def stored(domain, name: str) -> dict:
    """What `store` wrote: `data` and `provenance`.

    Raises:
        WeightsError: it is missing; names the command that makes it.
    """
    return load_result(
        f"{domain.name}_{name}", f"python -m asyrp_lib experiment {name} --domain {domain.name}"
    )


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
