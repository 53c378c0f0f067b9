"""One account of an edited image for all experiments: CLIP, perceptual distance, segmenter and oracle."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from torch import Tensor

from ..deltas import Delta
from ..domains.edits import Edit
from ..errors import DomainError
from .scores import factor_shifts, s_dir, segmentation_consistency
from .stats import decimals, summary


def chosen(domain, names: Iterable[str] | None, wished: Sequence[str]) -> dict[str, Delta]:
    """The f_t named, which must all be there; None: `Domain.trained_like` of the usual ones."""
    return domain.trained_like(wished) if names is None else domain.trained(names)


def all_trained(domain, names: Iterable[str] | None, *, in_domain: bool) -> dict[str, Delta]:
    """The f_t named, which must all be there; None: all in-domain or all unseen ones, or DomainError."""
    if names is not None:
        return domain.trained(names)
    wished = [name for name, edit in domain.edits.items() if edit.in_domain == in_domain]
    found = {name: delta for name, delta in domain.trained_like(wished).items() if name in wished}
    if not found:
        raise DomainError(
            f"The domain {domain.name!r} has no f_t of {', '.join(wished)}; expected at least one; train it: "
            f"python -m asyrp_lib train <edit> --domain {domain.name}"
        )
    return found


def scores(domain, edit: Edit, x_0: Tensor, plain: Tensor, edited: Tensor) -> pd.DataFrame:
    """Scores of originals, reconstructions and edits (N, 3, R, R) in [-1, 1], one row for each image.

    S_dir: cos(ΔI, ΔT) from the original; distance: perceptual, to the reconstruction; SC: of reconstruction
    and edit, where there is a segmenter; and where there is an oracle, aimed: how far it sees the edit's
    factor, if it has one, move the right way, in standard deviations of the data; leaked: root mean square of
    the shifts of all other factors.  (Asyrp Sec. 5.3 and Table 4)
    """
    table = pd.DataFrame({"S_dir": s_dir(domain.clip, x_0, edited, edit.source, edit.target).numpy()})
    table["distance"] = domain.distance(plain, edited).cpu().numpy()
    if domain.segmenter is not None:
        table["SC"] = sc(domain, plain, edited)
    if domain.oracle is not None:
        shifts = factor_shifts(domain.oracle.read, plain, edited)
        if edit.factor:
            table["aimed"] = edit.sign * shifts[edit.factor].to_numpy()
        table["leaked"] = np.sqrt((shifts.drop(columns=edit.factor or []) ** 2).mean(axis=1).to_numpy())
    return table


def sc(domain, before: Tensor, after: Tensor) -> np.ndarray:
    """`segmentation_consistency` (N,) of images before and after, by the domain's segmenter."""
    maps = domain.segmenter(before), domain.segmenter(after)
    return segmentation_consistency(*maps, len(domain.classes)).cpu().numpy()


def summaries(table: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """Column -> `summary`."""
    return {column: summary(table[column]) for column in table}


def per_image(table: pd.DataFrame, columns: Iterable[str]) -> dict[str, list[float]]:
    """Column -> one number per image, rounded to 4 decimals; columns that the table lacks are left out."""
    return {column: decimals(table[column]) for column in columns if column in table}
