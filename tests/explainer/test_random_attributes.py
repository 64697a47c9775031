import torch
from torch import nn

from counterfoil.explainer.random_attributes import RandomAttributes


class Bits(nn.Module):
    """The picture is the attributes: three pixels."""

    attribute_names = ("A", "B", "C")

    def encode(self, x, condition=None):
        return x.flatten(1)

    def decode(self, z, condition=None):
        return condition.view(-1, 1, 1, 3)

    def attributes(self, x):
        return x.flatten(1)


def test_turns_as_few_as_it_must(linear):
    """Two of three pixels must be set: no counterfactual with one turned, and some with two."""
    classifier = linear([[0.0, 0, 0], [2, 2, 2]], [0.0, -3.0])
    x = torch.zeros(4, 1, 1, 3).double()
    cf = RandomAttributes(classifier, Bits(), tries=5)(x, 1)
    assert cf.valid.all()
    assert (cf.counterfactual.sum((1, 2, 3)) == 2).all()
    assert (cf.steps == 6).all()  # five orders with one turned, and the first with two
    assert torch.equal(torch.stack([cf.changes[n] for n in "ABC"], 1), cf.counterfactual.flatten(1))


def test_frozen_attributes_stay_and_failures_are_told(linear):
    classifier = linear([[0.0, 0, 0], [2, 2, 2]], [0.0, -3.0])
    cf = RandomAttributes(classifier, Bits(), frozen=["A", "B"])(torch.zeros(2, 1, 1, 3).double(), 1)
    assert not cf.valid.any()
    assert cf.counterfactual.flatten(1).tolist() == [[0, 0, 1]] * 2
