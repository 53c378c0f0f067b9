"""The edits of `synthfaces`."""

from ..edits import Edit
from .styles import STYLES

#: size of the aimed feature: (λ_recon, start of the editing interval).  The paper's rule (0.33 · cosine on
#: the perceptual curve) stops earlier, but at 32 pixels a mouth is decided later than that: the linear
#: schedule hides small features longest in small images.  λ_recon is larger the smaller the feature,
#: because the loss has no other hold on what no text names. Both were chosen on faces of the training split.
FINE, SMALL, MEDIUM, LARGE, OUTLINE = (30.0, 200), (16.0, 200), (10.0, 200), (3.0, 200), (3.0, 300)


def _in_domain(
    name: str, source: str, target: str, factor: str, size: tuple[float, int], sign: int = 1
) -> Edit:
    return Edit(name, source, target, factor=factor, sign=sign, lambda_recon=size[0], t_edit=size[1])


_IN_DOMAIN = (
    _in_domain("smiling", "face", "smiling face", "smile", SMALL),
    _in_domain("sad", "face", "sad face", "smile", FINE, sign=-1),
    _in_domain("angry", "face", "angry face", "brow_tilt", FINE),
    _in_domain("old", "person", "old person", "age", MEDIUM),
    _in_domain("young", "person", "young person", "age", MEDIUM, sign=-1),
    _in_domain("tanned", "face", "tanned face", "tan", MEDIUM),
    _in_domain("curly hair", "person", "person with curly hair", "curl", MEDIUM),
    _in_domain("glasses", "face", "face with glasses", "glasses", OUTLINE),
    _in_domain("beard", "face", "face with a beard", "beard", LARGE),
    _in_domain("bald", "person", "bald person", "bald", OUTLINE),
)
#: unseen edit -> caption of its style
UNSEEN = dict(zip(("sketch", "watercolour", "pixel art", "zombie", "neon"), STYLES))
_FACE = "a photo of a face"
_UNSEEN = tuple(Edit(n, _FACE, f"{style} of a face", in_domain=False) for n, style in UNSEEN.items())

#: name -> edit
EDITS: dict[str, Edit] = {edit.name: edit for edit in _IN_DOMAIN + _UNSEEN}
