"""Speed and memory, measured: the table behind the README, and the original's order of passes beside ours."""

import copy
import statistics
import time
from collections.abc import Callable, Mapping

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from ..api import edit, train_delta
from ..deltas import ConvDelta
from ..device import peak_megabytes
from ..domains.domain import t_edit_of
from ..method.hspace import HSpaceUNet
from ..method.noise import sample_noise
from ..method.process import invert, predict_x0, step, walk
from ..method.train import TrainSettings
from ..report.panel import Panel
from ..store.results import save_result
from ..store.weights import module_digest


def timed(runs: Mapping[str, Callable[[], object]], repeats: int, device: torch.device) -> dict[str, float]:
    """Median wall-clock seconds of each run, already warmed up; they take turns, to meet the same machine."""
    seconds = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(several) for name, several in seconds.items()}


def matrix_peak(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of a product of two large square matrices, the best of five."""
    n = 2048
    a = torch.randn(n, n, device=device).to(dtype)
    with torch.inference_mode():
        return 2 * n**3 / min(timed({"": lambda: a @ a}, 1, device)[""] for _ in range(5))


def compare_with_original(
    unet: HSpaceUNet, name: str, *, precision: str | None = None, repeats: int = 3, replace: bool = False
) -> pd.DataFrame:
    """Our steps and the original's on one network, one image and one machine; prints and stores the table.

    The original decodes twice in every step, below t_edit too, and walks the plain trajectory again in
    training; fp32, contiguous memory.  Without CLIP, which costs both the same; f_t is an untrained
    `ConvDelta`.

    Args:
        unet: in fp32, on its device; the result is bench_original_<name>_<device>.
        precision: of ours; see `HSpaceUNet.to_precision`.
        repeats: of every step, after a warm-up; medians count.
    Returns:
        One row per figure: seconds and GFLOP of both, their ratio, our share of the measured matrix peak.
    Source: the official implementation's `denoising_step` and training loop.
    """
    started, device = time.monotonic(), unet.device
    theirs = copy.deepcopy(unet).to(memory_format=torch.contiguous_format)
    ours = unet.to_precision(precision)
    delta = ConvDelta(unet.h_channels, unet.temb_dim).to(device).eval()
    x = sample_noise([0], (unet.channels, unet.resolution, unet.resolution), device)
    t, pair = 999, (999, 974)
    a_t, a_next = (unet.schedule.alpha_bar(time) for time in pair)
    shift = lambda z, t: delta(z.h, z.emb, t)
    with torch.no_grad():
        reference = predict_x0(x, ours(x, t), a_t)

    def original(train: bool = False) -> None:
        with torch.no_grad():
            target = predict_x0(x, theirs(x, t), a_t) if train else None
            z = theirs.encode(x, t)
            eps = theirs.decode(z)
        with torch.set_grad_enabled(train):
            _, P = step(x, theirs.decode(z, z.h + shift(z, t)), eps, a_t, a_next)
            if train:
                (P - target).abs().mean().backward()

    def own(edited: bool, train: bool = False) -> None:
        with torch.inference_mode(not train):
            P = next(walk(ours, x, [pair], shift if edited else None)).P
            if train:
                (P - reference).abs().mean().backward()

    passes = {
        "plain step": (original, lambda: own(False)),
        "edited step": (original, lambda: own(True)),
        "training step": (lambda: original(True), lambda: own(True, True)),
    }
    peak, rows = matrix_peak(device, ours.dtype), []
    for figure, (one, other) in passes.items():
        delta.requires_grad_(figure == "training step")
        work = []
        for run in (one, other):  # counting is the warm-up
            with FlopCounterMode(display=False) as counter:
                run()
            work.append(counter.get_total_flops())
        seconds = timed({"original": one, "ours": other}, repeats, device)
        rows.append([figure, seconds["original"], seconds["ours"], *(flops / 1e9 for flops in work)])
    mean = [sum(values) / 2 for values in zip(rows[0][1:], rows[1][1:])]
    rows.insert(2, ["edit, half of the steps edited, per step", *mean])
    table = pd.DataFrame(rows, columns=["figure", "original_s", "ours_s", "original_gflop", "ours_gflop"])
    table["ratio"] = table.original_s / table.ours_s
    table["share_of_peak"] = table.ours_gflop * 1e9 / table.ours_s / peak
    print(f"{name}: ours {ours.precision}, {ours.memory_format}; matrix peak {peak / 1e9:.0f} GFLOP/s")
    print(table.to_string(index=False, float_format="{:.3g}".format), flush=True)
    data = {"rows": table.to_dict("records"), "matrix_peak_gflops": peak / 1e9}
    how = {"precision": ours.precision, "memory_format": str(ours.memory_format), "t": t, "repeats": repeats}
    made_by = {
        "started": started,
        "device": device,
        "digests": {"unet": unet.digest(), "f_t": module_digest(delta)},
        "replace": replace,
    }
    path = save_result(f"bench_original_{name}_{device.type}", data, how, **made_by)
    print(f"wrote {path}")
    return table


def run_benchmark(domain, *, repeats: int = 3, replace: bool = False) -> pd.DataFrame:
    """Measure inversion, editing, training and the slider; print the table and store it as bench_<device>.

    Of a domain with the direction "smiling"; `repeats` after a warm-up, of which the median counts.  The
    DataFrame has the columns figure, value, unit.
    """
    started, device, batch, steps = time.monotonic(), domain.unet.device, 8, 40
    x_0, delta = domain.codec.encode(domain.images("test", batch)), domain.delta("smiling")
    x_T = invert(domain.unet, x_0, steps=steps, progress=False)
    change, how, rows = domain.edit_named("smiling"), {"steps": steps, "progress": False}, []

    def add(figure: str, run: Callable[[], object], per: float, unit: str) -> None:
        run()
        tell(figure, timed({"": run}, repeats, device)[""] / per, unit)

    def tell(figure: str, value: float, unit: str) -> None:
        rows.append({"figure": figure, "value": float(f"{value:.3g}"), "unit": unit})
        print(f"{figure:<58} {value:>10.3g} {unit}", flush=True)

    for n in (1, batch):
        for figure, run in {
            "inversion, uncorrected": lambda n=n: invert(domain.unet, x_0[:n], **how),
            "plain generation": lambda n=n: edit(domain, x_T[:n], {}, **how),
            "edit": lambda n=n: edit(domain, x_T[:n], {delta: 1.0}, **how),
        }.items():
            add(f"{figure}, {steps} steps, batch {n}", run, n, "s/image")
    settings, trained = TrainSettings(steps=steps, t_edit=t_edit_of(domain, change), epochs=1), []
    train = lambda: trained.append(train_delta(domain, change, settings, images=batch, progress=False)[1])

    def add_training(words: str = "") -> None:
        train()
        seconds = timed({"": train}, repeats, device)[""]
        rate = len(trained[-1]) * settings.batch_size / seconds
        tell(f"training of f_t, batch 8{words}", rate, "image-steps/s")

    add_training()
    if device.type == "cpu":  # a process of `reproduce` has as little, and as many of them are faster
        threads = torch.get_num_threads()
        again = lambda: edit(domain, x_T, {delta: 1.0}, **how)
        try:
            torch.set_num_threads(1)
            add(f"edit, {steps} steps, batch {batch}, 1 thread", again, batch, "s/image")
            add_training(", 1 thread")
        finally:
            torch.set_num_threads(threads)
    panel = Panel(domain, x_T[:1], {"smiling": delta}, steps=steps, progress=False)
    values = iter([0.1, -0.2] * repeats + [0.3, -0.3] * repeats)

    def move() -> None:
        panel.sliders["smiling"].value = next(values)

    add("slider move", move, 1e-3, "ms")
    tell("peak memory", peak_megabytes(device), "MiB")
    table = pd.DataFrame(rows)
    how = {"domain": domain.name, "resolution": domain.resolution}
    how |= {"steps": steps, "batch": batch, "repeats": repeats}
    made_by = {
        "started": started,
        "device": device,
        "digests": {"unet": domain.unet.digest(), "f_t": module_digest(delta)},
        "replace": replace,
    }
    path = save_result(f"bench_{device.type}", {"rows": rows}, how, **made_by)
    print(f"wrote {path}")
    return table
