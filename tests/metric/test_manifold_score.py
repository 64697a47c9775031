"""The score is the classifier's own."""

from __future__ import annotations

import torch

from counterfoil.classifier.score import DropoutEntropy
from counterfoil.metric.manifold_score import ManifoldScore


def test_a_plain_network_has_its_energy(make, parts):
    cf = make(5)
    energy = -parts.classifier(cf.counterfactual).logsumexp(1)
    torch.testing.assert_close(ManifoldScore(parts.classifier).score(cf), energy)


def test_another_score_may_be_named(make, parts):
    class Mean(DropoutEntropy):
        def layers(self, classifier):
            return ()

        def __call__(self, classifier, x, logits, features):
            return x.flatten(1).mean(1)

    cf = make(5)
    means = cf.counterfactual.flatten(1).mean(1)
    torch.testing.assert_close(ManifoldScore(parts.classifier, Mean()).score(cf), means)
