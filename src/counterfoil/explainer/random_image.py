"""Any training example of the target class: the reference of a comparison that asks only for realism."""

from __future__ import annotations

from torch import Tensor, nn

from counterfoil.core.bounds import Count, Probability
from counterfoil.core.query import Query
from counterfoil.explainer.nearest import Nearest


class RandomImage(Nearest):
    """A training example drawn from those that the classifier gives the target with the requested confidence.

    x' ~ U{x_i in train: f_t(x_i) >= confidence, argmax f(x_i) = t}

    The draw follows from the factual's pixels and the target alone.

    Args:
        pool: see `Nearest`.
        confidence: see `Nearest`.
        count: each counterfactual is another draw.

    Source of its use as a reference: ours.
    """

    def __init__(
        self,
        classifier: nn.Module,
        *,
        pool: Count | None = 20_000,
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        super().__init__(classifier, pool=pool, confidence=confidence, count=count)

    def _nearest(self, query: Query, examples: Tensor) -> Tensor:
        """The place of one of the examples for each row."""
        place = (query.rand(1, stream=3)[:, 0] * len(examples)).long().clamp(max=len(examples) - 1)
        return examples[place.cpu()]
