"""Random shifts of h and of ε, which enter P_t and not D_t as an edit does.  (Asyrp Fig. 9)"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .hspace import Encoded
from .noise import sample_noise
from .process import Step, by_batches
from .schedule import generation_pairs, time_grid

#: A random direction for each image: one for all times, or another at each.
KINDS = ("held", "fresh")


def shifted(
    unet,
    x_T: Tensor,
    size: float | Mapping[int, Tensor],
    t_edit: int,
    kind: str,
    *,
    steps: int = 40,
    progress: Any = False,
) -> tuple[Tensor, dict[str, dict[int, Tensor]]]:
    """Generate from x_T (N, C, R, R) with h shifted at random while t >= t_edit; ε: through its `Cut`.

    Args:
        size: the shift's length, one, or t -> of each image (N, 1, 1, 1).
    Returns:
        x_0, and name -> t -> (N, 1, 1, 1): "ε": |ε|; "relative": |Δh| / |h|; "arriving": |ε̃ − ε|.
    """
    seen, x_t = {name: defaultdict(list) for name in ("ε", "relative", "arriving")}, x_T

    def shift(z: Encoded, t: int, images: slice) -> Tensor | None:
        nonlocal x_t
        x_t = z.x
        if t < t_edit:
            return None
        return (size[t][images] if isinstance(size, Mapping) else size) * directions(z.h, t, kind, images)

    def record(now: Step) -> None:
        if now.dh is not None:
            a = unet.schedule.alpha_bar(now.t)
            eps_P = (x_t - a**0.5 * now.P) / (1 - a) ** 0.5  # P_t solved for ε̃
            seen["ε"][now.t].append(length(now.eps))
            seen["relative"][now.t].append(length(now.dh) / length(now.h))
            seen["arriving"][now.t].append(length(eps_P - now.eps))

    pairs = generation_pairs(time_grid(steps, len(unet.schedule) - 1))
    made = by_batches(unet, x_T, pairs, shift, callback=record, progress=progress)
    return made, {name: {t: torch.cat(parts) for t, parts in at.items()} for name, at in seen.items()}


def directions(like: Tensor, t: int, kind: str, images: slice = slice(0, None)) -> Tensor:
    """Random directions of length 1 for each image, in the shape of `like`, (N, …); see `KINDS`."""
    first = images.start + 10**6 * (t + 2 if kind == "fresh" else 1)
    noise = sample_noise(range(first, first + len(like)), like.shape[1:], like.device)
    return noise / length(noise)


def length(x: Tensor) -> Tensor:
    """Euclidean length of each image's tensor, (N, 1, 1, 1)."""
    return x.flatten(1).norm(dim=1)[:, None, None, None]
