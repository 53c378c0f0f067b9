"""What became of each hostile input, and the figures of a whole attack."""

import json
from collections import Counter
from collections.abc import Callable

from asyrp_lib.errors import AsyrpError

#: (attack, outcome) -> how many
COUNTS: Counter = Counter()
#: Attacks that do not answer with one sentence, and why; struck when mended (strict).
KNOWN: dict[str, str] = {}

#: Why an odd input is taken.
REASONS = {
    "number": "a number of another library, of the same value",
    "image": "an image as another library keeps it",
    "default": "None stands for the default",
    "empty": "no edit is plain generation",
    "small": "small, and whole",
    "any": "the argument only needs a truth value or a label",
    "name": "a name like any other",
    "path": "a path like any other",
    "convertible": "reads as the same number without loss",
    "readable": "a file that a careful reader can take without harm",
    "help": "asked for help or a list",
    "dry": "a dry run of sound settings",
}


def outcome(call: Callable[[], object]) -> tuple[str, str]:
    """("sentence" | "accepted" | "raw", what was said)."""
    try:
        call()
    except AsyrpError as error:
        text = str(error)
        said = text and "\n" not in text and len(text) < 400
        return ("sentence" if said else "raw"), f"{type(error).__name__}: {text}"
    except Exception as error:  # whatever it is, no user should meet it
        return "raw", f"{type(error).__name__}: {error}"
    return "accepted", ""


def attack(kind: str, call: Callable[[], object], reason: str = "", *, either: bool = False) -> None:
    """Try one input; it must end in one sentence, or with a `reason` be taken (`either`: both will do)."""
    assert not reason or reason in REASONS
    what, said = outcome(call)
    if what == "accepted" and not reason:
        what = "nonsense"
    COUNTS[kind, what] += 1
    good = {"accepted", "sentence"} if either else {"accepted"} if reason else {"sentence"}
    assert what in good, f"{what}: {said[:600]}"


def figures() -> dict:
    """Attack -> outcome -> number, with sums."""
    kinds = sorted({kind for kind, _ in COUNTS})
    names = ("sentence", "accepted", "raw", "nonsense", "payloads run")
    table = {kind: {name: COUNTS[kind, name] for name in names} for kind in kinds}
    table["all"] = {name: sum(row[name] for row in table.values()) for name in names}
    return {kind: {"inputs": sum(row[n] for n in names[:4]), **row} for kind, row in table.items()}


def as_text() -> str:
    """The figures as a table."""
    table = figures()
    columns = list(table["all"])
    lines = ["  ".join(["attack".ljust(10), *columns])]
    lines += [
        "  ".join([kind.ljust(10), *(str(row[c]).rjust(len(c)) for c in columns)])
        for kind, row in table.items()
    ]
    return "\n".join(lines)


def write(file, seconds: float) -> None:
    """The figures with what made them, as JSON."""
    from asyrp_lib.store.files import atomic_write
    from asyrp_lib.store.results import provenance

    settings = {"command": "python -m pytest tests/attack --attack-report", "known": KNOWN}
    with atomic_write(file) as temporary:
        result = {"data": figures(), "provenance": provenance(settings, seconds)}
        temporary.write_text(json.dumps(result, indent=1) + "\n")
