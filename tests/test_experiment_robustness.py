"""Robustness: lengths are matched as they say, come from where they say, and the walk is that of an edit."""

import numpy as np
import pytest
import torch
from toy_domain import ones_for_h, toy_cut
from toys import randn

from asyrp_lib.api import edit
from asyrp_lib.errors import AsyrpError, WeightsError
from asyrp_lib.experiments import robustness
from asyrp_lib.experiments.rows import COLUMNS, joined, numbers, pick
from asyrp_lib.measure.stats import over_seeds
from asyrp_lib.method import random_shift
from asyrp_lib.method.cut import Cut
from asyrp_lib.method.random_shift import directions, length, shifted

LENGTHS = {"Δh": 0.03, "Δε": 0.06}


@pytest.fixture
def x_T():
    return randn(3, 3, 4, 4, seed=4)


@pytest.fixture
def with_h(toy, monkeypatch):
    """The toy domain with an h that is not 0."""
    ones_for_h(toy.unet, monkeypatch)
    monkeypatch.setattr(robustness, "Cut", toy_cut)
    return toy


def test_directions_have_length_one_are_held_or_fresh_and_do_not_depend_on_the_batch():
    like = torch.zeros(3, 3, 4, 4)
    at = lambda t, kind, images=slice(0, 3): directions(like[images], t, kind, images)
    assert length(at(5, "held")).flatten().tolist() == pytest.approx([1] * 3)
    assert torch.equal(at(5, "held"), at(7, "held")) and not torch.allclose(at(5, "fresh"), at(7, "fresh"))
    assert torch.equal(at(5, "fresh", slice(1, 2))[0], at(5, "fresh")[1])
    assert not torch.allclose(at(5, "held")[0], at(5, "held")[1])


def test_with_the_trained_direction_it_is_the_edit(toy, x_T, monkeypatch):
    shift = toy.delta("green").shift
    monkeypatch.setattr(random_shift, "directions", lambda like, *_: (shift / shift.norm()).expand_as(like))
    made, _ = shifted(toy.unet, x_T, float(shift.norm()), 200, "held")
    assert torch.allclose(made, edit(toy, x_T, {"green": 1.0}, progress=False), atol=1e-5)


@pytest.mark.parametrize("place", ["h", "ε"])
def test_no_length_is_no_shift_and_none_is_made_below_t_edit(tiny, place):
    unet, x_T = Cut(tiny.unet, place), randn(3, 3, 8, 8, seed=4)
    plain = edit(tiny, x_T, {}, progress=False)
    made, seen = shifted(unet, x_T, 0.0, 500, "fresh")
    assert torch.allclose(made, plain, atol=1e-6) and min(seen["ε"]) >= 500
    made, seen = shifted(unet, x_T, 0.5, 500, "fresh")
    assert not torch.allclose(made, plain, atol=1e-3)
    arrived = torch.stack(list(seen["arriving"].values()))
    assert torch.allclose(arrived, torch.full_like(arrived, 0.5), rtol=1e-3) == (place == "ε")


def test_what_arrives_in_ε_is_the_shift_itself_where_h_is_ε(with_h, x_T):
    in_h, seen = shifted(with_h.unet, x_T, 2.0, 200, "held")
    for t in seen["ε"]:
        assert torch.allclose(seen["arriving"][t], torch.full((3, 1, 1, 1), 2.0), rtol=1e-3)
        assert torch.allclose(seen["relative"][t], torch.full((3, 1, 1, 1), 2.0 / 48**0.5), rtol=1e-3)
    in_eps, again = shifted(toy_cut(with_h.unet, "ε"), x_T, seen["arriving"], 200, "held")
    assert torch.allclose(in_eps, in_h, atol=1e-4)
    assert torch.allclose(again["relative"][999] * again["ε"][999], seen["arriving"][999], rtol=1e-3)


@pytest.mark.parametrize("kind", random_shift.KINDS)
def test_shifts_and_their_lengths_do_not_depend_on_the_batches(toy, x_T, monkeypatch, kind):
    def run():
        made, seen = shifted(toy_cut(toy.unet, "ε"), x_T, 0.5, 200, kind)
        by_image = {t: size * torch.arange(3.0)[:, None, None, None] for t, size in seen["ε"].items()}
        return torch.cat([made, shifted(toy.unet, x_T, by_image, 200, kind)[0]]), seen["arriving"]

    whole, lengths = run()
    monkeypatch.setattr(toy.unet, "batch_size", 2, raising=False)
    parts, again = run()
    assert torch.allclose(parts, whole, atol=1e-5)
    assert all(torch.allclose(again[t], lengths[t], rtol=1e-4) for t in lengths)


