"""What an edit is: two texts, its settings, and (where the world is known) the factor it should move."""

from typing import Annotated, Literal

from pydantic import Field

from .. import check
from ..check import Name, Real64, Text, Whole


@check.settings
class Edit:
    """One row of a domain's table of edits."""

    name: Name  # how the edit is called, its file, too
    source: Text  # the two texts of the directional loss
    target: Text
    in_domain: bool = True  # False if the frozen model never saw the target
    factor: str | None = None  # what tells whether it worked, None where there is no oracle
    sign: Literal[-1, 1] = 1  # +1 if the factor should rise, −1 if it should fall
    tuned: bool = True  # False: its settings are the paper's, chosen without it in view
    lambda_clip: Annotated[Real64, Field(ge=0, le=1e6)] = 1.0  # weights of the loss (Asyrp Sec. 3.3)
    lambda_recon: Annotated[Real64, Field(ge=0, le=1e6)] = 3.0
    t_edit: Annotated[Whole, Field(ge=0, le=999)] | None = None  # None: from the perceptual curve
