"""One training run of f_t: `RunConfig` says all about it, `train_run` makes it, a folder keeps it."""

import hashlib
import json
import math
import time
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import asdict, field, replace
from pathlib import Path
from typing import Annotated, NamedTuple, Optional
from warnings import warn

import pandas as pd
import torch
from pydantic import Field, field_validator

from .. import check
from ..api import invert, settled, train_delta
from ..check import Whole
from ..deltas import Delta, build_delta, load_delta, save_delta
from ..domains import Domain
from ..domains.edits import Edit
from ..errors import FileError, TrainingError
from ..method import distributed
from ..method.schedule import interval_pairs
from ..method.train import TrainSettings
from ..store.files import atomic_write, check_writable, lock
from ..store.paths import cache_dir, runs_dir
from ..store.results import provenance
from ..store.weights import module_digest, read_weights

#: Seed of the first image that a run from noise generates: far from the seeds of anybody's samples.
NOISE_SEED = 1_000_000


@check.settings
class RunConfig:
    """Everything that a run depends on; the CLI, a notebook and a grid hand it to `train_run`.

    Attributes:
        domain: its name, a folder or a Hub id.
        delta: kind and options of f_t, see `deltas.build_delta`.
        training: settings; what they leave open is the edit's.
        images: how many training images.
        from_noise: generate them instead of inverting real ones (Asyrp appendix).
        start: the run whose f_t this one begins with, of the same kind and of another edit; the optimiser
            begins anew.  None: new weights, of the seed.
    """

    domain: str
    edit: Edit
    delta: dict = field(default_factory=lambda: {"kind": "ConvDelta"})
    training: TrainSettings = TrainSettings()
    images: Annotated[Whole, Field(ge=1, le=1_000_000)] = 32
    from_noise: bool = False
    start: Optional["RunConfig"] = None  # noqa: UP045 (a name that is not there yet has no |)

    @field_validator("start")
    @classmethod
    def _start_fits(cls, start: "RunConfig | None", others) -> "RunConfig | None":
        own = {key: others.data.get(key) for key in ("domain", "delta", "edit")}
        if start and own["edit"] and start.edit.name == own["edit"].name:
            raise ValueError(f"{start.edit.name!r} would start from itself; another edit is expected")
        if start and (start.domain, start.delta) != (own["domain"], own["delta"]):
            raise ValueError("a run on the same domain with an f_t of the same options is expected")
        return start

    @property
    def name(self) -> str:
        """Of the f_t: the edit's, beside it if from noise."""
        return f"{self.edit.name} from noise" if self.from_noise else self.edit.name

    def digest(self, domain: Domain, on: Mapping[str, str] | None = None) -> str:
        """Of the configuration, but for its own number of epochs, and of what it runs `on`, if it is known:
        `networks(domain)`.
        """
        text = asdict(self) | (on or networks(domain))
        if self.start is None:
            del text["start"]  # so that runs of before there were starts keep their folders
        text["corrections"] = domain.corrections
        text["training"] = text["training"] | {"epochs": None}
        return hashlib.sha256(json.dumps(text, sort_keys=True).encode()).hexdigest()[:12]


def networks(domain: Domain) -> dict[str, str]:
    """Digests of the networks that a run depends on."""
    return {"unet": domain.unet.digest(), "clip": module_digest(domain.clip)}


def config_for(domain: Domain, edit: str | Edit, **changes) -> RunConfig:
    """The run that a domain would make of an edit; `changes` are fields of `RunConfig` or of `TrainSettings`.

    Raises UnknownNameError for another edit or an f_t that is not known, WeightsError for one that does not
    fit the U-Net, SettingsError for another setting or one outside its range.
    """
    edit = domain.edit_named(edit) if isinstance(edit, str) else edit
    check.kind("edit", edit, Edit, "its name or an Edit")
    changes = {key: value for key, value in changes.items() if value is not None}
    own = {key: changes.pop(key) for key in ("delta", "images", "from_noise", "start") if key in changes}
    own = {"images": domain.train_images} | own | {"delta": _delta(domain, own.get("delta"))}
    training = settled(domain, edit, TrainSettings(**(asdict(domain.training) | changes)))
    return RunConfig(domain=domain.name, edit=edit, training=training, **own)