def test_every_strength_kind_and_meaning_is_measured_on_every_face(with_h):
    rows = robustness.measure(
        with_h, n=4, names=("green",), lengths=LENGTHS, strengths=(1, 2), progress=False
    )
    assert tuple(rows) == COLUMNS and set(pick(rows, "aimed", variant="f_t")["seed"]) == {0, 1, 2}
    wanted = {"f_t"} | {f"h, {kind}" for kind in robustness.KINDS}
    wanted |= {f"ε, {kind}, {meaning}" for kind in robustness.KINDS for meaning in robustness.MEANINGS}
    assert set(rows["variant"].dropna()) == wanted
    for variant in wanted - {"f_t"}:
        for strength in (1.0, 2.0):
            found = pick(rows, "distance", variant=variant, strength=strength)
            assert list(found["image"]) == list(range(4)) and found["seed"].isna().all()
    in_h = pick(rows, "relative length", variant="h, held").groupby("strength")["value"].mean()
    assert in_h[1.0] == pytest.approx(0.03 / 48**0.5, rel=1e-3) and in_h[2.0] == pytest.approx(2 * in_h[1.0])
    one = rows[rows["strength"].isna() | (rows["strength"] == 1)]
    assert robustness.ratio(one, "held", "arriving") == pytest.approx(1, abs=0.01)
    relative = pick(one, "relative length", variant="ε, held, relative")["value"].mean()
    assert relative == pytest.approx(in_h[1.0], rel=0.05)
    assert robustness.ratio(one, "held", "optimised") == pytest.approx(4, rel=0.02), (
        "a square of twice as much"
    )
    assert len(pick(rows, "apart")) == 4 and 0 < robustness.of_apart(one, "h, held") < 1


def test_a_ratio_is_of_means_and_the_ceiling_is_another_face():
    values = {"h, held": (1.0, 3.0), "ε, held, optimised": (4.0, 4.0), None: (8.0, 8.0)}
    parts = [
        numbers({"distance" if variant else "apart": v}, variant=variant, image=i)
        for variant, pair in values.items()
        for i, v in enumerate(pair)
    ]
    rows = joined(parts)
    assert robustness.ratio(rows, "held", "optimised") == 2
    assert robustness.of_apart(rows, "ε, held, optimised") == 0.5
    found = over_seeds(rows, lambda part: robustness.ratio(part, "held", "optimised"))
    half = 12.706 * np.std([2 * 2 - 4 / 3, 2 * 2 - 4], ddof=1) / 2**0.5  # Student's t, either face left out
    assert (found.mean, found.low, found.high) == pytest.approx((2, 2 - half, 2 + half), rel=1e-4)


def test_lengths_come_from_homogeneity_and_without_it_its_command_is_named(toy, monkeypatch, tmp_path):
    monkeypatch.setattr("asyrp_lib.store.results.data_dir", lambda: tmp_path)
    monkeypatch.setattr("asyrp_lib.store.results.runs_dir", lambda: tmp_path)
    with pytest.raises(WeightsError, match="experiment homogeneity --domain toy"):
        robustness.measure(toy, n=2, names=("green",), progress=False)
    parts = [
        numbers({f"length at {t}": v + t, "length": 9.0}, edit="green", variant=kind, seed=seed)
        for kind, pair in {"Δh": (1.0, 3.0), "Δε": (5.0, 5.0)}.items()
        for seed, v in enumerate(pair)
        for t in range(1000)
    ]
    monkeypatch.setattr(robustness, "stored", lambda domain, name: joined(parts))
    found = robustness.edit_lengths(toy, "green", None)
    assert min(found["Δh"]) >= toy.delta("green").t_edit and max(found["Δε"]) == 999
    assert all(found["Δh"][t] == t + 2 and found["Δε"][t] == t + 5 for t in found["Δh"])
    assert set(robustness.edit_lengths(toy, "green", {"Δh": 1, "Δε": 3})["Δε"].values()) == {3}
    with pytest.raises(WeightsError, match="no lengths of 'red'.*--set"):
        robustness.edit_lengths(toy, "red", None)
    with pytest.raises(AsyrpError, match="length of Δε = None"):
        robustness.edit_lengths(toy, "green", {"Δh": 1.0})


def test_without_an_oracle_the_images_are_still_scored(with_h):
    with_h.oracle = None
    how = {"names": ("green",), "lengths": LENGTHS, "strengths": (1,), "progress": False}
    rows = robustness.measure(with_h, n=2, **how)
    assert "moved" not in set(rows["score"]) and {"distance", "SC"} < set(rows["score"])


def test_distances_are_in_units_of_another_face():
    parts = [numbers({"apart": v}, image=i) for i, v in enumerate((3.0, 5.0))]
    parts += [numbers({"distance": 2.0, "moved": 9.0}, image=0, variant="h, held")]
    assert robustness.far(joined(parts))["value"].tolist() == [0.5]
