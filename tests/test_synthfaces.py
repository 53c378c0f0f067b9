"""The embedded domain: what the renderer, the captions and the shipped networks promise."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

import asyrp_lib as al
from asyrp_lib.domains.edits import Edit
from asyrp_lib.domains.synthfaces import NETWORKS, faces as faces_module, weights_file
from asyrp_lib.domains.synthfaces.canvas import CLASSES, EYES, MOUTH
from asyrp_lib.domains.synthfaces.captions import caption
from asyrp_lib.domains.synthfaces.edits import EDITS, WAY, aimed_at
from asyrp_lib.domains.synthfaces.faces import (
    from_bytes,
    render_factors,
    render_split,
    split_factors,
    to_bytes,
    world_digest,
)
from asyrp_lib.domains.synthfaces.factors import FACTORS, SPLITS, sample_factors
from asyrp_lib.domains.synthfaces.networks import ORACLE_FACTORS
from asyrp_lib.domains.synthfaces.render import render
from asyrp_lib.domains.synthfaces.sweeps import moved_by, share_moved, swept
from asyrp_lib.domains.synthfaces.unseen import UNSEEN, UNTUNED
from asyrp_lib.store.weights import read_weights


@pytest.fixture(scope="module")
def domain():
    return al.load_domain("synthfaces", device="cpu")


def neutral(**changes) -> pd.DataFrame:
    row = sample_factors(1, 11).iloc[0].copy()
    row[["smile", "mouth_open", "brow_tilt", "age", "beard", "bald", "glasses", "yaw"]] = [
        0,
        0,
        0,
        0.2,
        0,
        0,
        0,
        0,
    ]
    for name, value in changes.items():
        row[name] = value
    return pd.DataFrame([row])


def test_face_i_does_not_depend_on_how_many_are_drawn():
    few, many = render_split("test", 3, 16), render_split("test", 70, 16)
    assert torch.equal(few.images, many.images[:3])
    assert few.factors.equals(many.factors.iloc[:3])


def test_factors_stay_in_their_ranges():
    table = sample_factors(2000, 5)
    for name, (low, high, _) in FACTORS.items():
        assert low <= table[name].min() and table[name].max() <= high, name
        assert table[name].std() > 0.05, name


def test_splits_are_disjoint_in_seed():
    assert len(set(SPLITS.values())) == len(SPLITS)


@pytest.mark.parametrize("resolution", [16, 32, 64])
def test_pictures_and_masks_have_the_resolution_asked_for(resolution):
    drawn = render(sample_factors(2, 1), resolution)
    assert drawn.images.shape == (2, 3, resolution, resolution) and drawn.masks.shape == (
        2,
        resolution,
        resolution,
    )
    assert drawn.images.min() >= -1 and drawn.images.max() <= 1
    assert drawn.masks.max() < len(CLASSES)


def test_a_smile_lifts_the_corners_of_the_mouth():
    def lowest_corner(smile):
        mask = render(neutral(smile=smile), 64).masks[0] == MOUTH
        columns = mask.any(0).nonzero().flatten()
        return mask[:, columns[0]].nonzero().float().mean() - mask[:, 32].nonzero().float().mean()

    assert lowest_corner(1.0) < lowest_corner(0.0) < lowest_corner(-1.0)


def test_glasses_enlarge_the_region_of_the_eyes():
    area = lambda value: (render(neutral(glasses=value), 64).masks == EYES).sum()
    assert area(1.0) > 1.3 * area(0.0)


def test_the_world_is_digested_by_what_it_draws_but_not_by_how_a_processor_rounds(monkeypatch, tmp_path):
    before = world_digest()
    darker = lambda images: to_bytes(images - 0.02)

    def rounded_elsewhere(images):
        drawn = to_bytes(images).contiguous()
        drawn.view(-1)[::101] ^= 1
        return drawn

    try:
        for part, other, same in (
            ("to_bytes", darker, False),  # another look
            ("to_bytes", rounded_elsewhere, True),
            ("sample_factors", lambda n, seed: sample_factors(n, seed + 1), False),  # other faces
        ):
            world_digest.cache_clear()
            with monkeypatch.context() as changed:
                changed.setattr(faces_module, part, other)
                assert (world_digest() == before) is same
        with monkeypatch.context() as changed:  # a world that is being made, and then kept
            changed.setattr(faces_module, "_world_file", lambda: tmp_path / "world.safetensors")
            world_digest.cache_clear()
            new = world_digest()
            faces_module.keep_world()
            world_digest.cache_clear()
            assert world_digest() == new != before
            changed.setattr(faces_module, "to_bytes", rounded_elsewhere)
            world_digest.cache_clear()
            assert world_digest() == new
        world_digest.cache_clear()
        assert world_digest() == before
    finally:
        world_digest.cache_clear()


@pytest.mark.parametrize("network", NETWORKS)
def test_every_shipped_network_was_trained_on_the_faces_that_are_drawn_today(network):
    assert read_weights(weights_file(network))[1]["card"]["world"] == world_digest()


def test_bytes_and_floats_round_trip():
    grey = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_bytes(from_bytes(grey)), grey)


def test_captions_tell_the_truth():
    rng = np.random.default_rng(0)
    smiling = neutral(smile=0.9, brow_tilt=0.0).iloc[0]
    texts = [caption(smiling, rng) for _ in range(300)]
    assert any(word in text for text in texts for word in ("smiling", "happy", "grinning", "cheerful"))
    assert not any(word in text for text in texts for word in ("sad", "angry", "glasses", "beard"))


def test_every_unseen_domain_redraws_the_same_face_in_its_own_way():
    factors = split_factors("train", 3)
    plain = from_bytes(render_factors(factors).images)
    drawn = {name: unseen.draw(factors) for name, unseen in UNSEEN.items()}
    for name, images in drawn.items():
        assert images.shape == plain.shape and images.min() >= -1 and images.max() <= 1, name
        assert (images - plain).abs().mean() > 0.1, name
        alone = UNSEEN[name].draw(factors.iloc[1:2])
        assert torch.equal(alone[0], images[1]), name  # whatever its neighbours are
    for name, images in drawn.items():
        nearest = min(drawn, key=lambda other: (drawn[other] - images).abs().mean().item())
        assert nearest == name


def test_the_untuned_edit_has_the_settings_of_the_paper():
    assert len(EDITS) == 10 + len(UNSEEN)
    assert [name for name, edit in EDITS.items() if not edit.tuned] == [UNTUNED]
    paper = Edit("paper", "face", "other face")
    assert EDITS[UNTUNED].lambda_recon == paper.lambda_recon and EDITS[UNTUNED].t_edit is None


def test_captions_of_an_unseen_domain_name_it_and_no_colour_that_it_repaints():
    rng = np.random.default_rng(0)
    for unseen in UNSEEN.values():
        row = neutral(**{"skin": 0.9, "hair_colour": 1.0, **unseen.factors}).iloc[0]
        texts = [caption(row, rng, unseen) for _ in range(100)]
        assert all(unseen.noun in text for text in texts)
        words = {word for text in texts for word in text.split()}
        assert not words & {"dark-skinned", "blond", "blue", "green", "brown", "background", "clothes"}


def test_some_captions_are_the_bare_source_texts():
    rng, row = np.random.default_rng(0), neutral().iloc[0]
    texts = [caption(row, rng).removeprefix("a ") for _ in range(500)]
    assert texts.count("face") > 5 and texts.count("person") > 5


def test_the_true_target_of_an_edit_moves_its_factor_towards_its_wall_and_no_other():
    factors = split_factors("validation", 20)
    for edit in (edit for edit in EDITS.values() if edit.in_domain):
        low, high, _ = FACTORS[edit.factor]
        target, wall = aimed_at(edit, factors), high if edit.sign > 0 else low
        assert target.drop(columns=edit.factor).equals(factors.drop(columns=edit.factor))
        left = (wall - target[edit.factor]).abs()
        assert np.allclose(left, (1 - WAY) * (wall - factors[edit.factor]).abs())


@pytest.mark.parametrize("factor", [f for f in FACTORS if f not in ("texture", "background", "clothes")])
def test_every_factor_can_be_seen(factor):
    """Its sweep moves at least 3 % of the face by more than 0.1, on heads where it can show."""
    rows = split_factors("audit", 12).assign(beard=0.5, bald=0.2, glasses=0.0, hair_length=0.4)
    assert share_moved(rows, factor) > 0.03


def test_a_sweep_changes_one_factor_from_end_to_end():
    face = split_factors("audit", 1)
    table = swept(face, "smile", 5)
    assert list(table["smile"]) == [-1, -0.5, 0, 0.5, 1]
    rest = table.drop(columns="smile")
    assert all(rest.iloc[[k]].reset_index(drop=True).equals(face.drop(columns="smile")) for k in range(5))


def test_counterfactuals_are_read_factor_by_factor():
    """An oracle that reads off what was drawn sees each factor move alone."""
    columns = list(ORACLE_FACTORS)
    oracle = SimpleNamespace(read=lambda drawn: drawn[columns])
    moved = moved_by(SimpleNamespace(draw=lambda factors: factors, oracle=oracle), split_factors("audit", 2))
    assert list(moved.index) == list(moved.columns) == columns
    wide = [FACTORS[name][1] - FACTORS[name][0] for name in columns]
    assert np.allclose(moved.to_numpy(), np.diag(wide))


def test_unknown_names_are_answered_with_the_known_ones(domain):
    for call, known in (
        (lambda: al.load_domain("celebb"), "synthfaces"),
        (lambda: domain.edit_named("wink"), "smiling"),
        (lambda: domain.images("tset", 1), "test"),
        (lambda: render(sample_factors(1, 0).assign(wings=1), 16), "smile"),
    ):
        with pytest.raises(al.UnknownNameError) as caught:
            call()
        assert known in str(caught.value)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_truncated_shipped_file_is_refused_in_one_sentence(network, tmp_path):
    from asyrp_lib.store.weights import read_weights

    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(weights_file(network).read_bytes()[:5000])
    with pytest.raises(al.WeightsError, match="damaged"):
        read_weights(broken)


def test_weights_of_another_network_are_refused_by_the_name_of_a_tensor():
    from asyrp_lib.domains.synthfaces.networks import load_segmenter

    with pytest.raises(al.WeightsError, match="lacks the tensor"):
        load_segmenter(weights_file("oracle"))
    with pytest.raises(al.WeightsError, match="no U-Net"):
        al.HSpaceUNet.from_pretrained(weights_file("oracle"))


def test_inversion_and_generation_bring_a_face_back(domain):
    x_0 = domain.images("test", 4)
    x_T = al.invert(domain, x_0, steps=40, progress=False)
    back = al.edit(domain, x_T, {}, steps=40, progress=False)
    assert (back - x_0).abs().mean() < 0.06


def test_a_trained_direction_moves_its_factor_and_negative_strength_moves_it_back(domain):
    x_T = al.invert(domain, domain.images("test", 8), progress=False)
    sad = domain.delta("sad")
    smile = lambda strength: domain.oracle.read(al.edit(domain, x_T, {sad: strength}, progress=False))[
        "smile"
    ].mean()
    assert smile(1.0) + 0.5 < smile(0.0) < smile(-1.0)


def test_inversions_are_cached_by_content(domain, tmp_path, monkeypatch):
    monkeypatch.setenv("ASYRP_CACHE", str(tmp_path))
    x_0 = domain.images("test", 1)
    first = al.invert(domain, x_0, steps=3, progress=False)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1
    assert torch.equal(first, al.invert(domain, x_0, steps=3, progress=False))
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1
    al.invert(domain, -x_0, steps=3, progress=False)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2
    for file in tmp_path.rglob("*.safetensors"):
        file.write_bytes(b"broken")
    assert torch.equal(first, al.invert(domain, x_0, steps=3, progress=False))


def test_pictures_of_another_size_are_refused_with_the_offer_to_resize(domain):
    with pytest.raises(al.ImageError, match="resize"):
        al.invert(domain, torch.zeros(1, 3, 20, 20), progress=False)
    with pytest.raises(al.ImageError, match="NaN"):
        al.invert(
            domain, torch.full((1, 3, domain.resolution, domain.resolution), float("nan")), progress=False
        )
