"""One factor changed and nothing else: what is to be seen of it, and what the oracle says that moves."""

import numpy as np
import pandas as pd

from .canvas import BACKGROUND
from .faces import render_factors
from .factors import FACTORS
from .networks import ORACLE_FACTORS


def swept(face: pd.DataFrame, factor: str, n: int) -> pd.DataFrame:
    """One face (a row) n times, a factor going from its low end to its high one."""
    return pd.concat([face] * n, ignore_index=True).assign(**{factor: np.linspace(*FACTORS[factor][:2], n)})


def share_moved(factors: pd.DataFrame, factor: str) -> float:
    """Share of the pixels of faces that a factor's full sweep moves by more than 0.1, of −1 … 1."""
    ends = [render_factors(factors.assign(**{factor: end})) for end in FACTORS[factor][:2]]
    moved = (ends[0].images.float() - ends[1].images.float()).abs().amax(1) > 12.75
    face = (ends[0].masks != BACKGROUND) | (ends[1].masks != BACKGROUND)
    return float((moved & face).sum() / face.sum())


def moved_by(domain, factors: pd.DataFrame) -> pd.DataFrame:
    """What each factor's full sweep moves, factor × factor, in sd as the oracle reads it, mean over faces:
    the counterfactual of each face, with one factor changed and nothing else.
    """
    found = {}
    for name in ORACLE_FACTORS:
        low, high = (domain.draw(factors.assign(**{name: end})) for end in FACTORS[name][:2])
        found[name] = (domain.oracle.read(high) - domain.oracle.read(low)).mean()
    return pd.DataFrame(found).T
