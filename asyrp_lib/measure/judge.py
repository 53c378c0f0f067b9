"""One account of an edited picture for all experiments: what CLIP, the perceptual distance, the segmenter and the oracle say."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from torch import Tensor, nn

from ..domains.edits import Edit
from .scores import factor_shifts, s_dir, segmentation_consistency
from .stats import summary


def chosen(domain, names: Iterable[str] | None, wished: Sequence[str]) -> dict[str, nn.Module]:
    """The f_t of an experiment: `Domain.trained` of the names given, else `Domain.trained_like` of its usual ones."""
    return domain.trained_like(wished) if names is None else domain.trained(names)


def scores(domain, edit: Edit, x_0: Tensor, plain: Tensor, edited: Tensor) -> pd.DataFrame:
    """Scores of edited pictures, one row for each.

    Args:
        domain: a Domain.
        edit: what was aimed at.
        x_0, plain, edited: (N, 3, R, R) in [-1, 1]: originals, reconstructions, edits.
    Returns:
        DataFrame (N rows):
        S_dir: cos(ΔI, ΔT) from the original; distance: perceptual, to the reconstruction;
        SC: of reconstruction and edit, where there is a segmenter;
        aimed: how far the oracle sees the edit's factor move the right way, in standard deviations of the data, where it has one;
        leaked: root mean square of the shifts of all other factors; both only where there is an oracle.
    Source: Asyrp Sec. 5.3 and Table 4 (S_dir, SC).
    """
    table = pd.DataFrame(
        {
            "S_dir": s_dir(domain.clip, x_0, edited, edit.source, edit.target).numpy(),
            "distance": domain.distance(plain, edited).cpu().numpy(),
        }
    )
    if domain.segmenter is not None:
        before, after = domain.segmenter(plain), domain.segmenter(edited)
        table["SC"] = segmentation_consistency(before, after, len(domain.classes)).cpu().numpy()
    if domain.oracle is not None:
        shifts = factor_shifts(domain.oracle.read, plain, edited)
        if edit.factor:
            table["aimed"] = edit.sign * shifts[edit.factor].to_numpy()
        table["leaked"] = np.sqrt((shifts.drop(columns=edit.factor or []) ** 2).mean(axis=1).to_numpy())
    return table


def summaries(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Column -> `summary`."""
    return {column: summary(table[column]) for column in table}


def per_picture(table: pd.DataFrame, columns: Iterable[str]) -> dict[str, list[float]]:
    """Column -> one number per picture, rounded to 4 decimals; columns that the table lacks are left out."""
    return {column: [round(float(v), 4) for v in table[column]] for column in columns if column in table}
