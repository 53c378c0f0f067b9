"""The edits of `synthfaces`."""

from dataclasses import replace

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


#: edit -> λ_recon and t_edit, as the experiment `settings` chose them on validation faces; frozen before any
#: other face was read.  The goblin has none: it may not be tuned.
CHOSEN = {
    "smiling": (10.0, 500),
    "sad": (3.0, 500),
    "angry": (3.0, 500),
    "old": (3.0, 500),
    "young": (3.0, 500),
    "tanned": (3.0, 500),
    "curly hair": (3.0, 500),
    "glasses": (10.0, 716),
    "beard": (3.0, 500),
    "bald": (3.0, 676),
    "pixar": (10.0, 500),
    "neanderthal": (10.0, 565),
    "elf": (10.0, 423),
    "alien": (3.0, 0),
    "zombie": (10.0, 413),
    "sketch": (10.0, 524),
    "watercolour": (10.0, 635),
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
for _name, (_weight, _t_edit) in CHOSEN.items():
    EDITS[_name] = replace(EDITS[_name], lambda_recon=_weight, t_edit=_t_edit)


def aimed_at(edit: Edit, factors: pd.DataFrame) -> pd.DataFrame:
    """The faces of a factor table as an in-domain edit should make them: its factor `WAY` towards its wall,
    all else as it is.
    """
    low, high, _ = FACTORS[edit.factor]
    wall = high if edit.sign > 0 else low
    made = factors.copy()
    made[edit.factor] += WAY * (wall - made[edit.factor])
    return made
