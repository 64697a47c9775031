"""Residual search: the factual but for what the generator draws anew."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.explainer.residual import Residual
from counterfoil.explainer.revise import Revise


def test_the_blur_of_the_generator_is_not_charged(
    latent: Any, classifier: nn.Module, seeded: torch.Generator
) -> None:
    """Off the generator's manifold the distance of a small change is that of the change alone."""
    generator = latent.Affine(latent.orthonormal(3))
    x = latent.queries(generator)
    off = (x + 0.05 * torch.randn(x.shape, generator=seeded, dtype=torch.float64)).clamp(0, 1)
    options: dict[str, Any] = {"lambda_": 5.0, "steps": 100, "lr": 0.02, "patience": 20, "flip": "margin"}
    kept, drawn = (
        method(classifier, generator, **options, confidence=latent.confidence)(off, 1)
        for method in (Residual, Revise)
    )
    assert kept.valid.all()
    assert kept.delta.abs().mean() < drawn.delta.abs().mean()


def test_it_is_revise_with_its_options(latent: Any, classifier: nn.Module) -> None:
    generator = latent.Affine(latent.orthonormal(3))
    x = latent.queries(generator)
    options: dict[str, Any] = {"lambda_": 5.0, "lr": 0.02, "confidence": latent.confidence}
    own = Residual(classifier, generator, **options)(x, 1)
    other = Revise(classifier, generator, **options, patience=20, flip="margin", residual=True)(x, 1)
    assert torch.equal(own.counterfactual, other.counterfactual)


def test_restoring_brings_it_nearer(latent: Any, classifier: nn.Module) -> None:
    generator = latent.Affine(latent.orthonormal(3))
    x = latent.queries(generator)
    options: dict[str, Any] = {"lambda_": 1.0, "lr": 0.05, "patience": 0, "confidence": latent.confidence}
    plain, restored = (
        Residual(classifier, generator, restore=restore, **options)(x, 1) for restore in (False, True)
    )
    assert restored.valid.all()
    assert restored.delta.abs().mean() < plain.delta.abs().mean()


def test_a_generator_is_needed(classifier: nn.Module) -> None:
    with pytest.raises(UserError, match="explainer residual needs a generator"):
        Residual(classifier, None)
