"""What all experiments begin with, made once: images, their noise, plain generations, f_t by seed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from .. import api, check
from ..deltas import Delta
from ..domains.domain import Domain
from ..errors import AsyrpError, ImageError, UnknownNameError
from ..measure.judge import scores
from ..method.hspace import HSpaceUNet
from ..progress import tqdm
from ..store.cache import cached
from .rows import COLUMNS

#: Share of a factor's range at both ends, inside which a face counts as being in mid-range.
MARGIN = 0.25
#: Faces among which those are looked for.
POOL = 2000


Whole = TypeVar("Whole", Tensor, pd.DataFrame)


@dataclass(eq=False)
class Trial:
    """Images `first` … `first + n − 1` of a split, or of an `order` of its numbers, under S steps; everything
    is made when it is asked for.  Of the split "noise" x_T is `Domain.seeded_noise`, and its images are what
    that generates.
    """

    domain: Domain
    n: int
    steps: int = 40
    split: str = "test"
    first: int = 0
    progress: bool = False
    order: tuple[int, ...] | None = None  # None: 0, 1, …
    larger: "Trial | None" = None  # a trial of more images, these among them

    @property
    def numbers(self) -> Sequence[int]:
        """Of its images in the split."""
        of = range(self.first + self.n) if self.order is None else self.order
        return of[self.first : self.first + self.n]

    def part(self, whole: Whole, first: int = 0) -> Whole:
        """What is this trial's of something that has one row for each of the images `first` and following."""
        return whole[self.first - first :][: self.n]

    @cached_property
    def x_0(self) -> Tensor:
        """The images (n, 3, R, R)."""
        if self.larger:
            return self.part(self.larger.x_0, self.larger.first)
        if self.split == "noise":
            return self.plain
        if self.order is not None:
            return torch.cat([self.domain.images(self.split, 1, first=k) for k in self.numbers])
        return self.domain.images(self.split, self.n, first=self.first)

    @cached_property
    def x_T(self) -> Tensor:
        """Their inversions, as the U-Net sees them."""
        if self.larger:
            return self.part(self.larger.x_T, self.larger.first)
        if self.split == "noise":
            return self.domain.seeded_noise(self.n, first=self.first)
        return api.invert(self.domain, self.x_0, steps=self.steps, progress=self.progress)

    @cached_property
    def plain(self) -> Tensor:
        """Their reconstructions (n, 3, R, R): what an edit is compared with."""
        if self.larger:
            return self.part(self.larger.plain, self.larger.first)
        return self.edit({})

    def edit(self, edits: Mapping[str | Delta, float | Tensor], *, progress: Any = None, **how) -> Tensor:
        """The images edited (n, 3, R, R), see `api.edit`; from the cache where they were made before, so that
        an experiment that was stopped goes on.
        """
        bar = {"progress": self.progress if progress is None else progress}
        make = lambda: api.edit(self.domain, self.x_T, edits, steps=self.steps, **bar, **how)
        unet, table = self.domain.unet, api.deltas(self.domain, edits)
        ours = all(type(delta).__module__.startswith("asyrp_lib.deltas.") for delta in table)
        if type(unet) is not HSpaceUNet or "callback" in how or not ours:
            return make()  # through a view, with a looker, by code of one's own
        strengths = [torch.as_tensor(strength).tolist() for strength in table.values()]
        about = [(type(delta).__name__, delta.config, delta.about) for delta in table]
        how = {key: list(value) if isinstance(value, Iterable) else value for key, value in how.items()}
        asked = {"strengths": strengths, "edits": about, "steps": self.steps, "how": how}
        asked |= {"unet": unet.digest(), "codec": str(self.domain.codec)}
        return cached("edit", self.x_T, nn.ModuleList([unet, *table]), asked, make)

    def like(self, **changes) -> "Trial":
        """This trial with other n, first, steps, split or progress; of the same images those are taken."""
        made = replace(self, larger=None, **changes)
        inside = self.first <= made.first and made.first + made.n <= self.first + self.n
        if inside and (made.steps, made.split, made.order) == (self.steps, self.split, self.order):
            made.larger = self
        return made

    def in_mid_range(self, name: str) -> "Trial":
        """The first n images whose true factor is at least `MARGIN` of its range from both of its walls; this
        trial where the truth, or the edit's factor, is not known.
        """
        factor = self.domain.edit_named(name).factor
        if self.domain.factor_source is None or factor is None:
            return self
        value = self.domain.factors(self.split, POOL)[factor]
        place = (value - value.min()) / (value.max() - value.min())
        inside = np.flatnonzero((place - 0.5).abs() <= 0.5 - MARGIN)
        most = check.whole("n", self.first + self.n, 1, len(inside), error=ImageError)
        return replace(self, larger=None, order=tuple(inside[:most].tolist()))

    def shares(self, seeds: Iterable[int]) -> dict[int, "Trial"]:
        """seed -> its share of the images, as equal as can be.  Each f_t is judged on faces of its own, so
        that the spread between seeds is that of seeds *and* faces; see `measure.stats.over_seeds`.
        """
        seeds = list(seeds)
        ends = [self.n * k // len(seeds) for k in range(len(seeds) + 1)]
        parts = zip(seeds, ends, ends[1:])
        return {seed: self.like(first=self.first + a, n=b - a) for seed, a, b in parts if b > a}

    def runs(self, title: str, runs: "Iterable[Run]") -> Iterator[tuple["Run", Tensor]]:
        """(run, images edited) of each, under one bar that counts steps."""
        runs = list(runs)
        batches = sum(-(-run.trial.n // self.domain.unet.batch_size) * run.trial.steps for run in runs)
        with tqdm(total=batches, desc=title, unit="step", disable=not self.progress) as bar:
            for run in runs:
                end = bar.n + -(-run.trial.n // self.domain.unet.batch_size) * run.trial.steps
                edited = run.trial.edit(run.edits, progress=bar, **run.how)
                bar.update(end - bar.n)  # what came from the cache
                yield run, edited

    def sweep(
        self, title: str, names: Iterable[str], strengths: Iterable[float] = (1.0,), **how
    ) -> Iterator[tuple["Run", Tensor]]:
        """Every seed of every f_t on its share of the images at every strength, as `runs`."""
        strengths = list(strengths)
        runs = [
            Run(part, {self.domain.delta(name, seed): s}, {"edit": name, "seed": seed, "strength": s}, how)
            for name in names
            for seed, part in self.shares(self.domain.seeds(name)).items()
            for s in strengths
        ]
        return self.runs(title, runs)

    def scores(self, name: str, edited: Tensor) -> pd.DataFrame:
        """`judge.scores` of edited images by what the edit `name` aims at."""
        return scores(self.domain, self.domain.edit_named(name), self.x_0, self.plain, edited)

    def rows(self, table: Mapping[str, Any] | pd.DataFrame, **where) -> pd.DataFrame:
        """Scores, one number per image, as rows of `rows.COLUMNS`; `where`: edit, variant, seed, strength."""
        table = pd.DataFrame({name: np.asarray(values) for name, values in table.items()})
        table.insert(0, "image", self.numbers)
        long = table.melt("image", var_name="score")
        return long.assign(**where).reindex(columns=COLUMNS)


class Run(NamedTuple):
    """One edit of a trial's images: the edits, what its rows are called, further settings of `api.edit`."""

    trial: Trial
    edits: Mapping[Delta, float]
    where: dict  # edit, variant, seed, strength
    how: dict = {}

    def rows(self, table: Mapping[str, Any] | pd.DataFrame) -> pd.DataFrame:
        """Scores as rows; see `Trial.rows`."""
        return self.trial.rows(table, **self.where)


def choosing(domain: Domain) -> str:
    """The split that settings are chosen on: "validation", or "train" where there is none."""
    try:
        domain.images("validation", 1)
    except (ImageError, UnknownNameError):
        return "train"
    return "validation"


def begin(domain: Domain, trial: Trial | None, n: int, progress: bool, split: str = "test") -> Trial:
    """The first n images that an experiment takes, of a trial that is there already where they are in it."""
    if trial and trial.domain is not domain:
        raise AsyrpError(f"The trial is of {trial.domain!r}; expected one of {domain!r}; begin a new one.")
    return (trial or Trial(domain, n)).like(n=n, first=0, steps=40, split=split, progress=progress)
