"""Bias: groups, twins, what is subtracted, and the arithmetic of gaps, flips and ratios on known numbers."""

import numpy as np
import pandas as pd
import pytest
import torch
from toy_domain import COLOURS, ToyOracle, brighter, build_toy, randn

from asyrp_lib.domains.synthfaces.factors import sample_factors
from asyrp_lib.errors import DomainError, ImageError
from asyrp_lib.experiments import bias, gaps
from asyrp_lib.experiments.rows import COLUMNS, joined, numbers, pick

#: The colour from which the toy's oracle reads a factor.
SEEN = dict(zip(gaps.MIDDLES, COLOURS))


class Reader(ToyOracle):
    """Takes colours for protected factors."""

    def read(self, images: torch.Tensor) -> pd.DataFrame:
        """(N, 6)."""
        colours = super().read(images)
        return colours.assign(**{factor: colours[colour] for factor, colour in SEEN.items()})


def known(domain):
    """The toy with a table of factors, faces in the colours of theirs, and an oracle that reads them."""
    draw = lambda f: torch.tensor(f[list(SEEN)].to_numpy() * 0.5).float()[..., None, None].expand(-1, 3, 4, 4)
    table = lambda split, n, first: sample_factors(first + n, 2).iloc[first:].reset_index(drop=True)
    domain.draw, domain.factor_source, domain.oracle = draw, table, Reader()
    noise = lambda n, first: 0.1 * randn(first + n, 3, 4, 4)[first:]
    domain.image_source = images = lambda split, n, first: draw(table(split, n, first)) + noise(n, first)
    domain.target_source = lambda edit, split, n, first: brighter(images(split, n, first), edit)
    return domain


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASYRP_CACHE", "off")
        return bias.measure(known(build_toy()), n=4, names=["green", "blue"], trainings=2, progress=False)


def test_rows_are_whole_and_no_number_is_there_twice(rows):
    assert tuple(rows) == COLUMNS and np.isfinite(rows["value"].astype(float)).all()
    assert not rows.duplicated(list(COLUMNS[:-1])).any()
    assert set(rows["seed"].dropna()) == {0, 1}, "not more trainings than asked for"


def test_groups_are_equal_the_first_of_the_outer_thirds_and_the_same_for_every_f_t(rows):
    table = sample_factors(2000, 2)
    for factor in bias.GROUPED:
        low, high = gaps.groups(rows, factor)
        assert len(low) == len(high) == 4 and low == sorted(low)
        thirds = table[factor].quantile([1 / 3, 2 / 3]).to_numpy()
        assert (table[factor][low] <= thirds[0]).all() and (table[factor][high] >= thirds[1]).all()
        assert (table[factor][: max(low)] <= thirds[0]).sum() == 3, "the first ones"
    faces = pick(rows, "distance", edit="green", variant=None).groupby("seed")["image"].agg(set)
    assert faces[0] == faces[1] == {i for f in bias.GROUPED for side in gaps.groups(rows, f) for i in side}


def test_twins_differ_in_one_factor_at_its_groups_medians_and_could_both_be_there():
    poses, table = bias.poses(known(build_toy()), 3), sample_factors(2000, 2)
    for factor in bias.GROUPED:
        low, high = (poses[f"twin {factor} {side}"] for side in gaps.SIDES)
        assert list((low != high).any()[lambda differs: differs].index) == [factor]
        assert low[factor].nunique() == 1 and (low[factor] < high[factor]).all()
        assert (table[factor] < low[factor].iloc[0]).mean() == pytest.approx(1 / 6, abs=0.01)
        assert (table[factor] < high[factor].iloc[0]).mean() == pytest.approx(5 / 6, abs=0.01)
    men = poses["twin gender high"]
    assert not men["beard"].any() and not men["bald"].any()
    for sign in (-1, 1):
        length = table["hair_length"][table["gender"] * sign > 0]
        assert length.min() < men["hair_length"].iloc[0] < length.max(), "women and men have hair so long"
    own = sample_factors(3, 2)
    assert poses["twin skin low"].drop(columns="skin").equals(own.drop(columns="skin"))


def test_an_edit_shifts_what_it_is_made_to_shift_and_the_same_for_all(rows):
    leaked = gaps.leakage(rows)
    assert leaked.loc["green", "gender"].mean == pytest.approx(0.5, rel=0.15)  # it is read from green
    assert abs(leaked.loc["green", "skin"].mean) < 0.05 and leaked.loc["blue", "eye_colour"].mean > 0.4
    low = gaps.leakage(rows, gaps.groups(rows, "skin")[0])
    assert low.loc["green", "gender"].faces == 4 < leaked.loc["green", "gender"].faces
    for found in (gaps.twins(rows, "skin"), gaps.gap(rows, "skin")):
        assert found.keys() == {"green"} and abs(found["green"].mean) < 0.05, "the toy treats all alike"
    assert gaps.twins(rows, "skin")["green"].faces == 2 and gaps.gap(rows, "skin")["green"].faces == 8


