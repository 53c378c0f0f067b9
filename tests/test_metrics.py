"""Scores: exact values where they are known."""

import numpy as np
import pytest
import torch
from toys import ToyClip

from asyrp_lib.errors import ImageError, OfflineError
from asyrp_lib.measure.frechet import inception, inception_features
from asyrp_lib.measure.judge import aimed_shifts, position, scores
from asyrp_lib.measure.perceptual import PerceptualDistance
from asyrp_lib.measure.scores import clip_features, frechet_distance, segmentation_consistency


def test_the_frechet_distance_equals_the_formula_with_a_matrix_square_root():
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(50, 6)), rng.normal(size=(40, 6)) @ np.diag([1, 2, 3, 1, 1, 1]) + 0.5
    sa, sb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    want = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(sa + sb - 2 * sqrtm(sa @ sb).real)
    assert frechet_distance(a, b) == pytest.approx(want, rel=1e-8)


def test_the_frechet_distance_of_a_set_to_itself_is_zero_even_with_fewer_images_than_features():
    a = np.random.default_rng(1).normal(size=(10, 64))
    assert abs(frechet_distance(a, a)) < 1e-9


def test_one_image_has_no_frechet_distance():
    with pytest.raises(ImageError, match="at least 2"):
        frechet_distance(np.zeros((1, 4)), np.zeros((5, 4)))


def test_segmentation_consistency_counts_only_classes_that_appear():
    before = torch.tensor([[[0, 0], [1, 1]]])
    after = torch.tensor([[[0, 0], [0, 1]]])
    assert segmentation_consistency(before, before, 6).item() == 1
    assert segmentation_consistency(before, after, 6).item() == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_fid_without_inception_weights_says_so_in_one_sentence(monkeypatch, tmp_path):
    def no_network(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", no_network)
    with pytest.raises(OfflineError, match="FD-CLIP"):
        inception()


def test_a_calibrated_perceptual_distance_puts_x_T_where_lpips_does():
    distance = PerceptualDistance(lambda x: [x, x[..., ::2, ::2]])
    images, noise = torch.rand(4, 3, 8, 8) * 2 - 1, torch.randn(4, 3, 8, 8)
    distance = distance.calibrated(images, noise)
    assert float(distance(images, noise).mean()) == pytest.approx(PerceptualDistance.NOISE_DISTANCE, rel=1e-5)
    assert float(distance(images, images).abs().max()) == 0


def test_bytes_are_no_images_for_a_frechet_distance():
    with pytest.raises(ImageError, match="divide bytes"):
        clip_features(ToyClip(4), torch.zeros(2, 3, 4, 4, dtype=torch.uint8))
    with pytest.raises(ImageError, match="divide bytes"):
        inception_features(torch.nn.Linear(1, 1), torch.full((2, 3, 4, 4), 255.0))


def test_several_oracles_are_read_once_for_each_image_and_say_how_much_they_differ(toy):
    one, x_0, asked = toy.oracle, toy.images("test", 3), []
    edit, edited = toy.edits["green"], x_0 + 0.5
    alone = scores(toy, edit, x_0, x_0, edited)
    assert "disagreement" not in alone and alone["aimed"].to_numpy() == pytest.approx([0.5] * 3)

    class Several(type(one)):
        def readings(self, images):
            asked.append(images)
            return [one.read(images), 3 * one.read(images)]

        def read(self, images):
            return sum(self.readings(images)) / 2

    toy.oracle = Several()
    table = scores(toy, edit, x_0, x_0, edited)
    assert len(asked) == 2, "before and after"
    assert table["disagreement"].to_numpy() == pytest.approx([0.5 * 2**0.5] * 3), "shifts of 0.5 and 1.5"
    assert table["aimed"].to_numpy() == pytest.approx(aimed_shifts(toy, edit, x_0, edited))
    for column, images in {"position": edited, "start": x_0}.items():
        assert table[column].to_numpy() == pytest.approx(position(toy, edit, images))
