"""What all priors share: their options, and the fit of images."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.generative.prior.base import Prior, decibels
from counterfoil.generative.prior.dip import DIP
from counterfoil.generative.prior.inr import INR


def test_decibels() -> None:
    assert decibels(torch.tensor([1.0, 1e-3, 0.0])).tolist() == pytest.approx([0.0, 30.0, 120.0], abs=1e-4)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: DIP(channels=()), "channels"),
        (lambda: DIP(channels=(4, 0)), "channels"),
        (lambda: INR(width=0), "width"),
        (lambda: INR(steps=-1), "steps"),
        (lambda: DIP(lr=0.0), "lr"),
    ],
)
def test_bad_options(make: Callable[[], Prior], word: str) -> None:
    with pytest.raises(UserError, match=word):
        make()


def test_a_fit_ends_at_its_psnr_or_after_its_steps_and_leaves_its_start() -> None:
    """An image that the start renders already takes no step; the other one takes them all."""
    prior = INR(frequencies=4, width=4, depth=1, steps=3, psnr=60.0)
    generator = torch.Generator().manual_seed(0)
    weights = {
        name: bound * (2 * torch.rand(2, *size, generator=generator) - 1)
        for name, (size, bound) in prior.weights((1, 6, 6)).items()
    }
    before = {name: value.clone() for name, value in weights.items()}
    images = prior.render(weights, (1, 6, 6))
    images[1] = torch.rand(1, 6, 6, generator=generator)
    fitted = prior.fit(images, weights)
    assert fitted["fit_steps"].tolist() == [0, 3]
    assert torch.equal(fitted["w0"][0], before["w0"][0])
    assert not torch.equal(fitted["w0"][1], before["w0"][1])
    assert all(torch.equal(weights[name], value) for name, value in before.items())
    reached = decibels((prior.render(fitted, (1, 6, 6)) - images).square().flatten(1).mean(1))
    torch.testing.assert_close(fitted["psnr"], reached)
    assert prior.fit(images, weights, steps=5, psnr=torch.inf)["fit_steps"].tolist() == [5, 5]
