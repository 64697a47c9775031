"""A normalising flow over small images: exactly invertible, with a likelihood."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfoil.core.bounds import Count, Fraction, checks_options
from counterfoil.core.errors import UserError
from counterfoil.util import together

MOST = 3 * 32 * 32
"""The largest number of values of an image; beyond it a flow of this kind learns nothing in hours."""
LEVELS = 256
"""Grey levels of an image."""
SLOPES = (1e-30, 0.1)
"""The least factors of the first layer and of a coupling, whose inverse is to stay exact."""


@checks_options
class Flow(nn.Module):
    """Affine couplings z = f(logit(a + (1 - 2 a) x)) from images to normal codes, f and its inverse exact.

    loss = - log p(x + u) / (D log 2),  u ~ U[0, 1/256),  in bits per value; D = C H W

    A first layer brings every value to mean 0 and deviation 1, as they are in the first batch of a training,
    and is learned from there. A coupling moves the pixels of one half by those of the other half, told apart
    by squares or stripes of one to four pixels; a small convolutional network over blocks of 2 x 2 or 4 x 4
    pixels reads the latter.

    Args:
        channels, size: of the images, C and H = W; the size is even.
        couplings: how many.
        width: channels of their networks.
        alpha: a, how far values are kept from 0 and 1.

    Departures: of RealNVP, no factoring out, no batch norm, masks at several scales in place of squeezed
    halves; of Glow, no learned mixing of channels.
    Source: Density Estimation Using Real NVP (Dinh et al., ICLR 2017), arXiv 1605.08803; transforms of the
    library zuko.

    Raises:
        UserError: an image with too many values, an odd size, or no zuko.
    """

    begun: Tensor

    def __init__(
        self,
        channels: Count = 1,
        size: Count = 28,
        *,
        couplings: Count = 12,
        width: Count = 32,
        alpha: Fraction = 0.05,
    ) -> None:
        super().__init__()
        _transforms()
        self.latent = channels * size * size
        if self.latent > MOST:
            raise UserError(
                f"generative flow: images of {channels} x {size} x {size} values, expected at most "
                f"{MOST} = 3 x 32 x 32; choose a smaller data.size, or generative=vae"
            )
        if size % 2:
            raise UserError(
                f"generative flow: images of {size} px, expected an even size; choose data.size=32"
            )
        self.shape = (channels, size, size)
        self.alpha = alpha
        blocks = (2, 4) if size % 4 == 0 else (2, 2)
        self.shift = nn.Parameter(torch.zeros(self.latent))
        self.log_scale = nn.Parameter(torch.zeros(self.latent))
        self.register_buffer("begun", torch.zeros((), dtype=torch.bool))
        self.couplings = nn.ModuleList(
            Coupling(half(self.shape, k), width, blocks[(k // 2) % 2]) for k in range(couplings)
        )

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Codes (B, D) of images in [0, 1], each at the middle of its grey level.

        Raises:
            UserError: images of another shape.
        """
        if tuple(x.shape[1:]) != self.shape:
            raise UserError(
                f"generative flow: images of shape {tuple(x.shape[1:])}, it was made for {self.shape}; train "
                "one on these data, or set data.size"
            )
        code: Tensor = self._chain()(self._spread((x * (LEVELS - 1) + 0.5) / LEVELS).flatten(1))
        return code

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Images (B, C, H, W) in [0, 1] of codes.

        Values beyond are moved to its ends; the gradient is as if they were not, or empty pixels, which lie
        there, could not be filled.
        """
        spread = self._chain().inv(z).unflatten(1, self.shape).sigmoid()
        level = (spread - self.alpha) / (1 - 2 * self.alpha)
        image: Tensor = (level * LEVELS - 0.5) / (LEVELS - 1)
        return image + (image.clamp(0, 1) - image).detach()

    def loss(self, x: Tensor, condition: Tensor | None = None) -> dict[str, Tensor]:
        """Bits per value. Draws by the global generator."""
        level = (x * (LEVELS - 1) + torch.rand_like(x)) / LEVELS
        spread = self._spread(level).flatten(1)
        self._begin(spread)
        z, volume = self._chain().call_and_ladj(spread)
        # of the logit's derivative 1 / (p (1 - p)), p its sigmoid, and of the scaling
        volume = volume + (F.softplus(spread) + F.softplus(-spread)).sum(1)
        volume = volume + self.latent * math.log((1 - 2 * self.alpha) / LEVELS)
        likelihood = -0.5 * (z.square() + math.log(2 * math.pi)).sum(1) + volume
        bits = -likelihood.mean() / (self.latent * math.log(2))
        return {"loss": bits}

    def _spread(self, level: Tensor) -> Tensor:
        """The logit of levels in [0, 1], kept from its ends."""
        return torch.logit(self.alpha + (1 - 2 * self.alpha) * level)

    @torch.no_grad()
    def _begin(self, spread: Tensor) -> None:
        """Standardise the first batch of a training."""
        if self.training and not self.begun:
            mean = together.averaged(spread.mean(0))
            deviation = together.averaged((spread - mean).square().mean(0)).sqrt().clamp(min=1e-2)
            self.log_scale.copy_(-deviation.log())
            self.shift.copy_(-mean / deviation)
            self.begun.fill_(True)

    def _chain(self) -> Any:
        affine = _transforms().MonotonicAffineTransform
        first = affine(self.shift, self.log_scale, slope=SLOPES[0])
        made = [_transforms().DependentTransform(first, 1)]
        made += [
            _transforms().CouplingTransform(partial(self._affine, coupling), coupling.mask)
            for coupling in self.couplings
        ]
        return _transforms().ComposedTransform(*made)

    def _affine(self, coupling: nn.Module, known: Tensor) -> Any:
        shift, scale = coupling(known)
        moved = _transforms().MonotonicAffineTransform(shift, scale, slope=SLOPES[1])
        return _transforms().DependentTransform(moved, 1)


class Coupling(nn.Module):
    """Shift and log-scale (B, D_b) of the values that move, read off those that stay (B, D_a).

    Args:
        mask: (C, H, W) bool, True where values stay.
        width: channels of the network.
        block: pixels of a block's side; blocks become channels.
    """

    mask: Tensor

    def __init__(self, mask: Tensor, width: Count, block: Count) -> None:
        super().__init__()
        self.block, self.shape = block, tuple(mask.shape)
        inner = mask.shape[0] * block * block
        self.register_buffer("mask", mask.flatten(), persistent=False)
        self.net = nn.Sequential(
            nn.Conv2d(inner, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 1),
            nn.ReLU(),
            nn.Conv2d(width, 2 * inner, 3, padding=1),
        )
        last: nn.Conv2d = self.net[-1]  # type: ignore[assignment]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def forward(self, known: Tensor) -> tuple[Tensor, Tensor]:
        """Shift and unbounded log-scale of the values that move."""
        image = known.new_zeros(len(known), self.mask.numel())
        image[:, self.mask] = known
        h = self.net(F.pixel_unshuffle(image.unflatten(1, self.shape), self.block))
        shift, scale = (F.pixel_shuffle(part, self.block).flatten(1) for part in h.chunk(2, dim=1))
        return shift[:, ~self.mask], scale[:, ~self.mask]


def half(shape: tuple[int, int, int], number: int) -> Tensor:
    """The values (C, H, W) bool that stay in a coupling: squares or stripes, each half in turn.

    Two couplings with each other's halves follow one another; squares of 1 pixel, rows, columns, squares of 2
    and of 4 pixels take turns.
    """
    row, column = torch.meshgrid(torch.arange(shape[1]), torch.arange(shape[2]), indexing="ij")
    patterns = (
        row + column,
        row // 2 + column // 2,
        row,
        row // 4 + column // 4,
        column,
        row // 2 + column // 2,
    )
    stays = (patterns[(number // 2) % len(patterns)] + number) % 2 == 0
    return stays.expand(shape).clone()


def _transforms() -> Any:
    try:
        from zuko import transforms
    except ImportError as error:
        raise UserError("generative flow needs the package zuko: pip install 'counterfoil[flow]'") from error
    return transforms
