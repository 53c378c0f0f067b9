"""Quality boosting: does noise in the last steps make pictures more real, and what does it cost?  (Asyrp Sec. 3.4, Fig. 11)"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..api import edit, invert
from ..measure.frechet import frechet_summary
from ..measure.judge import chosen, scores, summaries
from ..measure.scores import clip_features
from ..measure.stats import summary
from ..progress import tqdm


def measure(
    domain, *, n: int = 64, names: Sequence[str] | None = None, reference: int = 512, progress: bool = True
) -> dict:
    """Reconstruct and edit test pictures with quality boosting below `domain.t_boost`, below half of it, and without.

    Args:
        domain: a Domain with f_t and a t_boost.
        n: test pictures.
        names: of the edits, those without an f_t are left out; None: smiling and old, or what the domain has
            (`Domain.trained_like`).
        reference: other real pictures, of the training split, that the Fréchet distance compares with.
        progress: show a progress bar.
    Returns:
        t_boost: the domain's, by the rule;
        real: of the n test pictures themselves: `fine`, `fd`;
        runs: "reconstruction" or edit -> t_boost -> scores (`judge.scores`, edits only), distance_to_original (perceptual),
        fine (`fine_energy` relative to that of the picture's original), fd (FD-CLIP to the reference, see `frechet_summary`).
    Raises:
        DomainError: none of the edits is trained.
    Source: Asyrp Sec. 3.4, Eq. 12; Sec. 4 (LPIPS(x, x_t) = 1.2).
    """
    deltas, x_0 = chosen(domain, names, ("smiling", "old")), domain.images("test", n)
    real = clip_features(domain.clip, domain.images("train", reference))
    found = {
        "t_boost": domain.t_boost,
        "runs": {},
        "real": {
            "fine": summary(fine_energy(x_0).cpu()),
            "fd": frechet_summary(clip_features(domain.clip, x_0), real),
        },
    }
    x_T = invert(domain, x_0, progress=progress)
    starts, plain = sorted({0, domain.t_boost // 2, domain.t_boost}), None
    runs = [(name, start) for name in ("reconstruction", *deltas) for start in starts]
    for name, start in tqdm(runs, desc="boosting", unit="run", disable=not progress):
        made = edit(domain, x_T, {deltas[name]: 1.0} if name in deltas else {}, t_boost=start, progress=False)
        plain = made if plain is None else plain  # the first run: neither edited nor boosted
        row = {
            "distance_to_original": summary(domain.distance(x_0, made).cpu()),
            "fine": summary((fine_energy(made) / fine_energy(x_0)).cpu()),
            "fd": frechet_summary(clip_features(domain.clip, made), real),
        }
        if name in deltas:
            row["scores"] = summaries(scores(domain, domain.edits[name], x_0, plain, made))
        found["runs"].setdefault(name, {})[str(start)] = row
    return found


def fine_energy(images: Tensor) -> Tensor:
    """Energy of the finest detail: mean square of what is in the upper half of the spatial frequencies, (B,).

    Args:
        images: (B, 3, R, R).
    Returns:
        (B,); by Parseval, all frequencies together would give the mean square of the picture.
    """
    spectrum = torch.fft.fft2(images.double(), norm="forward").abs().square()
    high = torch.fft.fftfreq(images.shape[-1], device=images.device).abs() > 0.25
    return (spectrum * (high[:, None] | high[None])).sum((2, 3)).mean(1)