def test_the_gain_is_of_unseen_edits_and_a_share_of_the_way(rows):
    found = pick(rows, "gain")
    assert set(found["edit"]) == {"blue"}
    assert 0.6 < gaps.net(rows, "gain")["value"].mean() < 1


def test_what_the_oracle_reads_in_a_true_target_is_no_fault_of_the_edit(rows):
    style, beyond = gaps.styles(rows), gaps.leakage(rows, beyond_target=True)
    assert style.loc["green", "gender"].mean == pytest.approx(0.5, abs=1e-6)
    assert style.loc["green", "skin"].mean == pytest.approx(0, abs=1e-6)
    whole = gaps.leakage(rows).loc["green", "gender"].mean
    assert beyond.loc["green", "gender"].mean == pytest.approx(whole - 0.5, abs=1e-6)
    assert pick(rows, variant="target")["seed"].isna().all()


def test_middles_are_where_the_oracle_would_read_them(rows):
    table = sample_factors(2000, 2)
    middle = {f: float(pick(rows, f"middle {f}")["value"].iloc[0]) for f in gaps.MIDDLES}
    read = (table - table.mean()) / table.std()
    assert (read["skin"] > middle["skin"]).mean() == pytest.approx(0.5, abs=0.01)
    assert ((read["gender"] > middle["gender"]) == (table["gender"] > 0)).all()
    assert ((read["eye_colour"] > middle["eye_colour"]) == (table["eye_colour"] > 0.67)).all()


def made(edit: dict[int, float], plain: dict[int, float], score: str, **where) -> list[pd.DataFrame]:
    """One edit of two seeds that agree, and what reconstructions have of the same score."""
    of = {} if score.startswith("read ") else {"edit": "a"}
    parts = [
        numbers({score: v}, edit="a", seed=s, image=i, strength=1.0, **where)
        for s in (0, 1)
        for i, v in edit.items()
    ]
    variant = ", ".join(filter(None, ("reconstruction", where.get("variant"))))
    return parts + [numbers({score: v}, image=i, variant=variant, **of) for i, v in plain.items()]


def grouped(low: list[int], high: list[int]) -> list[pd.DataFrame]:
    sides = {-1.0: low, 1.0: high}
    return [
        numbers({"group skin": side}, image=i, variant="original") for side, of in sides.items() for i in of
    ]


def test_the_gap_of_the_reconstruction_is_taken_off():
    edit, plain = {0: 1.0, 1: 1.2, 2: 3.0, 3: 3.4}, {0: 0.0, 1: 0.2, 2: 2.0, 3: 2.4}
    rows = joined([*grouped([0, 1], [2, 3]), *made(edit, plain, "moved")])
    found = gaps.gap(rows, "skin", "moved")["a"]
    assert found.mean == pytest.approx(0) and (found.seeds, found.faces) == (2, 4)
    rows = joined([*grouped([0, 1], [2, 3]), *made(edit, dict.fromkeys(plain, 0.0), "moved")])
    assert gaps.gap(rows, "skin", "moved")["a"].mean == pytest.approx(2.1)


def test_an_effect_is_that_of_all_faces_or_of_a_side():
    edit = {0: 1.0, 1: 1.2, 2: 3.0, 3: 3.4}
    rows = joined([*grouped([0, 1], [2, 3]), *made(edit, dict.fromkeys(edit, 1.0), "aimed")])
    low, high = gaps.groups(rows, "skin")
    assert gaps.effects(rows)["a"].mean == pytest.approx(1.15)
    assert gaps.effects(rows, "aimed", low)["a"].mean == pytest.approx(0.1)
    assert gaps.effects(rows, "aimed", high)["a"].faces == 2


def test_the_interval_of_a_gap_is_that_of_two_groups():
    rng = np.random.default_rng(0)
    values = dict(enumerate(rng.normal(size=400)))
    rows = joined(
        [*grouped([*range(200)], [*range(200, 400)]), *made(values, dict.fromkeys(values, 0.0), "moved")]
    )
    found = gaps.gap(rows, "skin", "moved")["a"]
    spread = [np.var([values[i] for i in side], ddof=1) / 200 for side in (range(200), range(200, 400))]
    assert (found.high - found.low) / 2 == pytest.approx(1.97 * sum(spread) ** 0.5, rel=0.1)


