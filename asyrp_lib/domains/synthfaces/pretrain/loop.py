"""One training loop for the shipped networks: EMA, bf16, resume after a kill at any moment."""

import copy
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from ....device import has_bf16
from ....errors import TrainingError
from ....progress import tqdm
from ....store.files import atomic_write
from ..faces import RESOLUTION, world_digest
from ..networks import ORACLE_FACTORS


@dataclass(frozen=True)
class Budget:
    """How long and how fast to train."""

    images: int  # to be seen over all sessions; a larger number carries a finished run further
    batch: int = 64  # images per step
    lr: float = 4e-4  # peak rate of AdamW
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    ema: float = 0.999  # decay of the weights' moving average, 0 for none
    warmup: int = 200  # steps of linear warm-up; over the last third the rate falls linearly to zero
    seed: int = 0  # of the batches and of all noise


@dataclass(frozen=True)
class Job:
    """One training: budget, folder of its state, weights file, faces, device."""

    budget: Budget
    folder: Path
    export: Path
    faces: int
    device: torch.device

    @property
    def pool(self) -> Path:
        """Where drawn images are kept, for all trainings."""
        return self.folder.parent / "pool"

    def identity(self, network: str, **about: Any) -> dict:
        """What is trained on what, for `train_network`."""
        world = {"resolution": RESOLUTION, "world": world_digest(), "faces": self.faces}
        return {"network": network, **world, **about}


def factor_table(factors: pd.DataFrame, device: torch.device) -> Tensor:
    """What the oracle reads of a factor table, (n, F) float32."""
    return torch.tensor(factors[list(ORACLE_FACTORS)].to_numpy(), dtype=torch.float32, device=device)


def train_network(
    model: nn.Module,
    loss_of: Callable[[nn.Module, Tensor, torch.Generator], Tensor],
    size: int,
    budget: Budget,
    folder: Path,
    *,
    identity: dict,
    save_every: float = 120.0,
    before: dict | None = None,
    on_save: Callable[[nn.Module, dict], None] | None = None,
) -> tuple[Any, dict]:
    """Minimise `loss_of` over random batches of indices until the budget of images is used up.
    The folder keeps `state.pt` (everything, written atomically), from which training continues, and
    `losses.csv`.
    Args:
        loss_of: (model, indices (B,) int64, CPU generator) -> scalar loss, under bf16 autocast where there is
            that.
        size: indices are drawn from 0 … size - 1.
        identity: what is trained on what, as JSON can say it; a state of another identity or batch is
            refused.
        save_every: seconds between checkpoints.
        before: counters (steps, images, seconds, loss) of the training that `model` already had.
        on_save: called with (averaged model, counters) after every checkpoint, for previews and exports.
    Returns (the averaged model in eval mode, counters).
    Raises TrainingError: the loss became NaN or infinite (the last checkpoint stays), or the state is another
    run's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    device = next(model.parameters()).device
    average = copy.deepcopy(model).eval().requires_grad_(False)
    how = {"lr": budget.lr, "betas": budget.betas, "weight_decay": budget.weight_decay}
    optimiser = torch.optim.AdamW(model.parameters(), **how)
    parts = {"model": model, "average": average, "optimiser": optimiser}
    generator = torch.Generator().manual_seed(budget.seed)
    info = before or {"steps": 0, "images": 0, "seconds": 0.0, "loss": float("nan")}
    identity = identity | {key: value for key, value in asdict(budget).items() if key != "images"}
    own_steps = 0  # of this optimiser, which begins anew after exported weights
    state_file = folder / "state.pt"
    if state_file.exists():
        state = torch.load(state_file, map_location=device, weights_only=True)
        if state["identity"] != json.dumps(identity):
            text = f"{state_file} belongs to another run ({state['identity']}); expected "
            raise TrainingError(f"{text}{json.dumps(identity)}; give another folder or delete it.")
        for name, part in parts.items():
            part.load_state_dict(state[name])
        generator.set_state(state["generator"].cpu())
        info, own_steps = state["info"], state["own_steps"]
    half = has_bf16(device)  # elsewhere a step takes fourteen times as long, and compiling gains nothing
    run = torch.compile(model) if half else model
    earlier, smooth = info["seconds"], info["loss"]
    started = saved = time.monotonic()
    bar = tqdm(total=budget.images, initial=info["images"], unit="image", desc=folder.name)
    model.train()
    while info["images"] < budget.images:
        left = 1 - info["images"] / budget.images
        for group in optimiser.param_groups:
            group["lr"] = budget.lr * min(1.0, (own_steps + 1) / budget.warmup, 3 * left)
        index = torch.randint(0, size, (budget.batch,), generator=generator)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            loss = loss_of(run, index.to(device), generator)
        value = loss.item()
        if not torch.isfinite(loss):
            raise TrainingError(
                f"The loss became {value} at step {info['steps']}; expected a finite number; lower the "
                f"learning rate ({budget.lr}) and rerun, it continues from {state_file}."
            )
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        _follow(average, model, min(budget.ema, (1 + info["steps"]) / (10 + info["steps"])))
        smooth = value if smooth != smooth else 0.98 * smooth + 0.02 * value
        now = time.monotonic()
        steps, images, own_steps = info["steps"] + 1, info["images"] + budget.batch, own_steps + 1
        info = {"steps": steps, "images": images, "seconds": earlier + now - started, "loss": smooth}
        bar.set_postfix(loss=f"{smooth:.4f}", refresh=False)
        bar.update(budget.batch)
        if now - saved > save_every or info["images"] >= budget.images:
            saved = now
            state = {name: part.state_dict() for name, part in parts.items()}
            state |= {"info": info, "identity": json.dumps(identity), "own_steps": own_steps}
            with atomic_write(state_file) as temporary:
                torch.save(state | {"generator": generator.get_state()}, temporary)
            with open(folder / "losses.csv", "a") as log:
                log.write(f"{info['steps']},{info['images']},{info['seconds']:.0f},{smooth:.5f}\n")
            if on_save:
                on_save(average, info)
    bar.close()
    return average, info


@torch.no_grad()
def _follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Exponential moving average of the weights; buffers (BatchNorm statistics) are copied."""
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
    for kept, current in zip(average.buffers(), model.buffers()):
        kept.copy_(current)
