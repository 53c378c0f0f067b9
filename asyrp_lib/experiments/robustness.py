"""Robustness: is a random shift of h harmless where one of ε of matched norm is not?  (Asyrp Fig. 9)"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from ..deltas import Delta, combine
from ..measure.judge import chosen, summaries
from ..measure.stats import decimals, ratio_of_means
from ..method.hspace import Encoded
from ..method.process import Step, by_batches, predict_x0, sample_noise, step
from ..method.schedule import generation_pairs, time_grid
from .boosting import fine_energy
from .trial import Trial, begin

#: t at which `residual` looks for what is no image: late enough for small detail, and below every t_edit.
LATE = 100


def measure(
    domain,
    *,
    n: int = 24,
    name: str | None = None,
    norms: Sequence[float] = (0.5, 1, 2),
    trial: Trial | None = None,
    progress: bool = True,
) -> dict:
    """Shift h, or ε, at random while t >= t_edit, in P_t only, as an edit does; compare with the edit itself.

    The shift of h has, for each image and time, `norm` times the length of the Δh_t that f_t gives there. The
    shift of ε has "relative": its relative length |Δh_t| / |h|, times |ε|; "effect": the length of the change
    of ε that the random Δh_t caused; "edit": the length of the change of ε that the trained Δh_t of that norm
    caused (nearest to the paper's reading). Directions are "held" over all times, or "fresh" at each.

    Args:
        name: of the edit; None: smiling, or what there is.
        norms: multiples of the trained length.
    Returns:
        norm -> "edit": scores of the trained Δh_t; "held" and "fresh" -> "h", "relative", "effect", "edit" ->
        scores of the random shifts: summaries of `damage`.  These also have length: mean |Δh_t| / |h|, or for
        ε that of its shift over |ε|; those of ε have ratio: score -> `ratio_of_means` of ε and h.
    Source: Asyrp Fig. 9.
    """
    ((name, delta),) = chosen(domain, None if name is None else [name], ["smiling"]).items()
    trial = begin(domain, trial, n, progress)

    def read(made: Tensor) -> pd.DataFrame:
        images = domain.codec.decode(made)
        return damage(domain, trial.scores(name, images), trial.plain, images)

    found: dict = {}
    with trial.bar("robustness", 9 * len(norms)) as bar:
        for norm in norms:
            made, trained = shift_h(domain.unet, trial.x_T, delta, norm, progress=bar)
            row = found[f"{norm:g}"] = {"edit": summaries(read(made))}
            for kind in ("held", "fresh"):
                made, caused = shift_h(domain.unet, trial.x_T, delta, norm, kind, progress=bar)
                in_h, relative = read(made), caused["relative"]
                columns = [column for column in ("distance", "residual", "moved") if column in in_h]
                row[kind] = {"h": {**summaries(in_h), "length": _share(relative, caused["eps"])}}
                rules = {"relative": relative, "effect": caused["effect"], "edit": trained["effect"]}
                for rule, sizes in rules.items():
                    in_eps = read(shift_eps(domain.unet, trial.x_T, sizes, kind, bar=bar))
                    ratios = {column: ratio_of_means(in_eps[column], in_h[column]) for column in columns}
                    row[kind][rule] = {
                        **summaries(in_eps),
                        "length": _share(sizes, caused["eps"]),
                        "ratio": ratios,
                    }
    return found


def shift_h(
    unet,
    x_T: Tensor,
    delta: Delta,
    norm: float = 1.0,
    kind: str | None = None,
    *,
    steps: int = 40,
    progress: Any = False,
) -> tuple[Tensor, dict[str, dict[int, Tensor]]]:
    """Generate from x_T (N, C, R, R) with h shifted by the trained Δh_t, or at random by as much.

    Args:
        norm: multiple of its length.
        kind: "held", "fresh" (see `directions`), or None for the trained direction.
    Returns:
        x_0, and name -> t -> lengths (N, 1, 1, 1): effect: |ε(x|h+Δh) − ε(x)|; relative: |Δh| |ε| / |h|;
        eps: |ε|.
    """
    caused = {name: defaultdict(list) for name in ("effect", "relative", "eps")}
    x_t = None

    def shift(z: Encoded, t: int, images: slice) -> Tensor | None:
        nonlocal x_t
        x_t, dh = z.x, combine({delta: norm}, z.h, z.emb, t, steps)
        return dh if dh is None or kind is None else length(dh) * directions(dh, t, kind, images.start)

    def record(now: Step) -> None:
        if now.dh is not None:
            a = unet.schedule.alpha_bar(now.t)
            eps_P = (x_t - a**0.5 * now.P) / (1 - a) ** 0.5  # P_t solved for ε̃
            caused["effect"][now.t].append(length(eps_P - now.eps))
            caused["eps"][now.t].append(length(now.eps))
            caused["relative"][now.t].append(length(now.dh) * length(now.eps) / length(now.h))

    pairs = generation_pairs(time_grid(steps, len(unet.schedule) - 1))
    made = by_batches(unet, x_T, pairs, shift, callback=record, progress=progress)
    return made, {name: {t: torch.cat(parts) for t, parts in at.items()} for name, at in caused.items()}


@torch.no_grad()
def shift_eps(
    unet, x_T: Tensor, sizes: dict[int, Tensor], kind: str, *, steps: int = 40, bar: Any = None
) -> Tensor:
    """Generate x_0 with ε shifted in P_t only, in a random direction, by one of the lengths of `shift_h`."""
    made = []
    for start in range(0, len(x_T), unet.batch_size):
        images = slice(start, start + unet.batch_size)
        x = x_T[images].to(unet.device)
        for t, t_next in generation_pairs(time_grid(steps, len(unet.schedule) - 1)):
            eps = eps_P = unet(x, t)
            if t in sizes:
                eps_P = eps + sizes[t][images] * directions(eps, t, kind, start)
            x, _ = step(x, eps_P, eps, unet.schedule.alpha_bar(t), unet.schedule.alpha_bar(t_next))
            if bar is not None:
                bar.update()
        made.append(x)
    return torch.cat(made)


def directions(like: Tensor, t: int, kind: str, start: int = 0) -> Tensor:
    """Random directions of length 1 per image: one for all times ("held"), or others at each ("fresh").

    They have the shape of `like`, (N, …); `start` is the number of the first image.
    """
    first = start + 10**6 * (t + 2 if kind == "fresh" else 1)  # none of the seeds of `residual`
    noise = sample_noise(range(first, first + len(like)), like.shape[1:], like.device)
    return noise / length(noise)


def length(x: Tensor) -> Tensor:
    """Euclidean length of each image's tensor, (N, 1, 1, 1)."""
    return x.flatten(1).norm(dim=1)[:, None, None, None]


@torch.inference_mode()
def residual(unet, images: Tensor) -> Tensor:
    """What the model takes for noise in images (N, C, R, R): mean square (N,) of P_t − x at t = `LATE`."""
    a = unet.schedule.alpha_bar(LATE)
    x_t = a**0.5 * images + (1 - a) ** 0.5 * sample_noise(range(len(images)), images.shape[1:], images.device)
    eps = torch.cat([unet(part, LATE) for part in x_t.split(unet.batch_size)])
    return (predict_x0(x_t, eps, a) - images).square().mean((1, 2, 3))


def damage(domain, table: pd.DataFrame, plain: Tensor, made: Tensor) -> pd.DataFrame:
    """`judge.scores` with `residual` and `boosting.fine_energy`, both over the reconstruction's, and, with an
    oracle, moved: root mean square of all factors' shifts."""
    of = lambda images: residual(domain.unet, domain.codec.encode(images))
    table["residual"] = (of(made) / of(plain)).cpu().numpy()
    table["fine"] = (fine_energy(made) / fine_energy(plain)).cpu().numpy()
    if domain.oracle is not None:
        shifts = domain.oracle.read(made) - domain.oracle.read(plain)
        table["moved"] = (shifts**2).mean(axis=1).to_numpy() ** 0.5
    return table


def _share(sizes: dict[int, Tensor], of: dict[int, Tensor]) -> float:
    """Mean of sizes / of over images and times."""
    return decimals(float(torch.stack([sizes[t] / of[t] for t in of]).mean()))
