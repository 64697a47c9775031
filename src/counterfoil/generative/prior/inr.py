"""Implicit neural representations: an image as a function of its coordinates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

import torch
from torch import Tensor

from counterfoil.core.bounds import Count, Positive, Weight, Whole
from counterfoil.generative.prior.base import Prior, Shape

FIRST_OMEGA = 30.0
"""Frequency of a SIREN's sines."""


class INR(Prior):
    """x(p) = sigmoid(MLP_theta(gamma(p))),  gamma(p) = [sin 2 pi F p, cos 2 pi F p],  F ~ N(0, scale^2).

    p in [0, 1]^2 is a pixel's position.

    Args:
        frequencies: rows of F, which is the same for all queries.
        scale: of F, in periods over the image; None: an eighth of its size.
        width, depth: of the hidden layers.
        siren: sines instead of ReLU, on bare coordinates.
        others: see `Prior`.

    Source: Fourier Features Let Networks Learn High Frequency Functions in Low Dimensional Domains (Tancik et
    al., 2020), arXiv 2006.10739; Implicit Neural Representations with Periodic Activation Functions (Sitzmann
    et al., 2020), arXiv 2006.09661.
    """

    name = "inr"

    def __init__(
        self,
        *,
        frequencies: Count = 64,
        scale: Positive | None = None,
        width: Count = 64,
        depth: Count = 3,
        siren: bool = False,
        psnr: float = 30.0,
        steps: Whole = 500,
        lr: Positive = 4e-3,
        spread: Weight = 0.01,
    ) -> None:
        super().__init__(psnr=psnr, steps=steps, lr=lr, spread=spread)
        self.frequencies, self.scale, self.width, self.depth, self.siren = (
            frequencies,
            scale,
            width,
            depth,
            siren,
        )

    def weights(self, shape: Shape) -> dict[str, tuple[tuple[int, ...], float]]:
        """w0, b0, w1, ...: matrices (out, in) and columns (out, 1)."""
        widths = [2 if self.siren else 2 * self.frequencies, *[self.width] * self.depth, shape[0]]
        found: dict[str, tuple[tuple[int, ...], float]] = {}
        for i in range(self.depth + 1):
            found[f"w{i}"] = ((widths[i + 1], widths[i]), self._bound(i, widths[i]))
            found[f"b{i}"] = ((widths[i + 1], 1), widths[i] ** -0.5)
        return found

    @property
    def blocks(self) -> tuple[tuple[str, ...], ...]:
        """From the last layer to the first."""
        return tuple((f"w{i}", f"b{i}") for i in reversed(range(self.depth + 1)))

    def render(self, weights: Mapping[str, Tensor], shape: Shape) -> Tensor:
        """One product for the first layer of all networks, then one batched product per layer."""
        w0 = weights["w0"]
        points = self._points(shape, w0)
        h = (w0.flatten(0, 1) @ points).unflatten(0, w0.shape[:2]) + weights["b0"]
        for i in range(1, self.depth + 1):
            h = torch.baddbmm(weights[f"b{i}"], weights[f"w{i}"], self._activate(h))
        image: Tensor = h.sigmoid().unflatten(2, shape[1:])
        return image

    def _activate(self, h: Tensor) -> Tensor:
        return (FIRST_OMEGA * h).sin() if self.siren else h.relu_()

    def _bound(self, layer: int, inputs: int) -> float:
        if self.siren:
            return 1 / inputs if layer == 0 else math.sqrt(6 / inputs) / FIRST_OMEGA
        return math.sqrt((6 if layer < self.depth else 3) / inputs)

    def _points(self, shape: Shape, like: Tensor) -> Tensor:
        scale = max(shape[1:]) / 8 if self.scale is None else self.scale
        return _points(
            shape[1], shape[2], 0 if self.siren else self.frequencies, scale, like.dtype, like.device
        )


@lru_cache(maxsize=8)
def _points(
    height: int, width: int, frequencies: int, scale: float, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """What the networks read of each pixel: its coordinates in [-1, 1] (2, P), or their Fourier features
    (2 frequencies, P).
    """
    with torch.inference_mode(False):
        rows, columns = (torch.linspace(0, 1, n, dtype=torch.float64) for n in (height, width))
        p = torch.stack([rows[:, None].expand(height, width), columns.expand(height, width)]).flatten(1)
        if not frequencies:
            return (2 * p - 1).to(device, dtype)
        matrix = scale * torch.randn(
            frequencies, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64
        )
        phase = 2 * math.pi * matrix @ p
        return torch.cat([phase.sin(), phase.cos()]).to(device, dtype)
