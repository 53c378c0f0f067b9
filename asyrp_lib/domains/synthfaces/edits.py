"""The edits of `synthfaces`."""

import pandas as pd

from ..edits import Edit
from .factors import FACTORS
from .unseen import UNSEEN, UNTUNED

#: How far the true target of an edit goes from a face to the wall of its factor.
WAY = 0.8
#: edit -> source text, target text, aimed factor, sign
_AIMS = {
    "smiling": ("face", "smiling face", "smile", 1),
    "sad": ("face", "sad face", "smile", -1),
    "angry": ("face", "angry face", "brow_tilt", 1),
    "old": ("person", "old person", "age", 1),
    "young": ("person", "young person", "age", -1),
    "tanned": ("face", "tanned face", "tan", 1),
    "curly hair": ("person", "person with curly hair", "curl", 1),
    "glasses": ("face", "face with glasses", "glasses", 1),
    "beard": ("face", "face with a beard", "beard", 1),
    "bald": ("person", "bald person", "bald", 1),
}


def _unseen(name: str) -> Edit:
    source = "a photo of a face" if UNSEEN[name].medium else "human face"
    return Edit(name, source, UNSEEN[name].text, in_domain=False, tuned=name != UNTUNED)


#: name -> edit
EDITS: dict[str, Edit] = {
    name: Edit(name, source, target, factor=factor, sign=sign)
    for name, (source, target, factor, sign) in _AIMS.items()
}
EDITS |= {name: _unseen(name) for name in UNSEEN}


def aimed_at(edit: Edit, factors: pd.DataFrame) -> pd.DataFrame:
    """The faces of a factor table as an in-domain edit should make them: its factor `WAY` towards its wall,
    all else as it is.
    """
    low, high, _ = FACTORS[edit.factor]
    wall = high if edit.sign > 0 else low
    made = factors.copy()
    made[edit.factor] += WAY * (wall - made[edit.factor])
    return made
