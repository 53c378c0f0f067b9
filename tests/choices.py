"""What the tests of the blind choice share: questions, and logs as a page would save them."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import torch

from asyrp_lib.measure.choices import CATCH
from asyrp_lib.report.choice import Question


def faces(n: int, side: int = 8) -> list[Question]:
    """n questions of three kinds about images of one colour each."""
    colours = torch.rand(n, 2, 3, 1, 1, generator=torch.Generator().manual_seed(0)) * 2 - 1
    images = colours.expand(-1, -1, -1, side, side)
    kinds = (
        ("Which of the two is smiling?", "edit", {"edit": "grin", "strength": 1.0}),
        ("Which of the two is a real rendering?", "real", {}),
        ("Which is the one with glasses?", CATCH, {}),
    )
    return [
        Question(text, *pair, kind, about | {"face": k})
        for k, pair in enumerate(images)
        for text, kind, about in (kinds[k % 3],)
    ]


def sides(key: Path) -> dict[str, str]:
    """Question's id -> the target's side."""
    return {name: truth["target"] for name, truth in json.loads(key.read_text())["questions"].items()}


def save(file: Path, log) -> Path:
    """A log as a file."""
    file.write_text(json.dumps(log))
    return file


def study_of(page: Path) -> dict:
    """What a page asks."""
    return json.loads(re.search(r'id="study">(.*?)</script>', page.read_text())[1])


def log_of(page: Path, judge: str, choice: Callable[[str], str]) -> dict:
    """The log of a judge who takes the side `choice(id)` after 0.7 s each; made up, and kept nowhere."""
    study = study_of(page)
    answers = [
        {"question": q["id"], "shown": k, "chosen": choice(q["id"]), "milliseconds": 700}
        for k, q in enumerate(study["questions"], 1)
    ]
    return {"page": study["page"], "judge": judge, "answers": answers}
