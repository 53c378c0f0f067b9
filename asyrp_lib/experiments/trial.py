"""What all experiments begin with, made once: images, their noise, and their plain generations."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd
from torch import Tensor

from .. import api
from ..deltas import Delta
from ..domains.domain import Domain
from ..measure.judge import scores


@dataclass(eq=False)
class Trial:
    """The first n images of a split under S steps; everything is made when it is first asked for.

    Attributes:
        domain: a Domain.
        n, steps, split: how many images, S, and which images.
        progress: show the bar of the inversion.
        larger: a trial of more images, whose first n these are.
    """

    domain: Domain
    n: int
    steps: int = 40
    split: str = "test"
    progress: bool = False
    larger: "Trial | None" = None

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
        return api.edit(self.domain, self.x_T, edits, steps=self.steps, **{"progress": False, **how})

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
