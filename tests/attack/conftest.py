"""The permanent attack: hostile input meets one sentence, and nothing that is shipped changes."""

import hashlib
import time
from pathlib import Path

import pytest

from . import tally

DATA = Path(__file__).resolve().parents[2] / "data"
#: What a payload would make.
CANARY = Path("/tmp/asyrp_attack_canary")
_began = time.monotonic()


def pytest_addoption(parser):
    """Works where this folder is named on the command line."""
    text = "print the figures of the attack and write data/results/attack.json"
    parser.addoption("--attack-report", action="store_true", help=text)


def pytest_sessionfinish(session):
    """Print the figures, and store them."""
    if session.config.getoption("--attack-report", default=False):
        tally.write(DATA / "results" / "attack.json", time.monotonic() - _began)
        print("\n" + tally.as_text())


@pytest.fixture(scope="session", autouse=True)
def shipped():
    """What is shipped is the same before and after; no payload has run."""
    CANARY.unlink(missing_ok=True)
    before = _digests()
    yield
    assert _digests() == before, "the attack changed data/"
    tally.COUNTS["files", "payloads run"] += CANARY.exists()
    assert not CANARY.exists(), "a payload ran"


def _digests() -> dict[str, str]:
    return {
        str(file.relative_to(DATA)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(DATA.rglob("*"))
        if file.is_file()
    }


@pytest.fixture(autouse=True)
def apart(request, monkeypatch, tmp_path):
    """A cache, runs and weights of its own; a fault that is known must still be there."""
    monkeypatch.setenv("ASYRP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ASYRP_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    name = request.node.name
    if reason := tally.KNOWN.get(name):
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
