"""Shifts that an experiment trains for itself, on images of a trial: by CLIP, or on true targets."""

import copy
import inspect
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, replace

import pandas as pd
import torch
from torch import Tensor, nn

from .. import api
from ..deltas import Delta, build_delta
from ..errors import SettingsError
from ..method import clip, train as train_module
from ..method.cut import Cut
from ..method.schedule import interval_pairs
from ..method.train import Objective, TrainSettings, train, train_delta
from ..store.cache import digest, entry
from ..store.files import lock
from ..store.paths import runs_dir
from .trial import Trial

#: What a free shift shifts -> where the U-Net is cut for it.
SPACES = {"Δh": "h", "Δε": "ε"}
#: Adam's first step for a free shift in either, in the units of `free`: of 0.02, 0.05, 0.1 (Δε: 0.05, 0.1,
#: 0.2) the one with the lowest loss of "smiling" after 20 epochs on validation faces 0 and 1 (Δε: 0).  Larger
#: steps make longer shifts.
STEPS = {"Δh": 0.05, "Δε": 0.1}


class TargetObjective:
    """|P_t^edit − target|₁, an `Objective`, for targets (N, C, R', R') as the U-Net sees them."""

    def __init__(self, targets: Tensor):
        self.targets = targets

    def __call__(self, P_edit: Tensor, index: Tensor, k: int) -> dict[str, Tensor]:
        """See `Objective`."""
        return {"loss": (P_edit - self.targets[index].to(P_edit)).abs().mean()}

    def identity(self) -> dict:
        """See `Objective`."""
        return {"targets": digest(self.targets)}


def through(trial: Trial, unet) -> Trial:
    """The same images, noise and reconstructions, edited through another view of the U-Net."""
    domain = copy.copy(trial.domain)
    domain.unet = unet
    return trial.like(domain=domain)


def told(trial: Trial, name: str, config: Mapping, settings: TrainSettings) -> tuple[Delta, pd.DataFrame]:
    """A Δh of some kind trained by CLIP on a trial's images, as `api.train_delta` does; and its history."""
    domain, edit, delta = trial.domain, trial.domain.edit_named(name), _built(trial, name, config, settings)
    settings = api.settled(domain, edit, settings)
    aim, how = (trial.x_0, trial.x_T, edit.source, edit.target, settings), {"decode": domain.codec.decode}
    run = lambda **kept: train_delta(domain.unet, domain.clip, delta, *aim, **how, **kept)
    asked = [edit.source, edit.target, digest(trial.x_0), asdict(settings)]
    return delta, _kept(trial, delta, domain.clip, asked, run)


def shown(
    trial: Trial, name: str, config: Mapping, settings: TrainSettings, targets: Tensor
) -> tuple[Delta, pd.DataFrame]:
    """As `told`, but trained on |P_t^edit − target|₁; targets: (n, 3, R, R) in [-1, 1]."""
    return taught(trial, name, config, settings, TargetObjective(trial.domain.codec.encode(targets)))


def taught(
    trial: Trial, name: str, config: Mapping, settings: TrainSettings, objective: Objective
) -> tuple[Delta, pd.DataFrame]:
    """As `told`, but by an objective of one's own; its `identity` says which training is gone on with."""
    delta = _built(trial, name, config, settings)
    run = lambda **kept: train(trial.domain.unet, delta, trial.x_T, objective, settings, **kept)
    return delta, _kept(trial, delta, nn.Identity(), [objective.identity(), asdict(settings)], run)


def _kept(trial: Trial, delta: Delta, judge: nn.Module, asked: list, run: Callable) -> pd.DataFrame:
    """The history of `run`, which trains `delta`; runs/ keeps both, so that a second call, or one after a
    kill, does not begin again.  Not where the cache is off, or has no name for one of the modules.
    """
    unet, code = trial.domain.unet, [inspect.getsource(part) for part in (clip, train_module)]
    settings = {"asked": asked, "code": code, "unet": unet.digest(), "codec": str(trial.domain.codec)}
    settings["delta"] = [type(delta).__name__, delta.config]
    key = entry("taught", trial.x_T, nn.ModuleList([unet, judge, delta]), settings)
    folder = None if key is None else runs_dir() / trial.domain.name / "taught" / key.stem[-12:]
    with nullcontext() if folder is None else lock(folder):
        return run(folder=folder, progress=trial.progress)


