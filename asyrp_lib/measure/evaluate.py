"""Judging edits by the oracle: how far did the aimed factor move, and what else moved?"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import torch

from ..api import edit, invert
from ..errors import DomainError, WeightsError
from ..progress import tqdm
from ..store.cache import module_digest
from ..store.results import load_result, result_file, save_result
from .judge import sc
from .scores import factor_shifts, s_dir
from .stats import summary


def strength_sweep(
    domain,
    name: str,
    x_0: torch.Tensor,
    strengths: Sequence[float],
    *,
    steps: int = 40,
    plain: torch.Tensor | None = None,
    progress: bool = True,
) -> dict[float, pd.DataFrame]:
    """What one edit does to every factor of images x_0 (N, 3, R, R) in [-1, 1], at strengths and 0.

    Args:
        plain: the reconstructions, if they are there already.
    Returns:
        strength -> DataFrame (N, factors): the oracle's reading minus that of the reconstruction, in standard
        deviations of the data; further `S_dir`, and `SC` where there is a segmenter.
    Raises:
        DomainError: the domain has no oracle.
    """
    if domain.oracle is None:
        raise DomainError(
            f"The domain {domain.name!r} has no oracle; expected one that knows its factors; use synthfaces."
        )
    this, delta = domain.edit_named(name), domain.delta(name)
    x_T = invert(domain, x_0, steps=steps, progress=progress)
    plain = edit(domain, x_T, {}, steps=steps, progress=progress) if plain is None else plain
    found, at = {}, sorted({*map(float, strengths), 0.0})
    total = (len(at) - 1) * steps * -(-len(x_T) // domain.unet.batch_size)
    with tqdm(total=total, desc=name, unit="step", disable=not progress) as bar:
        for strength in at:
            edited = edit(domain, x_T, {delta: strength}, steps=steps, progress=bar) if strength else plain
            table = found[strength] = factor_shifts(domain.oracle.read, plain, edited)
            table["S_dir"] = s_dir(domain.clip, x_0, edited, this.source, this.target).numpy()
            if domain.segmenter is not None:
                table["SC"] = sc(domain, plain, edited)
    return found


def evaluate_edits(
    domain,
    names: Sequence[str],
    *,
    n: int = 64,
    strengths: Sequence[float] = (-1, -0.5, 0, 0.5, 1),
    steps: int = 40,
    replace: bool = False,
    progress: bool = True,
) -> Iterator[Path]:
    """Sweep edits over n test images, and yield the file of each,
    `data/results/<domain>_evaluation/<edit>.json`.

    Its data are strength -> column -> {mean, std}.  `replace`: write over results that are there; else the
    new ones go to runs/results.  Other arguments: see `strength_sweep`.
    """
    x_0 = domain.images("test", n)
    x_T = invert(domain, x_0, steps=steps, progress=progress)
    plain = edit(domain, x_T, {}, steps=steps, progress=progress)
    for name in names:
        started = time.monotonic()
        sweep = strength_sweep(domain, name, x_0, strengths, steps=steps, plain=plain, progress=progress)
        parts = lambda values: {key: summary(values)[key] for key in ("mean", "std")}
        data = {f"{s:g}": {column: parts(table[column]) for column in table} for s, table in sweep.items()}
        settings = {"domain": domain.name, "edit": name, "split": "test", "n": n, "steps": steps}
        settings |= {"strengths": list(strengths), "t_boost": 0, "t_edit": domain.delta(name).t_edit}
        digests = {"unet": domain.unet.digest(), "f_t": module_digest(domain.delta(name))}
        made_by = {"started": started, "device": domain.unet.device, "digests": digests, "replace": replace}
        yield save_result(_file(domain.name, name), data, settings, **made_by)


def load_evaluations(domain) -> dict[str, dict]:
    """Stored results of `evaluate_edits`, edit -> result, in the order of the edits, or WeightsError."""
    names = [name for name in domain.edits if result_file(_file(domain.name, name)).exists()]
    if not names:
        raise WeightsError(
            f"No evaluation of {domain.name!r} is stored; expected one; run python -m asyrp_lib evaluate"
        )
    command = "python -m asyrp_lib evaluate {!r}".format
    return {name: load_result(_file(domain.name, name), command(name)) for name in names}


def _file(domain: str, name: str) -> str:
    return f"{domain}_evaluation/{name.replace(' ', '_')}"
