from types import SimpleNamespace

import pytest
import torch
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.metric.judged_attribute import JudgedCausalScore, JudgedChange, judged_changes

DATA = SimpleNamespace(name="faces", attribute_names=("A", "B"), attribute="B")


class Judge(nn.Module):
    """Puts out the first and the second pixel."""

    def outputs(self, x):
        return x.flatten(1)[:, :2] * 8 - 4


def test_change_of_the_judges_probability(make):
    cf = make(5)
    before, after = (
        torch.sigmoid(8 * image.flatten(1)[:, :2] - 4) for image in (cf.factual, cf.counterfactual)
    )
    by_hand = (after - before).abs()
    torch.testing.assert_close(JudgedChange(Judge(), DATA, "B").score(cf), by_hand[:, 1])
    for causes, column in ((["A"], 0), ([None], 1)):
        score = JudgedCausalScore(Judge(), DATA, causes).score(cf)
        torch.testing.assert_close(score, by_hand[:, column] / by_hand.sum(1), equal_nan=True)
    assert list(judged_changes(Judge(), DATA)) == ["judged_change/A", "judged_change/B"]


def test_refuses():
    with pytest.raises(UserError, match="needs data with attributes"):
        judged_changes(Judge(), SimpleNamespace(name="digits", attribute_names=()))
    with pytest.raises(UserError, match="Hat is not in the data; known attributes: A, B"):
        JudgedCausalScore(Judge(), DATA, ["Hat"])
