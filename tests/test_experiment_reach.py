"""Reach: an f_t that is shown its target comes nearer to it, in the interval it was trained in."""

from types import SimpleNamespace

import pytest
import torch
from toys import IdealGaussian, randn

from asyrp_lib.domains.codec import Codec
from asyrp_lib.errors import DomainError
from asyrp_lib.experiments import measure, reach
from asyrp_lib.method import process


class Wide(IdealGaussian):
    """Ideal Gaussian with f_t's number of channels and an h that darkens P_t: any brightness is there."""

    channels, h_channels, h_shape = 32, 32, (32, 4, 4)

    def decode(self, z, h=None):
        a = self.schedule.alpha_bar(int(z.t[0]) if torch.is_tensor(z.t) else z.t)
        return super().decode(z, None if h is None else (a / (1 - a)) ** 0.5 * h)


def test_an_f_t_that_is_shown_its_target_reaches_it_on_images_that_it_never_saw():
    unet, brighter = Wide(), 0.2
    domain = SimpleNamespace(unet=unet, codec=Codec(), delta_config={"kind": "ConvDelta"})
    x_T, unseen = randn(8, 32, 4, 4, seed=1), randn(3, 32, 4, 4, seed=2)
    targets = process.generate(unet, x_T, progress=False) + brighter
    plain = process.generate(unet, unseen, progress=False)
    shown = reach.taught(domain, x_T, targets, 400, epochs=10)
    made = process.edit(unet, unseen, {shown: 1.0}, progress=False)
    assert float(reach.absolute_error(made, plain + brighter).mean()) < 0.5 * brighter


def test_the_objective_is_the_error_to_the_targets_of_the_batch():
    targets = randn(4, 3, 4, 4)
    objective = reach.TargetObjective(targets)
    parts = objective(targets[[2, 1]] + 0.25, torch.tensor([2, 1]), 7)
    assert float(parts["loss"]) == pytest.approx(0.25)
    assert objective.identity() != reach.TargetObjective(2 * targets).identity()


def test_a_domain_that_cannot_draw_its_targets_says_so(toy):
    toy.target_source = None
    with pytest.raises(DomainError, match="cannot draw 'red'"):
        measure(toy, "reach", n=2, progress=False)
