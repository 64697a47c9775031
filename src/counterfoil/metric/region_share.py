"""Where in the image the change lies."""

from __future__ import annotations

import torch
from torch import Tensor

from counterfoil.core.bounds import Share
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.metric.base import SampleMetric


class RegionShare(SampleMetric):
    """Share of the change that lies in a box of the image, such as the mouth's third of a face.

    sum over the box of |x' - x| / sum over the image of |x' - x|, in [0, 1]; not defined where nothing
    changes. A change that is the same everywhere has the box's share of the image.

    Args:
        top, bottom, left, right: edges of the box as shares of height and width; the box holds the pixels
            whose middle lies within.

    Raises:
        UserError: the box is empty.
    """

    name = "region_share"
    label = "Change in the region"
    unit = "%"
    minimum = 0.0
    maximum = 1.0

    def __init__(
        self, top: Share = 2 / 3, bottom: Share = 1.0, left: Share = 1 / 3, right: Share = 2 / 3
    ) -> None:
        super().__init__()
        for low, high, names in ((top, bottom, ("top", "bottom")), (left, right, ("left", "right"))):
            if low >= high:
                raise UserError(
                    f"metric.region_share.{names[0]}={low:g} is not below {names[1]}={high:g}; "
                    "the box is empty"
                )
        self.top, self.bottom, self.left, self.right = top, bottom, left, right

    def score(self, cf: Counterfactuals) -> Tensor:
        change = cf.delta.abs().sum(1)
        inside = _within(change.shape[1], self.top, self.bottom)[:, None]
        inside = (inside & _within(change.shape[2], self.left, self.right)).to(change.device)
        whole = change.flatten(1).sum(1)
        part = (change * inside).flatten(1).sum(1)
        return torch.where(whole > 0, part / whole, torch.nan)


def _within(size: int, low: float, high: float) -> Tensor:
    """Whether the middle of each of `size` pixels lies between two shares: bool (size,)."""
    middle = (torch.arange(size) + 0.5) / size
    return (middle >= low) & (middle < high)
