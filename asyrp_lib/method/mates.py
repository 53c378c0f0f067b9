"""One training on several processes, each with a GPU or a share of the cores: `accelerate launch -m asyrp_lib
train …`.  Every batch is shared out, gradients are averaged, so all processes take one and the same step.
"""

import os
from contextlib import AbstractContextManager, nullcontext
from functools import cache

from torch import Tensor, nn

from ..errors import SettingsError


@cache
def _accelerator():
    """What `accelerate launch` started; None where this process is alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return None
    try:
        from accelerate import Accelerator
    except ImportError as error:
        raise SettingsError("Several processes need accelerate; pip install accelerate.") from error
    return Accelerator()


def first() -> bool:
    """Whether this is the process that writes files and shows bars."""
    return (mates := _accelerator()) is None or mates.is_main_process


def first_of_all() -> AbstractContextManager:
    """What the first process does before the others, which then find it in the cache."""
    return nullcontext() if (mates := _accelerator()) is None else mates.main_process_first()


def wait() -> None:
    """Until all processes are here."""
    if (mates := _accelerator()) is not None:
        mates.wait_for_everyone()


def share(index: Tensor) -> Tensor:
    """This process's part of a batch (B,) of indices; SettingsError where it can't be shared out evenly."""
    if (mates := _accelerator()) is None:
        return index
    if len(index) % mates.num_processes:
        raise SettingsError(
            f"A batch of {len(index)} images can't be shared out evenly to {mates.num_processes} processes; "
            "expected a multiple, also in the last batch of an epoch; change batch_size or images."
        )
    return index[mates.process_index :: mates.num_processes]


def mean(part: Tensor) -> Tensor:
    """The mean of a number over all processes."""
    return part if (mates := _accelerator()) is None else mates.reduce(part.detach(), "mean")


def average_gradients(module: nn.Module) -> None:
    """Give all processes the mean of their gradients, that of the whole batch."""
    for parameter in module.parameters() if _accelerator() is not None else ():
        if parameter.grad is not None:
            parameter.grad = mean(parameter.grad)
