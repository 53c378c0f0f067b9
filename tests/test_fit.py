"""The render fit: known factors are found again, and whatever the image, the answer is a face."""

import numpy as np
import pandas as pd
import pytest
import torch

from asyrp_lib.domains.synthfaces.faces import from_bytes, render_split
from asyrp_lib.domains.synthfaces.factors import FACTORS, sample_factors
from asyrp_lib.domains.synthfaces.fit import CYCLIC, fit_factors
from asyrp_lib.domains.synthfaces.render import draw, render
from asyrp_lib.errors import AsyrpError, ImageError, UnknownNameError

FACES = render_split("validation", 3, 64)
IMAGES = from_bytes(FACES.images)


def reading(seed: int = 0) -> pd.DataFrame:
    """What an oracle might read: the truth and 0.3 standard deviations of noise, no cyclic factor."""
    spread = 0.3 * sample_factors(1000, 5).std().to_numpy()
    noise = spread * np.random.default_rng(seed).standard_normal(FACES.factors.shape)
    return (FACES.factors + noise).drop(columns=list(CYCLIC))


def fitted(images, start, **options):
    return fit_factors(images, start, progress=False, **options)


def test_a_tensor_of_factors_is_drawn_as_their_table_is():
    table = torch.tensor(FACES.factors.to_numpy(), dtype=torch.float32)
    want = render(FACES.factors, 64)
    got, plain = (draw(table, 64, masks=masks) for masks in (True, False))
    assert torch.equal(got.images, want.images) and torch.equal(got.masks, want.masks)
    assert torch.equal(plain.images, want.images) and not plain.masks.any()


def test_every_factor_moves_the_image_and_has_a_gradient():
    low, high = torch.tensor([bounds[:2] for bounds in FACTORS.values()]).T
    table = (low + (high - low) * torch.tensor([[0.4], [0.7]])).requires_grad_()
    draw(table, 64, supersample=1).images.diff(dim=-1).square().mean().backward()
    assert torch.isfinite(table.grad).all()
    for name, slope in zip(FACTORS, table.grad.abs().amax(0)):
        assert slope > 0, name


def test_a_noisy_reading_becomes_the_truth():
    start = reading()[:2]
    found = fitted(IMAGES[:2], start)
    assert found.residual.max() < 0.003  # rounding to 8 bits alone leaves 0.002
    assert found.images.shape == (2, 3, 64, 64)
    off = (found.factors - FACES.factors[:2]).abs().max()
    assert off.drop(["age", "beard"]).max() < 0.05  # these two are read only as far as they are drawn


def test_steps_make_it_better():
    few, more = (fitted(IMAGES[:1], reading()[:1], steps=steps).residual for steps in (0, 1))
    assert more < 0.8 * few


def test_noise_is_no_face_and_its_factors_are_a_face():
    noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = fitted(noise, reading()[:1], steps=1)
    assert found.residual > 0.3 and found.residual == (found.images - noise).abs().mean()
    for name, (low, high, _) in FACTORS.items():
        assert found.factors[name].between(low, high).all(), name


def test_a_start_is_cut_to_the_ranges():
    assert fitted(IMAGES[:1], reading()[:1] * 100, steps=0).factors["smile"].between(-1, 1).all()


def test_a_face_has_the_same_factors_in_every_batch():
    together, alone = fitted(IMAGES[:2], reading()[:2], steps=1), fitted(IMAGES[1:2], reading()[1:2], steps=1)
    assert together.factors[1:2].reset_index(drop=True).equals(alone.factors)
    assert torch.allclose(together.residual[1:2], alone.residual)


@pytest.mark.parametrize(
    ("images", "start", "error", "words"),
    [
        (IMAGES[:, :, :32, :32], reading(), ImageError, "expected images in"),
        (IMAGES * torch.nan, reading(), ImageError, "NaN"),
        (IMAGES[:0], reading(), ImageError, "no images"),
        (IMAGES, reading()[:2], ImageError, "2 rows for 3 images"),
        (IMAGES, reading() * np.nan, ImageError, "no NaN"),
        (IMAGES, reading().drop(columns="smile"), ImageError, "all factors"),
        (IMAGES, reading().assign(hat=1.0), UnknownNameError, "'hat'"),
        (IMAGES, torch.zeros(3, 24), AsyrpError, "a factor table"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_one_sentence(images, start, error, words):
    with pytest.raises(error, match=words) as refused:
        fitted(images, start)
    assert "\n" not in str(refused.value)
