"""Reach: an f_t that is shown its target comes nearer to it, in the interval it was trained in."""

import pytest
import torch
from toys import IdealGaussian, randn

from asyrp_lib.errors import DomainError
from asyrp_lib.experiments import measure, reach
from asyrp_lib.method import process


class Wide(IdealGaussian):
    """Ideal Gaussian with f_t's number of channels and an h that darkens P_t: any brightness is there."""

    channels, h_channels, temb_dim = 32, 32, 1

    def decode(self, z, h=None):
        a = self.schedule.alpha_bar(int(z.t[0]) if torch.is_tensor(z.t) else z.t)
        return super().decode(z, None if h is None else (a / (1 - a)) ** 0.5 * h)


def test_an_f_t_that_is_shown_its_target_reaches_it_on_pictures_that_it_never_saw():
    unet, brighter = Wide(), 0.2
    x_T, unseen = randn(8, 32, 4, 4, seed=1), randn(3, 32, 4, 4, seed=2)
    targets = process.generate(unet, x_T, progress=False) + brighter
    plain = process.generate(unet, unseen, progress=False)
    far = {
        epochs: float(
            reach.absolute_error(
                process.edit(
                    unet, unseen, {reach.taught(unet, x_T, targets, 400, epochs): 1.0}, progress=False
                ),
                plain + brighter,
            ).mean()
        )
        for epochs in (0, 10)
    }
    assert far[0] == pytest.approx(brighter, abs=1e-4), "an f_t that was shown nothing does nothing"
    assert far[10] < 0.5 * far[0]


def test_a_domain_that_cannot_draw_its_targets_says_so(toy):
    toy.target_source = None
    with pytest.raises(DomainError, match="cannot draw 'red'"):
        measure(toy, "reach", n=2, progress=False)
