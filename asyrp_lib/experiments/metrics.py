"""S_dir, SC and the Fréchet distance beside the oracle's truth: does a higher score mean a truer edit?

Source: Asyrp Table 4; study Tables 2 and 3.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from ..measure.frechet import frechet_bias, frechet_summary, inception, inception_features, inception_file
from ..measure.judge import all_trained, per_image, summaries
from ..measure.scores import clip_features, s_dir, segmentation_consistency
from ..measure.stats import rounded, summary
from ..progress import tqdm
from .trial import Trial, begin


def measure(
    domain,
    *,
    n: int = 64,
    names: Sequence[str] | None = None,
    strengths: Sequence[float] = (0.5, 1.0),
    steps: int = 40,
    real: int = 1024,
    sizes: Sequence[int] = (16, 32, 64, 128, 256),
    trial: Trial | None = None,
    progress: bool = True,
) -> dict:
    """Score in-domain edits by everything at once.

    Args:
        names: of the edits; None: all in-domain ones that have an f_t.
        strengths: of the edits.
        steps: S.
        real: training images for the bias of the Fréchet distance, twice the largest of `sizes` at least.
        sizes: sample sizes of that.
    Returns:
        reconstruction: SC and FD-CLIP of the reconstructions to the originals: what no edit at all scores;
        scores: edit -> strength -> `judge.scores` as summaries, further S_dir_recon (from the
            reconstruction) and
        SC_original (SC is of reconstruction and edit), fd_original and fd_recon (FD-CLIP to both), and
        fid_original and fid_recon (FID, which N < 2048 images bias upwards) where Inception's weights are at
        hand;
        images: edit -> strength -> column of S_dir, aimed, leaked -> one number per image;
        within: edit -> strength -> "aimed" and "leaked" -> `rank_correlation` with S_dir over the images;
        bias: `frechet_bias` of real images.
        Without an oracle, aimed, leaked and within are missing or empty.
    """
    deltas = all_trained(domain, names, in_domain=True)
    trial = begin(domain, trial, n, progress, steps)
    x_0, plain = trial.x_0, trial.plain
    kinds = {"fd": lambda x: clip_features(domain.clip, x)}
    if inception_file().exists():
        network = inception().to(domain.unet.device)
        kinds["fid"] = lambda x: inception_features(network, x)
    features = {kind: [features(x) for x in (x_0, plain)] for kind, features in kinds.items()}
    found: dict = {
        "reconstruction": {
            kind: frechet_summary(after, before, paired=True) for kind, (before, after) in features.items()
        },
        "scores": {},
        "images": {},
        "within": {},
        "bias": frechet_bias(clip_features(domain.clip, domain.images("train", real)), sizes),
    }
    if domain.segmenter is not None:
        found["reconstruction"]["SC"] = summary(_sc(domain, x_0, plain))
    runs = tqdm(
        [(name, s) for name in deltas for s in strengths], desc="metrics", unit="edit", disable=not progress
    )
    for name, strength in runs:
        this, key = domain.edits[name], f"{strength:g}"
        edited = trial.edit({deltas[name]: strength})
        table = trial.scores(name, edited)
        table["S_dir_recon"] = s_dir(domain.clip, plain, edited, this.source, this.target).numpy()
        if domain.segmenter is not None:
            table["SC_original"] = _sc(domain, x_0, edited)
        distances = {
            f"{kind}_{to}": frechet_summary(kinds[kind](edited), real, paired=True)
            for kind, both in features.items()
            for to, real in zip(("original", "recon"), both, strict=True)
        }
        found["scores"].setdefault(name, {})[key] = summaries(table) | distances
        found["images"].setdefault(name, {})[key] = per_image(table, ("S_dir", "aimed", "leaked"))
        found["within"].setdefault(name, {})[key] = {
            truth: rank_correlation(table["S_dir"], table[truth])
            for truth in ("aimed", "leaked")
            if truth in table
        }
    return found


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> dict[str, float]:
    """Spearman's ρ with a 95 % confidence interval (Fisher's z with the variance 1.06 / (n − 3)) and its p.

    Args:
        a, b: (n,).
    Returns:
        {"rho", "low", "high", "p", "n"}, `rounded`; None where it is not defined, the interval for n < 4.
    Source: Fieller, Hartley and Pearson 1957 (the variance).
    """
    rho, p = stats.spearmanr(a, b)
    half = 1.96 * (1.06 / (len(a) - 3)) ** 0.5 if len(a) > 3 else np.nan
    z = np.arctanh(np.clip(rho, -1 + 1e-12, 1 - 1e-12))
    return rounded({"rho": rho, "low": np.tanh(z - half), "high": np.tanh(z + half), "p": p}) | {"n": len(a)}


def score_table(data: dict) -> pd.DataFrame:
    """The means of `measure`, one row per edit and strength, with `purity`, the ratio of aimed to leaked.

    Args:
        data: what `measure` gave.
    Returns:
        DataFrame with the index (edit, strength).
    """
    rows = {
        (name, float(s)): {column: cell.get("mean", cell.get("value")) for column, cell in cells.items()}
        for name, at in data["scores"].items()
        for s, cells in at.items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis(["edit", "strength"])
    if "aimed" in table:
        table["purity"] = table["aimed"] / table["leaked"]
    return table


def _sc(domain, before, after) -> np.ndarray:
    return (
        segmentation_consistency(domain.segmenter(before), domain.segmenter(after), len(domain.classes))
        .cpu()
        .numpy()
    )
