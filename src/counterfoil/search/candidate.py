"""One evaluated point of a search."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

Variables = dict[str, Tensor]
"""What a search moves: tensors by name, each with a leading B."""


@dataclass(frozen=True)
class Moment:
    """How far a search is when it decodes a point.

    Attributes:
        step: steps done in this round; (B,) int64 on the CPU where rows have done different numbers.
        progress: share of the round's steps, in [0, 1]; (B,) float64 on the CPU likewise.
    """

    step: int | Tensor
    progress: float | Tensor

    def __getitem__(self, rows: Tensor) -> Moment:
        """The same of some rows (int64)."""
        step, progress = self.step, self.progress
        return Moment(
            step[rows.to(step.device)] if isinstance(step, Tensor) else step,
            progress[rows.to(progress.device)] if isinstance(progress, Tensor) else progress,
        )


END = Moment(0, 1.0)
"""Of a point that no search is at: all that is to be done is done."""


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
        gradable: (B,) bool, whether the decoded input may be a counterfactual; None: all may. A point on the
            way to one, such as a noisy image, only steers the search.
        siblings: (B, S) int64, rows of this batch that are the counterfactuals of the same query, each row
            itself among them; None where no term asks, see `Term.siblings`.
    """

    variables: Variables
    decoded: Tensor
    logits: Tensor
    progress: float | Tensor
    features: Mapping[str, Tensor] = field(default_factory=dict)
    gradable: Tensor | None = None
    siblings: Tensor | None = None


def scheduled(schedule: Callable[[float], Sequence[float]], candidate: Candidate) -> list[float | Tensor]:
    """What a schedule gives at the candidate's progress: numbers, or tensors (B,) where it differs by row.

    A number that is 0 for every row stays one.
    """
    if not isinstance(candidate.progress, Tensor):
        return list(schedule(candidate.progress))
    rows = [schedule(progress) for progress in candidate.progress.tolist()]
    return [candidate.logits.new_tensor(column) if any(column) else 0.0 for column in zip(*rows, strict=True)]
