"""Speed and memory, measured: the table behind the README."""

import resource
import statistics
import time
from collections.abc import Callable

import pandas as pd
import torch

from ..api import edit, train_delta
from ..domains.domain import t_edit_of
from ..method.process import invert
from ..method.train import TrainSettings
from ..report.panel import Panel
from ..store.results import save_result


def timed(run: Callable[[], object], repeats: int, device: torch.device) -> float:
    """Median wall-clock seconds of `run` after one warm-up."""

    def once() -> float:
        started = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - started

    once()
    return statistics.median(once() for _ in range(repeats))


def peak_megabytes(device: torch.device) -> float:
    """Peak memory so far: of the GPU on CUDA, else the resident set of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def run_benchmark(domain, *, repeats: int = 3, batch: int = 8, steps: int = 40) -> pd.DataFrame:
    """Measure inversion, editing, training and the slider; print the table and write `data/results/bench_<device>.json`.

    Args:
        domain: a Domain with the direction "smiling".
        repeats: runs per figure after a warm-up; the median counts.
        batch: pictures in the batched figures.
        steps: S.
    Returns:
        DataFrame with columns figure, value, unit.
    """
    started, device = time.monotonic(), domain.unet.device
    x_0, delta = domain.images("test", batch), domain.delta("smiling")
    x_T = invert(domain.unet, x_0, steps=steps, progress=False)
    change = domain.edit_named("smiling")
    rows = []

    def add(figure: str, value: float, unit: str) -> None:
        rows.append({"figure": figure, "value": float(f"{value:.3g}"), "unit": unit})
        print(f"{figure:<58} {value:>10.3g} {unit}", flush=True)

    for n in (1, batch):
        seconds = timed(lambda: invert(domain.unet, x_0[:n], steps=steps, progress=False), repeats, device)
        add(f"inversion, {steps} steps, batch {n}", seconds / n, "s/image")
        seconds = timed(lambda: edit(domain, x_T[:n], {}, steps=steps, progress=False), repeats, device)
        add(f"plain generation, {steps} steps, batch {n}", seconds / n, "s/image")
        seconds = timed(
            lambda: edit(domain, x_T[:n], {delta: 1.0}, steps=steps, progress=False), repeats, device
        )
        add(f"edit, {steps} steps, batch {n}", seconds / n, "s/image")
    settings = TrainSettings(steps=steps, t_edit=t_edit_of(domain, change), epochs=1)
    trained = []
    seconds = timed(
        lambda: trained.append(train_delta(domain, change, settings, images=batch, progress=False)[1]),
        repeats,
        device,
    )
    add("training of f_t, batch 8", len(trained[-1]) * settings.batch_size / seconds, "image-steps/s")
    panel = Panel(domain, x_T[:1], {"smiling": delta}, steps=steps, progress=False)
    values = iter([0.1, -0.2] * repeats + [0.3, -0.3] * repeats)

    def move() -> None:
        panel.sliders["smiling"].value = next(values)

    add("slider move", 1000 * timed(move, repeats, device), "ms")
    add("peak memory", peak_megabytes(device), "MiB")
    table = pd.DataFrame(rows)
    path = save_result(
        f"bench_{device.type}",
        {"rows": rows},
        {
            "domain": domain.name,
            "resolution": domain.resolution,
            "steps": steps,
            "batch": batch,
            "repeats": repeats,
        },
        started=started,
    )
    print(f"wrote {path}")
    return table
