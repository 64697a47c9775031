"""One evaluated point of a search."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
        progress: share of the steps done, in [0, 1], for schedules; (B,) float64 on the CPU where rows have
            done different numbers, see `scheduled`.
        features: the classifier's activations (B, ...) on the decoded input, of the layers that the objective
            reads.
    """

    variables: Variables
    decoded: Tensor
    logits: Tensor
    progress: float | Tensor
    features: Mapping[str, Tensor] = field(default_factory=dict)


def scheduled(schedule: Callable[[float], Sequence[float]], candidate: Candidate) -> list[float | Tensor]:
    """What a schedule gives at the candidate's progress: numbers, or tensors (B,) where it differs by row.

    A number that is 0 for every row stays one.
    """
    if not isinstance(candidate.progress, Tensor):
        return list(schedule(candidate.progress))
    rows = [schedule(progress) for progress in candidate.progress.tolist()]
    return [candidate.logits.new_tensor(column) if any(column) else 0.0 for column in zip(*rows, strict=True)]
