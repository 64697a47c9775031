"""A network from elsewhere that is shown images as it expects them: its channels, size and normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from counterfoil.classifier.base import per_channel
from counterfoil.core.bounds import Positive
from counterfoil.core.errors import UserError

Mean = float | Sequence[float]
Std = Positive | Sequence[Positive]


class Adapted(nn.Module):
    """A network with what its own files say about its inputs.

    f(x) = net((r(x) - mean) / std), r: a grey image in each of its channels, scaled to its size

    Args:
        net: maps normalised images (B, C', H', W') to outputs.
        shape: (C, S) of the images to explain: channels and side.
        what: where the network is from, for messages.
        channels: C'; None: as the images.
        size: (H', W'); None: whatever the images have.
        mean, std: normalisation, one number or one per channel.
        resize: whether images of another size are scaled inside the network, bilinearly and antialiased.

    Raises:
        UserError: images of colour for a grey network, of another size without `resize`, or another number
            of means than channels.
    """

    mean: Tensor
    std: Tensor
    normalises = True
    """That images in [0, 1] go in: a `Classifier` around it has neither mean nor std."""

    def __init__(
        self,
        net: nn.Module,
        shape: tuple[int, int],
        what: str,
        *,
        channels: int | None = None,
        size: tuple[int, int] | None = None,
        mean: Mean = 0.0,
        std: Std = 1.0,
        resize: bool = False,
    ) -> None:
        super().__init__()
        self.net = net
        self.channels = _channels(shape[0], channels, what)
        self.size = _size(shape[1], size, what, resize)
        self.register_buffer("mean", per_channel(mean), persistent=False)
        self.register_buffer("std", per_channel(std, "std"), persistent=False)
        for name in ("mean", "std"):
            numbers = len(getattr(self, name))
            if numbers not in (1, self.channels):
                raise UserError(
                    f"{what}: classifier.{name} has {numbers} numbers, the network {self.channels} "
                    "channel(s); give one number, or one per channel"
                )
        for fact in ("config", "pretrained_cfg", "num_classes"):  # where the names of its outputs stand
            if hasattr(net, fact):
                setattr(self, fact, getattr(net, fact))

    def forward(self, x: Tensor) -> Any:
        """The network's own outputs for images (B, C, S, S) in [0, 1]."""
        if x.shape[1] == 1:
            x = x.expand(-1, self.channels, -1, -1)
        if self.size is not None:
            x = F.interpolate(x, self.size, mode="bilinear", antialias=True)
        return self.net((x - self.mean) / self.std)


def _channels(given: int, wanted: int | None, what: str) -> int:
    if wanted is None or wanted == given or given == 1:
        return wanted or given
    raise UserError(f"{what} takes images of {wanted} channel(s), the data have {given}; set data.channels=")


def _size(side: int, wanted: tuple[int, int] | None, what: str, resize: bool) -> tuple[int, int] | None:
    """The size to scale to; None: not at all."""
    if wanted is None or wanted == (side, side):
        return None
    if resize:
        return wanted
    fix = f"set data.size={wanted[0]}, or " if wanted[0] == wanted[1] else ""
    raise UserError(
        f"{what} takes images of {wanted[0]} x {wanted[1]} px, the data have {side} x {side}; {fix}set "
        "classifier.net.resize=true, which scales them inside the network"
    )
