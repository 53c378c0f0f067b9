"""A blind choice between two images, for anybody to judge: the page, its key, the answers, their rates.

Two-alternative forced choice: who knows nothing is right half of the time.  The page is one file that opens
no connection; which side is right stands only in the key, a second file.
"""

import base64
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scipy.stats import binomtest
from torch import Tensor

from .. import check
from ..errors import AsyrpError, FileError
from ..store.files import atomic_write
from ..store.images import as_images
from .panel import to_png

#: The kind of questions whose answer nobody doubts: they show who did not look.
CATCH = "catch"
#: Pixels of a side, at least: smaller images are enlarged here, so that every browser shows the same.
SIDE = 320
#: Columns of `read_choices`, before and after those of `about`.
BEFORE, AFTER = ("judge", "question", "kind"), ("shown", "chosen", "right", "milliseconds")


@dataclass(frozen=True)
class Question:
    """Which of two images is the one that a text asks for?

    Attributes:
        text: "Which of the two is smiling?"
        target, other: (3, R, R) in [-1, 1]: the image that it asks for, and the one to be beside it.
        kind: "edit", "real", or another word; or CATCH.
        about: what the answers are sorted by: {"edit": "smiling", "face": 3, "strength": 1.0}.
    """

    text: str
    target: Tensor
    other: Tensor
    kind: str
    about: Mapping[str, str | int | float | None] = field(default_factory=dict)


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class _Truth(_Strict):
    target: Literal["left", "right"]
    kind: str
    about: dict[str, str | int | float | None]


class _Key(_Strict):
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


_File = TypeVar("_File", _Key, _Log)


def write_choices(
    path: str | os.PathLike, questions: Sequence[Question], *, seed: int = 0, title: str = "Which of the two?"
) -> Path:
    """Write `path`, <name>.html, a page that asks the questions, and <name>.key.json; returns the key's path.

    The page is to be given away, the key to be kept.  `seed` shuffles order and sides; of each kind and edit
    as many targets are left as right, or one more.  The same arguments give the same bytes.
    Raises FileError for a path that is not .html, can't be written, or has another page's key beside it;
    ImageError for images that don't fit; AsyrpError for other arguments.
    """
    path, rng = check.path(path, error=FileError), np.random.default_rng(check.seeds([seed], 1))
    if path.suffix != ".html":
        raise FileError(f"{path} is no name of a page; expected one that ends in .html; give one.")
    check.kind("questions", questions or None, Sequence, "[Question(…)]")
    groups = [(str(question.kind), str(question.about.get("edit"))) for question in questions]
    # left and right take turns within a group, whose questions lie in a random order
    turns = sorted(rng.permutation(len(questions)), key=groups.__getitem__)
    left = dict(zip(turns, np.arange(len(questions)) % 2 == rng.integers(2)))
    shown, truths = [], {}
    for k in rng.permutation(len(questions)):
        question, name = questions[k], rng.bytes(8).hex()
        sides = ("left", "right") if left[k] else ("right", "left")
        images = dict(sorted(zip(sides, _data_uris(question))))
        shown.append({"id": name, "text": check.text("question", question.text)} | images)
        truths[name] = {"target": sides[0], "kind": question.kind, "about": dict(question.about)}
        if taken := {*question.about} & {*BEFORE, *AFTER}:
            raise AsyrpError(f"about has {min(taken)!r}; expected no column of the answers; rename it.")
    content = {"title": check.text("title", title), "questions": shown}
    page = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    try:
        key = _Key.model_validate({"page": page, "questions": truths}).model_dump_json(indent=1)
    except ValidationError as error:
        wanted = "expected a word as kind, and about it texts and finite numbers"
        raise AsyrpError(f"The key can't hold {_fault(error)}; {wanted}; change it.") from None
    key_file = path.with_suffix(".key.json")
    if key_file.exists() and _read(key_file, _Key, "a page's key").page != page:
        wanted = "expected none, for answers that were given to it need it; choose another name, or remove it"
        raise FileError(f"{key_file} is the key of another page; {wanted}.")
    study = json.dumps({"page": page, **content}).replace("<", "\\u003c")  # no text may end the script
    html = Path(__file__).with_suffix(".html").read_text("utf-8").replace("{{study}}", study)
    for file, text in ((key_file, key + "\n"), (path, html)):  # the key first: no page is without one
        with atomic_write(file) as temporary:
            temporary.write_bytes(text.encode())
    return key_file


def read_choices(key_file: str | os.PathLike, *log_files: str | os.PathLike) -> pd.DataFrame:
    """The answers that judges saved, one row each, as they were given.

    Columns: judge, question (its id), kind, those of `about` by name, shown (1: the first question), chosen
    (left or right), right (1: it is the target, else 0), milliseconds from the images' appearance on.
    Raises FileError for a damaged file, a log of another page, answers that are missing, unknown or given
    twice, and a judge's second log.
    """
    key = _read(key_file, _Key, "a page's key")
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
    return pd.DataFrame(rows, columns=[*BEFORE, *about, *AFTER])


def choice_rates(rows: pd.DataFrame) -> pd.DataFrame:
    """How often the answers of `read_choices` are right: a row for each kind and edit, one for all of CATCH.

    Columns: kind, edit ("": none), judges, answers, rate (share of right ones, 0 … 1), low and high (its 95 %
    interval, Wilson 1927), p (two-sided binomial test against chance, 0.5).  Answers count as independent:
    where few judges gave many each, the interval is too narrow and p too small.
    """
    edit = rows.reindex(columns=["edit"])["edit"].astype(object)
    groups = rows.assign(edit=edit.where(edit.notna() & (rows["kind"] != CATCH), "")).groupby(
        ["kind", "edit"]
    )
    rates = []
    for names, group in groups:
        test = binomtest(int(group["right"].sum()), len(group))
        low, high = test.proportion_ci(method="wilson")
        numbers = group["judge"].nunique(), len(group), test.statistic, low, high, test.pvalue
        rates.append((*names, *numbers))
    return pd.DataFrame(rates, columns=["kind", "edit", "judges", "answers", "rate", "low", "high", "p"])


def _data_uris(question: Question) -> list[str]:
    """Target and other as data URIs of PNGs of one size."""
    for image in (question.target, question.other):
        check.kind("image", image, Tensor, "images[0]")
    size = max(question.target.shape[-1:], default=0)
    pair = as_images([question.target[None], question.other[None]], size)
    return ["data:image/png;base64," + base64.b64encode(to_png(x, max(SIDE, size))).decode() for x in pair]


def _read(file: str | os.PathLike, kind: type[_File], what: str) -> _File:
    try:
        return kind.model_validate_json(check.path(file, error=FileError).read_bytes())
    except OSError as error:
        raise FileError(f"Cannot read {file} ({error.strerror}); expected {what}; check the path.") from error
    except ValidationError as error:
        raise FileError(f"{file} is damaged ({_fault(error)}); expected {what}; get it again.") from None


def _fault(error: ValidationError) -> str:
    """The first fault and its place."""
    first = error.errors(include_url=False, include_input=False)[0]
    return ": ".join((*[".".join(map(str, first["loc"]))] * bool(first["loc"]), first["msg"].lower()))