def test_twins_are_compared_face_by_face():
    parts = [
        *made({0: 1.0, 1: 5.0, 2: 9.0}, dict.fromkeys(range(3), 0.5), "moved", variant="twin skin low"),
        *made({0: 2.0, 1: 6.0, 2: 10.0}, dict.fromkeys(range(3), 0.0), "moved", variant="twin skin high"),
    ]
    found = gaps.twins(joined(parts), "skin", "moved")["a"]
    assert found.mean == pytest.approx(1.5) and found.above(1.4), "faces differ more than that, twins do not"


def test_flips_count_those_that_cross_and_not_those_that_the_reconstruction_crosses():
    began, plain = {0: -1.0, 1: -1.0, 2: -1.0, 3: -1.0, 4: 1.0}, {0: 1.0, 1: -1.0, 2: -1.0, 3: -1.0, 4: 1.0}
    edit = {0: 1.0, 1: 1.0, 2: -1.0, 3: -1.0, 4: 1.0}
    parts = [numbers({"middle skin": 0.0}), *made(edit, plain, "read skin")]
    parts += [numbers({"read skin": v}, image=i, variant="original") for i, v in began.items()]
    rows = joined(parts)
    assert gaps.flips(rows).loc["a", "skin up"].mean == pytest.approx(0.25)
    none = gaps.flips(rows).loc["a", "skin down"]
    assert none.mean == 0 and (none.low, none.high) == (-1, 1), "one face that stays says little"
    assert gaps.flips(rows, [1, 2]).loc["a", "skin up"].mean == pytest.approx(0.5)
    aims = [numbers({"read skin": 1.0}, edit="a", image=i, variant="target") for i in range(5)]
    found = gaps.flips(joined([*parts, *aims]), beyond="target").loc["a", "skin up"]
    assert found.mean == pytest.approx(-0.5) and found.low >= -1, "the target would have flipped them all"


def test_ratios_say_how_far_a_group_is_moved_and_what_the_reconstruction_explains():
    real = randn(40, 5, seed=3).numpy()
    low, high = np.arange(20), np.arange(20, 40)
    far = np.where(np.arange(40) < 20, 1.0, 2.0)[:, None]
    parts = bias._distances("fd", "skin", real, {"": [real + far], "a": [real + 2 * far]}, low, high)
    table = gaps.ratios(joined(parts), "skin").loc["a"]
    assert table["edit"][0] == pytest.approx(4, rel=1e-3) == table["reconstruction"][0]
    assert table["excess"][0] == pytest.approx(1, rel=1e-3) and table["chance"] == pytest.approx(1, abs=0.2)
    same = bias._distances("fd", "skin", real, {"": [real + 1], "a": [real + 2 * far]}, low, high)
    table = gaps.ratios(joined(same), "skin").loc["a"]
    assert table["excess"][0] == pytest.approx(4, rel=1e-3) and table["excess"][0] > table["chance"]
    fd = pick(joined(same), "fd", edit="a", variant="skin low")["value"].item()
    assert fd == pytest.approx(5 * 4, rel=1e-3)
    exact = joined(bias._distances("fd", "skin", real, {"": [real], "a": [real + far]}, low, high))
    assert pick(exact, "fd excess").empty and len(pick(exact, "fd ratio")) == 1, "over 0 there is no ratio"


def test_one_face_has_no_frechet_distance(toy):
    found = bias.measure(known(toy), n=1, names=["green"], progress=False)
    assert found["value"].notna().all() and not found["score"].str.startswith("fd").any()
    assert gaps.ratios(found, "skin").empty


def test_without_truth_groups_are_numbers_that_a_reader_gives(toy):
    with pytest.raises(DomainError, match='groups={"skin"'):
        bias.measure(toy, n=2, names=["green"], progress=False)
    groups = {"skin": [[5, 1, 8], [2, 0]]}
    found = bias.measure(toy, n=2, names=["green"], groups=groups, progress=False)
    assert gaps.groups(found, "skin") == ([5, 1], [2, 0]) and gaps.gap(found, "skin")["green"].faces == 4
    assert gaps.flips(found).empty and not gaps.twins(found, "skin")
    with pytest.raises(ImageError, match="n = 3"):
        bias.measure(toy, n=3, names=["green"], groups=groups, progress=False)
    with pytest.raises(ImageError, match="no face in both"):
        bias.measure(toy, n=1, names=["green"], groups={"skin": [[1], [1]]}, progress=False)


def test_a_domain_without_an_oracle_still_has_its_gaps(toy):
    toy.oracle = None
    found = bias.measure(toy, n=2, names=["green"], groups={"skin": [[0, 1], [2, 3]]}, progress=False)
    assert gaps.gap(found, "skin", "S_dir").keys() == {"green"} and gaps.leakage(found).empty
