"""A blind choice between two images, for anybody to judge: the page and its key.

The page is one file that opens no connection; which side is right stands only in the key, a second file.
What judges save is read by `measure.choices`, and counted by the experiment `choice`.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydantic import ValidationError
from torch import Tensor

from .. import check
from ..errors import AsyrpError, FileError
from ..measure.choices import AFTER, BEFORE, Key, fault, read_key
from ..store.files import atomic_write
from ..store.images import as_images
from .page import data_uri
from .sheets import enlarged

#: Pixels of a side, at least: smaller images are enlarged here, so that every browser shows the same.
SIDE = 320
#: Of the page.
TITLE = "Which of the two?"


@dataclass(frozen=True)
class Question:
    """Which of two images is the one that a text asks for?

    Attributes:
        text: "Which of the two is smiling?"
        target, other: (3, R, R) in [-1, 1]: the image that it asks for, and the one to be beside it.
        kind: "edit", "real", or another word; or `measure.choices.CATCH`.
        about: what the answers are sorted by: {"edit": "smiling", "face": 3, "strength": 1.0}.
    """

    text: str
    target: Tensor
    other: Tensor
    kind: str
    about: Mapping[str, str | int | float | None] = field(default_factory=dict)


def write_choices(path: str | os.PathLike, questions: Sequence[Question], *, seed: int = 0) -> Path:
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
    content = {"title": TITLE, "questions": shown}
    page = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    try:
        key = Key.model_validate({"page": page, "questions": truths}).model_dump_json(indent=1)
    except ValidationError as error:
        wanted = "expected a word as kind, and about it texts and finite numbers"
        raise AsyrpError(f"The key can't hold {fault(error)}; {wanted}; change it.") from None
    key_file = path.with_suffix(".key.json")
    if key_file.exists() and read_key(key_file).page != page:
        wanted = "expected none, for answers that were given to it need it; choose another name, or remove it"
        raise FileError(f"{key_file} is the key of another page; {wanted}.")
    study = json.dumps({"page": page, **content}).replace("<", "\\u003c")  # no text may end the script
    html = Path(__file__).with_suffix(".html").read_text("utf-8").replace("{{study}}", study)
    for file, text in ((key_file, key + "\n"), (path, html)):  # the key first: no page is without one
        with atomic_write(file) as temporary:
            temporary.write_bytes(text.encode())
    return key_file


def _data_uris(question: Question) -> list[str]:
    """Target and other as data URIs of PNGs of one size."""
    for image in (question.target, question.other):
        check.kind("image", image, Tensor, "images[0]")
    size = max(question.target.shape[-1:], default=0)
    pair = as_images([question.target[None], question.other[None]], size)
    return [data_uri(enlarged(image, max(SIDE, size))) for image in pair]
