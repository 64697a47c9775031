"""Kinds of change that lie nowhere in particular: colour, brightness, and all that is left, shape."""

from __future__ import annotations

from torch import Tensor

ASPECTS = ("colour", "brightness", "shape")


def aspects(channels: int) -> tuple[str, ...]:
    """Those that images with so many channels have."""
    return ASPECTS if channels == 3 else ASPECTS[1:]


def only(aspect: str, x: Tensor, other: Tensor) -> Tensor:
    """Images x with one aspect of others, (B, C, H, W) in [0, 1].

    colour: x + l (c' / m' - c / m),  l the mean over channels, c the mean over pixels of x - l, m that of l:
    every pixel takes the tint as far as it is bright. brightness: x + m' - m. shape: the other with colour
    and brightness of x.
    """
    if aspect == "colour":
        return (x + _light(x) * (_tint(other) - _tint(x))).clamp(0, 1)
    if aspect == "brightness":
        return (x + _light(other).mean((2, 3), keepdim=True) - _light(x).mean((2, 3), keepdim=True)).clamp(
            0, 1
        )
    level = only("brightness", other, x)
    return only("colour", level, x) if x.shape[1] == 3 else level


def _light(x: Tensor) -> Tensor:
    return x.mean(1, keepdim=True)


def _tint(x: Tensor) -> Tensor:
    """The mean colour beside grey (B, C, 1, 1), for a brightness of 1."""
    light = _light(x)
    return (x - light).mean((2, 3), keepdim=True) / light.mean((2, 3), keepdim=True).clamp(min=1e-3)
