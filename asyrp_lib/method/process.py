"""DDIM and the asymmetric reverse process.

One step is x_{t'} = √ᾱ_{t'} P_t(ε̃) + D_t(ε) + σ z, where ε = ε(x_t) and ε̃ = ε(x_t | Δh_t): the shifted h
enters the predicted image P_t and not the direction D_t.  With ε̃ = ε it is plain DDIM.
Source: Asyrp Sec. 2-4; Song et al. 2021 (DDIM).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn

from ..deltas import GlobalDelta, PerTimeDelta, combine
from ..errors import AsyrpError, GridError, ImageError, WeightsError
from ..progress import tqdm
from .hspace import HSpaceUNet
from .schedule import generation_pairs, inversion_pairs, time_grid

#: Gets a dict after each step: t, t_next, images (slice of all), x (x_t'), P (P_t), eps (plain ε of x_t).
Callback = Callable[[dict[str, Any]], None]
#: (x_t, t, t_next, slice of all images) -> (x_t', P_t, plain ε)
Advance = Callable[[Tensor, int, int, slice], tuple[Tensor, Tensor, Tensor]]


def sweep(
    unet: HSpaceUNet,
    x: Tensor,
    pairs: Sequence[tuple[int, int]],
    advance: Advance,
    *,
    batch_size: int | None = None,
    progress: bool = True,
    callback: Callback | None = None,
    title: str = "",
) -> Tensor:
    """Walk images along pairs of times, batch by batch, without gradients.

    Args:
        unet: the frozen model.
        x: (N, C, R, R), at the first time of `pairs`.
        pairs: (t, t_next).
        advance: one step, see `Advance`.
        batch_size: images per pass; None: `HSpaceUNet.batch_size`.
        progress: show a progress bar.
        callback: called after each step of each batch, see `Callback`.
        title: of the progress bar.
    Returns:
        (N, C, R, R) at the last time, where `x` lies.
    Raises:
        ImageError: `x` of the wrong shape or type, or a batch size below 1.
    """
    want = (unet.channels, unet.resolution, unet.resolution)
    if x.ndim != 4 or tuple(x.shape[1:]) != want or not x.is_floating_point() or not len(x):
        raise ImageError(
            f"The images are {x.dtype} of shape {tuple(x.shape)}; expected floating point "
            f"(N, {want[0]}, {want[1]}, {want[2]}), N >= 1, values in [-1, 1]; "
            "resize and rescale them first."
        )
    size = unet.batch_size if batch_size is None else batch_size
    if size < 1:
        raise ImageError(
            f"batch_size = {size} holds no image; expected at least 1, or None for as many as suit the resolution."
        )
    starts, done = range(0, len(x), size), []
    with tqdm(total=len(starts) * len(pairs), desc=title, unit="step", disable=not progress) as bar:
        for images in (slice(start, start + size) for start in starts):
            with torch.inference_mode():
                part = x[images].to(unet.device)
                for t, t_next in pairs:
                    part, P, eps = advance(part, t, t_next, images)
                    if callback is not None:
                        callback(dict(t=t, t_next=t_next, images=images, x=part, P=P, eps=eps))
                    bar.update()
            done.append(part.to(x.device))
    return torch.cat(done)  # copied outside inference mode: an ordinary tensor, that training may use


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


def predict_x0(x_t: Tensor, eps: Tensor, a_t: float) -> Tensor:
    """P_t = (x_t − √(1−ᾱ_t) ε) / √ᾱ_t, the image that x_t is taken to be a noisy version of.

    Args:
        x_t, eps: (B, C, R, R).
        a_t: ᾱ_t.
    Source: Asyrp Eq. 3.
    """
    return (x_t - (1 - a_t) ** 0.5 * eps) / a_t**0.5


def direction(eps: Tensor, a_next: float, sigma: float = 0.0) -> Tensor:
    """D_t = √(1 − ᾱ_{t'} − σ²) ε, the direction pointing to x_t.

    Args:
        eps: (B, C, R, R), of the unshifted h.
        a_next: ᾱ_{t'}.
        sigma: σ of the step.
    Source: Asyrp Eq. 3.
    """
    return max(1 - a_next - sigma**2, 0.0) ** 0.5 * eps


def boost_sigma(a_t: float, a_next: float, eta: float = 1.0) -> float:
    """σ = η √((1 − ᾱ_t/ᾱ_{t'}) (1 − ᾱ_{t'}) / (1 − ᾱ_t)).

    Source: Asyrp Sec. 4.2 (quality boosting has η = 1); Song et al. 2021, Eq. 16.
    """
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
    Raises:
        AsyrpError: σ is not 0 and there is no noise.
    Source: Asyrp Eq. 5.
    """
    if sigma != 0 and noise is None:
        raise AsyrpError(
            f"A step with sigma = {sigma:.4g} got no noise; expected z of the shape of x_t; pass noise=."
        )
    p_t = predict_x0(x_t, eps_P, a_t)
    x_next = a_next**0.5 * p_t + direction(eps_D, a_next, sigma)
    return (x_next if sigma == 0 else x_next + sigma * noise), p_t


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


def invert(
    unet: HSpaceUNet,
    x0: Tensor,
    *,
    steps: int = 40,
    batch_size: int | None = None,
    progress: bool = True,
    callback: Callback | None = None,
) -> Tensor:
    """The noise x_T that deterministic DDIM turns back into `x0`: the same steps walked upwards.

    Args:
        unet: the frozen model.
        x0: (N, C, R, R) in [-1, 1].
        steps: S, 1 … T.
        batch_size: images per pass; None: `HSpaceUNet.batch_size`.
        progress: show a progress bar.
        callback: called after each step of each batch, see `Callback`.
    Returns:
        x_T (N, C, R, R), where `x0` lies.
    Raises:
        GridError: `steps` outside the grid.
        ImageError: `x0` of the wrong shape or type.
    Source: Asyrp Sec. 2.1, Sec. 4 (40 steps); Song et al. 2021 Sec. 4.3.
    """
    pairs = inversion_pairs(time_grid(steps, len(unet.schedule) - 1))
    return sweep(
        unet,
        x0,
        pairs,
        plain_step(unet),
        batch_size=batch_size,
        progress=progress,
        callback=callback,
        title="inversion",
    )


def generate(
    unet: HSpaceUNet,
    x_T: Tensor,
    *,
    steps: int = 40,
    batch_size: int | None = None,
    progress: bool = True,
    callback: Callback | None = None,
) -> Tensor:
    """Plain deterministic DDIM from x_T to x_0.

    Args:
        unet: the frozen model.
        x_T: (N, C, R, R).
        steps, batch_size, progress, callback: see `invert`.
    Returns:
        x_0 (N, C, R, R), about in [-1, 1], where `x_T` lies.
    Raises:
        GridError: `steps` outside the grid.
        ImageError: `x_T` of the wrong shape or type.
    Source: Asyrp Sec. 2.1 Eq. 3.
    """
    pairs = generation_pairs(time_grid(steps, len(unet.schedule) - 1))
    return sweep(
        unet,
        x_T,
        pairs,
        plain_step(unet),
        batch_size=batch_size,
        progress=progress,
        callback=callback,
        title="generation",
    )


def edit(
    unet: HSpaceUNet,
    x_T: Tensor,
    edits: Mapping[nn.Module, float | Tensor],
    *,
    steps: int = 40,
    t_edit: int | None = None,
    t_boost: int = 0,
    seeds: Sequence[int] | None = None,
    batch_size: int | None = None,
    progress: bool = True,
    callback: Callback | None = None,
) -> Tensor:
    """Asyrp generation: edited for t >= t_edit, plain DDIM below, quality boosting (η = 1) for t < t_boost.

    Args:
        unet: the frozen model.
        x_T: (N, C, R, R), usually from `invert`.
        edits: edit -> strength, any finite number, or (N,) one per image; see `deltas.combine` for how
            several add up; no edits, or strength 0, give plain generation.
        steps: S_test.
        t_edit: end of the editing interval, 0 … T−1; None: that of the edits, see `common_t_edit`.
        t_boost: below it noise is added, 0 … T; 0: nowhere.
        seeds: of the boosting noise, one per image; default 0 … N−1.  Image i does not depend
            on the batch it is in.
        batch_size, progress: see `invert`.
        callback: as for `invert`; P is of the edited ε, eps is the plain one.
    Returns:
        x_0 (N, C, R, R), where `x_T` lies.
    Raises:
        GridError: `steps`, `t_edit` or `t_boost` outside the grid, or no t_edit known.
        ImageError: `x_T` of the wrong shape or type, or not one seed or strength per image.
        WeightsError: an edit made for another h-space.
    Source: Asyrp Sec. 3.1 Eq. 6, Sec. 3.4 Eq. 12, Algorithm 2.
    """
    T = len(unet.schedule)
    pairs = generation_pairs(time_grid(steps, T - 1))
    strengths = {delta: _per_image(delta, strength, len(x_T)) for delta, strength in edits.items()}
    active = [delta for delta, strength in strengths.items() if strength.any()]
    t_edit = (common_t_edit(active) if active else 0) if t_edit is None else t_edit
    _check_time("t_edit", t_edit, T - 1)
    _check_time("t_boost", t_boost, T)
    seeds = range(len(x_T)) if seeds is None else list(seeds)
    if len(seeds) != len(x_T):
        raise ImageError(f"{len(seeds)} seeds for {len(x_T)} images; expected one seed per image.")
    for delta in active:
        if getattr(delta, "channels", unet.h_channels) != unet.h_channels:
            raise WeightsError(
                f"The edit {delta.name!r} shifts {delta.channels} channels, but h-space has "
                f"{unet.h_channels}; use an edit that was made for this network."
            )
    for delta in edits:
        delta.to(unet.device)
    # streams of their own: with the plain seeds, z would repeat an x_T that sample_noise drew; the generator
    # reads only the low 32 bits of a seed
    streams = [torch.Generator().manual_seed(2**31 + int(seed)) for seed in seeds]

    def advance(x: Tensor, t: int, t_next: int, images: slice) -> tuple[Tensor, Tensor, Tensor]:
        a_t, a_next = unet.schedule.alpha_bar(t), unet.schedule.alpha_bar(t_next)
        z = unet.encode(x, t)
        if active and t >= t_edit:
            here = {delta: strength[images] for delta, strength in strengths.items()}
            eps, eps_edit = unet.decode_pair(z, z.h + combine(here, z.h, z.emb, t, steps))
        else:
            eps = eps_edit = unet.decode(z)
        sigma = boost_sigma(a_t, a_next) if t < t_boost else 0.0
        noise = _draw(streams[images], x.shape[1:]).to(x) if sigma > 0 else None
        x_next, P = step(x, eps_edit, eps, a_t, a_next, sigma=sigma, noise=noise)
        return x_next, P, eps

    with evaluating(edits):
        return sweep(
            unet,
            x_T,
            pairs,
            advance,
            batch_size=batch_size,
            progress=progress,
            callback=callback,
            title="edit",
        )


def common_t_edit(edits: Iterable[nn.Module]) -> int:
    """The editing interval of several edits at once: the largest `t_edit` among them, so that no f_t meets a
    time it was not trained at; it belongs to the edit with the largest prompt cosine, as in the original code.

    Raises:
        GridError: one of them does not know its interval.
    """
    edits = list(edits)
    for delta in edits:
        if delta.t_edit is None:
            raise GridError(
                f"The edit {delta.name!r} does not know its editing interval; expected its "
                "t_edit to be set; pass t_edit=."
            )
    return max(delta.t_edit for delta in edits)


def plain_step(unet: HSpaceUNet) -> Advance:
    """One deterministic DDIM step, P_t and D_t from the same ε, for `sweep`."""

    def advance(x: Tensor, t: int, t_next: int, images: slice) -> tuple[Tensor, Tensor, Tensor]:
        eps = unet(x, t)
        x_next, P = step(x, eps, eps, unet.schedule.alpha_bar(t), unet.schedule.alpha_bar(t_next))
        return x_next, P, eps

    return advance


def per_time_mean(
    unet: HSpaceUNet,
    x_T: Tensor,
    delta: nn.Module,
    *,
    steps: int = 40,
    t_edit: int | None = None,
    batch_size: int | None = None,
    progress: bool = True,
) -> PerTimeDelta:
    """Δh_t^mean: f_t averaged over images at each t of the editing interval, along its own trajectories.

    Args:
        unet: the frozen model.
        x_T: (N, C, R, R), the images to average over.
        delta: f_t.
        steps: S of the trajectories; Δh_t itself is stored unscaled.
        t_edit: end of the interval; None: that of `delta`.
        batch_size, progress: see `invert`.
    Returns:
        The mean as an edit on the CPU, with the name, interval and S_train of `delta`.
    Raises:
        GridError: `steps` outside the grid, or no step of the grid in the interval.
        ImageError: `x_T` of the wrong shape or type.
    Source: Asyrp Sec. 5.4, Fig. 10.
    """
    t_edit = common_t_edit([delta]) if t_edit is None else t_edit
    pairs = [pair for pair in generation_pairs(time_grid(steps, len(unet.schedule) - 1)) if pair[0] >= t_edit]
    if not pairs:
        raise GridError(
            f"t_edit = {t_edit} leaves no step of a {steps}-step grid to edit; expected 0 ... "
            f"{len(unet.schedule) - 1}; lower t_edit."
        )
    sums: dict[int, Tensor] = {}

    def advance(x: Tensor, t: int, t_next: int, images: slice) -> tuple[Tensor, Tensor, Tensor]:
        z = unet.encode(x, t)
        shift = delta(z.h, z.emb, t).expand_as(z.h)
        sums[t] = sums.get(t, 0) + shift.cpu().double().sum(0)
        eps, eps_edit = unet.decode_pair(z, z.h + delta.train_steps / steps * shift)
        return *step(x, eps_edit, eps, unet.schedule.alpha_bar(t), unet.schedule.alpha_bar(t_next)), eps

    with evaluating([delta.to(unet.device)]):
        sweep(unet, x_T, pairs, advance, batch_size=batch_size, progress=progress, title="mean Δh_t")
    times = sorted(sums)
    return PerTimeDelta(
        times,
        torch.stack([(sums[t] / len(x_T)).float() for t in times]),
        name=delta.name,
        t_edit=t_edit,
        train_steps=delta.train_steps,
    )


def global_mean(per_time: PerTimeDelta) -> GlobalDelta:
    """Δh^global: Δh_t^mean averaged over time.

    Args:
        per_time: from `per_time_mean`.
    Returns:
        One Δh as an edit, with the same name, interval and S_train.
    Source: Asyrp Sec. 5.4, Fig. 10.
    """
    return GlobalDelta(
        per_time.shifts.mean(0), name=per_time.name, t_edit=per_time.t_edit, train_steps=per_time.train_steps
    )


def _draw(streams: Sequence[torch.Generator], shape_per_image: Sequence[int]) -> Tensor:
    """The next noise (len(streams), *shape) of each image's own stream."""
    return torch.stack([torch.randn(tuple(shape_per_image), generator=stream) for stream in streams])


def _per_image(delta: nn.Module, strength: float | Tensor, n: int) -> Tensor:
    """A strength as (n,) float64 on the CPU."""
    strength = torch.as_tensor(strength, dtype=torch.float64).cpu()
    if strength.ndim and strength.shape != (n,):
        raise ImageError(
            f"The edit {delta.name!r} has strengths of shape {tuple(strength.shape)} for {n} "
            "images; expected one number, or one per image."
        )
    if not strength.isfinite().all():
        raise AsyrpError(
            f"The strength of the edit {delta.name!r} is not finite; expected a number such as 1.0."
        )
    return strength.expand(n)


def _check_time(name: str, t: int, last: int) -> None:
    if not isinstance(t, Integral) or isinstance(t, bool) or not 0 <= t <= last:
        raise GridError(f"{name} = {t!r} is outside the time grid; expected an integer in 0 ... {last}.")
