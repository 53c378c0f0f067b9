"""Interpolation and mixing: another picture's h as an edit."""

import pytest
import torch
from toys import randn, tiny_model

from asyrp_lib.errors import GridError, ImageError
from asyrp_lib.method.mixing import guided, h_trajectory, slerp
from asyrp_lib.method.process import edit, generate


def far(a, b) -> float:
    """The largest difference, as a share of the largest value: a random U-Net makes large pictures."""
    return float((a - b).abs().max() / b.abs().max())


def test_slerp_ends_at_its_ends_and_keeps_the_norm_between_them():
    a, b = randn(3, 4, 2, 2), randn(3, 4, 2, 2, seed=1)
    b = b * a.flatten(1).norm(dim=1)[:, None, None, None] / b.flatten(1).norm(dim=1)[:, None, None, None]
    assert torch.allclose(slerp(a, b, 0.0), a, atol=1e-6) and torch.allclose(slerp(a, b, 1.0), b, atol=1e-6)
    half = slerp(a, b, 0.5)
    assert torch.allclose(half.flatten(1).norm(dim=1), a.flatten(1).norm(dim=1), rtol=1e-5)
    assert not torch.allclose(half, (a + b) / 2, atol=1e-2), "the arc, not the chord"


def test_slerp_of_a_vector_with_itself_is_itself():
    a = randn(2, 8)
    assert torch.allclose(slerp(a, a, 0.3), a, atol=1e-6)


def test_a_picture_that_guides_itself_stays_as_it_is():
    unet, x_T = tiny_model(), randn(1, 3, 16, 16)
    same = edit(
        unet, x_T, {guided(unet, x_T, 1.0, steps=6, t_edit=300, progress=False): 1.0}, steps=6, progress=False
    )
    assert far(same, generate(unet, x_T, steps=6, progress=False)) < 1e-5


def test_share_0_changes_nothing_and_share_1_does():
    unet, x_T, guide = tiny_model(), randn(2, 3, 16, 16), randn(1, 3, 16, 16, seed=1)
    plain = generate(unet, x_T, steps=6, progress=False)
    mixed = [
        edit(
            unet,
            x_T,
            {guided(unet, guide, share, steps=6, t_edit=300, progress=False): 1.0},
            steps=6,
            progress=False,
        )
        for share in (0.0, 1.0)
    ]
    assert far(mixed[0], plain) < 1e-5 and far(mixed[1], plain) > 1e-3


def test_the_h_that_is_decoded_at_share_1_is_the_guides():
    unet, guide = tiny_model(), randn(1, 3, 16, 16, seed=1)
    delta = guided(unet, guide, 1.0, steps=6, progress=False)
    h = randn(2, unet.h_channels, 8, 8, seed=2)
    want = h_trajectory(unet, guide, steps=6, progress=False)[999]
    assert torch.allclose(h + delta(h, None, 999), want.expand_as(h), atol=1e-5)


def test_wrong_guides_are_refused_in_one_sentence():
    unet, two = tiny_model(), randn(2, 3, 16, 16)
    with pytest.raises(ImageError, match="one image, got 2"):
        guided(unet, two, steps=6, progress=False)
    with pytest.raises(GridError, match="no h at t = 199"):
        edit(
            unet,
            two,
            {guided(unet, two[:1], steps=6, t_edit=300, progress=False): 1.0},
            steps=6,
            t_edit=100,
            progress=False,
        )
