"""Distance of a counterfactual from the manifold, by the classifier itself."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from counterfoil.classifier.outlier import measure
from counterfoil.classifier.score import Score, default_score
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.metric.base import SampleMetric
from counterfoil.metric.network import Borrowed


class ManifoldScore(SampleMetric):
    """The classifier's own score of being off the manifold, larger the further off.

    s(x'), by default the best that the classifier carries: predicted error (DEP), distance to its kernels
    (DUQ), energy (any). Values of one classifier alone can be compared.

    Args:
        classifier: the model explained.
        score: the score; None: the best that the classifier carries.
    """

    name = "manifold_score"
    higher_is_better = False

    def __init__(self, classifier: Any, score: Score | None = None) -> None:
        super().__init__()
        self._classifier = Borrowed(classifier, self.name, "classifier")
        self.score_of = score or default_score(classifier)

    def score(self, cf: Counterfactuals) -> Tensor:
        return measure(self._classifier.net, cf.counterfactual, self.score_of).to(cf.counterfactual.device)
