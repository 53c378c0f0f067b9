"""The command line: wrong words meet one sentence, exit code 2, and nothing is written."""

from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from types import SimpleNamespace

import pytest

from asyrp_lib.cli import main
from asyrp_lib.errors import AsyrpError

from .tally import attack

NUMBERS = ("", "x", "1.5", "nan", "inf", "1e9", "0x10", "--", "²", "1_0_", "999999999999999999999999")
NAMES = ("", "../x", "/etc/passwd", "a" * 300, "a/b", "a.b", "nope", "-x", "\n", "smiling\0")


def lines() -> dict[str, list[str]]:
    """id -> argument list, each of them wrong."""
    made = [
        [],
        ["nope"],
        ["--device"],
        ["--device", "mars", "edit", "test:0", "--edit", "red", "--out", "o.png"],
    ]
    base = {
        "edit": ["test:0", "--edit", "red", "--out", "OUT/o.png"],
        "invert": ["test:0", "--out", "OUT/x.safetensors"],
        "train": ["green", "--out", "OUT/f.safetensors", "--dry-run"],
        "curve": [],
        "reproduce": ["--list"],
        "experiment": ["linearity"],
        "bench": [],
        "pretrain": ["oracle", "--runs", "OUT/p"],
    }
    whole = {
        "edit": ("--steps", "--t-edit", "--t-boost", "--seed"),
        "invert": ("--steps",),
        "train": ("--images", "--epochs", "--batch-size", "--steps", "--t-edit", "--seed"),
        "curve": ("--images", "--steps"),
        "reproduce": ("--seeds", "--lanes"),
        "experiment": ("--images",),
        "bench": ("--repeats",),
        "pretrain": ("--images", "--faces"),
    }
    for command, rest in base.items():
        made.append([command, *rest, "--nope"])
        made.append([command, *rest, "surplus", "--nope"])
        made += [[command, *rest, option, number] for option in whole[command] for number in NUMBERS]
        if command != "pretrain":
            made += [[command, *rest, "--domain", name] for name in ("", "mars", "../x", "a" * 300, "\n")]
    for number in ("-1", "0", "1001"):
        made.append(["edit", *base["edit"], "--steps", number])
        made.append(["invert", *base["invert"], "--steps", number])
        made.append(["train", *base["train"], "--steps", number])
    for number in ("-1", "1000", "99999"):
        made.append(["edit", *base["edit"], "--t-edit", number])
        made.append(["train", *base["train"], "--t-edit", number])
    made += [["edit", *base["edit"], "--t-boost", number] for number in ("-1", "1001")]
    made += [["edit", *base["edit"], "--seed", number] for number in ("-1", str(2**63))]
    made += [
        ["edit", *base["edit"], "--strength", number] for number in ("nan", "inf", "-inf", "1e30", "x", "101")
    ]
    made.append(["edit", *base["edit"], "--strength", "1", "--strength", "2"])
    made.append(["edit", "test:0", "--edit", "red"])
    made.append(["edit", "test:0", "--edit", "red", "--edit", "red", "--out", "OUT/o.png"])
    made += [["edit", "test:0", "--edit", name, "--out", "OUT/o.png"] for name in NAMES]
    images = (
        "",
        "test:",
        "test:-1",
        "test:x",
        "test:²",
        "test:99999999",
        "nothing.png",
        "OUT",
        "a" * 300,
        "\0",
    )
    made += [["edit", image, *base["edit"][1:]] for image in images]
    made += [["invert", image, *base["invert"][1:]] for image in images]
    made += [
        [c, "test:0", *(["--edit", "red"] if c == "edit" else []), "--out", out]
        for c in ("edit", "invert")
        for out in ("OUT", "/proc/nope/x", "/dev/null", "OUT/" + "a" * 300)
    ]
    made += [["train", name, "--dry-run"] for name in NAMES]
    made += [["train", name, "--target", "x", "--dry-run"] for name in NAMES if name not in ("nope",)]
    made += [["train", "new", "--target", text, "--dry-run"] for text in ("", " ", "x" * 501, "\n")]
    for option in ("--epochs", "--batch-size", "--images"):
        made += [["train", *base["train"], option, number] for number in ("-1", "0", "1000000000")]
    made += [["train", *base["train"], "--lr", v] for v in ("nan", "inf", "-1", "0", "x", "1e9")]
    made += [["train", *base["train"], "--optimiser", v] for v in ("", "x", "ADAM")]
    made += [["train", *base["train"], "--delta", v] for v in ("", "{", "[]", "1", "null1", "[" * 5000)]
    made.append(["train", "green", "red", "--out", "OUT/f.safetensors"])
    made.append(["train", "green", "red", "--target", "x"])
    made += [["reproduce", "--list", name] for name in NAMES if name]
    for command in ("curve", "experiment"):
        made += [[command, *base[command], "--images", number] for number in ("-1", "0")]
    made += [["bench", "--repeats", number] for number in ("-1", "0")]
    made += [["experiment", name] for name in NAMES]
    made.append(["experiment", "linearity", "nope"])
    settings = (
        "",
        "x",
        "n",
        "n=",
        "n=x",
        "n=-1",
        "n=0",
        "n=1.5",
        "n=NaN",
        "nope=1",
        "names=1",
        'names=["nope"]',
        "n=" + "[" * 5000,
        "=1",
    )
    made += [["experiment", "linearity", "--set", setting] for setting in settings]
    made += [["fetch", name] for name in NAMES]
    made += [["grid", name] for name in ("", "nope.yaml", "a" * 300, "/", "\n")]
    made += [["grid", "ablations/slurm.yaml"], ["grid"], ["grid", "nope.yaml", "--lanes", "x"]]
    made += [["pretrain", name] for name in ("", "nope", "../oracle")]
    for number in ("-1", "0"):
        made += [
            ["pretrain", network, "--runs", "OUT/p", "--faces", number] for network in ("oracle", "clip")
        ]
        made += [
            ["pretrain", network, "--runs", "OUT/p", "--images", number] for network in ("oracle", "clip")
        ]
    return {f"{k} {' '.join(line)[:60]!a}": line for k, line in enumerate(made)}


