"""The paper's claims as measurements, one module each; `measure` gives the rows that a notebook shows."""

import inspect
import time
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pandas as pd

from .. import check
from ..errors import AsyrpError, UnknownNameError, WeightsError
from ..store import results
from ..store.cache import module_digest
from .trial import Trial

#: name -> what is asked; the module of that name has `measure(domain, *, n, …) -> rows`, see `rows.COLUMNS`
EXPERIMENTS = {
    "settings": "which λ_recon brings each edit nearest to its true target, on validation faces?",
    "world": "are samples as varied as data, do faces come back, does the oracle read them?",
    "fit": "does the render fit, a judge without a network, see the edits that the oracle sees?",
    "inversion": "how near does an image come back, and is its x_T the noise that a generation begins with?",
    "final": "what do the edits do to faces that no choice was made on, by every score at once?",
    "asymmetry": "does the shift belong into P_t alone, also at matched gain and when trained symmetrically?",
    "unseen": "do edits reach targets that the frozen model never saw?",
    "reach": "can h-space draw an unseen target at all, if Δh_t is free?",
    "linearity": "does an edit follow its strength in proportion, away from the walls of its factor?",
    "composition": "what is left of each of two or three edits when they are added?",
    "homogeneity": "does the Δh_t of one face edit others, and the Δε_t of one face?",
    "robustness": "is a random shift of h harmless where one of ε is not, at the lengths of real edits?",
    "consistency": "how much of an edit do Δh_t^mean and Δh^global keep, against random f_t?",
    "places": "is it h that is special, or would another place of the U-Net do?",
    "intervals": "what do t_edit and the number of steps do?",
    "mixing": "do edits blend when their strengths are interpolated?",
    "heads": "what does f_t of h heads do when it is run with another head count?",
    "reference": "what does one reference for a whole batch do?",
    "samples": "do edits work on random samples as they do on real images?",
    "boosting": "does noise in the last steps make images more real, and what does it cost?",
    "bias": "do edits treat dark and light faces, women and men differently, beyond what inversion does?",
    "choice": "do people who look blind see the edits, and can they tell an edit from an original?",
}

#: Those whose rows people make: a seed is the number of a judge, and the page takes the place of networks.
PEOPLE = {"choice"}

#: experiment -> the one whose stored rows it reads
READS = {"robustness": "homogeneity"}


def measure(domain, name: str, /, **settings) -> pd.DataFrame:
    """Run one of `EXPERIMENTS`; the rows it answers have the columns `rows.COLUMNS`.

    Args:
        settings: of that module's `measure`; the rest keep their defaults.  Common to them: n, how many test
            images (of `PEOPLE`: judges); names, of the edits, which must all be trained (None: the usual
            ones, or what the domain has); trial, what another experiment began with; progress.
    Raises:
        UnknownNameError: no such experiment, or it has no such setting, or an edit is not known.
        WeightsError: an edit that was named has no f_t, or a damaged one.
        DomainError: the domain has no f_t of the kind, or people have not answered yet.
        AsyrpError: sealed faces, which `store` alone reads, once.
    """
    if _seals(domain, name):
        raise AsyrpError(
            "The final evaluation reads sealed faces once and keeps the rows; expected `store`, or python -m "
            "asyrp_lib experiment final; to try something, use another experiment."
        )
    return _rows(domain, name, **settings)


def _rows(domain, name: str, **settings) -> pd.DataFrame:
    known = defaults(name)
    if unknown := settings.keys() - known.keys() - {"progress", "trial"}:
        text = f"The experiment {name!r} has no setting {', '.join(sorted(unknown))}; known are "
        raise UnknownNameError(f"{text}{', '.join(known)}.")
    check.kind("names", settings.get("names"), (type(None), list, tuple), '["smiling"]')
    return _module(name).measure(domain, **settings)


