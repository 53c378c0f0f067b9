"""Standard normal noise, one stream per image: the same on every device and for every batch size."""

from collections.abc import Sequence

import torch
from torch import Tensor


def sample_noise(
    seeds: Sequence[int], shape_per_image: Sequence[int], device: torch.device | str = "cpu"
) -> Tensor:
    """Noise (len(seeds), *shape_per_image) float32, one seed per image, drawn on the CPU."""
    return draw([torch.Generator().manual_seed(int(seed)) for seed in seeds], shape_per_image).to(device)


def draw(streams: Sequence[torch.Generator], shape_per_image: Sequence[int]) -> Tensor:
    """The next noise (len(streams), *shape_per_image) of each image's own stream."""
    return torch.stack([torch.randn(tuple(shape_per_image), generator=stream) for stream in streams])
