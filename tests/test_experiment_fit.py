"""The render fit as a second judge: its rows, what it recovers, and what it says beside the oracle."""

from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from toy_domain import COLOURS

from asyrp_lib.errors import DomainError
from asyrp_lib.experiments import fit
from asyrp_lib.experiments.rows import pick


@pytest.fixture
def fitted(toy):
    """The toy with a fit that reads half of what the oracle reads, and a truth that is what the fit reads."""
    half = lambda images: toy.oracle.read(images) / 2
    toy.fit = lambda images, progress: SimpleNamespace(
        factors=half(images), residual=(images - images.mean()).abs().mean((1, 2, 3))
    )
    toy.factor_source = lambda split, n, first: half(toy.images(split, min(n, 50), first=first))
    return toy


def test_a_fit_that_reads_half_sees_half_of_every_edit_in_its_own_units(fitted):
    rows = fit.measure(fitted, n=6, names=("green",), progress=False)
    oracle, own = (pick(rows, score).set_index(["seed", "image"])["value"] for score in ("aimed", "fitted"))
    assert {*own.index.unique("image")} == {*range(6)} and {*own.index.unique("seed")} == {0, 1, 2}
    sd = fitted.factors("train", 50)["green"].std()
    assert (own * sd * 2 - oracle).abs().max() < 1e-4
    assert set(COLOURS) <= set(rows[rows["variant"] == "fit"]["score"].dropna())
    for variant in ("fit", "reconstruction"):
        assert (pick(rows, "residual", variant=variant)["value"] > 0).all()
    assert len(pick(rows, "residual", edit="green")) == 6


def test_what_is_recovered_is_a_share_of_the_variance(fitted):
    rows = fit.measure(fitted, n=4, names=("green",), progress=False)
    assert fit.recovered(rows).round(4).to_dict() == dict.fromkeys(COLOURS, 1.0)
    off = rows["variant"].eq("fit").fillna(False) & (rows["score"] == "red")
    truth = pick(rows, "red", variant="truth")["value"]
    rows.loc[off, "value"] = truth.mean()
    assert fit.recovered(rows)["red"] == pytest.approx(0)


def test_a_domain_that_draws_nothing_cannot_be_fitted(toy):
    with pytest.raises(DomainError, match="draws no images"):
        fit.measure(toy, n=2, progress=False)


def test_the_oracles_guess_is_in_the_units_of_the_factors():
    from asyrp_lib.domains.synthfaces.networks import ORACLE_FACTORS, Oracle, Oracles

    members = [Oracle(64, 8), Oracle(64, 8)]
    for k, oracle in enumerate(members):
        oracle.mean += k
        oracle.std *= 3
    images = torch.zeros(1, 3, 64, 64)
    found, read = (getattr(Oracles(members).eval(), name)(images) for name in ("guess", "read"))
    pd.testing.assert_frame_equal(found, read * 3 + 0.5, atol=1e-5)
    assert list(found) == list(ORACLE_FACTORS)