def store(
    domain, name: str, /, *, trial=None, replace: bool = False, progress: bool = True, **settings
) -> Path:
    """Run one experiment and keep its rows as CSV, and what made them as JSON beside it.

    `settings`: see `measure`; `trial`: see `shared_trial`; `replace`: write over the result in data/results,
    else what is there stays, and this one goes to runs/results.  AsyrpError: what is there has more images,
    or is the final evaluation, which is made once.
    """
    asked = {"domain": domain.name, **defaults(name), **settings}
    if _seals(domain, name) and (file := results.result_file(f"{domain.name}_{name}")).exists():
        raise AsyrpError(
            f"The sealed faces have been read, see {file}; expected to read them once; whoever must do it "
            "again deletes the result by hand, and says so."
        )
    if _seals(domain, name) and settings:
        raise AsyrpError(
            f"The sealed faces are read once, with the settings that stand; got {', '.join(settings)}; leave "
            "them out; to try something, use another experiment."
        )
    before = 0
    with suppress(WeightsError):  # none, or a damaged one, which may be replaced
        before = provenance(domain, name)["settings"].get("n", 0)
    if replace and asked["n"] < before:
        raise AsyrpError(
            f"The stored {name} of {domain.name} was measured on {before} images; {asked['n']} cannot "
            f"replace them; give n >= {before}, or leave replace out."
        )
    started = time.monotonic()
    rows = _rows(domain, name, trial=trial, progress=progress, **settings)
    made_by = {"started": started, "device": domain.unet.device, "digests": dict(rows.attrs)}
    if name not in PEOPLE:
        made_by["digests"] = digests(domain, rows)
        of = rows.dropna(subset=["seed"])["edit"]  # settings trains f_t of its own
        edits = [edit for edit in of.dropna().unique() if edit in domain.edits]
        asked["seeds"] = {edit: len(domain.seeds(edit)) for edit in edits}
    if name in READS:
        made_by["digests"] |= read_by(domain, name)
    return results.save_rows(f"{domain.name}_{name}", rows, asked, **made_by, replace=replace)


def _seals(domain, name: str) -> bool:
    """Whether an experiment reads sealed faces."""
    return name == "final" and domain.final_split == "sealed"


def judges(domain) -> dict[str, str]:
    """Digests of the U-Net and of what judges, and how images are inverted."""
    parts = {"clip": domain.clip, "second_clip": domain.second_clip, "oracle": domain.oracle}
    found = {name: module_digest(judge) for name, judge in parts.items() if judge is not None}
    made = {"unet": domain.unet.digest(), "corrections": str(domain.corrections), **domain.made_with()}
    return made | found


def read_by(domain, name: str) -> dict[str, str]:
    """Digest of the stored rows that an experiment reads, by their name; nothing while there are none."""
    other = READS[name]
    with suppress(WeightsError):
        stored = results.load_result(f"{domain.name}_{other}", _command(domain, other))
        return {other: stored["data"]["sha256"]}
    return {}


def digests(domain, rows: pd.DataFrame) -> dict[str, str]:
    """Of all networks that rows come from: `judges`, and every f_t by edit and seed."""
    pairs = rows[["edit", "seed"]].dropna().drop_duplicates().itertuples(index=False)
    mine = lambda edit, seed: edit in domain.edits and seed in domain.seeds(edit)  # others it trained itself
    known = [(edit, int(seed)) for edit, seed in pairs if mine(edit, int(seed))]
    f_t = {f"f_t {edit} {seed}": module_digest(domain.delta(edit, seed)) for edit, seed in known}
    return judges(domain) | f_t


def asked_for(domain, words: list[str]) -> list[str]:
    """The names that these words mean; ["all"]: of all but a final evaluation that was made, which is made
    once; ["missing"]: of those without a stored result.
    """
    missing = [name for name in EXPERIMENTS if not results.result_file(f"{domain.name}_{name}").exists()]
    again = [name for name in EXPERIMENTS if name != "final" or domain.final_split == "test"]
    whole = [name for name in EXPERIMENTS if name in missing or name in again]
    return {"all": whole, "missing": missing}.get(words[0], words)


def shared_trial(domain, names: Iterable[str], n: int | None = None) -> Trial:
    """What several experiments begin with, made when first asked for: n images, or what the largest needs."""
    of = [name for name in names if name != "final" or domain.final_split == "test"]
    most = max((defaults(name)["n"] for name in of), default=1)  # names an experiment that is not known
    return Trial(domain, most if n is None else n, progress=True)


def stored(domain, name: str) -> pd.DataFrame:
    """The rows that `store` wrote; WeightsError, with the command that makes them, without."""
    return results.load_rows(f"{domain.name}_{name}", _command(domain, name))[0]


def provenance(domain, name: str) -> dict:
    """What made the stored rows: settings, digests, commit, machine; see `store.results.provenance`."""
    return results.load_rows(f"{domain.name}_{name}", _command(domain, name))[1]


def _command(domain, name: str) -> str:
    return f"python -m asyrp_lib experiment {name} --domain {domain.name}"


def _module(name: str):
    if name not in EXPERIMENTS:
        raise UnknownNameError(f"Unknown experiment {name!r}; known are {', '.join(EXPERIMENTS)}.")
    return import_module(f".{name}", __name__)


def defaults(name: str) -> dict:
    """The settings of an experiment and their defaults."""
    parameters = inspect.signature(_module(name).measure).parameters.values()
    own = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in ("trial", "progress")]
    return {p.name: p.default for p in own}
