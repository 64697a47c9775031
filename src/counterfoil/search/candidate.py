"""One evaluated point of a search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

Variables = dict[str, Tensor]
"""What a search moves: tensors by name, each with a leading B."""


@dataclass(frozen=True)
class Candidate:
    """A batch of points with the classifier's outputs there.

    Attributes:
        variables: the point in its space.
        decoded: (B, C, H, W) the input it stands for.
        logits: (B, K) of the decoded input.
        progress: share of the steps done, in [0, 1], for schedules.
        features: the classifier's activations (B, ...) on the decoded input, of the layers that the objective
            reads.
    """

    variables: Variables
    decoded: Tensor
    logits: Tensor
    progress: float
    features: Mapping[str, Tensor] = field(default_factory=dict)
