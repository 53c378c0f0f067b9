"""P_t^ref, the unedited predictions that an edit may not leave: computed once, kept on disk, shared by all
f_t."""

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..store.files import atomic_write
from ..store.paths import cache_dir, runs_dir
from ..store.weights import digest
from .hspace import HSpaceUNet
from .process import Step, by_batches

#: Reference trajectories of more bytes than this lie on disk: 1,000 images of 256 px are 21 GB.
IN_MEMORY = 2**28


def reference_trajectory(
    unet: HSpaceUNet,
    x_T: Tensor,
    pairs: Sequence[tuple[int, int]],
    *,
    batch_size: int | None = None,
    progress: bool = True,
) -> Tensor:
    """P_t of the unedited process at every t of `pairs`; it does not depend on f_t.

    Args:
        unet: the frozen model.
        x_T: (N, C, R, R).
        pairs: from `interval_pairs`.
        batch_size: images per pass; None: `HSpaceUNet.batch_size`.
        progress: show a progress bar.
    Returns:
        (N, len(pairs), C, R, R) float32 on the CPU: in memory, or mapped from a file in the cache folder,
        named by the
        digest of all it depends on, which later runs find again.
    """
    shape = (len(x_T), len(pairs), *x_T.shape[1:])
    if 4 * int(np.prod(shape)) <= IN_MEMORY:
        out = np.empty(shape, np.float32)
        _fill(out, unet, x_T, pairs, batch_size, progress)
        return torch.from_numpy(out)
    key = json.dumps([unet.digest(), digest(x_T), list(map(list, pairs))])
    file = (cache_dir() or runs_dir()) / "references" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npy"
    if not file.exists():
        with atomic_write(file) as temporary:
            out = np.lib.format.open_memmap(temporary, "w+", np.float32, shape)
            _fill(out, unet, x_T, pairs, batch_size, progress)
            out.flush()
    return torch.from_numpy(np.load(file, mmap_mode="c"))


def _fill(
    out: np.ndarray, unet: HSpaceUNet, x_T: Tensor, pairs, batch_size: int | None, progress: bool
) -> None:
    place = {t: k for k, (t, _) in enumerate(pairs)}

    def keep(now: Step) -> None:
        out[now.images, place[now.t]] = now.P.float().cpu().numpy()

    by_batches(
        unet, x_T, pairs, batch_size=batch_size, progress=progress, callback=keep, title="reference P_t"
    )
