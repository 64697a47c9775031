"""AttGAN for images of 28 to 128 px: an encoder, a decoder under attributes, a critic that reads them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from counterfoil.core.bounds import Count, checks_options
from counterfoil.core.errors import UserError


@checks_options
class AttGAN(nn.Module):
    """Edits named attributes of an image: x' = G(E(x), a').

    Attributes are in [0, 1] outside; the decoder sees a - 1/2, at the code and before every further layer.

    Args:
        channels, size: of the images; padded at right and bottom to a multiple of the code's step.
        attributes: names of the A attributes.
        width: channels of the first layer; each further layer doubles them, up to eight times.
        smallest: the code's side is at least this; halvings stop before.
        norm: of the critic's convolutions, "spectral" (for the hinge loss) or "instance" (for WGAN-GP).

    Departures: no skip connection, so that the code alone and the attributes make the image; a second, 3x3
    convolution per layer of the decoder; fewer channels.
    Source: AttGAN: Facial Attribute Editing by Only Changing What You Want (He et al., 2019), arXiv
    1711.10678.
    """

    training_only: ClassVar[tuple[str, ...]] = ("critic.real.",)
    """Beginnings of the names of weights that no file keeps, as the training alone reads them."""

    def __init__(
        self,
        channels: Count = 3,
        size: Count = 64,
        attributes: Sequence[str] = (),
        width: Count = 32,
        smallest: Count = 4,
        norm: Literal["spectral", "instance"] = "spectral",
    ) -> None:
        super().__init__()
        if not attributes:
            raise UserError(
                "attgan: expected the names of one or more attributes, found none; set "
                "generative.net.attributes"
            )
        self.channels, self.size, self.norm = channels, size, norm
        self.attribute_names = tuple(str(name) for name in attributes)
        halvings = _halvings(size, smallest)
        self.padded = -(-size // 2**halvings) * 2**halvings
        widths = [width * min(2**i, 8) for i in range(halvings)]
        side = self.padded // 2**halvings
        self.shape = (widths[-1], side, side)
        self.encoder = _encoder([channels, *widths])
        self.decoder = _Decoder(widths[::-1], channels, len(self.attribute_names))
        self.critic = _Critic([channels, *widths], side, len(self.attribute_names), norm)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Codes (B, Z) of images (B, C, H, W) in [0, 1]; the encoder does not look at attributes."""
        code: Tensor = self.encoder(self._inner(x))
        return code.flatten(1)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Images (B, C, H, W) in [0, 1] of codes (B, Z) under attributes (B, A) in [0, 1]."""
        if condition is None:
            raise UserError(
                "attgan decodes a code under attributes only; use it with explainer=gci or aip, others with "
                "generative=vae"
            )
        image: Tensor = self.decoder(z.unflatten(1, self.shape), condition - 0.5)
        return (image[..., : self.size, : self.size].tanh() + 1) / 2

    def attributes(self, x: Tensor) -> Tensor:
        """Attributes (B, A) in [0, 1] that the critic reads off images (B, C, H, W) in [0, 1]."""
        return self.critique(x)[1].sigmoid()

    def critique(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """How real the images look, unbounded (B,), and logits (B, A) of their attributes."""
        real, logits = self.critic(self._inner(x))
        return real, logits

    def _inner(self, x: Tensor) -> Tensor:
        if tuple(x.shape[1:]) != (self.channels, self.size, self.size):
            raise UserError(
                f"attgan: made for images of shape {(self.channels, self.size, self.size)} (channels, "
                "height, width), "
                f"found {tuple(x.shape[1:])}; train it on the classifier's data"
            )
        return F.pad(2 * x - 1, (0, self.padded - self.size) * 2, value=-1.0)


class _Decoder(nn.Module):
    """Doublings; the attributes are spread over the plane and joined before each."""

    def __init__(self, widths: Sequence[int], channels: Count, attributes: int) -> None:
        super().__init__()
        ends = [*widths[1:], widths[-1]]
        self.layers = nn.ModuleList(_up(a + attributes, b) for a, b in zip(widths, ends, strict=True))
        self.last = nn.Conv2d(ends[-1], channels, 3, padding=1)

    def forward(self, h: Tensor, attributes: Tensor) -> Tensor:
        for layer in self.layers:
            plane = attributes.to(h)[:, :, None, None].expand(-1, -1, *h.shape[2:])
            h = layer(torch.cat((h, plane), dim=1))
        image: Tensor = self.last(h)
        return image


class _Critic(nn.Module):
    """One trunk, two heads: real or made, and which attributes."""

    def __init__(self, widths: Sequence[int], side: Count, attributes: int, norm: str) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in pairwise(widths):
            conv = nn.Conv2d(a, b, 4, stride=2, padding=1)
            layers += (
                [spectral_norm(conv)] if norm == "spectral" else [conv, nn.InstanceNorm2d(b, affine=True)]
            )
            layers += [nn.LeakyReLU(0.2)]
        self.trunk = nn.Sequential(*layers, nn.Flatten())
        length = widths[-1] * side * side
        real = (nn.Linear(length, 256), nn.Linear(256, 1))
        self.real = (
            nn.Sequential(*_headed(*map(spectral_norm, real)))
            if norm == "spectral"
            else nn.Sequential(*_headed(*real))
        )
        self.read = nn.Sequential(*_headed(nn.Linear(length, 256), nn.Linear(256, attributes)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.trunk(x)
        return self.real(h)[:, 0], self.read(h)


def _headed(first: nn.Module, last: nn.Module) -> tuple[nn.Module, ...]:
    return first, nn.LeakyReLU(0.2), last


def _encoder(widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Conv2d(a, b, 4, stride=2, padding=1), nn.BatchNorm2d(b), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers)


def _up(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def _halvings(size: int, smallest: int) -> int:
    count = 0
    while -(-size // 2 ** (count + 1)) >= smallest:
        count += 1
    return max(count, 1)
