"""Robustness: is a random shift of h harmless where a random shift of ε of matched norm is not?  (Asyrp Fig. 9)"""

from collections import defaultdict
from collections.abc import Callable, Sequence

import pandas as pd
import torch
from torch import Tensor, nn

from ..api import edit, invert
from ..deltas import combine
from ..measure.judge import chosen, scores, summaries
from ..measure.stats import ratio_of_means
from ..method.hspace import Encoded
from ..method.process import predict_x0, sample_noise, step, sweep
from ..method.schedule import generation_pairs, time_grid
from ..progress import tqdm
from .boosting import fine_energy

#: t at which `residual` looks for what is no picture: late enough for small detail, and below every t_edit.
LATE = 100


def measure(
    domain,
    *,
    n: int = 24,
    name: str | None = None,
    norms: Sequence[float] = (0.5, 1, 2),
    progress: bool = True,
) -> dict:
    """Shift h, or ε, at random while t >= t_edit, in P_t only, as an edit does; compare with the edit itself.

    The shift of h has, for each picture and time, `norm` times the length of the Δh_t that f_t gives there.  The shift of ε has
    "relative": its relative length |Δh_t| / |h|, times |ε|; "effect": the length of the change of ε that the random Δh_t caused;
    "edit": the length of the change of ε that the trained Δh_t of that norm caused (nearest to the paper's reading).
    Directions are either one per picture, "held" over all times, or "fresh" at each time.

    Args:
        domain: a Domain with f_t.
        n: test pictures.
        name: of the edit; None: smiling, or what the domain has (`Domain.trained_like`).
        norms: multiples of the trained length.
        progress: show a progress bar.
    Returns:
        norm -> "edit": scores of the trained Δh_t; "held" and "fresh" -> "h", "relative", "effect", "edit" -> scores of the
        random shifts.  Scores are summaries of `judge.scores` and of residual and fine, both relative to the reconstruction's
        (see `residual`, `boosting.fine_energy`), and, with an oracle, of moved: root mean square of all factors' shifts.
        The random ones also have length: mean |Δh_t| / |h|, or that of the shift of ε over |ε|; those of ε have
        ratio: score -> that of ε over that of h (`ratio_of_means`) for distance, residual and moved.
    Raises:
        DomainError: the edit is not trained.
    Source: Asyrp Fig. 9.
    """
    ((name, delta),) = chosen(domain, None if name is None else [name], ["smiling"]).items()
    x_0 = domain.images("test", n)
    x_T = invert(domain, x_0, progress=progress)
    plain = edit(domain, x_T, {}, progress=False)
    read = lambda made: damage(domain, scores(domain, domain.edits[name], x_0, plain, made), plain, made)
    found: dict = {}
    with tqdm(total=9 * len(norms), desc="robustness", unit="run", disable=not progress) as bar:
        for norm in norms:
            made, lengths = shift_h(domain.unet, x_T, delta, norm)
            row = found[f"{norm:g}"] = {"edit": summaries(read(made))}
            bar.update()
            for kind in ("held", "fresh"):
                made, caused = shift_h(domain.unet, x_T, delta, norm, kind)
                in_h = read(made)
                row[kind] = {"h": {**summaries(in_h), "length": _share(caused["relative"], caused["eps"])}}
                bar.update()
                rules = {
                    "relative": caused["relative"],
                    "effect": caused["effect"],
                    "edit": lengths["effect"],
                }
                for rule, sizes in rules.items():
                    in_eps = read(shift_eps(domain.unet, x_T, sizes, kind))
                    ratios = {
                        c: ratio_of_means(in_eps[c], in_h[c])
                        for c in ("distance", "residual", "moved")
                        if c in in_h
                    }
                    row[kind][rule] = {
                        **summaries(in_eps),
                        "length": _share(sizes, caused["eps"]),
                        "ratio": ratios,
                    }
                    bar.update()
    return found


def shift_h(
    unet, x_T: Tensor, delta: nn.Module, norm: float = 1.0, kind: str | None = None, *, steps: int = 40
) -> tuple[Tensor, dict[str, dict[int, Tensor]]]:
    """Generate with h shifted by the trained Δh_t, or in a random direction by as much.

    Args:
        unet: the frozen model.
        x_T: (N, C, R, R).
        delta: f_t.
        norm: multiple of its length.
        kind: "held", "fresh" (see `directions`), or None for the trained direction.
        steps: S.
    Returns:
        pictures (N, C, R, R), and name -> t -> lengths (N, 1, 1, 1): effect: |ε(x|h+Δh) − ε(x)|; relative: |Δh| |ε| / |h|;
        eps: |ε|.
    """
    caused = {name: defaultdict(list) for name in ("effect", "relative", "eps")}

    def shifted(z: Encoded, t: int, images: slice) -> tuple[Tensor, Tensor]:
        shift = norm * combine({delta: 1.0}, z.h, z.emb, t, steps)
        if kind is not None:
            shift = length(shift) * directions(shift, t, kind, images.start)
        eps, eps_edit = unet.decode_pair(z, z.h + shift)
        caused["effect"][t].append(length(eps_edit - eps))
        caused["eps"][t].append(length(eps))
        caused["relative"][t].append(length(shift) * length(eps) / length(z.h))
        return eps, eps_edit

    made = _asymmetric(unet, x_T, delta.t_edit, shifted, steps)
    return made, {name: {t: torch.cat(batches) for t, batches in at.items()} for name, at in caused.items()}


