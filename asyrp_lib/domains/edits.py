"""What an edit is: two texts, its settings, and (where the world is known) the factor it should move."""

from typing import Annotated, Literal

from pydantic import Field

from .. import check
from ..check import Name, Real64, Text, Whole


@check.settings
class Edit:
    """One row of a domain's table of edits.
    Attributes:
        name: how the edit is called, its file, too; source, target: the two texts of the directional loss.
        in_domain: False if the frozen model never saw the target.
        factor: the factor that tells whether it worked, None where there is no oracle.
        sign: +1 if the factor should rise, −1 if it should fall.
        lambda_clip, lambda_recon: weights of the loss (Asyrp Sec. 3.3).
        t_edit: fixed start of the editing interval, None to take it from the domain's perceptual curve.
    """

    name: Name
    source: Text
    target: Text
    in_domain: bool = True
    factor: str | None = None
    sign: Literal[-1, 1] = 1
    lambda_clip: Annotated[Real64, Field(ge=0, le=1e6)] = 1.0
    lambda_recon: Annotated[Real64, Field(ge=0, le=1e6)] = 3.0
    t_edit: Annotated[Whole, Field(ge=0, le=999)] | None = None
