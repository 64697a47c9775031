"""The interface of a counterfactual method."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn

from counterfoil.core.counterfactuals import Counterfactuals


class Explains(Protocol):
    """Makes counterfactuals of images for a classifier; every `Explainer` does."""

    classifier: nn.Module
    """The model explained."""
    count: int
    """Counterfactuals per query: as many consecutive rows belong to one image."""

    def __call__(self, x: Tensor) -> Counterfactuals:
        """Graded counterfactuals of images (B, C, H, W) in [0, 1] for the runner-up: (B * count) rows."""
        ...

    def fit(self, data: Any) -> None:
        """Prepare what needs training data (an `ImageData`)."""
        ...

    def to(self, device: Any) -> Any:
        """The same method with its networks on another device."""
        ...
