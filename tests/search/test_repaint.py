"""Drawn again where it has changed, and never at the price of the target."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from counterfoil.core.query import Query
from counterfoil.generative.diffusion.network import Denoiser, kept_of
from counterfoil.search import Changed, Repaint


class White(nn.Module):
    """Tells of every image that it is white."""

    def forward(self, noisy: Tensor, t: Tensor) -> Any:
        return type("Output", (), {"sample": torch.ones_like(noisy)})


class Brightness(nn.Module):
    """Decides for 1 by the sum of the pixels."""

    def __init__(self, least: float, sign: float) -> None:
        super().__init__()
        self.least, self.sign = least, sign

    def forward(self, x: Tensor) -> Tensor:
        score = 5 * self.sign * (x.flatten(1).sum(1) - self.least)
        return torch.stack((-score, score), dim=1)


def repainted(sign: float) -> tuple[Tensor, Tensor, Tensor]:
    """The image before, the image after, and the calls, where more white is better or worse."""
    net = Denoiser(White(), kept_of("linear", 100), 1, 4, prediction="sample")
    x = torch.zeros(1, 1, 4, 4)
    image = x.clone()
    image[0, 0, 1, 1], image[0, 0, 3, 3] = 0.8, 0.05
    query = Query(x, torch.ones(1, dtype=torch.int64), Brightness(0.81, sign), generator=net)
    after, calls = Repaint(0.5, 3, changed=Changed(0.2, 1)).improve(query, image)
    return image, after, calls


def test_it_is_drawn_again_where_it_has_changed() -> None:
    _before, after, calls = repainted(1.0)
    assert after[0, 0, 1, 1] == 1.0
    assert after.count_nonzero() == 1
    assert calls.tolist() == [1]


def test_what_loses_the_target_stays() -> None:
    before, after, _calls = repainted(-1.0)
    assert torch.equal(before, after)
