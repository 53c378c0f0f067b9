"""One account of an edited image for all experiments: CLIP, perceptual distance, segmenter and oracle."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from torch import Tensor

from ..domains.edits import Edit
from ..errors import DomainError
from .scores import s_dir, segmentation_consistency


def usual(domain, names: Iterable[str] | None, wished: Sequence[str]) -> list[str]:
    """The edits named, whose f_t must all be there; None: those of `Domain.trained_like`."""
    return list(domain.trained_like(wished) if names is None else domain.trained(names))


def all_trained(domain, names: Iterable[str] | None, *, in_domain: bool) -> list[str]:
    """The edits named, which must be trained; None: all in-domain or all unseen ones, or DomainError."""
    if names is not None:
        return list(domain.trained(names))
    wished = [name for name, edit in domain.edits.items() if edit.in_domain == in_domain]
    found = [name for name in domain.trained_like(wished) if name in wished]
    if not found:
        raise DomainError(
            f"The domain {domain.name!r} has no f_t of {', '.join(wished)}; expected at least one; train it: "
            f"python -m asyrp_lib train <edit> --domain {domain.name}"
        )
    return found


def scores(domain, edit: Edit, x_0: Tensor, plain: Tensor, edited: Tensor) -> pd.DataFrame:
    """Scores of originals, reconstructions and edits (N, 3, R, R) in [-1, 1], one row for each image.

    S_dir: cos(ΔI, ΔT) from the original by the CLIP that no loss saw, if there is one; S_dir_teacher: by the
    one that taught f_t; distance: perceptual, to the reconstruction; SC: of reconstruction and edit, where
    there is a segmenter; and where there is an oracle, `shift_scores`, of an aimed factor also `position` and
    start, that of the reconstruction, and where there are several, disagreement: the standard deviation of
    the aimed shift between them.  (Asyrp Sec. 5.3 and Table 4)
    """
    judge = domain.second_clip or domain.clip
    texts = edit.source, edit.target
    table = pd.DataFrame({"S_dir": s_dir(judge, x_0, edited, *texts).numpy()})
    if judge is not domain.clip:
        table["S_dir_teacher"] = s_dir(domain.clip, x_0, edited, *texts).numpy()
    table["distance"] = domain.distance(plain, edited).cpu().numpy()
    if domain.segmenter is not None:
        table["SC"] = sc(domain, plain, edited)
    if domain.oracle is not None:
        (before, plains), (after, edits) = (_read(domain.oracle, x) for x in (plain, edited))
        table = table.join(shift_scores(domain, edit, after - before))
        if edit.factor:
            table["position"], table["start"] = (_place(domain, edit, x) for x in (after, before))
            if len(plains) > 1:
                shifts = [one[edit.factor] - other[edit.factor] for one, other in zip(edits, plains)]
                table["disagreement"] = np.std(shifts, axis=0, ddof=1)
    return table


def _read(oracle, images: Tensor) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """An oracle's reading, and those of its members, of which it is the mean; of one alone its own."""
    first, *others = oracle.readings(images) if hasattr(oracle, "readings") else [oracle.read(images)]
    return sum(others, first) / (1 + len(others)), [first, *others]


def shift_scores(domain, edit: Edit, shifts: pd.DataFrame) -> pd.DataFrame:
    """What moved of `factor_shifts`, in standard deviations of the data, one row for each image.

    aimed: the edit's factor the right way, if it has one; leaked: root mean square of all factors that are
    neither aimed nor tied to it by construction; moved: of all factors.
    """
    table = pd.DataFrame({"moved": rms(shifts), "leaked": rms(shifts[untied(domain, edit, shifts)])})
    if edit.factor:
        table["aimed"] = edit.sign * shifts[edit.factor]
    return table


def aimed_shifts(domain, edit: Edit, before: Tensor, after: Tensor) -> np.ndarray:
    """`shift_scores`' aimed (N,), what stands under an image; NaN where there is no oracle or no factor."""
    if domain.oracle is None or edit.factor is None:
        return np.full(len(after), np.nan)
    return shift_scores(domain, edit, factor_shifts(domain, before, after))["aimed"].to_numpy()


def factor_shifts(domain, before: Tensor, after: Tensor) -> pd.DataFrame:
    """What an edit did to each factor (N, factors): after minus before, in the data's deviations."""
    return domain.oracle.read(after) - domain.oracle.read(before)


def position(domain, edit: Edit, images: Tensor) -> np.ndarray:
    """Where the aimed factor stands between its walls (N,), 0 at the one that the edit leaves.
    An oracle's reading may lie a little outside.
    """
    return _place(domain, edit, domain.oracle.read(images))


def _place(domain, edit: Edit, reading: pd.DataFrame) -> np.ndarray:
    low, high = domain.oracle.walls()[edit.factor]
    share = (reading[edit.factor].to_numpy() - low) / (high - low)
    return share if edit.sign > 0 else 1 - share


def untied(domain, edit: Edit, factors: Iterable[str]) -> list[str]:
    """The factors that an edit should leave alone: not its own, nor those tied to it by construction."""
    own = {edit.factor, *domain.tied.get(edit.factor, ())}
    return [name for name in factors if name not in own]


def worst(domain, edit: Edit, before: Tensor, after: Tensor) -> float:
    """What an edit broke most: the largest root mean square shift of an untied factor, over all images."""
    shifts = factor_shifts(domain, before, after)
    return float(rms(shifts[untied(domain, edit, shifts)].T).max())


def rms(table: pd.DataFrame) -> pd.Series:
    """Root mean square of each row."""
    return pd.Series(np.sqrt((table**2).mean(axis=1)))


def sc(domain, before: Tensor, after: Tensor) -> np.ndarray:
    """`segmentation_consistency` (N,) of images before and after, by the domain's segmenter."""
    maps = domain.segmenter(before), domain.segmenter(after)
    return segmentation_consistency(*maps, len(domain.classes)).cpu().numpy()