#: Right, if odd: id -> (arguments, reason).
TAKEN = {
    "version": (["--version"], "help"),
    **{
        f"help {c}": ([c, "--help"], "help")
        for c in (
            "edit",
            "invert",
            "fetch",
            "train",
            "curve",
            "reproduce",
            "experiment",
            "grid",
            "bench",
            "pretrain",
        )
    },
    "fetch": (["fetch"], "help"),
    "dry": (["train", "green", "--dry-run", "--t-edit", "500"], "dry"),
    "negative": (
        ["edit", "test:0", "--edit", "red", "--strength", "-1", "--steps", "2", "--out", "OUT/o.png"],
        "small",
    ),
    "zero": (
        ["edit", "test:0", "--edit", "red", "--strength", "0", "--steps", "1", "--out", "OUT/o.png"],
        "small",
    ),
    "invert 1": (["invert", "test:0", "--steps", "1", "--out", "OUT/x.safetensors"], "small"),
}


def run(arguments: list[str]) -> None:
    """`main`; a code of 2 with one sentence becomes an AsyrpError, whoever said it."""
    err = StringIO()
    with redirect_stderr(err), redirect_stdout(StringIO()):
        try:
            code = main(arguments)
        except SystemExit as exit_:
            if exit_.code == 0:
                return
            assert exit_.code == 2, exit_.code
            raise AsyrpError(err.getvalue().strip().splitlines()[-1]) from None
    if code:
        said = [line for line in err.getvalue().splitlines() if line.startswith("error: ")]
        assert code == 2 and len(said) == 1, (code, err.getvalue())
        raise AsyrpError(said[0])


@pytest.fixture
def place(toy, monkeypatch, tmp_path):
    """The toy domain in the place of every known one; runs and results of its own."""
    from asyrp_lib import domains
    from asyrp_lib.domains import load

    toy.distance = SimpleNamespace(calibrated=lambda *_: toy.distance, scale=1.0)
    toy.directions = tmp_path / "directions"
    real = load.load_domain
    fake = lambda name="synthfaces", device=None: (
        toy if name == "synthfaces" and not device else real(name, device=device)
    )
    monkeypatch.setattr(domains, "load_domain", fake)
    monkeypatch.setattr("asyrp_lib.store.results.data_dir", lambda: tmp_path / "data")
    monkeypatch.setattr("asyrp_lib.store.results.runs_dir", lambda: tmp_path / "runs")
    monkeypatch.setattr("asyrp_lib.runs.run.runs_dir", lambda: tmp_path / "runs")
    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.chdir(out)
    return out


def there(arguments, place):
    return [a.replace("OUT", str(place)) for a in arguments]


@pytest.mark.parametrize("line", lines())
def test_wrong_words(place, line):
    attack("cli", lambda: run(there(lines()[line], place)))
    assert not [file for file in place.rglob("*") if file.is_file()]


@pytest.mark.parametrize("line", TAKEN)
def test_odd_words(place, line):
    arguments, reason = TAKEN[line]
    attack("cli", lambda: run(there(arguments, place)), reason)
