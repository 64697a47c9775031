from types import SimpleNamespace

import pytest
import torch
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.metric.judged_attribute import JudgedCausalScore, JudgedChange, judged_changes

DATA = SimpleNamespace(name="faces", attribute_names=("A", "B"))


class Reader(nn.Module):
    """Logits: the first and the second pixel."""

    def forward(self, x):
        return x.flatten(1)[:, :2] * 8 - 4


def test_change_of_the_readers_probability(make):
    cf = make(5)
    pixels = [image.flatten(1)[:, :2] for image in (cf.factual, cf.counterfactual)]
    by_hand = (torch.sigmoid(8 * pixels[1] - 4) - torch.sigmoid(8 * pixels[0] - 4)).abs()
    torch.testing.assert_close(JudgedChange(Reader(), 1).score(cf), by_hand[:, 1])
    torch.testing.assert_close(JudgedCausalScore(Reader(), DATA, ["A"]).score(cf), by_hand[:, 0] / by_hand.sum(1), equal_nan=True)
    assert [(name, metric.attribute) for name, metric in judged_changes(Reader(), DATA).items()] == [("judged_change/A", 0), ("judged_change/B", 1)]


def test_refuses():
    with pytest.raises(UserError, match="needs data with attributes, data=digits has none"):
        judged_changes(Reader(), SimpleNamespace(name="digits", attribute_names=()))
    with pytest.raises(UserError, match="causes: Hat; expected some of: A, B"):
        JudgedCausalScore(Reader(), DATA, ["Hat"])
