"""Quality boosting: does noise in the last steps make images more real, at what cost?  (Asyrp Sec. 3.4)"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..measure.frechet import frechet_summary
from ..measure.judge import usual
from ..measure.scores import clip_features, frechet_distance
from .rows import ends, joined, numbers
from .trial import Run, Trial, begin

#: variant -> its share of the domain's t_boost
STARTS = {"none": 0.0, "half": 0.5, "full": 1.0}
#: Of the faces, for the interval of `fall`.
RESAMPLES = 200


def measure(
    domain,
    *,
    n: int = 30,
    names: Sequence[str] | None = None,
    reference: int = 512,
    trial: Trial | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Reconstruct and edit test images with boosting below `domain.t_boost`, half of it, and not at all.

    The protocol wants t_boost < t_edit, for an interval of its own after the edit's: where an f_t starts no
    later, its run is left out, and its rows say "left out": its t_edit.

    Args:
        names: of the edits; None: glasses and bald, whose t_edit lie above t_boost, or what there is.
        reference: other real images, of the training split, that the Fréchet distance compares with.
    Returns:
        rows, `variant` as in `STARTS`, without an edit for reconstructions: distance_original (perceptual,
        to the original), fine (`fine_energy` over the original's) and, of edits, `judge.scores`; the numbers
        fd (to the reference, in features of the second CLIP) and fd_fall (see `fall`), each with low and
        high, and t_boost.  Variant "real": the fd of the test images themselves.
    Source: Asyrp Sec. 3.4, Eq. 12; Sec. 4 (LPIPS(x, x_t) = 1.2).
    """
    names, trial = usual(domain, names, ("glasses", "bald")), begin(domain, trial, n, progress)
    judge = domain.second_clip or domain.clip
    real = clip_features(judge, domain.images("train", reference)).numpy()
    runs, real_fd = [], frechet_summary(clip_features(judge, trial.x_0), real)
    parts = [numbers(ends("fd", real_fd), variant="real")]
    for variant, share in STARTS.items():
        t_boost = int(share * domain.t_boost)
        parts.append(numbers({"t_boost": t_boost}, variant=variant))
        runs.append(Run(trial, {}, {"variant": variant}, _how(trial, t_boost)))
        for name in names:
            for seed, part in trial.shares(domain.seeds(name)).items():
                delta, where = domain.delta(name, seed), {"edit": name, "variant": variant, "seed": seed}
                if t_boost < delta.t_edit:
                    where["strength"] = 1.0
                    runs.append(Run(part, {delta: 1.0}, where, _how(part, t_boost)))
                else:
                    parts.append(numbers({"left out": delta.t_edit}, **where))
    seen: dict[tuple, list[Tensor]] = {}
    for run, made in trial.runs("boosting", runs):
        parts.append(run.rows(_looks(run, made)))
        key = run.where.get("edit"), run.where["variant"]
        seen.setdefault(key, []).append(clip_features(judge, made))
    features = {key: torch.cat(found).numpy() for key, found in seen.items()}
    for (edit, variant), found in features.items():
        row = ends("fd", frechet_summary(found, real))
        if variant != "none" and len(found) == len(features[edit, "none"]):
            row |= ends("fd_fall", fall(features[edit, "none"], found, real))
        parts.append(numbers(row, edit=edit, variant=variant))
    return joined(parts)


def _how(trial: Trial, t_boost: int) -> dict:
    """Settings of a run whose noise is that of the face, whichever f_t edits it."""
    return {"t_boost": t_boost, "seeds": range(trial.first, trial.first + trial.n)}


def _looks(run: Run, made: Tensor) -> pd.DataFrame:
    """What boosting may change, of each image."""
    trial, name = run.trial, run.where.get("edit")
    table = trial.scores(name, made) if name else pd.DataFrame(index=range(trial.n))
    table["distance_original"] = trial.domain.distance(trial.x_0, made).cpu().numpy()
    table["fine"] = (fine_energy(made) / fine_energy(trial.x_0)).cpu().numpy()
    return table


def fall(before: np.ndarray, after: np.ndarray, real: np.ndarray) -> tuple[float, float, float]:
    """By how much the Fréchet distance to `real` falls from features `before` to `after`, (N, D) of the same
    N images: (value, low, high), ± 1.96 standard deviations of resampled faces (seed 0).

    The faces that are drawn are the same on both sides, so that it is the boosting that differs.
    """
    rng, n = np.random.default_rng(0), len(before)
    way = lambda rows: frechet_distance(before[rows], real) - frechet_distance(after[rows], real)
    drawn = [way(rng.integers(n, size=n)) for _ in range(RESAMPLES)]
    value, half = way(np.arange(n)), 1.96 * float(np.std(drawn, ddof=1))
    return value, value - half, value + half


def fine_energy(images: Tensor) -> Tensor:
    """Energy of the finest detail of images (B, 3, R, R): mean square of what is in the upper half of the
    frequencies, (B,); by Parseval, all of them together would give the mean square of the image."""
    spectrum = torch.fft.fft2(images.double(), norm="forward").abs().square()
    high = torch.fft.fftfreq(images.shape[-1], device=images.device).abs() > 0.25
    return (spectrum * (high[:, None] | high[None])).sum((2, 3)).mean(1)
