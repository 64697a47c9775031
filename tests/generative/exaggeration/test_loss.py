"""Terms of the generator's loss: what they reach, and what they are by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from counterfoil.generative.exaggeration.loss import divergence

sys.path.insert(0, str(Path(__file__).parent))
from exaggeration_toy import Toy, classifier, make, step_terms


def test_the_classifier_loss_reaches_the_generator_and_the_classifier_stays_frozen() -> None:
    torch.set_num_threads(1)
    model = classifier()
    module = make(model)
    module.prepare(Toy())
    module.train()
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    terms = step_terms(module, Toy().train[slice(0, 16)].x)
    for term in ("cls", "self"):
        grads = torch.autograd.grad(
            terms[term], list(module.net.parameters()), retain_graph=True, allow_unused=True
        )
        assert sum(float(g.abs().sum()) for g in grads if g is not None) > 0
    encoder = torch.autograd.grad(terms["cls"], module.net.stem.weight, retain_graph=True)[0]
    assert float(encoder.abs().sum()) > 0


def test_terms_of_weight_zero_are_left_out() -> None:
    module = make(lambda_cls=0.0, lambda_cyc=0.0, lambda_gan=0.0, lambda_embed=1.0)
    module.prepare(Toy())
    assert set(step_terms(module, Toy().train[slice(0, 8)].x)) == {"rec", "embed"}


def test_divergence_is_zero_at_the_request_and_has_the_cross_entropys_gradient() -> None:
    p = torch.tensor([0.05, 0.5, 0.95])
    assert float(divergence(p, torch.logit(p))) == pytest.approx(0, abs=1e-6)
    scaled = torch.zeros(3, requires_grad=True)
    divergence(p, scaled).backward()
    torch.testing.assert_close(scaled.grad, (0.5 - p) / 3)
    q = torch.tensor([0.3, 0.3, 0.3])
    by_hand = (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean()
    torch.testing.assert_close(divergence(p, torch.logit(q)), by_hand)
