"""Quality boosting: does noise in the last steps make images more real, at what cost?  (Asyrp Sec. 3.4)"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..measure.frechet import frechet_summary
from ..measure.judge import chosen, summaries
from ..measure.scores import clip_features
from ..measure.stats import summary
from .trial import Trial, begin


def measure(
    domain,
    *,
    n: int = 64,
    names: Sequence[str] | None = None,
    reference: int = 512,
    trial: Trial | None = None,
    progress: bool = True,
) -> dict:
    """Reconstruct and edit test images with quality boosting below `domain.t_boost`, half of it, and 0.

    Args:
        names: of the edits; None: smiling and old, or what there is.
        reference: other real images, of the training split, that the Fréchet distance compares with.
    Returns:
        t_boost: the domain's, by the rule; real: `fine` and `fd` of the n test images themselves;
        runs: "reconstruction" or edit -> t_boost -> scores (of edits), distance_to_original (perceptual),
            fine (`fine_energy` over that of the original), fd (FD-CLIP to the reference).
    Source: Asyrp Sec. 3.4, Eq. 12; Sec. 4 (LPIPS(x, x_t) = 1.2).
    """
    deltas = chosen(domain, names, ("smiling", "old"))
    trial = begin(domain, trial, n, progress)
    x_0 = trial.x_0
    real = clip_features(domain.clip, domain.images("train", reference))
    fd = lambda images: frechet_summary(clip_features(domain.clip, images), real)
    found = {
        "t_boost": domain.t_boost,
        "runs": {},
        "real": {"fine": summary(fine_energy(x_0).cpu()), "fd": fd(x_0)},
    }
    edits = {"reconstruction": {}, **{name: {delta: 1.0} for name, delta in deltas.items()}}
    starts = sorted({0, domain.t_boost // 2, domain.t_boost})
    runs = {(name, t): {"edits": edits[name], "t_boost": t} for name in edits for t in starts}
    for (name, start), made in trial.edits("boosting", runs):
        row = {
            "distance_to_original": summary(domain.distance(x_0, made).cpu()),
            "fine": summary((fine_energy(made) / fine_energy(x_0)).cpu()),
            "fd": fd(made),
        }
        if name in deltas:
            row["scores"] = summaries(trial.scores(name, made))
        found["runs"].setdefault(name, {})[str(start)] = row
    return found


def fine_energy(images: Tensor) -> Tensor:
    """Energy of the finest detail of images (B, 3, R, R): mean square of what is in the upper half of the
    frequencies, (B,); by Parseval, all of them together would give the mean square of the image."""
    spectrum = torch.fft.fft2(images.double(), norm="forward").abs().square()
    high = torch.fft.fftfreq(images.shape[-1], device=images.device).abs() > 0.25
    return (spectrum * (high[:, None] | high[None])).sum((2, 3)).mean(1)