def _built(trial: Trial, name: str, config: Mapping, settings: TrainSettings) -> Delta:
    """An untrained one for a trial's U-Net, from the seed of the settings, whatever ran before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        delta = build_delta(config, trial.domain.unet.h_shape, trial.domain.unet.temb_dim, name=name)
    return delta.eval()  # a transformer has dropout of 0, which in training would leave it without a name


def free(trial: Trial, t_edit: int) -> dict:
    """The configuration of a `FreeDelta` for t >= t_edit in the h-space of a trial's U-Net.

    Its units are the root mean square of h_t over the trial's unedited images; at the place "ε" what moves
    a value of P_t by 1/K: near T hardly any Δε is enough for that, and what K times shift adds up in x_t.
    """
    schedule, squares = trial.domain.unet.schedule, {}

    def note(step) -> None:
        squares.setdefault(step.t, []).append(float(step.h.square().mean()))

    trial.edit({}, callback=note)
    times = [t for t, _ in interval_pairs(trial.steps, t_edit, len(schedule))]
    a = {t: schedule.alpha_bar(t) for t in times}
    if isinstance(trial.domain.unet, Cut) and trial.domain.unet.place == "ε":
        units = [(a[t] / (1 - a[t])) ** 0.5 / len(times) for t in times]
    else:
        units = [(sum(squares[t]) / len(squares[t])) ** 0.5 for t in times]
    return {"kind": "FreeDelta", "times": times, "units": units}


def freely(settings: TrainSettings, epochs: int, lr: Mapping[str, float], space: str) -> TrainSettings:
    """The settings for free shifts in one of `SPACES`: Adam's steps of lr[space] in the units of `free`, 5 %
    smaller in every epoch.
    """
    if not isinstance(lr, Mapping) or set(lr) != set(SPACES):
        raise SettingsError(f"lr is {lr!r}; expected a step in either space; give such as {STEPS}.")
    return replace(settings, epochs=epochs, lr=lr[space], lr_decay=0.95, optimiser="adam")


def lengths(trial: Trial, delta: Delta) -> tuple[Tensor, dict[str, list[float]], dict[str, float]]:
    """A trial's images edited at strength 1 (n, 3, R, R), and of each: length, mean |Δh_t| over the interval,
    and relative length, mean |Δh_t| / |h_t|; Euclidean, h_t on the edited path, in the h-space of its U-Net.
    Last, "length at t" for each t, the mean over images.
    """
    found: dict[str, dict[int, list[Tensor]]] = {"length": {}, "relative length": {}}

    def note(step) -> None:
        if step.dh is not None:
            dh, h = (part.flatten(1).norm(dim=1) for part in (step.dh.expand_as(step.h), step.h))
            for kind, part in {"length": dh, "relative length": dh / h}.items():
                found[kind].setdefault(step.t, []).append(part.cpu())

    images = trial.edit({delta: 1.0}, callback=note)
    means = {
        kind: torch.stack([torch.cat(parts) for parts in at.values()]).mean(0).tolist()
        for kind, at in found.items()
    }
    return (
        images,
        means,
        {f"length at {t}": float(torch.cat(parts).mean()) for t, parts in found["length"].items()},
    )


def losses(history: pd.DataFrame) -> dict[str, float]:
    """Mean of the loss over the interval in each epoch of a training: "loss, epoch 1" …, and "loss" of the
    last one, and of the objective's other parts.
    """
    parts = history.drop(columns=["batch", "t"]).groupby("epoch").mean()
    epochs = {f"loss, epoch {epoch + 1}": loss for epoch, loss in parts["loss"].items()}
    return epochs | {str(name): value for name, value in parts.iloc[-1].items()}
