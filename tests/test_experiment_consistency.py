"""Consistency: known vectors aligned, means of what f_t answers, and random f_t as the null."""

import pytest
import torch
from toys import randn, randomised, tiny_model

from asyrp_lib.deltas import ConvDelta, GlobalDelta
from asyrp_lib.errors import ImageError
from asyrp_lib.experiments import consistency
from asyrp_lib.experiments.rows import pick
from asyrp_lib.method.process import per_time_mean

ABOUT = {"name": "a", "t_edit": 500, "train_steps": 40}


@pytest.fixture
def network(toy, monkeypatch):
    """The toy domain with a network for f_t, which looks at the time only: h is 0 there."""
    f_t = lambda name, seed=0: randomised(
        ConvDelta(3, 1, groups=1, **{**ABOUT, "t_edit": 200, "name": name}), seed + 1, 0.05
    ).eval()
    monkeypatch.setattr(toy, "delta", f_t)
    return toy


def test_alignment_of_orthogonal_equal_and_opposite_shifts():
    e = torch.eye(4).reshape(4, 4, 1, 1)
    seen = {
        100: torch.stack([-e[0], -e[0]]),
        500: torch.stack([e[0], e[1]]),
        900: torch.stack([2 * e[0]] * 2),
    }
    of_image, at = consistency.alignment(seen)
    assert of_image["length"].tolist() == pytest.approx([4 / 3, 4 / 3])
    assert of_image["cosine of faces"].tolist() == pytest.approx([2 / 3, 2 / 3])
    assert of_image["cosine of times"].tolist() == pytest.approx([-1 / 3, -1 / 3])
    assert [at[f"cosine of faces at {t}"] for t in (900, 500, 100)] == pytest.approx([1, 0, 1])
    assert [at[f"cosine of times at {t}"] for t in (900, 500, 100)] == pytest.approx([-0.25, 0, -0.75])
    assert "cosine of times" not in consistency.alignment({5: seen[900]})[0]


def test_a_shift_that_is_the_same_everywhere_loses_nothing_in_its_means(toy):
    rows = consistency.measure(toy, n=3, names=("green",), n_train=2, progress=False)
    plain = {"mean", "global", "global of one"}
    kinds = plain | {kind + consistency.MATCHED for kind in plain}
    assert set(rows["variant"]) == kinds | {consistency.TRAINED}, "what is no network has no random twin"
    for kind in kinds:
        assert consistency.kept(rows, kind) == pytest.approx(1, abs=2e-4)
    assert pick(rows, "cosine of times")["value"].to_numpy() == pytest.approx(1)


def test_random_f_t_are_the_null_and_training_faces_differ_from_seed_to_seed(network):
    rows = consistency.measure(network, n=6, names=("green",), n_train=2, nulls=5, progress=False)
    trained, null = (
        pick(rows, "cosine of faces", variant=kind) for kind in (consistency.TRAINED, consistency.RANDOM)
    )
    assert list(trained["image"]) == list(range(6)) and list(trained["seed"]) == [0, 0, 1, 1, 2, 2]
    assert set(null["seed"]) == set(range(5)) and len(null) == 10
    assert not rows.duplicated(["edit", "variant", "seed", "image", "strength", "score"]).any()
    assert rows["value"].notna().all() and null["value"].between(-1, 1).all()
    lines = consistency.over_times(rows, "cosine of faces")
    assert set(lines) == {consistency.TRAINED, consistency.RANDOM}
    mean = [interval.mean for interval in lines[consistency.TRAINED].values()]
    assert sum(mean) / len(mean) == pytest.approx(trained["value"].mean(), abs=1e-4)
    assert lines[consistency.TRAINED][999.0][3:] == (3, 6) and lines[consistency.RANDOM][999.0].seeds == 5


def test_an_untrained_f_t_is_random_to_its_last_layer_and_its_seed_decides():
    delta = ConvDelta(32, 8, **ABOUT).requires_grad_(False)
    one, again, other = (consistency.untrained(delta, seed) for seed in (0, 0, 1))
    assert float(one.conv2.weight.std()) > 0 and not delta.conv2.weight.any()
    assert torch.equal(one.conv2.weight, again.conv2.weight)
    assert not torch.equal(one.conv2.weight, other.conv2.weight) and one.t_edit == delta.t_edit


def test_means_are_those_of_the_engine_and_the_others_move_nothing():
    unet, x_T = tiny_model(), randn(3, 3, 16, 16)
    delta, other = (
        randomised(ConvDelta(64, unet.temb_dim, **{**ABOUT, "name": str(k)}), k, 0.05).eval() for k in (1, 2)
    )
    alone = consistency.answers(unet, x_T, delta, steps=6)
    both = consistency.answers(unet, x_T, delta, [other], steps=6)
    assert all(torch.equal(alone[0][t], both[0][t]) for t in alone[0]) and both[1].keys() == alone[0].keys()
    mean = consistency.means(delta, alone[0])
    want = per_time_mean(unet, x_T, delta, steps=6, progress=False)
    assert mean["mean"].config == want.config
    assert torch.allclose(mean["mean"].shifts, want.shifts, rtol=1e-4, atol=1e-5)
    lengths = torch.stack([alone[0][t].flatten(1).norm(dim=1).mean() for t in want.config["times"]])
    matched = {kind: mean[kind + consistency.MATCHED] for kind in ("mean", "global", "global of one")}
    assert torch.allclose(matched["mean"].shifts.flatten(1).norm(dim=1), lengths, rtol=1e-4)
    for kind in ("global", "global of one"):
        assert float(matched[kind].shift.norm()) == pytest.approx(float(lengths.mean()), rel=1e-4)
        assert float(mean[kind].shift.norm()) < float(lengths.mean())


def test_what_f_t_answers_does_not_depend_on_the_batches(network, monkeypatch):
    x_T, delta = randn(3, 3, 4, 4), network.delta("green")
    whole = consistency.answers(network.unet, x_T, delta)[0]
    monkeypatch.setattr(network.unet, "batch_size", 2, raising=False)
    parts = consistency.answers(network.unet, x_T, delta)[0]
    assert all(torch.allclose(whole[t], parts[t], atol=1e-6) for t in whole)


def test_one_training_face_has_no_other_to_be_compared_with(toy):
    with pytest.raises(ImageError, match="n_train = 1"):
        consistency.measure(toy, n=2, names=("green",), n_train=1, progress=False)


def test_without_an_oracle_the_images_are_still_scored(toy):
    toy.oracle = None
    rows = consistency.measure(toy, n=3, names=("green",), n_train=2, progress=False)
    assert "aimed" not in set(rows["score"]) and len(pick(rows, "distance", variant="global")) == 3
    assert isinstance(toy.delta("green"), GlobalDelta)
