"""S_dir, SC and the Fréchet distance beside the oracle's truth: does a higher score mean a truer edit?

Source: Asyrp Table 4; study Tables 2 and 3.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from ..api import edit, invert
from ..measure.frechet import frechet_bias, frechet_summary
from ..measure.judge import per_picture, scores, summaries
from ..measure.scores import clip_features, s_dir, segmentation_consistency
from ..measure.stats import summary
from ..progress import tqdm


def measure(
    domain,
    *,
    n: int = 64,
    names: Sequence[str] | None = None,
    strengths: Sequence[float] = (0.5, 1.0),
    steps: int = 40,
    real: int = 1024,
    sizes: Sequence[int] = (16, 32, 64, 128, 256),
    progress: bool = True,
) -> dict:
    """Score in-domain edits by everything at once.

    Args:
        domain: a Domain with f_t.
        n: test pictures.
        names: of the edits, None for all in-domain ones; those without an f_t are left out.
        strengths: of the edits.
        steps: S.
        real: training pictures for the bias of the Fréchet distance, twice the largest of `sizes` at least.
        sizes: sample sizes of that.
        progress: show a progress bar.
    Returns:
        reconstruction: SC and FD-CLIP of the reconstructions to the originals: what no edit at all scores;
        scores: edit -> strength -> `judge.scores` as summaries, further S_dir_recon (from the reconstruction) and SC_original
        (SC is of reconstruction and edit), fd_original and fd_recon (FD-CLIP to both);
        images: edit -> strength -> column of S_dir, aimed, leaked -> one number per picture;
        within: edit -> strength -> "aimed" and "leaked" -> `rank_correlation` with S_dir over the pictures;
        bias: `frechet_bias` of real pictures.
        Without an oracle, aimed, leaked and within are missing or empty.
    Raises:
        DomainError: none of the edits is trained.
    """
    in_domain = [name for name, this in domain.edits.items() if this.in_domain]
    deltas, x_0 = domain.trained(in_domain if names is None else names), domain.images("test", n)
    x_T = invert(domain, x_0, steps=steps, progress=progress)
    plain = edit(domain, x_T, {}, steps=steps, progress=False)
    features = [clip_features(domain.clip, x) for x in (x_0, plain)]
    found: dict = {
        "reconstruction": {"fd": frechet_summary(features[1], features[0], paired=True)},
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
        edited = edit(domain, x_T, {deltas[name]: strength}, steps=steps, progress=False)
        table = scores(domain, this, x_0, plain, edited)
        table["S_dir_recon"] = s_dir(domain.clip, plain, edited, this.source, this.target).numpy()
        if domain.segmenter is not None:
            table["SC_original"] = _sc(domain, x_0, edited)
        made = clip_features(domain.clip, edited)
        found["scores"].setdefault(name, {})[key] = summaries(table) | {
            f"fd_{to}": frechet_summary(made, real, paired=True)
            for to, real in zip(("original", "recon"), features)
        }
        found["images"].setdefault(name, {})[key] = per_picture(table, ("S_dir", "aimed", "leaked"))
        found["within"].setdefault(name, {})[key] = {
            truth: rank_correlation(table["S_dir"], table[truth])
            for truth in ("aimed", "leaked")
            if truth in table
        }
    return found


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> dict[str, float]:
    """Spearman's ρ with a 95 % confidence interval (Fisher's z with the variance 1.06 / (n − 3)) and its p.

    Args:
        a, b: (n,), n >= 4.
    Returns:
        {"rho", "low", "high", "p", "n"}, rounded to 4 decimals.
    Source: Fieller, Hartley and Pearson 1957 (the variance).
    """
    rho, p = stats.spearmanr(a, b)
    half = 1.96 * (1.06 / (len(a) - 3)) ** 0.5
    z = np.arctanh(np.clip(rho, -1 + 1e-12, 1 - 1e-12))
    values = {"rho": rho, "low": np.tanh(z - half), "high": np.tanh(z + half), "p": p}
    return {name: round(float(value), 4) for name, value in values.items()} | {"n": len(a)}


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
