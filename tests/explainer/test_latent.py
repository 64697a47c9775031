"""Methods that search in a code, with a linear generator whose counterfactual is known."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.core.query import probability_of
from counterfoil.explainer.latent_shift import LatentShift
from counterfoil.explainer.revise import Revise

CONFIDENCE = 0.8
GAP = math.log(CONFIDENCE / (1 - CONFIDENCE))


class Affine(nn.Module):
    """G(z) = 0.5 + z A with orthonormal rows, and its exact encoder."""

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.rows = nn.Parameter(rows)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return (x - 0.5).flatten(1) @ self.rows.T

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return 0.5 + (z @ self.rows).unflatten(1, (1, 4, 4))


def orthonormal(rows: int) -> Tensor:
    q, _ = torch.linalg.qr(
        torch.randn(16, rows, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    )
    return q.T.contiguous()


@pytest.fixture
def difference() -> Tensor:
    """w_1 - w_0 of the classifier."""
    return torch.randn(16, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 6


@pytest.fixture
def classifier(linear: Any, difference: Tensor) -> nn.Module:
    return linear(
        torch.stack((torch.zeros(16, dtype=torch.float64), difference)),
        torch.tensor([0.0, -float(difference.sum()) / 2 - 1.0]),
    )


def queries(generator: Affine, n: int = 4) -> Tensor:
    z = 0.05 * torch.randn(
        n, len(generator.rows), generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )
    return generator.decode(z).detach()


def test_latent_shift_walks_to_the_crossing_on_paper(classifier: nn.Module, difference: Tensor) -> None:
    """Its direction is A w / ||A w||, and it stops where the margin reaches log(p / (1 - p))."""
    generator = Affine(orthonormal(3))
    x = queries(generator)
    pull = (generator.rows @ difference).detach()
    shift = (GAP - (classifier(x)[:, 1] - classifier(x)[:, 0])) / pull.norm()
    explainer = LatentShift(classifier, generator, reach=1.0, steps=20, bisections=8, confidence=CONFIDENCE)
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


def test_latent_shift_counts_its_points(classifier: nn.Module, difference: Tensor) -> None:
    """One for the gradient, one a point of the march (0 included), one a halving, two of the base class."""
    generator = Affine(orthonormal(3))
    x = queries(generator)
    shift = (GAP - (classifier(x)[:, 1] - classifier(x)[:, 0])) / (generator.rows @ difference).norm()
    cf = LatentShift(classifier, generator, reach=1.0, steps=20, bisections=4, confidence=CONFIDENCE)(x, 1)
    points = (shift * 20).ceil() + 1
    torch.testing.assert_close(cf.steps, points.detach())
    torch.testing.assert_close(cf.classifier_calls, points.detach() + 1 + 4 + 2)


def test_latent_shift_keeps_the_likeliest_point_where_none_reaches(classifier: nn.Module) -> None:
    generator = Affine(orthonormal(3))
    x = queries(generator)
    cf = LatentShift(classifier, generator, reach=0.01, steps=5, confidence=CONFIDENCE)(x, 1)
    assert not (cf.target_probability >= CONFIDENCE).any()
    torch.testing.assert_close(
        (cf.extra["z"] - generator.encode(x)).norm(dim=1), torch.full((4,), 0.01, dtype=torch.float64)
    )


def test_latent_shift_strip_goes_from_the_reconstruction_to_the_counterfactual(classifier: nn.Module) -> None:
    generator = Affine(orthonormal(3))
    x = queries(generator)
    cf = LatentShift(classifier, generator, reach=1.0, frames=5, confidence=CONFIDENCE)(x, 1)
    assert cf.strip is not None
    images = cf.strip.images
    assert images.shape == (4, 5, 1, 4, 4)
    torch.testing.assert_close(images[:, 0], generator.decode(generator.encode(x)))
    torch.testing.assert_close(images[:, -1], cf.counterfactual)
    torch.testing.assert_close(images[:, 2], (images[:, 0] + images[:, 4]) / 2)


def test_latent_shift_strip_meets_the_posteriors_requested(classifier: nn.Module) -> None:
    """On a straight line every posterior is met, up to the last interval, but those behind the start."""
    generator = Affine(orthonormal(3))
    x = queries(generator)
    options = {"reach": 4.0, "steps": 40, "bisections": 12, "frames": 5, "confidence": CONFIDENCE}
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
    with pytest.raises(UserError, match="choose one of shift or posterior"):
        LatentShift(classifier, generator, spacing="time")


def test_latent_shift_strip_keeps_the_likeliest_image_where_a_posterior_is_not_met(
    classifier: nn.Module,
) -> None:
    generator = Affine(orthonormal(3))
    cf = LatentShift(classifier, generator, spacing="posterior", reach=0.01, steps=4, frames=2)(
        queries(generator), 1
    )
    assert cf.strip is not None
    end = LatentShift(classifier, generator, reach=0.01, steps=4, confidence=1.0)(cf.factual, 1)
    torch.testing.assert_close(cf.strip.images[:, 1], end.counterfactual)


def test_revise_in_one_dimension_stops_at_the_first_step_past_the_crossing(
    classifier: nn.Module, difference: Tensor
) -> None:
    row = difference / difference.norm() + orthonormal(1)[0] / 2
    generator = Affine((row / row.norm())[None])
    x = queries(generator)
    crossing = ((GAP - (classifier(x)[:, 1] - classifier(x)[:, 0])) / (generator.rows @ difference)).detach()
    lr = 0.01
    cf = Revise(
        classifier, generator, lambda_=0.0, steps=300, lr=lr, patience=0, rounds=1, confidence=CONFIDENCE
    )(x, 1)
    assert cf.valid.all()
    past = ((cf.extra["z"] - generator.encode(x))[:, 0] - crossing).detach()
    assert (crossing > 3 * lr).all()
    assert (past >= -1e-9).all()
    assert (past <= lr).all()
    assert (cf.steps >= (crossing / lr).floor()).all()


def test_revise_stays_on_the_generator(classifier: nn.Module) -> None:
    generator = Affine(orthonormal(3))
    cf = Revise(classifier, generator, lambda_=0.1, confidence=CONFIDENCE)(queries(generator), 1)
    assert cf.valid.all()
    torch.testing.assert_close(generator.decode(generator.encode(cf.counterfactual)), cf.counterfactual)
    torch.testing.assert_close(generator.decode(cf.extra["z"]), cf.counterfactual)


def test_revise_with_patience_comes_nearer(classifier: nn.Module) -> None:
    generator = Affine(orthonormal(3))
    x = queries(generator)
    first, later = (
        Revise(classifier, generator, lambda_=12.0, lr=0.15, patience=p, confidence=CONFIDENCE)(x, 1)
        .delta.abs()
        .flatten(1)
        .mean(1)
        for p in (0, None)
    )
    assert (later <= first + 1e-12).all()
    assert (later < first).any()


@pytest.mark.parametrize("method", [Revise, LatentShift])
@pytest.mark.parametrize("generator", [None, nn.Identity()])
def test_a_generator_that_cannot_is_refused(classifier: nn.Module, method: Any, generator: Any) -> None:
    with pytest.raises(UserError, match="generative=vae or generative=cvae"):
        method(classifier, generator)


def test_a_class_conditional_generator_decodes_under_the_target(tiny_classifier: nn.Module, toy: Any) -> None:
    from counterfoil.generative.cvae import CVAE

    torch.manual_seed(0)
    generator = CVAE(1, 16, classes=3, latent=4, width=4).double().eval()
    x = toy.test[range(2)].x.double()
    rarest = tiny_classifier(x).argmin(1)
    cf = Revise(tiny_classifier, generator, steps=5, confidence=0.999999)(x, rarest)
    condition = torch.nn.functional.one_hot(cf.target, 3)
    searched = cf.steps > 0
    assert searched.any()
    torch.testing.assert_close(
        generator.decode(cf.extra["z"], condition)[searched], cf.counterfactual[searched]
    )