def _delta(domain: Domain, delta: dict | None) -> dict:
    """A configuration of f_t that says all where its kind can tell (`normal`), so that one f_t has one
    digest; without a kind it changes the domain's own.  What cannot be built is said now.
    """
    if delta is None or delta == domain.delta_config:
        return domain.delta_config
    check.kind("configuration of Δh", delta, dict, '{"kind": "ConvDelta"}')
    delta = delta if "kind" in delta else domain.delta_config | delta
    normal = getattr(Delta.kinds.get(str(delta["kind"])), "normal", dict)
    with suppress(TypeError):  # an option that it does not know, which `build_delta` names
        delta = {"kind": delta["kind"], **normal(**{k: v for k, v in delta.items() if k != "kind"})}
    with torch.device("meta"):  # shapes alone
        build_delta(delta, domain.unet.h_shape, domain.unet.temb_dim)
    return delta


class Run(NamedTuple):
    """A finished run: f_t, loss history, configuration, folder and the file of f_t."""

    delta: Delta
    history: pd.DataFrame
    config: RunConfig
    folder: Path
    file: Path


def train_run(
    config: RunConfig, domain: Domain, *, root: Path | None = None, starts: Path | None = None, **how
) -> Run:
    """Make a run, or go on with it where it was stopped; a finished one is read.

    The folder `root`/<domain>/<edit>/<digest> keeps run.json, state.pt, history.csv and delta.safetensors.
    The run that it starts from is made first, or waited for where another process is at it.

    Args:
        root: of all runs; None: `runs/`.
        starts: root of the run that it starts from; None: `root`.
        how: progress, on_epoch, save_every; see `api.train_delta`.
    Raises:
        TrainingError: the loss became NaN.
        FileError: the folder cannot be written, or is in use; said before the training starts.
        SettingsError: several processes, and batches that can't be shared out evenly to them.
    """
    config, unet = _whole(config, domain), domain.unet
    _warn_of_texts(domain, config)
    folder = folder_of(config, domain, root)
    file = folder / "delta.safetensors"
    distributed.check_even(config.images, config.training.batch_size)
    check_writable(folder / "run.json")
    start = _started(config.start, domain, starts or root, **how) if config.start else None
    begun_with, started = start and module_digest(start), time.monotonic()
    x_T = domain.seeded_noise(config.images, first=NOISE_SEED) if config.from_noise else None
    how |= {"images": config.images, "x_T": x_T, "delta": start or config.delta, "folder": folder}
    with lock(folder) if distributed.is_main() else nullcontext():
        if distributed.is_main():
            with atomic_write(folder / "run.json") as temporary:
                temporary.write_text(json.dumps(asdict(config), indent=1))
        if distributed.count() > 1 and cache_dir() and x_T is None:
            with distributed.main_first():  # the others then find it in the cache
                invert(domain, domain.images("train", config.images), steps=config.training.steps)
        delta, history = train_delta(domain, config.edit, config.training, **how)
        if distributed.is_main():
            with atomic_write(folder / "history.csv") as temporary:
                history.to_csv(temporary, index=False)
            digests = {"unet": unet.digest(), "clip": module_digest(domain.clip)}
            made_with = {"device": unet.device, "digests": digests}
            steps = history.attrs["seconds"]
            card = {
                "source": config.edit.source,
                "target": config.edit.target,
                "first_clip_loss": round(float(history["clip"][:8].mean()), 4),
                "final_clip_loss": round(float(history["clip"][-200:].mean()), 4),
                "step_seconds": None if math.isnan(steps) else round(steps, 3),  # of all optimiser steps
                "provenance": provenance(asdict(config), time.monotonic() - started, **made_with),
            }
            if config.start:
                epochs = config.start.training.epochs
                card["start"] = {"edit": config.start.name, "epochs": epochs, "weights": begun_with}
            save_delta(file, delta, card)
    distributed.barrier()  # nobody leaves before the files are there
    return Run(delta, history, config, folder, file)


