"""DDIM and the asymmetric reverse process (Algorithm 1 of the paper): `walk` is the whole of it.

One step is x_{t'} = √ᾱ_{t'} P_t(ε̃) + D_t(ε) + σ z, where ε = ε(x_t) and ε̃ = ε(x_t | Δh_t): the shifted h
enters the predicted image P_t and not the direction D_t.  With ε̃ = ε it is plain DDIM; upwards it inverts.
Source: Asyrp Sec. 2-4; Song et al. 2021 (DDIM).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .. import check
from ..deltas import Delta, GlobalDelta, PerTimeDelta, combine
from ..errors import AsyrpError, ImageError
from ..progress import tqdm
from .hspace import Encoded, HSpaceUNet
from .noise import draw as _draw
from .ready import check_edits, evaluating
from .schedule import generation_pairs, interval_pairs, inversion_pairs, time_grid


class Step(NamedTuple):
    """What one step of `walk` leaves; all tensors are detached but P in training."""

    t: int
    t_next: int
    x: Tensor  # x_{t'} (B, C, R, R)
    P: Tensor  # P_t of ε̃; in training it carries the gradient to f_t
    eps: Tensor  # ε of the unshifted h; in training ε̃ where t' = −1
    h: Tensor  # (B, C_h, H, W), unshifted
    dh: Tensor | None  # Δh_t, None where no edit is active
    images: slice = slice(None)  # which of all images these are, in a walk by batches

    def __getitem__(self, key):
        """Also by name, as callbacks had it in version 0.1."""
        return getattr(self, key) if isinstance(key, str) else tuple.__getitem__(self, key)


#: (Encoded, t) -> Δh_t, or None outside the editing interval.
Shift = Callable[[Encoded, int], Tensor | None]


def walk(
    unet: HSpaceUNet,
    x: Tensor,
    pairs: Iterable[tuple[int, int]],
    shift: Shift | None = None,
    *,
    t_boost: int = 0,
    noise: Callable[[], Tensor] | None = None,
    corrections: int = 0,
) -> Iterator[Step]:
    """The asymmetric process along pairs (t, t'): generation and editing downwards, inversion upwards.

    Args:
        x: (B, C, R, R) at the first time, on the U-Net's device.
        shift: gives Δh_t; if it needs gradients, P does.  None: plain DDIM.
        t_boost: below it `noise`, the next z (B, C, R, R), is added with the σ of η = 1 (quality boosting).
        corrections: of an inversion's step: so often ε is taken again where the step ends, from where
            generation will come back (fixed-point iteration; Pan et al. 2023).
    Source: Asyrp Sec. 3.1 Eq. 6, Sec. 3.4 Eq. 12, Algorithms 1 and 2.
    """
    for t, t_next in pairs:
        a_t, a_next = unet.schedule.alpha_bar(t), unet.schedule.alpha_bar(t_next)
        with torch.no_grad():
            z = unet.encode(x, t)
        dh = None if shift is None else shift(z, t)
        if dh is None:
            with torch.no_grad():
                eps = eps_P = unet.decode(z)
        elif dh.requires_grad and t_next < 0:  # D_t is 0 whatever ε is
            eps_P = unet.decode(z, z.h + dh)
            eps = eps_P.detach()
        else:
            eps, eps_P = unet.decode_pair(z, z.h + dh)
        sigma = boost_sigma(a_t, a_next) if t < t_boost else 0.0
        end, P = step(x, eps_P, eps, a_t, a_next, sigma=sigma, noise=noise() if sigma and noise else None)
        for _ in range(corrections):
            eps = unet(end, t_next)
            end, P = step(x, eps, eps, a_t, a_next)
        x = end.detach()
        yield Step(t, t_next, x, P, eps, z.h, dh)


def predict_x0(x_t: Tensor, eps: Tensor, a_t: float) -> Tensor:
    """P_t = (x_t − √(1−ᾱ_t) ε) / √ᾱ_t, the image that x_t is taken to be a noisy version of (Asyrp Eq. 3)."""
    return (x_t - (1 - a_t) ** 0.5 * eps) / a_t**0.5


def direction(eps: Tensor, a_next: float, sigma: float = 0.0) -> Tensor:
    """D_t = √(1 − ᾱ_{t'} − σ²) ε, the direction pointing to x_t; ε of the unshifted h (Asyrp Eq. 3)."""
    return max(1 - a_next - sigma**2, 0.0) ** 0.5 * eps


def boost_sigma(a_t: float, a_next: float, eta: float = 1.0) -> float:
    """σ = η √((1 − ᾱ_t/ᾱ_{t'}) (1 − ᾱ_{t'}) / (1 − ᾱ_t)) (Asyrp Sec. 4.2; Song et al. 2021, Eq. 16)."""
    return eta * ((1 - a_t / a_next) * (1 - a_next) / (1 - a_t)) ** 0.5


def step(
    x_t: Tensor,
    eps_P: Tensor,
    eps_D: Tensor,
    a_t: float,
    a_next: float,
    *,
    sigma: float = 0.0,
    noise: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One step, upwards or downwards in t, differentiable: (x_{t'}, P_t), both (B, C, R, R) as x_t.

    `eps_P` is ε̃ and goes into P_t, `eps_D` is ε and goes into D_t; one for both is plain DDIM.  `a_t` and
    `a_next` are ᾱ at both ends, `noise` is z, standard normal, needed where σ is not 0.  (Asyrp Eq. 5)
    """
    if sigma != 0 and noise is None:
        raise AsyrpError(f"A step with sigma = {sigma:.4g} got no noise; expected z like x_t; pass noise=.")
    p_t = predict_x0(x_t, eps_P, a_t)
    x_next = a_next**0.5 * p_t + direction(eps_D, a_next, sigma)
    return (x_next if noise is None else x_next + sigma * noise), p_t


def invert(unet: HSpaceUNet, x0: Tensor, *, steps: int = 40, corrections: int = 0, **how) -> Tensor:
    """The noise x_T (N, C, R, R) that plain DDIM turns back into `x0`, in [-1, 1]: its steps walked upwards.

    `corrections`: see `walk`; `how`: batch_size, progress, callback; see `by_batches`.
    Source: Asyrp Sec. 2.1, 4; Song et al. 2021 Sec. 4.3.
    """
    pairs = inversion_pairs(time_grid(steps, len(unet.schedule) - 1))
    return by_batches(unet, x0, pairs, corrections=corrections, title="inversion", **how)


def generate(unet: HSpaceUNet, x_T: Tensor, *, steps: int = 40, **how) -> Tensor:
    """Plain deterministic DDIM from x_T to x_0; arguments as for `invert` (Asyrp Sec. 2.1 Eq. 3)."""
    pairs = generation_pairs(time_grid(steps, len(unet.schedule) - 1))
    return by_batches(unet, x_T, pairs, title="generation", **how)


def edit(
    unet: HSpaceUNet,
    x_T: Tensor,
    edits: Mapping[nn.Module, float | Tensor],
    *,
    steps: int = 40,
    t_edit: int | None = None,
    t_boost: int = 0,
    seeds: Sequence[int] | None = None,
    **how,
) -> Tensor:
    """x_T -> x_0 (N, C, R, R): edited for t >= t_edit, plain DDIM below, quality boosting for t < t_boost.

    Arguments and errors as for `api.edit`; image i depends on its own strengths only, whatever its neighbours
    get.  (Asyrp Sec. 3.1 Eq. 6, Sec. 3.4 Eq. 12, Algorithm 2)
    """
    T, n = len(unet.schedule), len(x_T)
    pairs = generation_pairs(time_grid(steps, T - 1))
    table = {delta: check.strengths(delta.name, strength, n) for delta, strength in edits.items()}
    active = {delta: strength for delta, strength in table.items() if strength.any()}
    check_edits(unet, list(active), t_edit)
    if t_edit is not None:
        check.whole("t_edit", t_edit, 0, T - 1)
    check.whole("t_boost", t_boost, 0, T)
    # streams of their own: with the plain seeds, z would repeat an x_T that sample_noise drew; the generator
    # reads only the low 32 bits of a seed
    streams = [torch.Generator().manual_seed((2**31 + seed) % 2**63) for seed in check.seeds(seeds, n)]

    def shift(z: Encoded, t: int, images: slice) -> Tensor | None:
        here = {delta: strength[images] for delta, strength in active.items()}
        return combine(here, z.h, z.emb, t, steps, t_edit=t_edit)

    with evaluating(active):
        return by_batches(
            unet, x_T, pairs, shift if active else None, t_boost=t_boost, streams=streams, title="edit", **how
        )


def by_batches(
    unet: HSpaceUNet,
    x: Tensor,
    pairs: Sequence[tuple[int, int]],
    shift: Callable[[Encoded, int, slice], Tensor | None] | None = None,
    *,
    t_boost: int = 0,
    streams: Sequence[torch.Generator] = (),
    corrections: int = 0,
    batch_size: int | None = None,
    progress: Any = True,
    callback: Callable[[Step], None] | None = None,
    title: str = "",
) -> Tensor:
    """`walk` without gradients, batch by batch: (N, C, R, R) at the last time, where `x` lies.

    Args:
        shift: as for `walk`, and told which images it is asked for.
        streams: of the boosting noise, one per image.
        batch_size: images per pass; None: `HSpaceUNet.batch_size`.
        progress: whether to show a bar, or a larger bar to be moved by every step of every batch.
        callback: called with a `Step` after each of them.
    Raises:
        ImageError: `x` of the wrong shape or type, the result not finite, or a batch size below 1.
    """
    want = (unet.channels, unet.resolution, unet.resolution)
    if x.ndim != 4 or tuple(x.shape[1:]) != want or not x.is_floating_point() or not len(x):
        raise ImageError(
            f"The images are {x.dtype} of shape {tuple(x.shape)}; expected floating point (N, {want[0]}, "
            f"{want[1]}, {want[2]}), N >= 1, values in [-1, 1]; resize and rescale them first."
        )
    size = unet.batch_size if batch_size is None else batch_size
    check.whole("batch_size", size, 1, 10**9, error=ImageError)
    starts, ends = range(0, len(x), size), []
    mine = {"total": len(starts) * len(pairs), "desc": title, "unit": "step", "disable": not progress}
    with nullcontext(progress) if hasattr(progress, "update") else tqdm(**mine) as bar:
        for images in (slice(start, start + size) for start in starts):
            part = x[images].to(unet.device, torch.promote_types(x.dtype, torch.float32))
            draw = lambda: _draw(streams[images], part.shape[1:]).to(part)  # noqa: B023
            here = None if shift is None else lambda z, t: shift(z, t, images)  # noqa: B023
            end = part
            with torch.inference_mode():
                for now in walk(
                    unet, part, pairs, here, t_boost=t_boost, noise=draw, corrections=corrections
                ):
                    end = now.x
                    if callback is not None:
                        callback(now._replace(images=images))
                    bar.update()
            ends.append(end.to(x.device, x.dtype))
    out = torch.cat(ends)  # copied outside inference mode: an ordinary tensor, that training may use
    if not bool(out.isfinite().all()):
        raise ImageError(
            f"The {title or 'walk'} ended in numbers that are not finite; expected an image; lower the "
            "strength, or check the weights."
        )
    return out


def per_time_mean(
    unet: HSpaceUNet, x_T: Tensor, delta: Delta, *, steps: int = 40, t_edit: int | None = None, **how
) -> PerTimeDelta:
    """Δh_t^mean: f_t averaged over images x_T at each t of its interval, along its own trajectories.

    An edit on the CPU with the name, interval (`t_edit`, None: its own) and S_train of f_t; stored unscaled.
    `how`: batch_size, progress; see `by_batches`.  (Asyrp Sec. 5.4, Fig. 10)
    """
    check_edits(unet, [delta], t_edit)
    start = delta.t_edit if t_edit is None else check.whole("t_edit", t_edit, 0, len(unet.schedule) - 1)
    sums: dict[int, Tensor] = {}

    def shift(z: Encoded, t: int, images: slice) -> Tensor:
        dh = delta(z.h, z.emb, t).expand_as(z.h)
        sums[t] = sums.get(t, 0) + dh.cpu().double().sum(0)
        return delta.train_steps / steps * dh

    pairs = interval_pairs(steps, start, len(unet.schedule))
    with evaluating([delta]):
        by_batches(unet, x_T, pairs, shift, title="mean Δh_t", **how)
    means = torch.stack([(sums[t] / len(x_T)).float() for t in sorted(sums)])
    return PerTimeDelta(sorted(sums), means, **{**delta.about, "t_edit": start})


def global_mean(per_time: PerTimeDelta) -> GlobalDelta:
    """Δh^global: Δh_t^mean averaged over time, its name and interval kept (Asyrp Sec. 5.4, Fig. 10)."""
    return GlobalDelta(per_time.shifts.mean(0), **per_time.about)
