"""The first edition beside the present one, and the tables of the model card."""

import pandas as pd
import pytest

from asyrp_lib.measure.stats import Interval
from asyrp_lib.report import cards, claims, editions


def test_the_images_of_the_first_edition_are_those_that_its_file_names():
    images, about = editions.first_images(), editions.first()["images"]
    assert list(images) == about["rows"] and images["sample"].shape == (len(about["faces"]), 3, 32, 32)
    error = float((images["original"] - images["reconstruction"]).abs().mean())
    assert error == pytest.approx(about["recon_mae"], abs=0.003)


def test_only_verdicts_whose_words_changed_are_listed(monkeypatch):
    then = {name: claim["verdict"] for name, claim in editions.first()["claims"].items()}
    now = {"known": then["known"], "linear": "fails", "new": "holds"}
    monkeypatch.setattr(editions, "claims", lambda domain: pd.DataFrame({"verdict": now}))
    table = editions.changed(None)
    assert list(table.index) == ["linear"] and table.loc["linear", "64 px"] == "fails"
    assert f"| linear | {then['linear']} | fails |" in editions.markdown(table)


def test_every_verdict_of_the_first_edition_is_of_a_claim_that_is_judged_today():
    assert set(editions.first()["claims"]) <= set(claims.JUDGES)


def test_a_table_is_put_between_its_markers_and_nothing_else_changes(tmp_path):
    file = tmp_path / "README.md"
    file.write_text(f"before\n{claims.MARKERS[0]}\n\nold\n\n{claims.MARKERS[1]}\nafter")
    claims.rewrite(file, claims.MARKERS, claims.table_of(pd.DataFrame({"a": [Interval(1, 0, 2, 3, 4)]})))
    start, printed, end = claims.between(file.read_text())
    assert printed == "| a |\n| --- |\n| 1.00 [0.00, 2.00] |"
    assert start.startswith("before") and end.endswith("after")


def test_the_model_card_prints_what_the_files_say():
    _, printed, _ = claims.between(cards.CARD.read_text(), cards.MARKERS)
    assert printed == f"{cards.table()}\n\n{cards.factors()}", "python -m asyrp_lib.report.cards"


def test_what_was_wanted_stands_beside_what_is_there(monkeypatch):
    rows = pd.DataFrame({"seed": [0, 1]})
    monkeypatch.setattr(editions, "stored", lambda domain, name: rows)
    monkeypatch.setattr(editions, "provenance", lambda domain, name: {"settings": {"n": 256}})
    line = {40: Interval(0.014, 0.013, 0.015, 1, 12)}
    monkeypatch.setattr(
        editions.inversion, "by_grid", lambda rows: {0: {40: line[40]._replace(mean=0.02)}, 1: line}
    )
    factors = {"smile": Interval(0.9, 0.8, 1.0, 1, 9), "nose": Interval(0.5, 0.4, 0.6, 1, 9)}
    monkeypatch.setattr(editions.world, "spreads", lambda rows: factors)
    monkeypatch.setattr(
        editions.world, "moved", lambda rows: {**factors, "smile": Interval(-0.9, -1, -0.8, 1, 9)}
    )
    monkeypatch.setattr(
        editions.world, "frechet", lambda rows, v: Interval(0.4 if v == "test" else 1.0, 0, 1, 1, 9)
    )
    known = pd.DataFrame({"ours": ["moves; both bounds: 7 of 10 surely, 1 surely not"]}, index=["known"])
    monkeypatch.setattr(editions, "claims", lambda domain, name: known)
    table = editions.wanted(None)
    assert list(table) == ["measure", "32 px", "wanted", "got"] and table.notna().all(axis=None)
    got = list(table["got"])
    assert got[0] == "0.0200 (0 corrections), 0.0140 (1 correction)" and got[1].endswith("(smile)")
    assert got[2] == "≥ 0.85 in 1 of 2; least 0.50 [0.40, 0.60] (nose)" and got[3].startswith("2.5 ")
    assert got[4:] == ["2", "256", "both bounds: 7 of 10 surely, 1 surely not"]
