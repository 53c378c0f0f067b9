"""The loop under inversion, generation and editing: images walked along pairs of times, batch by batch."""
from contextlib import contextmanager
from typing import Any, Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn
from tqdm import tqdm

from .errors import ImageError
from .hspace import HSpaceUNet

#: Gets a dict after each step: t, t_next, images (slice of all), x (x_t'), P (P_t), eps (plain ε of x_t).
Callback = Callable[[dict[str, Any]], None]
#: (x_t, t, t_next, slice of all images) -> (x_t', P_t, plain ε)
Advance = Callable[[Tensor, int, int, slice], tuple[Tensor, Tensor, Tensor]]


def sweep(unet: HSpaceUNet, x: Tensor, pairs: Sequence[tuple[int, int]], advance: Advance, *,
          batch_size: int | None = None, progress: bool = True, callback: Callback | None = None,
          title: str = "") -> Tensor:
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
        raise ImageError(f"The images are {x.dtype} of shape {tuple(x.shape)}; expected floating point "
                         f"(N, {want[0]}, {want[1]}, {want[2]}), N >= 1, values in [-1, 1]; "
                         "resize and rescale them first.")
    size = unet.batch_size if batch_size is None else batch_size
    if size < 1:
        raise ImageError(f"batch_size = {size} holds no image; expected at least 1, or None for as many as suit the resolution.")
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
