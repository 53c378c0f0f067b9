"""One training on several processes, each with a GPU or a share of the cores: every batch is cut into shards,
gradients are averaged, so all processes take one and the same step.

`accelerate launch --multi_gpu --num_processes 4 -m asyrp_lib train …`, or torchrun.  The first process makes
inversions and P_t^ref, the others find them in the cache; where that is off each makes its own.
"""

import os
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import SettingsError


@cache
def _accelerator() -> Any:
    """What the launcher started; None where this process is alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return None
    try:
        from accelerate import Accelerator
    except ImportError as error:
        raise SettingsError(
            "Several processes need accelerate, which is not installed; run: pip install -e '.[parallel]'"
        ) from error
    return Accelerator()


def count() -> int:
    """How many processes train together."""
    return 1 if (processes := _accelerator()) is None else processes.num_processes


def is_main() -> bool:
    """Whether this is the process that writes files and shows bars."""
    return (processes := _accelerator()) is None or processes.is_main_process


def main_first() -> AbstractContextManager:
    """What the main process does before the others."""
    return nullcontext() if (processes := _accelerator()) is None else processes.main_process_first()


def barrier() -> None:
    """Until all processes are here."""
    if (processes := _accelerator()) is not None:
        processes.wait_for_everyone()


def check_even(images: int, batch_size: int) -> None:
    """SettingsError: batches of so many images, the last one too, don't have equal shards."""
    for size in {min(batch_size, images), images % batch_size}:
        if size % count():
            raise SettingsError(
                f"A batch of {size} images can't be shared out evenly to {count()} processes; expected a "
                "multiple, also in the last batch of an epoch; change batch_size or images."
            )


def shard(index: Tensor) -> Tensor:
    """This process's part of a batch (B,) of indices."""
    return index if (processes := _accelerator()) is None else index[processes.process_index :: count()]


def all_mean(numbers: Tensor) -> Tensor:
    """The mean of numbers (N,) over all processes."""
    return numbers if (processes := _accelerator()) is None else processes.reduce(numbers.detach(), "mean")


def mean_gradients(module: nn.Module) -> None:
    """Give all processes the mean of their gradients, that of the whole batch."""
    if count() > 1:
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        means = all_mean(torch.cat([g.flatten() for g in gradients]))  # one exchange for all of them
        for gradient, mean in zip(gradients, means.split([g.numel() for g in gradients])):
            gradient.copy_(mean.view_as(gradient))
