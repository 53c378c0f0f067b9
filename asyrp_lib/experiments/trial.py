"""What all experiments begin with, made once: images, their noise, and their plain generations."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import pandas as pd
from torch import Tensor

from .. import api
from ..deltas import Delta
from ..domains.domain import Domain
from ..measure.judge import scores
from ..progress import tqdm

Key = TypeVar("Key")


@dataclass(eq=False)
class Trial:
    """The first n images of a split under S steps; everything is made when it is first asked for."""

    domain: Domain
    n: int
    steps: int = 40
    split: str = "test"
    progress: bool = False
    larger: "Trial | None" = None  # a trial of more images, whose first n these are

    @cached_property
    def x_0(self) -> Tensor:
        """The images (n, 3, R, R)."""
        return self.larger.x_0[: self.n] if self.larger else self.domain.images(self.split, self.n)

    @cached_property
    def x_T(self) -> Tensor:
        """Their inversions, as the U-Net sees them."""
        if self.larger:
            return self.larger.x_T[: self.n]
        return api.invert(self.domain, self.x_0, steps=self.steps, progress=self.progress)

    @cached_property
    def plain(self) -> Tensor:
        """Their reconstructions (n, 3, R, R): what an edit is compared with."""
        return self.larger.plain[: self.n] if self.larger else self.edit({})

    def edit(self, edits: Mapping[str | Delta, float | Tensor], **how) -> Tensor:
        """The images edited (n, 3, R, R); see `api.edit`."""
        return api.edit(self.domain, self.x_T, edits, steps=self.steps, **{"progress": self.progress, **how})

    def bar(self, title: str, runs: int):
        """A bar for so many edits of all images; it counts steps, so that it soon knows the time left."""
        batches = -(-self.n // self.domain.unet.batch_size)
        return tqdm(total=runs * batches * self.steps, desc=title, unit="step", disable=not self.progress)

    def edits(self, title: str, runs: Mapping[Key, dict]) -> Iterator[tuple[Key, Tensor]]:
        """(key, images edited) of key -> arguments of `edit`, under one bar."""
        with self.bar(title, len(runs)) as bar:
            for key, how in runs.items():
                yield key, self.edit(**how, progress=bar)

    def sweep(self, title: str, deltas: Mapping[str, Delta], strengths: Iterable[float]) -> Iterator:
        """((name, strength), images edited) of every f_t at every strength, under one bar."""
        runs = {(name, s): {"edits": {delta: s}} for name, delta in deltas.items() for s in strengths}
        return self.edits(title, runs)

    def scores(self, name: str, edited: Tensor) -> pd.DataFrame:
        """`judge.scores` of edited images by what the edit `name` aims at."""
        return scores(self.domain, self.domain.edit_named(name), self.x_0, self.plain, edited)

    def like(self, **changes) -> "Trial":
        """This trial with other n, steps, split or progress; fewer of the same images are taken from it."""
        made = replace(self, larger=None, **changes)
        if made.n <= self.n and (made.steps, made.split) == (self.steps, self.split):
            made.larger = self
        return made


def begin(domain: Domain, trial: Trial | None, n: int, progress: bool, steps: int = 40) -> Trial:
    """The first n test images of an experiment, from a trial that is there already where they are in it."""
    return (trial or Trial(domain, n, steps)).like(n=n, steps=steps, split="test", progress=progress)
