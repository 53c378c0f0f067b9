"""Training f_t: the directional CLIP loss on P_t, with a frozen U-Net and a reference trajectory computed once.

Source: Asyrp Sec. 3.2-3.3 and Algorithm in the appendix.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from ..errors import GridError, TrainingError
from ..progress import tqdm
from ..store.files import atomic_write
from .clip import Clip, clip_loss, directional_distance
from .hspace import HSpaceUNet
from .process import predict_x0, step
from .schedule import generation_pairs, time_grid

#: Columns of the loss history, one row per optimiser step.
HISTORY = ("epoch", "batch", "t", "clip", "recon", "loss")


@dataclass(frozen=True)
class TrainSettings:
    """How f_t is trained; the defaults are those of the embedded domain.

    Attributes:
        steps: S_train, length of the time grid.
        t_edit: the editing interval is t >= t_edit.
        lambda_clip: λ_CLIP, weight of the directional loss.
        lambda_recon: λ_recon, weight of |P_t^edit − P_t^ref|₁; multiplied by the cosine of the two prompts.
        optimiser: "adam" or "sgd" (the paper's choice for the conv block, lr 0.5).
        lr: learning rate.
        lr_decay: factor on the learning rate after every epoch.
        epochs: passes over the images.
        batch_size: images per optimiser step.
        seed: of the order of the images.
    """

    steps: int = 40
    t_edit: int = 400
    lambda_clip: float = 1.0
    lambda_recon: float = 3.0
    optimiser: str = "adam"
    lr: float = 2e-3
    lr_decay: float = 1.0
    epochs: int = 3
    batch_size: int = 8
    seed: int = 0


def training_pairs(steps: int, t_edit: int) -> list[tuple[int, int]]:
    """Pairs (t, t_next) with t >= t_edit from the top down; the last goes to t = −1.

    Raises:
        GridError: no time of the grid lies in the editing interval.
    """
    inside = [t for t in time_grid(steps) if t >= t_edit]
    if not inside:
        raise GridError(
            f"t_edit = {t_edit} leaves no step of a {steps}-step grid to edit; expected 0 … 999; lower t_edit."
        )
    return generation_pairs(inside)[:-1] + [(inside[0], -1)]


@torch.no_grad()  # not inference_mode: the loss is differentiated through a difference with the result
def reference_trajectory(
    unet: HSpaceUNet,
    x_T: Tensor,
    pairs: list[tuple[int, int]],
    *,
    batch_size: int | None = None,
    progress: bool = True,
) -> Tensor:
    """P_t of the unedited process at every t of `pairs`, computed once because it does not depend on f_t.

    Args:
        unet: the frozen model.
        x_T: (N, C, R, R).
        pairs: from `training_pairs`.
        batch_size: images per pass; None: `HSpaceUNet.batch_size`.
        progress: show a progress bar.
    Returns:
        (N, len(pairs), C, R, R) float32 on the CPU.
    """
    parts = []
    for x in tqdm(
        x_T.split(batch_size or unet.batch_size), desc="reference P_t", unit="batch", disable=not progress
    ):
        x, seen = x.to(unet.device), []
        for t, t_next in pairs:
            eps = unet(x, t)
            x, p_t = step(x, eps, eps, unet.schedule.alpha_bar(t), unet.schedule.alpha_bar(t_next))
            seen.append(p_t.float().cpu())
        parts.append(torch.stack(seen, 1))
    return torch.cat(parts)


def edited_predictions(
    unet: HSpaceUNet, delta: nn.Module, x: Tensor, pairs: list[tuple[int, int]]
) -> Iterator[tuple[int, Tensor]]:
    """P_t^edit along the asymmetric process, for a loss at every t; the caller's optimiser step comes before x_t moves on.

    x_t advances with the f_t that gave P_t^edit, detached; only the decoder is differentiated.

    Args:
        unet: frozen U-Net.
        delta: f_t in training.
        x: x_T (B, C, R, R), on the device.
        pairs: from `training_pairs`.
    Yields:
        (t, P_t^edit (B, C, R, R) with gradients to f_t).
    Source: Asyrp Sec. 4 and the algorithm in the appendix.
    """
    for t, t_next in pairs:
        a_t, a_next = unet.schedule.alpha_bar(t), unet.schedule.alpha_bar(t_next)
        with torch.no_grad():
            z = unet.encode(x, t)
            eps = unet.decode(z)
        eps_edit = unet.decode(z, h=z.h + delta(z.h, z.emb, t))
        yield t, predict_x0(x, eps_edit, a_t)
        with torch.no_grad():
            x, _ = step(x, eps_edit.detach(), eps, a_t, a_next)


def train_delta(
    unet: HSpaceUNet,
    clip: Clip,
    delta: nn.Module,
    x_0: Tensor,
    x_T: Tensor,
    source: str,
    target: str,
    settings: TrainSettings,
    *,
    folder: Path | None = None,
    save_every: float = 30.0,
    progress: bool = True,
    on_epoch: Callable[[int, pd.DataFrame], None] | None = None,
) -> pd.DataFrame:
    """Train f_t in place so that P_t moves from `source` to `target` in CLIP's space.

    At each t of the editing interval, from T down, the batch takes one optimiser step on
    λ_CLIP (−log((2 − L_dir) / 2)) + λ_recon cos(E_T(source), E_T(target)) |P_t^edit − P_t^ref|₁; see `edited_predictions`.

    Args:
        unet: frozen U-Net.
        clip: frozen judge.
        delta: f_t, trained in place; `t_edit`, `train_steps` are set on it.
        x_0: (N, C, R, R) in [-1, 1], the original images.
        x_T: (N, C, R, R), their inversions.
        source, target: the two texts.
        settings: see `TrainSettings`.
        folder: keeps `state.pt`; a run that was killed goes on from there and ends with the same weights as one that
            was not.  None: nothing is kept.
        save_every: seconds between checkpoints.
        progress: show a progress bar with the loss.
        on_epoch: called after every epoch with its number and the history so far, e.g. for previews.
    Returns:
        The loss history, one row per optimiser step, columns `HISTORY`.
    Raises:
        TrainingError: the loss became NaN or infinite, or the folder holds a run with other settings.
        GridError: t_edit outside the grid.
    Source: Asyrp Sec. 3.3 Eq. 11 (loss), Sec. 4 (schedule of t).
    """
    pairs = training_pairs(settings.steps, settings.t_edit)
    delta.to(unet.device).train()
    delta.t_edit, delta.train_steps = settings.t_edit, settings.steps
    optimiser = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[settings.optimiser](
        delta.parameters(), settings.lr
    )
    identity = _identity(settings, source, target, x_T)
    done, rows = _resume(folder, identity, delta, optimiser)
    reference = reference_trajectory(unet, x_T, pairs, progress=progress)
    direction, cosine = clip.text_direction(source, target), clip.prompt_cosine(source, target)
    with torch.no_grad():
        originals = torch.cat([clip.encode_images(x.to(unet.device)) for x in x_0.split(64)])
    batches = -(-len(x_T) // settings.batch_size)
    saved = time.monotonic()
    bar = tqdm(
        total=settings.epochs * batches,
        initial=done,
        desc=f"f_t {source!r} → {target!r}",
        unit="batch",
        disable=not progress,
    )
    for number in range(done, settings.epochs * batches):
        epoch, batch = divmod(number, batches)
        for group in optimiser.param_groups:
            group["lr"] = settings.lr * settings.lr_decay**epoch
        # the order depends on seed and epoch alone, so a resumed run draws the same batches
        order = torch.randperm(
            len(x_T), generator=torch.Generator().manual_seed(1_000_003 * settings.seed + epoch)
        )
        index = order[batch * settings.batch_size : (batch + 1) * settings.batch_size]
        for k, (t, p_edit) in enumerate(edited_predictions(unet, delta, x_T[index].to(unet.device), pairs)):
            distance = directional_distance(originals[index], clip.encode_images(p_edit), direction)
            l_clip = clip_loss(distance).mean()
            l_recon = (p_edit - reference[index, k].to(unet.device)).abs().mean()
            loss = settings.lambda_clip * l_clip + settings.lambda_recon * cosine * l_recon
            if not torch.isfinite(loss):
                raise TrainingError(
                    f"The loss of f_t became {loss.item()} at epoch {epoch}, t = {t}; expected a finite "
                    f"number; lower lr = {settings.lr} and train again."
                )
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            rows.append((epoch, batch, t, l_clip.item(), l_recon.item(), loss.item()))
        bar.set_postfix(clip=f"{l_clip.item():.3f}", recon=f"{l_recon.item():.3f}")
        bar.update()
        last_of_epoch = batch == batches - 1
        if folder and (last_of_epoch or time.monotonic() - saved > save_every):
            saved = time.monotonic()
            _save(folder, identity, delta, optimiser, number + 1, rows)
        if last_of_epoch and on_epoch:
            on_epoch(epoch, pd.DataFrame(rows, columns=HISTORY))
    bar.close()
    delta.eval().requires_grad_(False)
    return pd.DataFrame(rows, columns=HISTORY)


def _identity(settings: TrainSettings, source: str, target: str, x_T: Tensor) -> str:
    """A digest of everything a run depends on, but for its length: more epochs carry a finished run on."""
    text = json.dumps({**asdict(settings), "epochs": None, "source": source, "target": target})
    return hashlib.sha256(text.encode() + x_T.cpu().numpy().tobytes()).hexdigest()


def _save(folder: Path, identity: str, delta: nn.Module, optimiser, done: int, rows: list[tuple]) -> None:
    with atomic_write(Path(folder) / "state.pt") as temporary:
        torch.save(
            {
                "identity": identity,
                "delta": delta.state_dict(),
                "optimiser": optimiser.state_dict(),
                "done": done,
                "rows": torch.tensor(rows, dtype=torch.float64),
            },
            temporary,
        )


def _resume(folder: Path | None, identity: str, delta: nn.Module, optimiser) -> tuple[int, list[tuple]]:
    """Load a checkpoint if there is one: batches done and the history so far."""
    file = Path(folder) / "state.pt" if folder else None
    if file is None or not file.exists():
        return 0, []
    state = torch.load(file, weights_only=True)
    if state["identity"] != identity:
        raise TrainingError(
            f"{file} belongs to a run with other settings, texts or images; expected the same ones; "
            "give another folder or delete it."
        )
    delta.load_state_dict(state["delta"])
    optimiser.load_state_dict(state["optimiser"])
    return state["done"], [(int(e), int(b), int(t), c, r, l) for e, b, t, c, r, l in state["rows"].tolist()]
