"""One evaluated point of a search."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

Variables = dict[str, Tensor]
"""What a search moves: tensors by name, each with a leading B."""


@dataclass(frozen=True)
class Candidate:
    """A batch of points with what the classifier says of them.

    Attributes:
        variables: the point in its space.
        decoded: (B, C, H, W) the input it stands for.
        logits: (B, K) of the decoded input.
        progress: share of the steps done, in [0, 1], for schedules.
    """

    variables: Variables
    decoded: Tensor
    logits: Tensor
    progress: float
