"""Training f_t: one loop over the editing interval, whatever P_t^edit is asked to be; the paper asks CLIP.

Source: Asyrp Sec. 3.2-3.3 and Algorithm in the appendix.
"""

import json
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal, Protocol

import pandas as pd
import torch
from pydantic import Field
from torch import Tensor

from .. import check
from ..check import Real64, Whole
from ..deltas import Delta
from ..errors import GridError, TrainingError
from ..progress import tqdm
from ..store.weights import digest, module_digest
from . import distributed
from .clip import Clip, clip_loss, directional_distance
from .hspace import HSpaceUNet
from .process import interval_pairs, walk
from .reference import reference_trajectory
from .state import State

#: Cosine of two texts above which CLIP does not know their difference: the shipped edits have at most 0.973,
#: words that the embedded CLIP never read ("winking", "pirate") 0.997 and more.
UNKNOWN = 0.99
#: The optimisers and what they are told; AdamW without weight decay, as the study has it.
OPTIMISERS = {
    "adam": (torch.optim.Adam, {}),
    "adamw": (torch.optim.AdamW, {"weight_decay": 0.0}),
    "sgd": (torch.optim.SGD, {}),
}


@check.settings
class TrainSettings:
    """How f_t is trained; t_edit, λ_CLIP and λ_recon that are None are the edit's own."""

    steps: Annotated[Whole, Field(ge=1, le=1000)] = 40  # S_train, length of the time grid
    t_edit: Annotated[Whole, Field(ge=0, le=999)] | None = None  # the editing interval is t >= t_edit
    lambda_clip: Annotated[Real64, Field(ge=0, le=1e6)] | None = None  # λ_CLIP, of the directional loss
    lambda_recon: Annotated[Real64, Field(ge=0, le=1e6)] | None = None  # λ_recon, see `ClipObjective`
    #: The paper takes "sgd" with lr 0.5, the study "adamw".
    optimiser: Literal["adam", "adamw", "sgd"] = "adam"
    lr: Annotated[Real64, Field(gt=0, le=1e3)] = 2e-3
    lr_decay: Annotated[Real64, Field(gt=0, le=1)] = 1.0  # factor on lr after every epoch
    epochs: Annotated[Whole, Field(ge=1, le=100_000)] = 3  # passes over the images
    batch_size: Annotated[Whole, Field(ge=1, le=100_000)] = 8  # images per optimiser step
    seed: Annotated[Whole, Field(ge=0, lt=2**31)] = 0  # of the weights and of the order of the images


class Objective(Protocol):
    """What P_t^edit is asked to be: parts of a loss, "loss" the one that is minimised."""

    def __call__(self, P_edit: Tensor, index: Tensor, k: int) -> dict[str, Tensor]:
        """Parts for P_t^edit (B, C, R, R), float32, of images `index` (B,) at the interval's k-th time."""
        ...

    def identity(self) -> dict:
        """All that it depends on, expressible in JSON."""
        ...


class ClipObjective:
    """λ_CLIP (−log((2 − L_dir) / 2)) + λ_recon cos(E_T(source), E_T(target)) |P_t^edit − P_t^ref|₁.

    `x_0` are the originals (N, 3, R, R) in [-1, 1], `reference` P_t^ref (N, K, C, R', R'); `decode` goes from
    what the U-Net sees to the images that CLIP sees.  (Asyrp Sec. 3.3 Eq. 11)
    """

    def __init__(
        self,
        clip: Clip,
        x_0: Tensor,
        reference: Tensor,
        source: str,
        target: str,
        lambda_clip: float,
        lambda_recon: float,
        decode: Callable[[Tensor], Tensor] = lambda x: x,
    ):
        self.clip, self.reference, self.decode = clip, reference, decode
        self.texts = check.text("source text", source), check.text("target text", target)
        self.direction, self.cosine = clip.text_direction(source, target), clip.prompt_cosine(source, target)
        self.weights = lambda_clip, lambda_recon
        if self.cosine > UNKNOWN:
            warnings.warn(
                f"CLIP hardly tells {target!r} from {source!r} (cosine {self.cosine:.4f}): it may not know "
                "the words, and f_t would be trained towards nothing; try others.",
                stacklevel=2,
            )
        with torch.no_grad():
            parts = [clip.encode_images(x.to(self.direction.device)) for x in x_0.split(64)]
        self.originals, self.x_0 = torch.cat(parts), x_0

    def __call__(self, P_edit: Tensor, index: Tensor, k: int) -> dict[str, Tensor]:
        """See `Objective`."""
        seen = self.clip.encode_images(self.decode(P_edit))
        l_clip = clip_loss(directional_distance(self.originals[index], seen, self.direction)).mean()
        l_recon = (P_edit - self.reference[index, k].to(P_edit.device)).abs().mean()
        loss = self.weights[0] * l_clip + self.weights[1] * self.cosine * l_recon
        return {"clip": l_clip, "recon": l_recon, "loss": loss}

    def identity(self) -> dict:
        """See `Objective`."""
        judge = module_digest(self.clip)
        return {"texts": self.texts, "weights": self.weights, "clip": judge, "x_0": digest(self.x_0)}


