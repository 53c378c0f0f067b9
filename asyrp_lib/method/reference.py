"""P_t^ref, the unedited predictions that an edit may not leave: computed once, shared by all f_t."""

import math
import os
import tempfile
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..store.cache import entry, limit, make_room
from ..store.files import atomic_write, os_errors
from ..store.paths import cache_dir, runs_dir
from .hspace import HSpaceUNet
from .process import Step, by_batches

#: Reference trajectories of more bytes than this are not held in memory: 1,000 images of 256 px are 21 GB.
IN_MEMORY = 2**28


def reference_trajectory(unet: HSpaceUNet, x_T: Tensor, pairs: Sequence[tuple[int, int]], **how) -> Tensor:
    """P_t (N, len(pairs), C, R, R) float32 of the unedited process at every t of `pairs`, on the CPU.

    It is an entry of the cache, private and within its limit as others are: f_t of all edits and seeds begin
    with the same one.  Where the cache is off, too small or cannot stand for this network a small one is held
    in memory, a large one in a file without a name, which goes with the run.  `pairs`: from `interval_pairs`.
    `how`: batch_size, progress; see `by_batches`.
    """
    shape = (len(x_T), len(pairs), *x_T.shape[1:])
    place = {t: k for k, (t, _) in enumerate(pairs)}

    def filled(out: np.ndarray) -> Tensor:
        def keep(now: Step) -> None:
            out[now.images, place[now.t]] = now.P.float().cpu().numpy()

        by_batches(unet, x_T, pairs, callback=keep, title="reference P_t", **how)
        return torch.from_numpy(out)

    size, settings = 4 * math.prod(shape), {"pairs": list(map(list, pairs)), "unet": unet.digest()}
    file = entry("reference", x_T.to(unet.device), unet, settings, ".npy")
    if file is None or size > limit():
        if size <= IN_MEMORY:
            return filled(np.empty(shape, np.float32))
        folder = cache_dir() or runs_dir()
        with os_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as nameless:
                return filled(np.memmap(nameless, np.float32, "w+", shape=shape))
    if file.exists():
        os.utime(file)  # just used: the last to leave
    else:
        with atomic_write(file, mode=0o600) as temporary:
            file.parent.chmod(0o700)
            filled(np.lib.format.open_memmap(temporary, "w+", np.float32, shape))
        make_room(file.parent)
    return torch.from_numpy(np.load(file, mmap_mode="c"))
