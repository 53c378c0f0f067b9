"""The edits of `synthfaces`."""
from ...edits import Edit
from .styles import STYLES

_IN_DOMAIN = (
    Edit("smiling", "face", "smiling face", factor="smile"),
    Edit("sad", "face", "sad face", factor="smile", sign=-1),
    Edit("angry", "face", "angry face", factor="brow_tilt"),
    Edit("old", "person", "old person", factor="age"),
    Edit("young", "person", "young person", factor="age", sign=-1),
    Edit("tanned", "face", "tanned face", factor="tan"),
    Edit("curly hair", "person", "person with curly hair", factor="curl"),
    Edit("glasses", "face", "face with glasses", factor="glasses"),
    Edit("beard", "face", "face with a beard", factor="beard"),
    Edit("bald", "person", "bald person", factor="bald"),
)
_UNSEEN = tuple(
    Edit(name, "a photo of a face", f"{style} of a face", in_domain=False)
    for name, style in zip(("sketch", "watercolour", "pixel art", "zombie", "neon"), STYLES))

#: name -> edit
EDITS: dict[str, Edit] = {edit.name: edit for edit in _IN_DOMAIN + _UNSEEN}
