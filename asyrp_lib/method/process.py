"""DDIM and the asymmetric reverse process (Algorithm 1 of the paper): `walk` is the whole of it.

One step is x_{t'} = √ᾱ_{t'} P_t(ε̃) + D_t(ε) + σ z, where ε = ε(x_t) and ε̃ = ε(x_t | Δh_t): the shifted h
enters
the predicted image P_t and not the direction D_t.  With ε̃ = ε it is plain DDIM; upwards in t it inverts.
Source: Asyrp Sec. 2-4; Song et al. 2021 (DDIM).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .. import check
from ..deltas import Delta, GlobalDelta, PerTimeDelta, combine
from ..errors import AsyrpError, GridError, ImageError, WeightsError
from ..progress import tqdm
from .hspace import Encoded, HSpaceUNet
from .schedule import generation_pairs, inversion_pairs, time_grid


class Step(NamedTuple):
    """What one step of `walk` leaves.

    Attributes:
        t, t_next: the step's times.
        x: x_{t'} (B, C, R, R), detached.
        P: P_t of ε̃; in training it carries the gradient to f_t.
        eps: ε of the unshifted h.
        h: (B, C_h, H, W), unshifted.
        dh: Δh_t, or None where no edit is active.
        images: which of all images these are, in a walk by batches.
    """

    t: int
    t_next: int
    x: Tensor
    P: Tensor
    eps: Tensor
    h: Tensor
    dh: Tensor | None
    images: slice = slice(None)

    def __getitem__(self, key):
        """Also by name, as callbacks had it in version 0.1."""
        return getattr(self, key) if isinstance(key, str) else tuple.__getitem__(self, key)


#: (Encoded, t) -> Δh_t, or None outside the editing interval.
Shift = Callable[[Encoded, int], Tensor | None]
Callback = Callable[[Step], None]


def walk(
    unet: HSpaceUNet,
    x: Tensor,
    pairs: Iterable[tuple[int, int]],
    shift: Shift | None = None,
    *,
    t_boost: int = 0,
    noise: Callable[[], Tensor] | None = None,
) -> Iterator[Step]:
    """The asymmetric process along pairs of times: generation and editing downwards, inversion upwards,
    training alike.

    Args:
        unet: the frozen model.
        x: (B, C, R, R) at the first time, on its device.
        pairs: (t, t').
        shift: gives Δh_t; if it needs gradients, P does.  None: plain DDIM.
        t_boost: below it `noise` is added with the σ of η = 1 (quality boosting).
        noise: draws the next z (B, C, R, R).
    Yields:
        a `Step` for each pair.
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
        elif dh.requires_grad:  # one decoder pass is differentiated, not both
            with torch.no_grad():
                eps = unet.decode(z)
            eps_P = unet.decode(z, h=z.h + dh)
        else:
            eps, eps_P = unet.decode_pair(z, z.h + dh)
        sigma = boost_sigma(a_t, a_next) if t < t_boost else 0.0
        x, P = step(x, eps_P, eps, a_t, a_next, sigma=sigma, noise=noise() if sigma and noise else None)
        x = x.detach()
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
    """One step of the asymmetric process, upwards or downwards in t; differentiable.

    Args:
        x_t: (B, C, R, R).
        eps_P: ε̃, goes into P_t.
        eps_D: ε, goes into D_t; the same tensor as `eps_P` gives plain DDIM.
        a_t, a_next: ᾱ at both ends.
        sigma: σ; needs `noise` if not 0.
        noise: z (B, C, R, R), standard normal.
    Returns:
        (x_{t'}, P_t).
    Source: Asyrp Eq. 5.
    """
    if sigma != 0 and noise is None:
        raise AsyrpError(
            f"A step with sigma = {sigma:.4g} got no noise; expected z of the shape of x_t; pass noise=."
        )
    p_t = predict_x0(x_t, eps_P, a_t)
    x_next = a_next**0.5 * p_t + direction(eps_D, a_next, sigma)
    return (x_next if noise is None else x_next + sigma * noise), p_t


def invert(unet: HSpaceUNet, x0: Tensor, *, steps: int = 40, **how) -> Tensor:
    """The noise x_T that deterministic DDIM turns back into `x0`: the same steps walked upwards.

    Args:
        unet: the frozen model.
        x0: (N, C, R, R) in [-1, 1].
        steps: S, 1 … T.
        how: batch_size, progress, callback; see `by_batches`.
    Returns:
        x_T (N, C, R, R), where `x0` lies.
    Source: Asyrp Sec. 2.1, Sec. 4 (40 steps); Song et al. 2021 Sec. 4.3.
    """
    pairs = inversion_pairs(time_grid(steps, len(unet.schedule) - 1))
    return by_batches(unet, x0, pairs, title="inversion", **how)


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
    """Asyrp generation: edited for t >= t_edit, plain DDIM below, quality boosting (η = 1) for t < t_boost.

    Args:
        unet: the frozen model.
        x_T: (N, C, R, R), usually from `invert`.
        edits: Δh -> strength, one number or one per image; see `combine` for how several add up.  Image i
            depends
            on its own strengths only, whatever its neighbours get.
        steps: S_test.
        t_edit: end of the editing interval for all edits, 0 … T−1; None: each edit's own.
        t_boost: below it noise is added, 0 … T; 0: nowhere.
        seeds: of the boosting noise, one per image; None: 0 … N−1.
        how: batch_size, progress, callback; see `by_batches`.
    Returns:
        x_0 (N, C, R, R), where `x_T` lies.
    Raises:
        GridError: `steps`, `t_edit` or `t_boost` outside the grid, or no t_edit known.
        ImageError: `x_T` of the wrong shape or type, or not one seed or strength per image.
        WeightsError: an edit made for another h-space or another U-Net.
    Source: Asyrp Sec. 3.1 Eq. 6, Sec. 3.4 Eq. 12, Algorithm 2.
    """
    T, n = len(unet.schedule), len(x_T)
    pairs = generation_pairs(time_grid(steps, T - 1))
    table = {delta: check.strengths(delta.name, strength, n) for delta, strength in edits.items()}
    active = {delta: strength for delta, strength in table.items() if strength.any()}
    _check_edits(unet, list(active), t_edit)
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
    batch_size: int | None = None,
    progress: bool = True,
    callback: Callback | None = None,
    title: str = "",
) -> Tensor:
    """`walk` without gradients, batch by batch.

    Args:
        unet, pairs, t_boost: see `walk`.
        x: (N, C, R, R) at the first time of `pairs`.
        shift: as for `walk`, and told which images it is asked for.
        streams: of the boosting noise, one per image.
        batch_size: images per pass; None: `HSpaceUNet.batch_size`.
        progress: show a progress bar.
        callback: called with a `Step` after each step of each batch.
        title: of the progress bar.
    Returns:
        (N, C, R, R) at the last time, where `x` lies.
    Raises:
        ImageError: `x` of the wrong shape or type, the result not finite, or a batch size below 1.
    """
    want = (unet.channels, unet.resolution, unet.resolution)
    if x.ndim != 4 or tuple(x.shape[1:]) != want or not x.is_floating_point() or not len(x):
        raise ImageError(
            f"The images are {x.dtype} of shape {tuple(x.shape)}; expected floating point (N, {want[0]}, "
            f"{want[1]}, {want[2]}), N >= 1, values in [-1, 1]; resize and rescale them first."
        )
    size = (
        unet.batch_size
        if batch_size is None
        else check.whole("batch_size", batch_size, 1, 10**9, error=ImageError)
    )
    starts, ends = range(0, len(x), size), []
    with tqdm(total=len(starts) * len(pairs), desc=title, unit="step", disable=not progress) as bar:
        for images in (slice(start, start + size) for start in starts):
            part = x[images].to(unet.device, torch.promote_types(x.dtype, torch.float32))
            draw = lambda: _draw(streams[images], part.shape[1:]).to(part)  # noqa: B023
            here = None if shift is None else lambda z, t: shift(z, t, images)  # noqa: B023
            with torch.inference_mode():
                for now in walk(unet, part, pairs, here, t_boost=t_boost, noise=draw):
                    if callback is not None:
                        callback(now._replace(images=images))
                    bar.update()
            ends.append((now.x if len(pairs) else part).to(x.device, x.dtype))
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
    """Δh_t^mean: f_t averaged over images at each t of the editing interval, along its own trajectories.

    Args:
        unet: the frozen model.
        x_T: (N, C, R, R), the images to average over.
        delta: f_t.
        steps: S of the trajectories; Δh_t itself is stored unscaled.
        t_edit: end of the interval; None: that of `delta`.
        how: batch_size, progress; see `by_batches`.
    Returns:
        The mean as an edit on the CPU, with the name, interval and S_train of `delta`.
    Source: Asyrp Sec. 5.4, Fig. 10.
    """
    _check_edits(unet, [delta], t_edit)
    start = delta.t_edit if t_edit is None else check.whole("t_edit", t_edit, 0, len(unet.schedule) - 1)
    pairs = interval_pairs(steps, start, len(unet.schedule))
    scale, sums = delta.train_steps / steps, dict.fromkeys([t for t, _ in pairs], 0.0)

    def shift(z: Encoded, t: int, images: slice) -> Tensor:
        return scale * delta(z.h, z.emb, t).expand_as(z.h)

    def add(now: Step) -> None:
        sums[now.t] = sums[now.t] + (now.dh / scale).cpu().double().sum(0)

    with evaluating([delta]):
        by_batches(unet, x_T, pairs, shift, callback=add, title="mean Δh_t", **how)
    means = torch.stack([(sums[t] / len(x_T)).float() for t in sorted(sums)])
    about = {
        "name": delta.name,
        "t_edit": start,
        "train_steps": delta.train_steps,
        "unet_digest": delta.unet_digest,
    }
    return PerTimeDelta(sorted(sums), means, **about)


def global_mean(per_time: PerTimeDelta) -> GlobalDelta:
    """Δh^global: Δh_t^mean averaged over time, with the same name, interval and S_train (Asyrp Sec. 5.4, Fig.
    10)."""
    return GlobalDelta(per_time.shifts.mean(0), **per_time.about)


def interval_pairs(steps: int, t_edit: int, T: int = 1000, *, last: bool = False) -> list[tuple[int, int]]:
    """Pairs (t, t') of a generation in `steps` steps with t >= t_edit, from the top down.

    Args:
        steps, t_edit: of the time grid and the editing interval.
        T: length of the schedule.
        last: let the last pair go to t' = −1, as training does, instead of on along the grid.
    Raises:
        GridError: no time of the grid lies in the interval.
    """
    pairs = [(t, t_next) for t, t_next in generation_pairs(time_grid(steps, T - 1)) if t >= t_edit]
    if not pairs:
        raise GridError(
            f"t_edit = {t_edit} leaves no step of a {steps}-step grid to edit; expected 0 … {T - 1}; lower "
            "t_edit."
        )
    return [*pairs[:-1], (pairs[-1][0], -1)] if last else pairs


def sample_noise(
    seeds: Sequence[int], shape_per_image: Sequence[int], device: torch.device | str = "cpu"
) -> Tensor:
    """Standard normal noise with one generator per image, the same on every device and for every batch size.

    Args:
        seeds: one per image.
        shape_per_image: e.g. (C, R, R).
        device: where the result lies; it is drawn on the CPU.
    Returns:
        (len(seeds), *shape_per_image) float32.
    """
    return _draw([torch.Generator().manual_seed(int(seed)) for seed in seeds], shape_per_image).to(device)


@contextmanager
def evaluating(edits: Iterable[nn.Module]) -> Iterator[None]:
    """Put edits into eval mode (no dropout), and back into the mode they were in: they may be in training."""
    modes = {delta: delta.training for delta in edits}
    try:
        for delta in modes:
            delta.eval()
        yield
    finally:
        for delta, mode in modes.items():
            delta.train(mode)


def _check_edits(unet: HSpaceUNet, edits: Sequence[nn.Module], t_edit: int | None) -> None:
    """Each fits the U-Net, knows its interval, and none is there twice; then all are brought to its
    device."""
    digest = unet.digest() if any(delta.unet_digest for delta in edits) else None
    for delta in edits:
        if t_edit is None and delta.t_edit is None:
            raise GridError(
                f"The edit {delta.name!r} does not know its editing interval; expected its t_edit to be "
                "set; pass t_edit=."
            )
        if delta.channels != unet.h_channels:
            raise WeightsError(
                f"The edit {delta.name!r} shifts {delta.channels} channels, but h-space has "
                f"{unet.h_channels}; use an edit that was made for this network."
            )
        if delta.unet_digest not in (None, digest):
            raise WeightsError(
                f"The edit {delta.name!r} was trained for another U-Net ({delta.unet_digest[:12]}, here "
                f"{digest[:12]}); use one made for this network, or allow it with delta.bind(unet)."
            )
        delta.to(unet.device)
    for k, delta in enumerate(edits):
        for other in edits[:k]:
            mine, theirs = delta.state_dict(), other.state_dict()
            if (
                mine
                and mine.keys() == theirs.keys()
                and all(torch.equal(mine[key], theirs[key]) for key in mine)
            ):
                raise AsyrpError(
                    f"The edits {other.name!r} and {delta.name!r} are the same Δh twice; expected each "
                    "once; add up their strengths instead."
                )


def _draw(streams: Sequence[torch.Generator], shape_per_image: Sequence[int]) -> Tensor:
    """The next noise (len(streams), *shape) of each image's own stream."""
    return torch.stack([torch.randn(tuple(shape_per_image), generator=stream) for stream in streams])
