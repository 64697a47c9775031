"""Distance of a counterfactual from the manifold, by the classifier itself."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from counterfoil.classifier.outlier import measure
from counterfoil.classifier.score import Score, default_score, network
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


class TargetKernel(SampleMetric):
    """How certain a classifier of kernels is of the target: how near x' lies to the centroid of that class.

    K_t(x') in [0, 1], unlike the confidence, which is the share of K_t among all kernels: that can be 1 far
    from every centroid. Not defined for other classifiers than DUQ.

    Args:
        classifier: the model explained.

    Source: Uncertainty Estimation Using a Single Deep Deterministic Neural Network (van Amersfoort et al.,
    2020), arXiv 2003.02037
    """

    name = "target_kernel"
    label = "K_t"
    minimum = 0.0
    maximum = 1.0
    higher_is_better = True

    def __init__(self, classifier: Any) -> None:
        super().__init__()
        self.kernels = bool(getattr(network(classifier), "kernel", False))

    def score(self, cf: Counterfactuals) -> Tensor:
        logits = cf.counterfactual_logits
        if not self.kernels:
            return torch.full_like(logits[:, 0], torch.nan)
        return logits.gather(1, cf.target[:, None])[:, 0].exp()
