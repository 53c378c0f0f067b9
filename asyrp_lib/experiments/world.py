"""The embedded world: are its samples as varied as its data, do faces come back, does the oracle read them?

What every other number rests on.  How near images come back, grid by grid, is the experiment `inversion`.
"""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..measure.frechet import frechet_summary
from ..measure.scores import clip_features
from ..measure.stats import RESAMPLES, Interval, student
from .rows import ends, joined, numbers, pick, with_ends
from .trial import Trial, begin

#: Faces whose factors standardise a truth, and samples that are made at once, so that a stop costs few.
TRUTHS, PART = 10_000, 100


def measure(
    domain, *, n: int = 64, n_samples: int = 640, trial: Trial | None = None, progress: bool = True
) -> pd.DataFrame:
    """Let the judges look at data, at samples, and at test images before and after a reconstruction.

    Args:
        n_samples: of `Domain.seeded_noise` 0 …, and as many images of the training and of the test split.
    Returns:
        rows of each factor that the oracle reads, one number per image, in standard deviations of the data:
        variants "data" (training split), "samples", "original", "reconstruction", and "truth", what the
        test images were drawn with; "disagreement, <variant>": between the oracles, the mean over images.
        Without an image "fd", with low and high, in features of the second CLIP: of "samples" to data, and
        of "test" images, faces of another seed, to data.
    """
    trial = begin(domain, trial, n, progress)
    starts = range(0, n_samples, PART)
    noise = [trial.like(n=min(PART, n_samples - k), first=k, split="noise") for k in starts]
    shown = {"data": domain.images("train", n_samples), "samples": torch.cat([p.plain.cpu() for p in noise])}
    judge, test = domain.second_clip or domain.clip, domain.images("test", n_samples)
    features = {v: clip_features(judge, images).numpy() for v, images in {**shown, "test": test}.items()}
    parts = []
    for variant in ("samples", "test"):
        found = ends("fd", frechet_summary(features[variant], features["data"]))
        parts.append(numbers(found | {"images": len(features[variant])}, variant=variant))
    if domain.oracle is not None:
        shown |= {"original": trial.x_0, "reconstruction": trial.plain}
        seen = {variant: domain.oracle.read(images) for variant, images in shown.items()}
        parts += [_disagreement(domain.oracle, variant, images) for variant, images in shown.items()]
        if domain.factor_source is not None:
            seen["truth"] = standardised(domain, domain.factors("test", n))[list(seen["data"])]
        parts += [trial.like(n=len(table)).rows(table, variant=v) for v, table in seen.items()]
    return joined(parts)


def _disagreement(oracle, variant: str, images: Tensor) -> pd.DataFrame:
    """Nothing of an oracle that is one alone."""
    found = oracle.disagreement(images).mean() if hasattr(oracle, "disagreement") else {}
    return numbers(dict(found), variant=f"disagreement, {variant}")


def standardised(domain, factors: pd.DataFrame) -> pd.DataFrame:
    """True factors in standard deviations of the data."""
    scale = domain.factors("train", TRUTHS)
    return (factors - scale.mean()) / scale.std()


def readings(rows: pd.DataFrame, variant: str) -> pd.DataFrame:
    """What was read of each image, images × factors, of one variant."""
    part = pick(rows, variant=variant).dropna(subset="image")
    return part.pivot(index="image", columns="score", values="value")[list(part["score"].unique())]


def spreads(rows: pd.DataFrame) -> dict[str, Interval]:
    """factor -> standard deviation over samples by that over data, with the bootstrap's interval (seed 0)."""
    both, rng = [readings(rows, variant) for variant in ("samples", "data")], np.random.default_rng(0)
    drawn = [t.to_numpy()[rng.integers(len(t), size=(RESAMPLES, len(t)))].std(1, ddof=1) for t in both]
    low, high = np.percentile(drawn[0] / drawn[1], [2.5, 97.5], axis=0)
    ratio = both[0].std() / both[1].std()
    found = zip(ratio.index, ratio, low, high)
    return {str(f): Interval(float(m), float(a), float(b), 1, len(both[0])) for f, m, a, b in found}


def moved(rows: pd.DataFrame) -> dict[str, Interval]:
    """factor -> mean shift that a reconstruction makes, with its interval over faces."""
    shift = readings(rows, "reconstruction") - readings(rows, "original")
    return {str(factor): student(shift[factor]) for factor in shift}


def explained(read: pd.DataFrame, truth: pd.DataFrame) -> pd.Series:
    """factor -> R² of readings against the truth."""
    return 1 - ((read - truth[list(read)]) ** 2).mean() / truth[list(read)].var(ddof=0)


def r2(rows: pd.DataFrame, variant: str) -> pd.Series:
    """factor -> R² of the oracle on test images as a variant, "original" or "reconstruction", shows them."""
    return explained(readings(rows, variant), readings(rows, "truth"))


def disagreement(rows: pd.DataFrame) -> pd.DataFrame:
    """factor × variant: the standard deviation between the oracles, mean over images."""
    part = rows[rows["variant"].str.startswith("disagreement")]
    part = part.assign(of=part["variant"].str.removeprefix("disagreement, "))
    return part.pivot(index="score", columns="of", values="value")


def frechet(rows: pd.DataFrame, variant: str) -> Interval:
    """Fréchet distance to the data of "samples", or of "test" images: what perfect samples would have."""
    n = int(pick(rows, "images", variant=variant)["value"].iloc[0])
    return Interval(*with_ends(rows, "fd", variant=variant), 1, n)
