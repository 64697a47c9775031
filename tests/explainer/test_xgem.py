"""xGEM with a linear generator, where every posterior can be reached exactly."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.explainer.xgem import XGEM
from counterfoil.metric.own_posterior import own_posteriors


@pytest.fixture
def generator(latent: Any, difference: Tensor) -> nn.Module:
    row = difference / difference.norm() + latent.orthonormal(1)[0] / 2
    made: nn.Module = latent.Affine((row / row.norm())[None])
    return made


def test_every_posterior_requested_is_reached(
    latent: Any, classifier: nn.Module, generator: nn.Module
) -> None:
    x = latent.queries(generator)
    cf = XGEM(classifier, generator, lambda_=0.0, steps=400, lr=0.02, bins=4, returned="last")(x, 1)
    read = own_posteriors(cf)
    assert read is not None
    torch.testing.assert_close(read.requested[0], torch.tensor([0.125, 0.375, 0.625, 0.875]).double())
    torch.testing.assert_close(read.obtained, read.requested, atol=1e-3, rtol=0)
    assert bool(cf.valid.all())
    assert cf.strip is not None
    torch.testing.assert_close(cf.strip.images[:, -1], cf.counterfactual)
    assert (cf.steps == 4 * 400).all()


def test_the_first_valid_image_can_be_returned_instead(
    latent: Any, classifier: nn.Module, generator: nn.Module
) -> None:
    x = latent.queries(generator)
    cf = XGEM(classifier, generator, lambda_=0.0, steps=400, lr=0.02, bins=4)(x, 1)
    assert cf.strip is not None
    torch.testing.assert_close(cf.strip.images[:, 2], cf.counterfactual)


def test_the_distance_holds_the_strip_back(latent: Any, classifier: nn.Module, generator: nn.Module) -> None:
    x = latent.queries(generator)
    free, held = (
        XGEM(classifier, generator, lambda_=weight, steps=200, lr=0.02, bins=4, returned="last")(x, 1)
        .delta.abs()
        .mean()
        for weight in (0.0, 20.0)
    )
    assert held < free


def test_a_generator_that_does_not_encode_is_refused(classifier: nn.Module) -> None:
    with pytest.raises(UserError, match="xgem needs a generator that can do Encodes, found none"):
        XGEM(classifier, None)
