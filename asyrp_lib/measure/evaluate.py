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
from .scores import factor_shifts, s_dir, segmentation_consistency
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
    """What one edit does to every factor of every image, at several strengths.

    Args:
        domain: a Domain with an oracle.
        name: of the edit.
        x_0: (N, 3, R, R) in [-1, 1].
        strengths: any signs; 0 is the reconstruction that the others are compared with and is always
            included.
        steps: S.
        plain: the reconstructions, if they are there already.
        progress: show a progress bar while editing.
    Returns:
        strength -> DataFrame (N, factors): the oracle's reading minus that of the reconstruction, in
        data-set standard deviations; for in-domain edits also columns `S_dir` and `SC` (where there is a
        segmenter).
    Raises:
        DomainError: the domain has no oracle.
    """
    if domain.oracle is None:
        raise DomainError(
            f"The domain {domain.name!r} has no oracle; expected one that knows its factors; use synthfaces."
        )
    this, delta = domain.edit_named(name), domain.delta(name)
    x_T = invert(domain, x_0, steps=steps, progress=progress)
    plain = edit(domain, x_T, {}, steps=steps, progress=False) if plain is None else plain
    found = {}
    for strength in tqdm(sorted({*strengths, 0.0}), desc=name, unit="strength", disable=not progress):
        edited = plain if strength == 0 else edit(domain, x_T, {delta: strength}, steps=steps, progress=False)
        table = factor_shifts(domain.oracle.read, plain, edited)
        table["S_dir"] = s_dir(domain.clip, x_0, edited, this.source, this.target).numpy()
        if domain.segmenter is not None:
            table["SC"] = (
                segmentation_consistency(
                    domain.segmenter(plain), domain.segmenter(edited), len(domain.classes)
                )
                .cpu()
                .numpy()
            )
        found[float(strength)] = table
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
    """Sweep edits over test images, one result each: `data/results/<domain>_evaluation/<edit>.json`.

    Args:
        domain: a Domain with an oracle.
        names: of the edits.
        n: test images.
        strengths: see `strength_sweep`.
        steps: S.
        replace: write over results that are there; else the new ones go to runs/results.
    Yields:
        The file of each edit, as soon as it is written; its data are strength -> column -> {mean, std}.
    """
    x_0 = domain.images("test", n)
    x_T = invert(domain, x_0, steps=steps, progress=progress)
    plain = edit(domain, x_T, {}, steps=steps, progress=False)
    for name in names:
        started = time.monotonic()
        sweep = strength_sweep(domain, name, x_0, strengths, steps=steps, plain=plain, progress=progress)
        parts = lambda values: {key: summary(values)[key] for key in ("mean", "std")}
        data = {f"{s:g}": {column: parts(table[column]) for column in table} for s, table in sweep.items()}
        settings = {
            "domain": domain.name,
            "edit": name,
            "split": "test",
            "n": n,
            "steps": steps,
            "strengths": list(strengths),
            "t_boost": 0,
            "t_edit": domain.delta(name).t_edit,
        }
        digests = {"unet": domain.unet.digest(), "f_t": module_digest(domain.delta(name))}
        made_by = {"started": started, "device": domain.unet.device, "digests": digests, "replace": replace}
        yield save_result(_file(domain.name, name), data, settings, **made_by)


def load_evaluations(domain) -> dict[str, dict]:
    """The stored results of `evaluate_edits`, edit -> result, in the order of the domain's edits.

    Raises:
        WeightsError: there are none.
    """
    names = [name for name in domain.edits if result_file(_file(domain.name, name)).exists()]
    if not names:
        raise WeightsError(
            f"No evaluation of {domain.name!r} is stored; expected one file per edit; make them with "
            "`python -m asyrp_lib evaluate`."
        )
    return {
        name: load_result(_file(domain.name, name), f"python -m asyrp_lib evaluate {name!r}")
        for name in names
    }


def _file(domain: str, name: str) -> str:
    return f"{domain}_evaluation/{name.replace(' ', '_')}"
