"""One training loop for the shipped networks: time budget, EMA, bf16, resume after a kill at any moment."""
import copy
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Callable

import torch
from torch import Tensor, nn
from tqdm import tqdm

from ....errors import TrainingError
from ....store.files import atomic_write


@dataclass(frozen=True)
class Budget:
    """How long and how fast to train.

    Attributes:
        minutes: wall-clock budget over all sessions; a run that was stopped continues until it is used up.
        batch: images per step.
        lr: peak learning rate of AdamW.
        weight_decay: of AdamW.
        ema: decay of the weights' moving average, 0 for none.
        warmup: steps of linear warm-up; over the last third of the budget the rate falls linearly to zero.
        compile: run the network through `torch.compile`.
        seed: of the batches and of all noise.
    """

    minutes: float
    batch: int = 64
    lr: float = 4e-4
    weight_decay: float = 0.0
    ema: float = 0.999
    warmup: int = 200
    compile: bool = True
    seed: int = 0


def train_network(model: nn.Module, loss_of: Callable[[nn.Module, Tensor, torch.Generator], Tensor], size: int,
                  budget: Budget, folder: Path, *, save_every: float = 120.0,
                  before: dict | None = None, on_save: Callable[[nn.Module, dict], None] | None = None
                  ) -> tuple[nn.Module, dict]:
    """Minimise `loss_of` over random batches of indices until the time budget is used up.

    The folder keeps `state.pt` (weights, EMA, optimiser, generator, counters; written atomically) and `losses.csv`;
    when `state.pt` is there, training continues from it, and a larger budget carries a finished run on.

    Args:
        model: the network, on its device; trained in place.
        loss_of: (model, indices (B,) int64, CPU generator) -> scalar loss, called under bf16 autocast.
        size: indices are drawn from 0 … size - 1.
        budget: see `Budget`.
        folder: run folder, made if missing.
        save_every: seconds between checkpoints.
        before: counters (steps, images, seconds, loss) of the training that `model` already had, None for a new one.
        on_save: called with (averaged model, info) after every checkpoint, for previews and exports.
    Returns:
        (the averaged model in eval mode, info: steps, images, seconds, loss).
    Raises:
        TrainingError: the loss became NaN or infinite; the last checkpoint stays as it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    device = next(model.parameters()).device
    average = copy.deepcopy(model).eval().requires_grad_(False)
    optimiser = torch.optim.AdamW(model.parameters(), lr=budget.lr, weight_decay=budget.weight_decay)
    generator = torch.Generator().manual_seed(budget.seed)
    info = before or {"steps": 0, "images": 0, "seconds": 0.0, "loss": float("nan")}
    state_file = folder / "state.pt"
    if state_file.exists():
        state = torch.load(state_file, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        generator.set_state(state["generator"].cpu())
        info = state["info"]
    run = torch.compile(model) if budget.compile else model
    total, earlier = budget.minutes * 60, info["seconds"]
    started = saved = time.monotonic()
    smooth = None
    bar = tqdm(total=round(total), initial=round(earlier), unit="s", desc=folder.name)
    model.train()
    while info["seconds"] < total:
        left = 1 - info["seconds"] / total
        rate = budget.lr * min(1.0, (info["steps"] + 1) / budget.warmup, 3 * left)
        for group in optimiser.param_groups:
            group["lr"] = rate
        index = torch.randint(0, size, (budget.batch,), generator=generator)
        with torch.autocast(device.type, torch.bfloat16):
            loss = loss_of(run, index.to(device), generator)
        value = loss.item()
        if not torch.isfinite(loss):
            raise TrainingError(f"The loss became {value} at step {info['steps']}; expected a finite number; lower the "
                                f"learning rate ({budget.lr}) and rerun, it continues from {state_file}.")
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        _follow(average, model, min(budget.ema, (1 + info["steps"]) / (10 + info["steps"])))
        smooth = value if smooth is None else 0.98 * smooth + 0.02 * value
        now = time.monotonic()
        info = {"steps": info["steps"] + 1, "images": info["images"] + budget.batch,
                "seconds": earlier + now - started, "loss": smooth}
        bar.n = min(round(info["seconds"]), bar.total)
        bar.set_postfix(loss=f"{smooth:.4f}", images=info["images"], refresh=False)
        bar.update(0)
        if now - saved > save_every or info["seconds"] >= total:
            saved = now
            with atomic_write(state_file) as temporary:
                torch.save({"model": model.state_dict(), "average": average.state_dict(), "info": info,
                            "optimiser": optimiser.state_dict(), "generator": generator.get_state()}, temporary)
            with open(folder / "losses.csv", "a") as log:
                log.write(f"{info['steps']},{info['images']},{info['seconds']:.0f},{smooth:.5f}\n")
            if on_save:
                on_save(average, info)
    bar.close()
    (folder / "budget.json").write_text(json.dumps(asdict(budget), indent=1))
    return average, info


@torch.no_grad()
def _follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Exponential moving average of the weights; buffers (BatchNorm statistics) are copied."""
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
    for kept, current in zip(average.buffers(), model.buffers()):
        kept.copy_(current)
