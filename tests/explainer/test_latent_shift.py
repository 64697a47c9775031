"""Latent shift with a linear generator whose counterfactual is known."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.core.query import probability_of
from counterfoil.explainer.latent_shift import LatentShift


def test_walks_to_the_crossing_on_paper(latent: Any, classifier: nn.Module, difference: Tensor) -> None:
    """Its direction is A w / ||A w||, and it stops where the margin reaches log(p / (1 - p))."""
    generator = latent.Affine(latent.orthonormal(3))
    x = latent.queries(generator)
    pull = (generator.rows @ difference).detach()
    shift = (latent.gap - (classifier(x)[:, 1] - classifier(x)[:, 0])) / pull.norm()
    explainer = LatentShift(
        classifier, generator, reach=1.0, steps=20, bisections=8, confidence=latent.confidence
    )
    assert ((shift > 0) & (shift < 1)).all()
    cf = explainer(x, 1)
    walked = cf.extra["z"] - generator.encode(x)
    torch.testing.assert_close(
        walked / walked.norm(dim=1, keepdim=True), (pull / pull.norm()).expand_as(walked)
    )
    resolution = 1.0 / 20 / 2**8
    assert ((walked.norm(dim=1) - shift) >= -1e-9).all()
    assert ((walked.norm(dim=1) - shift) <= resolution).all()
    assert cf.valid.all()


def test_counts_its_points(latent: Any, classifier: nn.Module, difference: Tensor) -> None:
    """One for the gradient, one a point of the march (0 included), one a halving, two of the base class."""
    generator = latent.Affine(latent.orthonormal(3))
    x = latent.queries(generator)
    shift = (latent.gap - (classifier(x)[:, 1] - classifier(x)[:, 0])) / (generator.rows @ difference).norm()
    cf = LatentShift(classifier, generator, reach=1.0, steps=20, bisections=4, confidence=latent.confidence)(
        x, 1
    )
    points = (shift * 20).ceil() + 1
    torch.testing.assert_close(cf.steps, points.detach())
    torch.testing.assert_close(cf.classifier_calls, points.detach() + 1 + 4 + 2)


def test_keeps_the_likeliest_point_where_none_reaches(latent: Any, classifier: nn.Module) -> None:
    generator = latent.Affine(latent.orthonormal(3))
    x = latent.queries(generator)
    cf = LatentShift(classifier, generator, reach=0.01, steps=5, confidence=latent.confidence)(x, 1)
    assert not (cf.target_probability >= latent.confidence).any()
    torch.testing.assert_close(
        (cf.extra["z"] - generator.encode(x)).norm(dim=1), torch.full((4,), 0.01, dtype=torch.float64)
    )


def test_strip_goes_from_the_reconstruction_to_the_counterfactual(latent: Any, classifier: nn.Module) -> None:
    generator = latent.Affine(latent.orthonormal(3))
    x = latent.queries(generator)
    cf = LatentShift(classifier, generator, reach=1.0, frames=5, confidence=latent.confidence)(x, 1)
    assert cf.strip is not None
    images = cf.strip.images
    assert images.shape == (4, 5, 1, 4, 4)
    torch.testing.assert_close(images[:, 0], generator.decode(generator.encode(x)))
    torch.testing.assert_close(images[:, -1], cf.counterfactual)
    torch.testing.assert_close(images[:, 2], (images[:, 0] + images[:, 4]) / 2)


def test_strip_meets_the_posteriors_requested(latent: Any, classifier: nn.Module) -> None:
    """On a straight line every posterior is met, up to the last interval, but those behind the start."""
    generator = latent.Affine(latent.orthonormal(3))
    x = latent.queries(generator)
    options = {"reach": 4.0, "steps": 40, "bisections": 12, "frames": 5, "confidence": latent.confidence}
    cf = LatentShift(classifier, generator, spacing="posterior", **options)(x, 1)
    assert cf.strip is not None
    assert cf.strip.requested is not None
    torch.testing.assert_close(cf.strip.requested[0], torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9]).double())
    read = cf.strip.posteriors(cf.target, cf.factual_logits)
    assert read is not None
    start = probability_of(cf.factual_logits, cf.target)[:, None].detach()
    torch.testing.assert_close(read.obtained, read.requested.maximum(start), atol=1e-3, rtol=0)
    even = LatentShift(classifier, generator, **options)(x, 1)
    assert torch.equal(cf.counterfactual, even.counterfactual)
    assert torch.equal(cf.steps, even.steps)
    with pytest.raises(UserError, match="choose one of: shift, posterior"):
        LatentShift(classifier, generator, spacing="time")


def test_strip_keeps_the_likeliest_image_where_a_posterior_is_not_met(
    latent: Any,
    classifier: nn.Module,
) -> None:
    generator = latent.Affine(latent.orthonormal(3))
    cf = LatentShift(classifier, generator, spacing="posterior", reach=0.01, steps=4, frames=2)(
        latent.queries(generator), 1
    )
    assert cf.strip is not None
    end = LatentShift(classifier, generator, reach=0.01, steps=4, confidence=1.0)(cf.factual, 1)
    torch.testing.assert_close(cf.strip.images[:, 1], end.counterfactual)


@pytest.mark.parametrize("generator", [None, nn.Identity()])
def test_a_generator_that_cannot_is_refused(classifier: nn.Module, generator: Any) -> None:
    with pytest.raises(UserError, match="generative=vae or generative=cvae"):
        LatentShift(classifier, generator)
