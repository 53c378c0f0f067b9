"""The border: every kind of plain input is checked here, once, with one sentence for API and command line.

Images and noise are checked in `store.images`, settings by the types of `method.train` and `runs.run`.
"""

import functools
import math
import re
from collections.abc import Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, BeforeValidator, ConfigDict, ValidationError
from pydantic.dataclasses import dataclass
from torch import Tensor
from typing_extensions import dataclass_transform

from .errors import AsyrpError, GridError, ImageError, SettingsError, UnknownNameError


@dataclass_transform(frozen_default=True)
def settings(cls: type) -> Any:
    """A frozen dataclass whose fields are checked as annotated; what does not fit is one sentence."""
    made = dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))(cls)
    plain = made.__init__

    @functools.wraps(plain)
    def __init__(self, *args, **kwargs):
        try:
            plain(self, *args, **kwargs)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where, why = ".".join(map(str, first["loc"])), first["msg"][:1].lower() + first["msg"][1:]
            what = f"{cls.__name__}: {where} = {_shown(first['input'])}"
            raise SettingsError(f"{what} is not usable: {why}; change it.") from None

    made.__init__ = __init__
    return made


def _no_bool(value):
    if isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool"):
        raise ValueError("a number is expected, not True or False")
    return value


#: Strengths beyond this give noise, not an edit.
STRONGEST = 100.0


def whole(what: str, value, low: int, high: int, *, error: type[AsyrpError] = GridError) -> int:
    """A whole number low … high (int or numpy's; no bool, no float) as int."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not low <= value <= high:
        wanted = f"expected a whole number from {low} to {high}"
        raise error(f"{what} = {_shown(value)} is not usable; {wanted}; change it.")
    return int(value)


def number(what: str, value, low: float = -math.inf, high: float = math.inf) -> float:
    """A finite real number low … high as float."""
    real = isinstance(value, Real) and not isinstance(value, bool)
    if not (real and math.isfinite(value) and low <= value <= high):
        wanted = f"expected a finite number from {low:g} to {high:g}"
        raise AsyrpError(f"{what} = {_shown(value)} is not usable; {wanted}; change it.")
    return float(value)


def strengths(name: str, value, n: int) -> Tensor:
    """Strengths of an edit, one for all images or one each, as (n,) float64 on the CPU."""
    given = f"The strength of the edit {name!r} is {_shown(value)}"
    try:
        table = torch.as_tensor(_no_bool(value), dtype=torch.float64).cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise AsyrpError(f"{given}; expected a number such as 1.0, or one per image.") from error
    if table.ndim and table.shape != (n,):
        has = f"The edit {name!r} has strengths of shape {tuple(table.shape)} for {n} images"
        raise ImageError(f"{has}; expected one number, or one per image.")
    if not bool((table.abs() <= STRONGEST).all()):  # NaN compares false
        bounds = f"{-STRONGEST:g} to {STRONGEST:g}"
        raise AsyrpError(f"{given}; expected finite numbers from {bounds}, such as 1.0.")
    return table.expand(n)


def seeds(value: Sequence[int] | None, n: int) -> list[int]:
    """One seed per image, 0 … n − 1 for None."""
    try:
        listed = list(range(n)) if value is None else list(value)
    except TypeError as error:
        raise ImageError(f"The seeds are {_shown(value)}; expected whole numbers, one per image.") from error
    if len(listed) != n:
        raise ImageError(f"{len(listed)} seeds for {n} images; expected one seed per image.")
    return [whole("A seed", seed, 0, 2**63 - 1, error=ImageError) for seed in listed]


def span(n: int, first: int, split: str = "test") -> tuple[int, int]:
    """(n, first) as ints, where a split can have images `first` … `first + n − 1`; else ImageError."""
    if split not in ("train", "test"):
        raise ImageError(f"There is no split {_shown(split)}; expected 'train' or 'test'; choose one.")
    n = whole("The number of images n", n, 1, 1_000_000, error=ImageError)
    return n, whole("first", first, 0, 1_000_000, error=ImageError)


def kind(what: str, value, expected: type | tuple[type, ...], example: str) -> None:
    """Raise AsyrpError unless a value is of a type, as `example` is."""
    if not isinstance(value, expected):
        raise AsyrpError(f"The {what} is {_shown(value)}; expected e.g. {example}; give one.")


def path(value, *, error: type[AsyrpError] = AsyrpError) -> Path:
    """A path that the system can look up, whether something is there or not."""
    try:
        Path(value).is_file()
        return Path(value)
    except (OSError, TypeError, ValueError) as cause:
        raise error(f"{_shown(value)} is no usable path ({cause}); expected a file's or folder's.") from cause


def yaml_table(file, what: str) -> dict:
    """The table that a YAML file holds; SettingsError: it can't be read, or holds something else."""
    try:
        import yaml
    except ImportError as error:
        text = "YAML files need the package pyyaml, which is not installed; run: pip install -e '.[grid]'"
        raise SettingsError(text) from error

    class Loader(yaml.SafeLoader):
        """Refuses a key that is there twice, of which YAML's own takes the last."""

        def compose_mapping_node(self, anchor):
            node = super().compose_mapping_node(anchor)
            keys = [str(key.value) for key, _ in node.value]
            if twice := [key for k, key in enumerate(keys) if key in keys[:k]]:
                raise yaml.YAMLError(f"it says {twice[0]} twice{node.start_mark}")
            return node

    file = path(file, error=SettingsError)
    try:
        table = yaml.load(file.read_text(), Loader)
    except (OSError, UnicodeDecodeError, RecursionError, ValueError, yaml.YAMLError) as error:
        why = " ".join(str(error).split())[:200]
        raise SettingsError(f"{file} can't be read as YAML ({why}); expected {what}; check it.") from error
    if not isinstance(table, dict):
        raise SettingsError(f"{file} holds a {type(table).__name__}; expected {what} as a table; mend it.")
    return table


def edit_name(value: str) -> str:
    """A name that can also be a file's: letters, digits, spaces, hyphens and underscores, at most 60."""
    if not isinstance(value, str) or not re.fullmatch(r"\w[\w \-]{0,59}", value) or value != value.strip():
        wanted = (
            "at most 60 letters, digits, spaces, hyphens and underscores, beginning with a letter or digit"
        )
        raise UnknownNameError(f"{_shown(value)} cannot be the name of an edit; expected {wanted}.")
    return value


def text(what: str, value: str) -> str:
    """A text for CLIP: something to read, at most 500 characters."""
    if not isinstance(value, str) or not value.strip() or len(value) > 500 or not value.isprintable():
        wanted = "a text of 1 to 500 printable characters, such as 'smiling face'"
        raise AsyrpError(f"The {what} is {_shown(value)}; expected {wanted}.")
    return value


#: Types for the fields of `settings`.
Whole = Annotated[int, BeforeValidator(_no_bool)]
Real64 = Annotated[float, BeforeValidator(_no_bool)]
Name = Annotated[str, AfterValidator(edit_name)]
Text = Annotated[str, AfterValidator(functools.partial(text, "text"))]


def _shown(value) -> str:
    """A value in an error: short, whatever it is."""
    try:
        shown = repr(value)
    except Exception:  # a broken repr must not hide the sentence
        shown = f"<{type(value).__name__}>"
    return shown if len(shown) <= 80 else shown[:77] + "..."
