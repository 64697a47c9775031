"""The score is the classifier's own."""

from __future__ import annotations

from dataclasses import replace

import torch

from counterfoil.classifier.duq import DUQ
from counterfoil.classifier.score import DropoutEntropy
from counterfoil.metric.manifold_score import ManifoldScore, TargetKernel


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


def test_the_kernel_of_the_target_is_no_share_of_kernels(make):
    """Far from all centroids the confidence is 1 and the kernel 0."""
    logits = torch.tensor([[-0.5, -3.0, -9.0], [-90.0, -60.0, -90.0]])
    cf = replace(make(2), counterfactual_logits=logits, target=torch.tensor([0, 1]))
    torch.testing.assert_close(TargetKernel(DUQ()).score(cf), logits.exp()[[0, 1], [0, 1]])
    assert cf.target_probability[1] > 0.999


def test_other_classifiers_have_no_kernels(make, parts):
    assert TargetKernel(parts.classifier).score(make(3)).isnan().all()
