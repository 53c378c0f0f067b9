"""Grids: many runs (`RunConfig`) declared in one file.  A *cell* is one of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from .. import check
from ..check import Real64, Whole
from ..domains import Domain
from ..errors import SettingsError
from ..method.train import TrainSettings
from .run import RunConfig, config_for

Count = Annotated[Whole, Field(ge=1, le=10_000)]
Strength = Annotated[Real64, Field(ge=-check.STRONGEST, le=check.STRONGEST)]
_TAKEN = ("variant", "seed", "image", "strength", "score", "value", "epoch")  # columns of the rows
_FORM = (
    "edit, train_images, delta.<option>, training.<setting>, start.<setting>, or a name with a table of "
    "alternatives"
)
_START = ("edit", "epochs", "train_images")


@check.settings
class Grid:
    """What a grid's file says, YAML or JSON.

    Attributes:
        name: of the result, `<domain>_grid_<name>`.
        vary: path of a setting -> its values, e.g. "delta.heads": [1, 2], "training.seed": [0, 1, 2], "edit";
            or any other name -> alternatives, each a table of edit, train_images, delta, training and start,
            e.g. "f_t": {"conv": {"delta": {"kind": "ConvDelta"}, "training": {"lr": 0.5}}, "pc": …}.  Every
            combination is a cell.
        edit, delta, training, train_images: what the cells share; see `RunConfig`.
        start: edit of the run whose f_t a cell begins with, and its epochs (else the grid's last) and
            train_images (else the cell's); f_t's kind, training and seed are the cell's, t_edit and λ that
            edit's where the cell leaves them open.  None: new weights.
        epochs: after which f_t are measured, rising; the last is how long they are trained.
        faces, split: of the measurement.  Choose on validation faces, the test faces are for what was chosen;
            None: validation, where the domain has them.  Photographs have none, "validation" there means
            training images, and is said.
        strengths: beside 1, measured after the last epoch only; at the others strength 1 is enough.
    """

    name: Annotated[str, Field(pattern=r"^\w[\w-]{0,59}$")]
    vary: Annotated[dict[str, Any], Field(min_length=1)]
    domain: str = "synthfaces"
    edit: str = "smiling"
    delta: dict | None = None
    training: dict = Field(default_factory=dict)
    train_images: Count | None = None
    start: dict | None = None
    epochs: Annotated[list[Count], Field(min_length=1)] = Field(default_factory=lambda: [1, 2, 3, 4])
    faces: Count = 12
    split: Literal["validation", "test"] | None = None
    strengths: Annotated[list[Strength], Field(min_length=1)] = Field(default_factory=lambda: [1.0])

    @field_validator("vary")
    @classmethod
    def _axes_have_values(cls, vary: dict[str, Any]) -> dict[str, Any]:
        for path, values in vary.items():
            tables = isinstance(values, dict) and {type(change) for change in values.values()} == {dict}
            if not tables and not (isinstance(values, list) and values):
                raise ValueError(f"{path} needs a list of values, or a table of alternatives, each a table")
        return vary

    @field_validator("epochs")
    @classmethod
    def _epochs_rise(cls, epochs: list[int]) -> list[int]:
        if epochs != sorted(set(epochs)):
            raise ValueError("epochs that rise are expected")
        return epochs


@dataclass(frozen=True)
class Cell:
    """One combination: its run, and axis -> value of what the grid varies, the seed last."""

    settings: dict[str, Any]
    config: RunConfig

    @property
    def label(self) -> str:
        """Of the cell, e.g. "heads 2, seed 0"."""
        return ", ".join(f"{axis} {value}" for axis, value in self.settings.items())

    @property
    def variant(self) -> str:
        """How its rows are called: without the seed, which has a column of its own; "all" if nothing else
        varies.
        """
        return ", ".join(f"{a} {value}" for a, value in self.settings.items() if a != "seed") or "all"


def read_grid(file: str | Path, domain: str | None = None) -> Grid:
    """The grid that a file declares, on another domain than the file's if one is given.

    SettingsError: the file can't be read, or says something that makes no grid.
    """
    table, known = check.yaml_table(file, "a grid"), Grid.__dataclass_fields__
    if unknown := [str(key) for key in table if key not in known]:
        raise SettingsError(f"{file} says {', '.join(unknown)}; expected {', '.join(known)}; mend it.")
    if missing := [name for name in ("name", "vary") if name not in table]:
        raise SettingsError(
            f"{file} lacks {' and '.join(missing)}; expected at least name and vary; add them."
        )
    return Grid(**table | ({"domain": domain} if domain else {}))


def cells(grid: Grid, domain: Domain) -> dict[str, Cell]:
    """label -> cell of each combination, in the order of the file.

    SettingsError: a path that leads nowhere, or two combinations that are one run; UnknownNameError,
    WeightsError: an edit or f_t that can't be, see `config_for`.
    """
    made: dict[str, Cell] = {}
    axes = _axes(grid)
    for values in product(*(grid.vary[path] for path in axes)):
        shared = {"edit": grid.edit, "train_images": grid.train_images, "delta": grid.delta or {}}
        own = shared | {"training": grid.training, "start": grid.start or {}}
        for path, value in sorted(
            zip(axes, values), key=lambda pair: not isinstance(grid.vary[pair[0]], dict)
        ):
            own |= _changed(grid, path, value, own)
        if unknown := own["training"].keys() - TrainSettings.__dataclass_fields__.keys():
            raise SettingsError(
                f"A training has no setting {', '.join(map(str, unknown))}; expected "
                f"{', '.join(TrainSettings.__dataclass_fields__)}; mend the grid."
            )
        if "epochs" in own["training"]:
            raise SettingsError(
                "The grid sets training.epochs; expected the list epochs of the grid, which says after which "
                "f_t are measured and how long they are trained; move it there."
            )
        about = {"delta": own["delta"] or None, "images": own["train_images"], "epochs": grid.epochs[-1]}
        about["start"] = _start(domain, own, about) if own["start"] else None
        config = config_for(domain, own["edit"], **about, **own["training"])
        cell = Cell(dict(zip(axes.values(), values)), config)
        if twin := next((other for other in made.values() if other.config == cell.config), None):
            raise SettingsError(
                f"The cell {cell.label!r} is the same run as {twin.label!r}; expected different ones; leave "
                "one of them out."
            )
        if cell.label in made:
            raise SettingsError(
                f"Two cells are called {cell.label!r}; expected names of their own; mend them."
            )
        made[cell.label] = cell
    return made


def _start(domain: Domain, own: Mapping[str, Any], about: Mapping[str, Any]) -> RunConfig:
    """The run that a cell's `start` tells of."""
    asked = own["start"]
    if asked.keys() - {*_START} or None in asked.values() or not isinstance(asked.get("edit"), str):
        raise SettingsError(
            f"A start says {', '.join(map(str, asked))}; expected the name of an edit, and epochs and "
            "train_images if they are others, e.g. start: {edit: pixar}; mend the grid."
        )
    epochs, images = asked.get("epochs", about["epochs"]), asked.get("train_images", about["images"])
    how = about | {"epochs": epochs, "images": images} | own["training"]
    return config_for(domain, asked["edit"], **how)


def _axes(grid: Grid) -> dict[str, str]:
    """path -> name of its column, the last part of the path where that is plain; the seed last."""
    paths = sorted(grid.vary, key=lambda path: path == "training.seed")
    # "edit" is a column of all rows, and a start's epochs are not the cell's
    short = [path if path.startswith("start.") else path.rpartition(".")[2] for path in paths]
    return {path: name if short.count(name) == 1 else path for path, name in zip(paths, short)}


def _changed(grid: Grid, path: str, value, own: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a run that a value of an axis changes; alternatives come before single settings."""
    part, _, key = path.partition(".")
    choice, whole, tables = grid.vary[path], ("edit", "train_images"), ("delta", "training", "start")
    if isinstance(choice, dict) and path not in (*whole, *tables, *_TAKEN):
        changes = choice[value]
        if bad := [
            n for n, c in changes.items() if n not in whole + tables or (n in tables) != isinstance(c, dict)
        ]:
            raise SettingsError(
                f"The alternative {value!r} of {path!r} sets {', '.join(map(str, bad))}; expected edit and "
                "train_images as values, delta, training and start as tables; mend the grid."
            )
    elif not isinstance(choice, dict) and (part in tables if key else part in whole):
        return {part: {**own[part], key: value} if key else value}
    else:
        raise SettingsError(f"The grid varies {path!r}; expected {_FORM}; mend it.")
    # a table joins what is there, but an f_t of a named kind begins anew
    joined = lambda name, change: (
        {**own[name], **change} if name in tables and "kind" not in change else change
    )
    return {name: joined(name, change) for name, change in changes.items()}
