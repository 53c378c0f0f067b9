"""Claims: judged from rows, and README says what they say."""

import json

import pandas as pd
import pytest

from asyrp_lib.domains import load_domain
from asyrp_lib.report import claims
from asyrp_lib.store.paths import repo_root


@pytest.fixture(scope="module")
def judged() -> pd.DataFrame:
    return claims.claims(load_domain("synthfaces"))


def test_readme_prints_the_claims_that_the_stored_rows_give(judged):
    _, printed, _ = claims.in_readme((repo_root() / "README.md").read_text())
    assert printed == claims.markdown(judged), "write it again: python -m asyrp_lib.report.claims"


def test_every_experiment_has_its_claim(judged):
    assert len(judged) == 9 and judged.index.is_unique and judged["why"].str.len().all()


def test_every_claim_is_printed_by_a_notebook_as_readme_prints_it(judged):
    printed = "".join(file.read_text() for file in (repo_root() / "notebooks").glob("*.ipynb"))
    for claim in judged.index:
        line = claims.markdown(judged.loc[[claim]]).splitlines()[-1]
        assert json.dumps(line, ensure_ascii=False)[1:-1] in printed, f"{claim}: execute its notebook again"


@pytest.mark.parametrize(("shares", "verdict"), [((0.9, 0.8), "holds"), ((0.9, 0.3), "fails")])
def test_a_verdict_follows_the_rows(monkeypatch, shares, verdict):
    rows = pd.DataFrame(
        [
            {"edit": edit, "variant": "a + b | 1/√n", "image": None, "score": f"share {part}", "value": share}
            for edit, share in zip("ab", shares, strict=True)
            for part in ("mean", "low", "high")
        ]
    )
    monkeypatch.setattr(claims, "stored_rows", lambda domain, name: rows)
    found = claims.composable(None)
    assert found.verdict == verdict and found.interval == (min(shares), max(shares))
    assert f"{sum(share >= 0.7 for share in shares)} of 2 edits keep 70 %" in found.ours
