"""Answers to a blind choice between two images: a page's key and the logs that its judges saved.

Two-alternative forced choice: who knows nothing is right half of the time.  `report.choice` writes the page.
"""

import os
from typing import Annotated, Literal, TypeVar

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .. import check
from ..errors import FileError

#: The kind of questions whose answer nobody doubts: they show who did not look.
CATCH = "catch"
#: Columns of `read_choices`, before and after those of `about`.
BEFORE, AFTER = ("judge", "question", "kind"), ("shown", "chosen", "right", "milliseconds")


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class _Truth(_Strict):
    target: Literal["left", "right"]
    kind: str
    about: dict[str, str | int | float | None]


class Key(_Strict):
    """What a page does not tell: by the id of a question the target's side, and what it is about."""

    page: str
    questions: dict[str, _Truth]


class _Answer(_Strict):
    question: str
    shown: int
    chosen: Literal["left", "right"]
    milliseconds: Annotated[int, Field(ge=0)]


class _Log(_Strict):
    page: str
    judge: Annotated[str, Field(min_length=1)]
    answers: list[_Answer]


_File = TypeVar("_File", Key, _Log)


def read_key(file: str | os.PathLike) -> Key:
    """The key that lies beside a page; FileError: none is there, or it is damaged."""
    return _read(file, Key, "a page's key")


def read_choices(key_file: str | os.PathLike, *log_files: str | os.PathLike) -> pd.DataFrame:
    """The answers that judges saved, one row each, as they were given; `attrs["page"]` is the page's digest.

    Columns: judge, question (its id), kind, those of `about` by name, shown (1: the first question), chosen
    (left or right), right (1: it is the target, else 0), milliseconds from the images' appearance on.
    Raises FileError for a damaged file, a log of another page, answers that are missing, unknown or given
    twice, and a judge's second log.
    """
    key = read_key(key_file)
    rows, by = [], {}
    for file in log_files:
        log = _read(file, _Log, "answers that a page saved")
        asked = [answer.question for answer in log.answers]
        n, wanted = len(key.questions), "expected one answer to each of its questions; leave it out"
        if log.page != key.page:
            raise FileError(f"{file} is of another page than {key_file}; expected the same; leave it out.")
        if unknown := {*asked} - {*key.questions}:
            raise FileError(f"{file} answers {len(unknown)} that the page does not ask; {wanted}.")
        if twice := len(asked) - len({*asked}):
            raise FileError(f"{file} answers {twice} of the page's {n} questions again; {wanted}.")
        if missing := n - len(asked):
            raise FileError(f"{file} leaves {missing} of the page's {n} questions unanswered; {wanted}.")
        if log.judge in by:
            what = f"{by[log.judge]} and {file} are both by {log.judge!r}"
            raise FileError(f"{what}; expected one log of each judge; leave one out.")
        by[log.judge] = file
        for answer in log.answers:
            truth = key.questions[answer.question]
            row = {"judge": log.judge, "kind": truth.kind, "right": int(answer.chosen == truth.target)}
            rows.append(row | truth.about | answer.model_dump())
    about = sorted({name for truth in key.questions.values() for name in truth.about})
    table = pd.DataFrame(rows, columns=[*BEFORE, *about, *AFTER])
    table.attrs["page"] = key.page
    return table


def fault(error: ValidationError) -> str:
    """The first fault of a key or log, and its place."""
    first = error.errors(include_url=False, include_input=False)[0]
    return ": ".join((*[".".join(map(str, first["loc"]))] * bool(first["loc"]), first["msg"].lower()))


def _read(file: str | os.PathLike, kind: type[_File], what: str) -> _File:
    try:
        return kind.model_validate_json(check.path(file, error=FileError).read_bytes())
    except OSError as error:
        raise FileError(f"Cannot read {file} ({error.strerror}); expected {what}; check the path.") from error
    except ValidationError as error:
        raise FileError(f"{file} is damaged ({fault(error)}); expected {what}; get it again.") from None
