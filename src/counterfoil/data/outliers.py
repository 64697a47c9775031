"""What images of a data set may be confused with: noise, squares on them, shuffled pixels, another set."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from counterfoil.data.corruption import noise_like, paint_square, shuffle_pixels
from counterfoil.data.digits import Digits
from counterfoil.data.idx import FashionMnist

SIDE = 0.3
"""Side of the painted squares, as a share of the image's."""
PLACES = 4
"""Places drawn for a square, of which the one that changes the image most is taken: others hide nothing."""


def outliers(x: Tensor, name: str = "", seed: int = 0) -> dict[str, Tensor]:
    """Outliers (B, C, H, W) of images (B, C, H, W) in [0, 1], by kind.

    Args:
        x: the images.
        name: of their data set, which is not taken as the other set; "": unknown, so that no other set is.
        seed: of noise, places and orders.
    """
    generator = torch.Generator().manual_seed(seed)
    made = {
        "noise": noise_like(x, generator),
        "black_square": _hide(x, 0.0, generator),
        "white_square": _hide(x, 1.0, generator),
        "shuffled": shuffle_pixels(x, generator),
    }
    other = _other(x, name)
    return made if other is None else {**made, other[0]: other[1]}


def _hide(x: Tensor, value: float, generator: torch.Generator) -> Tensor:
    drawn = torch.stack([paint_square(x, SIDE, value, generator) for _ in range(PLACES)])
    place = (drawn - x).abs().flatten(2).sum(2).argmax(0)
    return drawn[place, torch.arange(len(x), device=x.device)]


def _other(x: Tensor, name: str) -> tuple[str, Tensor] | None:
    """Images of another set where one is at hand: the shipped digits, or for digits Fashion-MNIST."""
    data = FashionMnist() if name in ("mnist", "digits") else Digits()
    if not name or (isinstance(data, FashionMnist) and not data.at_hand()):
        return None
    taken = data.load().test.take(slice(0, len(x)))[:].x
    resized = F.interpolate(taken, x.shape[-2:], mode="bilinear", antialias=True)
    return data.name, resized.expand(-1, x.shape[1], -1, -1).to(x)
