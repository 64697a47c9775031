"""REVISE with a linear generator whose counterfactual is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.explainer.revise import Revise
from counterfoil.search.restore import Restore


class Images:
    """Images by their numbers, as a data set gives them."""

    def __init__(self, x: Tensor) -> None:
        self.x = x

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: range) -> SimpleNamespace:
        return SimpleNamespace(x=self.x[rows.start : rows.stop])


def test_in_one_dimension_stops_at_the_first_step_past_the_crossing(
    latent: Any, classifier: nn.Module, difference: Tensor
) -> None:
    row = difference / difference.norm() + latent.orthonormal(1)[0] / 2
    generator = latent.Affine((row / row.norm())[None])
    x = latent.queries(generator)
    crossing = (
        (latent.gap - (classifier(x)[:, 1] - classifier(x)[:, 0])) / (generator.rows @ difference)
    ).detach()
    lr = 0.01
    cf = Revise(
        classifier,
        generator,
        lambda_=0.0,
        steps=300,
        lr=lr,
        patience=0,
        rounds=1,
        confidence=latent.confidence,
    )(x, 1)
    assert cf.valid.all()
    past = ((cf.extra["z"] - generator.encode(x))[:, 0] - crossing).detach()
    assert (crossing > 3 * lr).all()
    assert (past >= -1e-9).all()
    assert (past <= lr).all()
    assert (cf.steps >= (crossing / lr).floor()).all()


def test_stays_on_the_generator(latent: Any, classifier: nn.Module) -> None:
    generator = latent.Affine(latent.orthonormal(3))
    cf = Revise(classifier, generator, lambda_=0.1, confidence=latent.confidence)(
        latent.queries(generator), 1
    )
    assert cf.valid.all()
    torch.testing.assert_close(generator.decode(generator.encode(cf.counterfactual)), cf.counterfactual)
    torch.testing.assert_close(generator.decode(cf.extra["z"]), cf.counterfactual)


def test_with_patience_comes_nearer(latent: Any, classifier: nn.Module) -> None:
    generator = latent.Affine(latent.orthonormal(3))
    x = latent.queries(generator)
    first, later = (
        Revise(classifier, generator, lambda_=12.0, lr=0.15, patience=p, confidence=latent.confidence)(x, 1)
        .delta.abs()
        .flatten(1)
        .mean(1)
        for p in (0, None)
    )
    assert (later <= first + 1e-12).all()
    assert (later < first).any()


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


@pytest.mark.parametrize("generator", [None, nn.Identity()])
def test_a_generator_that_cannot_is_refused(classifier: nn.Module, generator: Any) -> None:
    with pytest.raises(UserError, match="generative=vae or generative=cvae"):
        Revise(classifier, generator)


@pytest.mark.parametrize("start", ["gradient", "neighbour"])
def test_a_start_ahead_is_a_counterfactual_at_once_and_patience_brings_it_nearer(
    latent: Any, classifier: nn.Module, start: Any
) -> None:
    generator = latent.Affine(latent.orthonormal(3))
    x = latent.queries(generator)
    far = generator.decode(3 * torch.randn(64, 3, generator=torch.Generator().manual_seed(3)).double())

    def explained(patience: int) -> Any:
        explainer = Revise(
            classifier,
            generator,
            lambda_=12.0,
            lr=0.05,
            patience=patience,
            start=start,
            confidence=latent.confidence,
        )
        explainer.fit(SimpleNamespace(name="far", train=Images(far.detach())))
        return explainer(x, 1)

    first, later = explained(0), explained(40)
    assert first.valid.all()
    assert (first.steps == 0).all()
    assert later.valid.all()
    nearer = [each.delta.abs().flatten(1).mean(1).mean() for each in (later, first)]
    assert nearer[0] < nearer[1]


def test_the_blur_of_the_generator_is_not_charged(
    latent: Any, classifier: nn.Module, seeded: torch.Generator
) -> None:
    """Off the generator's manifold the distance of a small change is that of the change alone."""
    generator = latent.Affine(latent.orthonormal(3))
    x = latent.queries(generator)
    off = (x + 0.05 * torch.randn(x.shape, generator=seeded, dtype=torch.float64)).clamp(0, 1)
    options: dict[str, Any] = {"lambda_": 5.0, "steps": 100, "lr": 0.02, "patience": 20, "flip": "margin"}
    kept, drawn = (
        Revise(classifier, generator, **options, residual=residual, confidence=latent.confidence)(off, 1)
        for residual in (True, False)
    )
    assert kept.valid.all()
    assert kept.delta.abs().mean() < drawn.delta.abs().mean()


def test_restoring_brings_it_nearer(latent: Any, classifier: nn.Module) -> None:
    generator = latent.Affine(latent.orthonormal(3))
    x = latent.queries(generator)
    method = Revise(
        classifier,
        generator,
        lambda_=1.0,
        lr=0.05,
        residual=True,
        flip="margin",
        confidence=latent.confidence,
    )
    plain = method(x, 1)
    method.refine = Restore()
    restored = method(x, 1)
    assert restored.valid.all()
    assert restored.delta.abs().mean() < plain.delta.abs().mean()


def test_more_starts_change_no_more_and_cost_what_they_take(latent: Any, classifier: nn.Module) -> None:
    generator = latent.Affine(latent.orthonormal(3))
    x = latent.queries(generator)
    far = generator.decode(3 * torch.randn(64, 3, generator=torch.Generator().manual_seed(3)).double())

    def explained(starts: int) -> Any:
        explainer = Revise(
            classifier, generator, lambda_=0.1, start="neighbour", starts=starts, confidence=latent.confidence
        )
        explainer.fit(SimpleNamespace(name="far", train=Images(far.detach())))
        return explainer(x, 1)

    one, three = explained(1), explained(3)
    change = [(cf.counterfactual - cf.factual).abs().flatten(1).mean(1) for cf in (one, three)]
    assert three.valid.all()
    assert (change[1] <= change[0]).all()
    assert (change[1] < change[0]).any()
    assert (three.classifier_calls > one.classifier_calls).all()


def test_several_starts_need_neighbours(latent: Any, classifier: nn.Module) -> None:
    with pytest.raises(UserError, match="starts=2 needs start=neighbour, found start=gradient"):
        Revise(classifier, latent.Affine(latent.orthonormal(3)), start="gradient", starts=2)
