"""What an edit is: two texts, its settings, and (where the world is known) the factor it should move."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Edit:
    """One row of a domain's table of edits.

    Attributes:
        name: how the edit is called.
        source, target: the two texts of the directional loss.
        in_domain: False if the frozen model never saw the target.
        factor: the factor that tells whether it worked, None where there is no oracle.
        sign: +1 if the factor should rise, −1 if it should fall.
        lambda_clip, lambda_recon: weights of the loss (Asyrp Sec. 3.3).
        t_edit: fixed start of the editing interval, None to take it from the domain's perceptual curve.
    """

    name: str
    source: str
    target: str
    in_domain: bool = True
    factor: str | None = None
    sign: int = 1
    lambda_clip: float = 1.0
    lambda_recon: float = 3.0
    t_edit: int | None = None
