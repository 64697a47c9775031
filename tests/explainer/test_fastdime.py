"""Guided denoising: what it costs, and that it stops at an image."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.explainer.fastdime import FastDiME
from counterfoil.generative.diffusion.network import Diffusion


@pytest.fixture
def net() -> Diffusion:
    """A small diffusion model with random weights in float64, in eval mode."""
    torch.manual_seed(0)
    return Diffusion(1, 16, width=4, timesteps=100).double().eval()


def test_a_round_is_a_way_back_and_the_scale_grows(
    tiny_classifier: nn.Module, net: Diffusion, toy: Any
) -> None:
    x = toy.test[range(2)].x.double()
    never = FastDiME(tiny_classifier, net, steps=4, rounds=2, scale=1e-6, confidence=1.0)
    cf = never(x)
    assert (cf.target_probability < 1).all()
    assert cf.steps.tolist() == [8, 8]
    assert cf.classifier_calls.tolist() == [12, 12]  # a point more than steps in each, and two that all have
    gentle, strong = (
        FastDiME(tiny_classifier, net, steps=8, rounds=1, scale=scale, lambda_=0.0, confidence=1.0)(x)
        for scale in (1e-6, 100.0)
    )
    assert (strong.target_probability > gentle.target_probability).all()


def test_a_diffusion_model_is_needed(tiny_classifier: nn.Module, tiny_vae: nn.Module) -> None:
    with pytest.raises(UserError, match="explainer fastdime needs a generator that can do Denoises"):
        FastDiME(tiny_classifier, tiny_vae)
