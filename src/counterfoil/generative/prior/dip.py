"""Deep image prior: an image as the output of a convolutional network on fixed noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from counterfoil.core.bounds import Count, Positive, Weight, Whole
from counterfoil.core.errors import UserError
from counterfoil.generative.prior.base import Prior, Shape

SMALLEST = 4
"""Pixels that the coarsest level must have at least, each way."""


class DIP(Prior):
    """x = sigmoid(U_theta(n)), a U-net with skips on noise n ~ U(0, 0.1) that is the same for all queries.

    Each level halves by a strided 3x3 convolution, and on the way up doubles (bilinear), takes in a 1x1
    convolution of what lies on its own level, and convolves; convolutions are followed by a normalisation
    over the query's own positions and a leaky ReLU.

    Args:
        channels: of each level; as many halvings as there are numbers.
        skip: channels of the skips.
        noise: channels of n.
        others: see `Prior`.

    Departures: normalises over the positions of a channel instead of over a batch; shallower than the source.
    Source: Deep Image Prior (Ulyanov et al., 2018), arXiv 1711.10925.
    """

    name = "dip"

    def __init__(
        self,
        *,
        channels: Sequence[Count] = (16, 32),
        skip: Count = 4,
        noise: Count = 8,
        psnr: float = 30.0,
        steps: Whole = 500,
        lr: Positive = 2e-2,
        spread: Weight = 0.01,
    ) -> None:
        super().__init__(psnr=psnr, steps=steps, lr=lr, spread=spread)
        if not channels:
            raise UserError("DIP: channels=[]: expected a number of channels for each level")
        self.channels, self.skip, self.noise = tuple(channels), skip, noise

    def weights(self, shape: Shape) -> dict[str, tuple[tuple[int, ...], float]]:
        """For each level l its `down`, `skip` and `up` convolutions, then `out`.

        W (out, in, k, k), b (out).
        """
        _check_size(shape, len(self.channels))
        found: dict[str, tuple[tuple[int, ...], float]] = {}
        levels = [self.noise, *self.channels]
        for i, (outer, inner) in enumerate(zip(levels, self.channels, strict=False)):
            below = self.channels[min(i + 1, len(self.channels) - 1)]
            found |= _convolution(f"down{i}", inner, outer, 3)
            found |= _convolution(f"skip{i}", self.skip, outer, 1)
            found |= _convolution(f"up{i}", inner, below + self.skip, 3)
        return found | _convolution("out", shape[0], self.channels[0], 1)

    @property
    def blocks(self) -> tuple[tuple[str, ...], ...]:
        """The output, then each level from the finest to the coarsest."""
        levels = (
            tuple(f"{part}{i}_{kind}" for part in ("up", "skip", "down") for kind in "wb")
            for i in range(len(self.channels))
        )
        return (("out_w", "out_b"), *levels)

    def render(self, weights: Mapping[str, Tensor], shape: Shape) -> Tensor:
        """One grouped convolution per layer, one group per network."""
        like = weights["out_w"]
        noise = _noise(self.noise, *shape[1:], like.dtype, like.device)
        sides, h = [], noise.expand(len(like), *noise.shape)
        for i in range(len(self.channels)):
            sides.append(_block(h, weights, f"skip{i}"))
            h = _block(h, weights, f"down{i}", stride=2)
        for i in reversed(range(len(self.channels))):
            h = F.interpolate(h, size=sides[i].shape[-2:], mode="bilinear", align_corners=False)
            h = _block(torch.cat([h, sides[i]], 1), weights, f"up{i}")
        return _convolve(h, weights["out_w"], weights["out_b"]).sigmoid()


def _convolution(name: str, outputs: int, inputs: int, size: int) -> dict[str, tuple[tuple[int, ...], float]]:
    fan = inputs * size**2
    return {
        f"{name}_w": ((outputs, inputs, size, size), math.sqrt(3 / fan)),
        f"{name}_b": ((outputs,), fan**-0.5),
    }


def _block(x: Tensor, weights: Mapping[str, Tensor], name: str, stride: int = 1) -> Tensor:
    h = _convolve(
        x, weights[f"{name}_w"], None, stride
    )  # the normalisation takes any bias away, so it comes after it
    variance, mean = torch.var_mean(h, dim=(2, 3), keepdim=True, correction=0)
    h = (h - mean) * (variance + 1e-5).rsqrt() + weights[f"{name}_b"][:, :, None, None]
    return F.leaky_relu(h, 0.2)


def _convolve(x: Tensor, w: Tensor, b: Tensor | None, stride: int = 1) -> Tensor:
    """Image b of x (B, C, H, W) under the kernels b of w (B, O, C, k, k)."""
    rows, outputs, inputs, size = w.shape[:4]
    y = F.conv2d(
        x.reshape(1, rows * inputs, *x.shape[2:]),
        w.flatten(0, 1),
        None if b is None else b.flatten(),
        stride,
        size // 2,
        groups=rows,
    )
    return y.view(rows, outputs, *y.shape[2:])


@lru_cache(maxsize=8)
def _noise(channels: int, height: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        draw = torch.rand(
            channels, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64
        )
        return (0.1 * draw).to(device, dtype)


def _check_size(shape: Shape, depth: int) -> None:
    least = SMALLEST * 2**depth
    if min(shape[1:]) < least:
        raise UserError(
            f"prior dip: images of {shape[1]} x {shape[2]} pixels are too small for {depth} halvings, which "
            f"need {least} pixels; give fewer channels (one number per halving), or take prior=inr"
        )