def _started(config: RunConfig, domain: Domain, root: Path | None, **how) -> Delta:
    """The f_t of a run that others start from, made by the first that needs it."""
    root, how = start_root(config, domain, root), {k: v for k, v in how.items() if k != "on_epoch"}
    file = folder_of(config, domain, root) / "delta.safetensors"
    with lock(root, wait=-1) if distributed.is_main() else nullcontext():
        distributed.barrier()  # the main process has the lock
        if distributed.count() > 1 or not file.exists():  # several must agree on what they do
            train_run(config, domain, root=root, **how)
    return load_delta(file)


def _warn_of_texts(domain: Domain, config: RunConfig) -> None:
    """Say that the reconstruction term's weight, λ_recon times the texts' cosine (Eq. 11), is below 0."""
    cosine = domain.clip.prompt_cosine(config.edit.source, config.edit.target)
    if cosine < 0 and config.training.lambda_recon:
        warn(
            f"The texts of {config.edit.name!r} point apart (cosine {cosine:.2f}), so the paper's loss "
            "rewards leaving the image; expected a cosine above 0; take others, or lambda_recon 0.",
            stacklevel=3,
        )


def optimiser_steps(config: RunConfig, domain: Domain) -> int:
    """How many a whole training takes: what it costs, in the unit that `bench` gives seconds for."""
    s = settled(domain, config.edit, config.training)
    times = len(interval_pairs(s.steps, s.t_edit, len(domain.unet.schedule), last=True))
    return s.epochs * -(-config.images // s.batch_size) * times


def folder_of(config: RunConfig, domain: Domain, root: Path | None = None, *, on=None) -> Path:
    """Where a run of this configuration lies, see `train_run`; `on`: see `RunConfig.digest`."""
    name = config.name.replace(" ", "_")
    return Path(root or runs_dir()) / domain.name / name / _whole(config, domain).digest(domain, on)


def start_root(config: RunConfig, domain: Domain, root: Path | None = None) -> Path:
    """Root of a run that others start from: of its number of epochs, so that no longer one is in the way."""
    return folder_of(config, domain, root) / f"start after {config.training.epochs}"


def _whole(config: RunConfig, domain: Domain) -> RunConfig:
    """With the settings that it leaves open, and those of its start."""
    training = settled(domain, config.edit, config.training)
    return replace(config, training=training, start=config.start and _whole(config.start, domain))


def place_for(domain: Domain, config: RunConfig, out: Path | None = None, *, replace=False) -> Path | None:
    """Where a run's f_t is to be kept, checked before the training: `out`, or the domain's own place.

    None where the domain has an f_t already, and `replace` does not say to write over it.  Raises FileError
    where the file cannot be written, or `out` is there already.
    """
    file = out or domain.direction_file(config.name, config.training.seed)
    if file.exists() and not replace:
        if out:
            raise FileError(f"{out} is there already; expected a new file; choose another, or say --replace.")
        return None
    check_writable(file)
    return file


def keep(run: Run, file: Path | None, *, weak: bool = False) -> None:
    """Copy the f_t of a run to `file`, if one is given, atomically.

    Raises TrainingError where it is no better than no edit at all, which has a CLIP loss of ln 2, unless weak
    ones are wanted, too: of several seeds none may be left out for what came of it.
    """
    last_epoch = run.history["epoch"] == run.history["epoch"].max()
    loss = float(run.history["clip"][last_epoch].mean())
    if not loss < math.log(2) and not (weak and math.isfinite(loss)):
        raise TrainingError(
            f"The f_t of {run.config.name!r} has a CLIP loss of {loss:.3f} after its last epoch; expected "
            f"less than {math.log(2):.3f}, that of no edit; it stays in {run.folder}; train longer."
        )
    if file:
        save_delta(file, run.delta, read_weights(run.file)[1]["card"])
