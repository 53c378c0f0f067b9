"""S_dir, SC and the Fréchet distance beside the oracle's truth: does a higher score mean a truer edit?

Source: Asyrp Table 4; study Tables 2 and 3.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from ..measure.frechet import frechet_bias, frechet_summary, inception, inception_features, inception_file
from ..measure.judge import all_trained, per_image, sc, summaries
from ..measure.scores import clip_features, s_dir
from ..measure.stats import rounded, summary
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
        real: training images for the bias of the Fréchet distance, twice the largest of `sizes` at least.
        sizes: sample sizes of that.
    Returns:
        reconstruction: SC and FD-CLIP of the reconstructions to the originals: what no edit at all scores;
        scores: edit -> strength -> `judge.scores` as summaries, further S_dir_recon (from the
            reconstruction), SC_original (SC is of reconstruction and edit), fd_original and fd_recon (FD-CLIP
            to both), and, where Inception's weights are at hand, fid_… for fd_… (biased for N < 2048);
        images: edit -> strength -> column of S_dir, aimed, leaked -> one number per image;
        within: edit -> strength -> "aimed" and "leaked" -> `rank_correlation` with S_dir over the images;
        bias: `frechet_bias` of real images.
        Without an oracle, aimed and leaked are missing and within is empty.
    """
    deltas = all_trained(domain, names, in_domain=True)
    trial = begin(domain, trial, n, progress, steps)
    x_0, plain = trial.x_0, trial.plain
    kinds = {"fd": lambda x: clip_features(domain.clip, x)}
    if inception_file().exists():
        network = inception().to(domain.unet.device)
        kinds["fid"] = lambda x: inception_features(network, x)
    before = {
        (kind, to): f(x) for kind, f in kinds.items() for to, x in (("original", x_0), ("recon", plain))
    }
    unedited = {
        kind: frechet_summary(before[kind, "recon"], before[kind, "original"], paired=True) for kind in kinds
    }
    bias = frechet_bias(clip_features(domain.clip, domain.images("train", real)), sizes)
    found: dict = {"reconstruction": unedited, "scores": {}, "images": {}, "within": {}, "bias": bias}
    if domain.segmenter is not None:
        found["reconstruction"]["SC"] = summary(sc(domain, x_0, plain))
    for (name, strength), edited in trial.sweep("metrics", deltas, strengths):
        this, table = domain.edits[name], trial.scores(name, edited)
        table["S_dir_recon"] = s_dir(domain.clip, plain, edited, this.source, this.target).numpy()
        if domain.segmenter is not None:
            table["SC_original"] = sc(domain, x_0, edited)
        after = {kind: features(edited) for kind, features in kinds.items()}
        distances = {
            f"{kind}_{to}": frechet_summary(after[kind], real, paired=True)
            for (kind, to), real in before.items()
        }
        truths = [truth for truth in ("aimed", "leaked") if truth in table]
        rows = {
            "scores": summaries(table) | distances,
            "images": per_image(table, ("S_dir", "aimed", "leaked")),
            "within": {truth: rank_correlation(table["S_dir"], table[truth]) for truth in truths},
        }
        for part, row in rows.items():
            found[part].setdefault(name, {})[f"{strength:g}"] = row
    return found


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> dict[str, float | None]:
    """Spearman's ρ of a and b (n,) with its 95 % interval (Fisher's z, variance 1.06 / (n − 3)) and p.

    {"rho", "low", "high", "p", "n"}, `rounded`; None where not defined, as the interval is for n < 4.
    Source: Fieller, Hartley and Pearson 1957 (the variance).
    """
    rho, p = map(float, stats.spearmanr(a, b))
    half = 1.96 * (1.06 / (len(a) - 3)) ** 0.5 if len(a) > 3 else np.nan
    z = np.arctanh(np.clip(rho, -1 + 1e-12, 1 - 1e-12))
    return rounded({"rho": rho, "low": np.tanh(z - half), "high": np.tanh(z + half), "p": p}) | {"n": len(a)}


def score_table(data: dict) -> pd.DataFrame:
    """The means of what `measure` gave, one row for (edit, strength), with `purity`, aimed over leaked."""
    rows = {
        (name, float(s)): {column: cell.get("mean", cell.get("value")) for column, cell in cells.items()}
        for name, at in data["scores"].items()
        for s, cells in at.items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis(["edit", "strength"])
    if "aimed" in table:
        table["purity"] = table["aimed"] / table["leaked"]
    return table
