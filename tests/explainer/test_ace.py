"""An attack through a diffusion model, and its repainting."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.explainer.ace import ACE
from counterfoil.generative.diffusion.network import Diffusion


@pytest.fixture
def net() -> Diffusion:
    """A small diffusion model with random weights in float64, in eval mode."""
    torch.manual_seed(0)
    return Diffusion(1, 16, width=4, timesteps=100).double().eval()


def test_a_step_of_the_attack_has_the_same_length_for_every_pixel(
    tiny_classifier: nn.Module, net: Diffusion, toy: Any
) -> None:
    x = toy.test[range(2)].x.double().clamp(0.1, 0.9)
    explainer = ACE(tiny_classifier, net, filter_steps=5, alpha=0.03, steps=1, confidence=1.0)
    seen = []
    decode = explainer.space.decode
    explainer.space.decode = lambda query, variables, *rest: (  # type: ignore[method-assign]
        seen.append(variables["x"].detach().clone()) or decode(query, variables, *rest)
    )
    explainer(x)
    first, last = seen[0], seen[-1]
    torch.testing.assert_close(first, x)
    torch.testing.assert_close((last - first).abs(), torch.full_like(x, 0.03))


def test_only_the_mask_is_repainted(tiny_classifier: nn.Module, net: Diffusion, toy: Any) -> None:
    """With a mask of no size the factual comes back everywhere but at the largest change."""
    x = toy.test[range(4)].x.double()
    free = ACE(tiny_classifier, net, threshold=0.0, confidence=0.4)(x)
    tight = ACE(tiny_classifier, net, threshold=0.9, dilation=1, confidence=0.4)(x)
    touched = [cf.delta.abs().gt(1e-9).double().mean().item() for cf in (free, tight)]
    assert touched[1] < touched[0]
    assert free.valid.any()


def test_a_diffusion_model_is_needed(tiny_classifier: nn.Module, tiny_vae: nn.Module) -> None:
    with pytest.raises(UserError, match="explainer ace needs a generator that can do Denoises"):
        ACE(tiny_classifier, tiny_vae)
