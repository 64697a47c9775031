from __future__ import annotations

import copy

import torch
from torch import nn

from counterfoil.classifier.base import Classifier
from counterfoil.core.decision import Attribute
from counterfoil.util.fingerprint import fingerprint


def test_same_for_a_copy_and_in_float64_other_for_other_weights() -> None:
    torch.manual_seed(0)
    model = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)))
    other = copy.deepcopy(model)
    assert fingerprint(model) == fingerprint(other.double())
    with torch.no_grad():
        other.net[1].weight[0, 0] += 1e-3
    assert fingerprint(model) != fingerprint(other)


def test_tells_decisions_on_the_same_network_apart() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    assert fingerprint(Classifier(net, decision=Attribute("a", 0))) != fingerprint(
        Classifier(net, decision=Attribute("b", 1))
    )