def shift_eps(unet, x_T: Tensor, sizes: dict[int, Tensor], kind: str, *, steps: int = 40) -> Tensor:
    """Generate with ε shifted in a random direction by `sizes`: t -> lengths (N, 1, 1, 1), in P_t only.

    Args:
        unet, x_T, kind, steps: see `shift_h`.
        sizes: one of the lengths that `shift_h` answers.
    Returns:
        (N, C, R, R).
    """

    def shifted(z: Encoded, t: int, images: slice) -> tuple[Tensor, Tensor]:
        eps = unet.decode(z)
        return eps, eps + sizes[t][images] * directions(eps, t, kind, images.start)

    return _asymmetric(unet, x_T, min(sizes), shifted, steps)


def directions(like: Tensor, t: int, kind: str, start: int = 0) -> Tensor:
    """Random directions of length 1, one per picture: the same at all times ("held"), or others at each ("fresh").

    Args:
        like: (N, …), for the shape.
        t: the time.
        kind: "held" or "fresh".
        start: number of the first picture.
    Returns:
        (N, …).
    """
    first = start + 10**6 * (t + 2 if kind == "fresh" else 1)  # none of the seeds of `residual`
    noise = sample_noise(range(first, first + len(like)), like.shape[1:], like.device)
    return noise / length(noise)


def length(x: Tensor) -> Tensor:
    """Euclidean length of each picture's tensor, (N, 1, 1, 1)."""
    return x.flatten(1).norm(dim=1)[:, None, None, None]


@torch.inference_mode()
def residual(unet, images: Tensor) -> Tensor:
    """How much of a picture the frozen model takes for something else: mean square of P_t − x, with seeded noise at t = `LATE`.

    Args:
        unet: the frozen model.
        images: (N, C, R, R) in [-1, 1].
    Returns:
        (N,).
    """
    a = unet.schedule.alpha_bar(LATE)
    x_t = a**0.5 * images + (1 - a) ** 0.5 * sample_noise(range(len(images)), images.shape[1:], images.device)
    eps = torch.cat([unet(part, LATE) for part in x_t.split(unet.batch_size)])
    return (predict_x0(x_t, eps, a) - images).square().mean((1, 2, 3))


def damage(domain, table: pd.DataFrame, plain: Tensor, made: Tensor) -> pd.DataFrame:
    """`judge.scores` with residual, fine and, where an oracle reads factors, moved; see `measure`."""
    table["residual"] = (residual(domain.unet, made) / residual(domain.unet, plain)).cpu().numpy()
    table["fine"] = (fine_energy(made) / fine_energy(plain)).cpu().numpy()
    if domain.oracle is not None:
        shifts = domain.oracle.read(made) - domain.oracle.read(plain)
        table["moved"] = (shifts**2).mean(axis=1).to_numpy() ** 0.5
    return table


def _share(sizes: dict[int, Tensor], of: dict[int, Tensor]) -> float:
    """Mean of sizes / of over pictures and times."""
    return round(float(torch.stack([sizes[t] / of[t] for t in of]).mean()), 4)


def _asymmetric(
    unet,
    x_T: Tensor,
    t_edit: int,
    shifted: Callable[[Encoded, int, slice], tuple[Tensor, Tensor]],
    steps: int,
) -> Tensor:
    """The asymmetric process with (ε, ε̃) from `shifted` for t >= t_edit, plain DDIM below."""

    def advance(x: Tensor, t: int, t_next: int, images: slice) -> tuple[Tensor, Tensor, Tensor]:
        z = unet.encode(x, t)
        eps, eps_edit = shifted(z, t, images) if t >= t_edit else (unet.decode(z),) * 2
        return *step(x, eps_edit, eps, unet.schedule.alpha_bar(t), unet.schedule.alpha_bar(t_next)), eps

    return sweep(
        unet, x_T, generation_pairs(time_grid(steps, len(unet.schedule) - 1)), advance, progress=False
    )
