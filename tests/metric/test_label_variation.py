import pytest
import torch
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.metric.label_variation import LabelVariation, label_variations


class Brightness(nn.Module):
    """Attribute A adds a third to every pixel, attribute B does nothing; neither is there."""

    attribute_names = ("A", "B")

    def encode(self, x, condition=None):
        return x.flatten(1)

    def decode(self, z, condition=None):
        return z.view(-1, 2, 4, 5) + condition[:, 0].view(-1, 1, 1, 1) / 3

    def attributes(self, x):
        return torch.zeros(len(x), 2)


def test_turns_one_attribute_at_a_time(make, parts):
    cf = make(4)
    f = parts.classifier
    by_hand = (
        (f(cf.factual + 1 / 3).softmax(1) - f(cf.factual).softmax(1))
        .gather(1, cf.target[:, None])[:, 0]
        .abs()
    )
    torch.testing.assert_close(LabelVariation(f, Brightness(), 0).score(cf), by_hand)
    assert torch.equal(LabelVariation(f, Brightness(), 1).score(cf), torch.zeros(4))
    assert list(label_variations(f, Brightness())) == ["label_variation/A", "label_variation/B"]


def test_refuses_a_generator_without_attributes(parts):
    with pytest.raises(UserError, match="needs a generator with attributes"):
        label_variations(parts.classifier, nn.Identity())
