"""LDCE over codes whose implicit classifier is known."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.explainer.ldce import LDCE
from counterfoil.generative.latent_diffusion.network import LatentDiffusion


class Ideal(LatentDiffusion):
    """The noise of codes that are N(0, I), of class k N(m_k, I), m_0 = -m_1 = (side, -side, 0, 0)."""

    side = 2.0

    def forward(self, noisy: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        signal, spread = self.noising.scales(t, noisy)
        if label is None:
            return spread * noisy
        middle = torch.tensor([[1.0, -1.0, 0.0, 0.0], [-1.0, 1.0, 0.0, 0.0]]).to(noisy)[label]
        return spread * (noisy - signal * self.side * middle)


@pytest.fixture
def net(latent: Any) -> LatentDiffusion:
    generator = latent.Affine(latent.orthonormal(4))
    generator.latent = 4
    made = Ideal(generator, 2, width=4, layers=1, timesteps=100).double()
    made.deviation.fill_(0.05)  # images stay within [0, 1]
    return made


@pytest.fixture
def along(linear: Any, net: LatentDiffusion) -> nn.Module:
    """A classifier that decides for the class by the first two coordinates of the code."""
    rows = net.generator.rows
    return linear(40 * rows[:2].flatten(1))


def test_it_goes_where_classifier_and_diffusion_agree(
    latent: Any, net: LatentDiffusion, along: nn.Module
) -> None:
    x = latent.queries(net.generator)
    target = 1 - along(x).argmax(1)
    cf = LDCE(along, net, confidence=0.8)(x, target)
    assert cf.valid.all()
    assert (cf.target_probability >= 0.8).all()
    assert set(cf.steps.tolist()) <= {20, 40, 60, 80}


def test_it_stays_where_they_do_not(latent: Any, net: LatentDiffusion, along: nn.Module) -> None:
    """An implicit classifier of the other class moves nothing that the classifier wants."""
    x = latent.queries(net.generator)
    target = 1 - along(x).argmax(1)
    net.side = -2.0  # type: ignore[misc]
    options = {"scale": 2.0, "rounds": 1, "lambda_": 0.0, "confidence": 1.0}
    held = LDCE(along, net, **options)(x, target)
    free = LDCE(along, net, gamma=180.0, **options)(x, target)
    still = LDCE(along, net, **{**options, "scale": 1e-9})(x, target)
    torch.testing.assert_close(held.counterfactual, still.counterfactual, atol=1e-4, rtol=0)
    assert (free.target_probability > held.target_probability).all()


def test_a_round_is_a_way_back_and_the_scale_grows(
    latent: Any, net: LatentDiffusion, along: nn.Module
) -> None:
    x = latent.queries(net.generator)
    never = LDCE(along, net, steps=4, rounds=2, scale=1e-6, confidence=1.0)(x)
    assert (never.target_probability < 1).all()
    assert never.steps.tolist() == [8] * len(x)
    gentle, strong = (
        LDCE(along, net, steps=8, rounds=1, scale=scale, lambda_=0.0, confidence=1.0)(x)
        for scale in (1e-6, 3.0)
    )
    assert (strong.target_probability > gentle.target_probability).all()


def test_the_pull_keeps_it_near(latent: Any, net: LatentDiffusion, along: nn.Module) -> None:
    x = latent.queries(net.generator)
    far, near = (
        LDCE(along, net, lambda_=lambda_, confidence=0.7)(x).delta.abs().mean() for lambda_ in (0.0, 2.0)
    )
    assert near < far


def test_residual_gives_back_what_the_generator_cannot_draw(
    latent: Any, net: LatentDiffusion, along: nn.Module
) -> None:
    x = latent.queries(net.generator)
    x = (x + 0.1 * torch.rand(x.shape, generator=torch.Generator().manual_seed(0)).double()).clamp(0, 1)
    still: dict[str, Any] = {"tau": 0.01, "scale": 1e-6, "lambda_": 0.0, "rounds": 1}
    plain, detailed = (LDCE(along, net, residual=on, **still)(x).delta.abs().mean() for on in (False, True))
    assert detailed < 0.5 * plain


@pytest.mark.parametrize("generator", ["none", "vae"])
def test_a_latent_diffusion_is_needed(
    tiny_classifier: nn.Module, tiny_vae: nn.Module, generator: str
) -> None:
    given, found = (None, "none") if generator == "none" else (tiny_vae, "VAE")
    with pytest.raises(UserError, match=f"explainer ldce needs a trained LatentDiffusion, found {found}"):
        LDCE(tiny_classifier, given)


def test_other_classes_are_refused_at_the_first_query(
    latent: Any, net: LatentDiffusion, along: nn.Module
) -> None:
    net.classes = 3
    with pytest.raises(UserError, match="its generator has 3 classes, the classifier 2"):
        LDCE(along, net)(latent.queries(net.generator))
