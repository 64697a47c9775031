"""Thickness, slant and width of the strokes of a digit, and whether a counterfactual keeps them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.metric.base import SampleMetric
from counterfoil.metric.network import Borrowed, over

EDGES = 0.02, 0.98
"""Shares of the ink between which the width of a digit is measured."""


def thickness(x: Tensor) -> Tensor:
    """Mean thickness of the strokes of images (B, 1, H, W) of bright ink in [0, 1]: (B,), in pixels.

    2 sum x / sum |grad x|: the area of a stroke by its length, its outline being twice as long. NaN where
    there is no ink.

    Departures: the source averages a distance transform over the skeleton of the binary image.
    Source: Morpho-MNIST (Castro et al., 2019), arXiv 1809.10780
    """
    padded = torch.nn.functional.pad(x[:, 0], (1, 1, 1, 1))
    down = padded[:, 1:, :-1] - padded[:, :-1, :-1]
    right = padded[:, :-1, 1:] - padded[:, :-1, :-1]
    outline = (down.square() + right.square()).sqrt().flatten(1).sum(1)
    return torch.where(outline > 0, 2 * x.flatten(1).sum(1) / outline, torch.nan)


def slant(x: Tensor) -> Tensor:
    """How far the ink of images (B, 1, H, W) leans to the right, as a shear: (B,); 1 is 45 degrees.

    -m_xy / m_yy with the ink's central moments. NaN where all ink is on one line, or there is none.

    Source: Morpho-MNIST (Castro et al., 2019), arXiv 1809.10780
    """
    across, down, ink = _placed(x)
    spread = (ink * down.square()).sum(1)
    return torch.where(spread > 0, -(ink * across * down).sum(1) / spread, torch.nan)


def width(x: Tensor) -> Tensor:
    """Width of the ink of images (B, 1, H, W) once its slant is undone: (B,), in pixels.

    Distance of the 2 % and the 98 % quantile of the ink along the sheared x axis. NaN where slant has none.

    Departures: the source bounds a parallelogram of the binary image.
    Source: Morpho-MNIST (Castro et al., 2019), arXiv 1809.10780
    """
    across, down, ink = _placed(x)
    upright = across + slant(x)[:, None] * down
    order = upright.argsort(dim=1, stable=True)
    share = ink.gather(1, order).cumsum(1)
    sorted_ = upright.gather(1, order)
    ends = [
        sorted_.gather(1, (share < edge).sum(1, keepdim=True).clamp(max=x[0].numel() - 1)) for edge in EDGES
    ]
    return (ends[1] - ends[0])[:, 0]


def _placed(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x and y of each pixel from the centre of the ink, and its share of the ink, each (B, H W)."""
    rows, columns = torch.meshgrid(*(torch.arange(n).to(x) for n in x.shape[2:]), indexing="ij")
    total = x.flatten(1).sum(1, keepdim=True)
    ink = x.flatten(1) / torch.where(total > 0, total, torch.nan)
    across, down = (
        place.flatten() - (ink * place.flatten()).sum(1, keepdim=True) for place in (columns, rows)
    )
    return across, down, ink


STROKES: Mapping[str, Callable[[Tensor], Tensor]] = {"thickness": thickness, "slant": slant, "width": width}
"""What is measured, by name."""


class StrokeChange(SampleMetric):
    """Change of one property of the strokes, in standard deviations of the data.

    |s(x') - s(x)| / sd(s), in [0, inf); sd over the real images. Not defined where an image has no ink.

    Args:
        stroke: "thickness", "slant" or "width"; see the function of this name.
        reference: a data module of images with one channel; `queried` is the real images.

    Raises:
        UserError: images of several channels.
    Source: ours, on measures of Morpho-MNIST (Castro et al., 2019), arXiv 1809.10780
    """

    name = "stroke_change"
    minimum = 0.0
    higher_is_better = False
    also_valid = True

    def __init__(self, stroke: str, reference: Any) -> None:
        super().__init__()
        self.__dict__["label"] = f"{stroke.capitalize()} change"
        self.stroke = stroke
        self._reference = Borrowed(reference, "strokes", "data")
        self._deviation: float | None = None

    def score(self, cf: Counterfactuals) -> Tensor:
        if cf.factual.shape[1] != 1:
            raise UserError(
                f"metric=strokes measures digits of one channel, found {cf.factual.shape[1]}; leave it out"
            )
        measure = STROKES[self.stroke]
        if self._deviation is None:
            real = over(self._reference.net.queried, measure).double()
            self._deviation = float(real[real.isfinite()].std())
        return (measure(cf.counterfactual) - measure(cf.factual)).abs() / self._deviation


def stroke_changes(reference: Any) -> Mapping[str, StrokeChange]:
    """A `StrokeChange` for each property of the strokes, by the name it is reported as."""
    return {f"{name}_change": StrokeChange(name, reference) for name in STROKES}
