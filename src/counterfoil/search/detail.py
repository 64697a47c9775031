"""What a generative model cannot draw of the factual, given back where it draws no change."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from counterfoil.core.bounds import Positive
from counterfoil.core.options import shows_options
from counterfoil.core.query import Query


@shows_options
class Detail:
    """x' = clamp(G(z) + k (x - G(E(x)))),  k = exp(-fade * avgpool_3 |G(z) - G(E(x))|)

    At z = E(x) the factual itself comes out, so that the generator's blur is no longer charged to the
    explanation.

    Args:
        fade: how fast the detail is given up where the generator changes the image.

    Source: ours.
    """

    def __init__(self, fade: Positive = 10.0) -> None:
        self.fade = fade

    def __call__(self, query: Query, drawn: Tensor, reconstruction: Tensor) -> Tensor:
        """The images G(z) with their detail, given G(z) and G(E(x)), all (B, C, H, W)."""
        change = (drawn - reconstruction).abs().mean(1, keepdim=True)
        kept = torch.exp(-self.fade * F.avg_pool2d(change, 3, stride=1, padding=1, count_include_pad=False))
        return (drawn + kept * (query.factual - reconstruction)).clamp(0, 1)