def train(
    unet: HSpaceUNet,
    delta: Delta,
    x_T: Tensor,
    objective: Objective,
    settings: TrainSettings,
    *,
    folder: Path | None = None,
    save_every: float = 30.0,
    progress: bool = True,
    on_epoch: Callable[[int, pd.DataFrame], None] | None = None,
) -> pd.DataFrame:
    """Train f_t in place: at each t of the editing interval, from T down, a batch takes one optimiser step.

    Args:
        delta: f_t; `t_edit`, `train_steps` and `unet_digest` are set on it.
        x_T: (N, C, R, R), inversions of the training images.
        settings: t_edit must be given.
        folder: keeps `state.pt`, from which a killed run goes on to the same weights as one that was not, and
            a finished one to more epochs.  None: nothing is kept.
        save_every: seconds between checkpoints.
        on_epoch: called after every epoch with its number and the history so far, e.g. for previews.
    Returns:
        The loss history, one row per optimiser step: epoch, batch, t and the objective's parts; in its
        `attrs` "seconds" of those steps, also of the sessions before a kill.
    Raises:
        TrainingError: loss or weights are not finite, or the folder holds another run or a longer one.
        GridError: t_edit outside the grid.
    Source: Asyrp Sec. 4 (schedule of t) and the algorithm in the appendix.
    """
    pairs = interval_pairs(settings.steps, _start(settings), len(unet.schedule), last=True)
    if not any(True for _ in delta.parameters()):
        raise TrainingError(
            f"A {type(delta).__name__} has nothing to train; expected an f_t, e.g. ConvDelta()."
        )
    delta.to(unet.device).train().requires_grad_(True)
    delta.t_edit, delta.train_steps, delta.unet_digest = settings.t_edit, settings.steps, unet.digest()
    kind, options = OPTIMISERS[settings.optimiser]
    optimiser = kind(delta.parameters(), settings.lr, **options)
    identity = _identity(unet, delta, x_T, objective, settings) if folder else {}
    state, batches = State(folder, identity, delta, optimiser), -(-len(x_T) // settings.batch_size)
    total, K = settings.epochs * batches, len(pairs)
    if state.done > total:
        raise TrainingError(
            f"{state.file} holds {state.done / batches:g} epochs, {settings.epochs} were asked for; "
            "expected at least as many; ask for more, or give another folder."
        )
    shift = lambda z, t: delta(z.h, z.emb, t)
    saved = time.monotonic()
    distributed.barrier()  # all have read the state before one writes it
    bar_of = {
        "desc": f"f_t {delta.name}",
        "unit": "step",
        "disable": not (progress and distributed.is_main()),
    }
    with tqdm(total=total * K, initial=state.done * K, **bar_of) as bar:
        for number in range(state.done, total):
            epoch, batch = divmod(number, batches)
            for group in optimiser.param_groups:
                group["lr"] = settings.lr * settings.lr_decay**epoch
            # the order depends on seed and epoch alone, so a resumed run draws the same batches
            seed = 1_000_003 * settings.seed + epoch
            order = torch.randperm(len(x_T), generator=torch.Generator().manual_seed(seed))
            index = distributed.shard(order[batch * settings.batch_size :][: settings.batch_size])
            begun = time.monotonic()
            for k, now in enumerate(walk(unet, x_T[index].to(unet.device), pairs, shift)):
                parts = objective(now.P.float(), index, k)
                means = distributed.all_mean(torch.stack([*parts.values()]).detach())
                means = dict(zip(parts, means.tolist()))
                if not math.isfinite(means["loss"]):
                    raise TrainingError(
                        f"The loss of f_t became {means['loss']} at epoch {epoch}, t = {now.t}; "
                        f"expected a finite number; lower lr = {settings.lr} and train again."
                    )
                optimiser.zero_grad(set_to_none=True)
                parts["loss"].backward()
                distributed.mean_gradients(delta)
                optimiser.step()
                state.add(epoch, batch, now.t, means)
                bar.update()
            bar.set_postfix({name: f"{value:.3f}" for name, value in state.last.items()})
            state.seconds += time.monotonic() - begun
            state.done, last_of_epoch = number + 1, batch == batches - 1
            if (last_of_epoch or time.monotonic() - saved > save_every) and distributed.is_main():
                saved = time.monotonic()
                state.save()
            if last_of_epoch and on_epoch:
                on_epoch(epoch, state.history())
    delta.eval().requires_grad_(False)
    return state.history()


def train_delta(
    unet: HSpaceUNet,
    clip: Clip,
    delta: Delta,
    x_0: Tensor,
    x_T: Tensor,
    source: str,
    target: str,
    settings: TrainSettings,
    *,
    decode: Callable[[Tensor], Tensor] = lambda x: x,
    **how,
) -> pd.DataFrame:
    """`train` with `ClipObjective`, λ_CLIP 1 and λ_recon 3 where left open, the paper's.

    `how`: folder, save_every, progress, on_epoch; see `train`.
    """
    pairs = interval_pairs(settings.steps, _start(settings), len(unet.schedule), last=True)
    with distributed.main_first():
        reference = reference_trajectory(unet, x_T, pairs, progress=how.get("progress", True))
    clip_weight = 1.0 if settings.lambda_clip is None else settings.lambda_clip
    recon_weight = 3.0 if settings.lambda_recon is None else settings.lambda_recon
    objective = ClipObjective(clip, x_0, reference, source, target, clip_weight, recon_weight, decode)
    return train(unet, delta, x_T, objective, settings, **how)


def _start(settings: TrainSettings) -> int:
    if settings.t_edit is None:
        raise GridError("The settings leave t_edit open; expected the start of the interval; set t_edit.")
    return settings.t_edit


def _identity(unet, delta: Delta, x_T: Tensor, objective: Objective, settings: TrainSettings) -> dict:
    """Everything a run depends on, but for its length."""
    start = {"kind": type(delta).__name__, "config": delta.config, "weights": module_digest(delta)}
    run = asdict(settings) | {"epochs": None, "unet": unet.digest(), "delta": start, "x_T": digest(x_T)}
    run["objective"] = {"kind": type(objective).__name__, **objective.identity()}
    return json.loads(json.dumps(run))  # as the state has it: lists, no tuples
