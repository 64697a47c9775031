"""Several judges whose decisions are set by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.data.base import Images
from counterfoil.metric.evaluation import evaluate_metrics
from counterfoil.metric.judges import judges


class Says(nn.Module):
    """Decides for the class whose number a pixel holds."""

    def __init__(self, pixel: int) -> None:
        super().__init__()
        self.pixel = pixel

    def forward(self, x: Tensor) -> Tensor:
        return torch.nn.functional.one_hot((x.flatten(1)[:, self.pixel] * 2).round().long(), 3).float()


def real(*decisions: list[int]) -> Images:
    """Images of which the judges say what is given."""
    x = torch.zeros(len(decisions[0]), 1, 2, 2, dtype=torch.uint8)
    for pixel, classes in enumerate(decisions):
        x.flatten(1)[:, pixel] = 127 * torch.tensor(classes)
    return Images(x, torch.zeros(len(x), dtype=torch.int64))


class Data:
    queried = real([0, 1, 2, 1], [0, 1, 1, 1], [0, 0, 2, 1])


def told(make, *decisions: list[int]):
    cf = make(len(decisions[0]))
    image = cf.counterfactual.clone()
    for pixel, classes in enumerate(decisions):
        image.flatten(1)[:, pixel] = torch.tensor(classes) / 2
    return replace(cf, counterfactual=image, target=torch.ones(len(image), dtype=torch.int64))


def test_mean_and_least_of_known_decisions(make):
    cf = told(make, [1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 2, 1])
    found = evaluate_metrics(judges({"a": Says(0), "b": Says(1), "c": Says(2)}, Data), cf).summary
    assert found["judges_mean"].value == pytest.approx((3 + 2 + 1 + 1) / 12)
    assert found["judges_least"].value == pytest.approx(1 / 4)
    assert [found[f"judge_{name}"].value for name in "abc"] == [0.75, 0.25, 0.75]
    assert found["judge_a"].label == "Judge a"
    assert not found["judge_a"].main


def test_a_failed_row_convinces_nobody(make):
    cf = told(make, [1, 1], [1, 1])
    cf = replace(cf, failed=torch.tensor([True, False]))
    found = evaluate_metrics(judges({"a": Says(0), "b": Says(1)}, Data), cf).summary
    assert [found[name].value for name in ("judges_mean", "judges_least")] == [0.5, 0.5]


def test_one_judge_is_refused():
    with pytest.raises(UserError, match=r"needs two judges or more under metric\.judges\.judges, found 1"):
        judges({"a": Says(0)}, Data)


def test_a_judge_that_is_not_there_is_named():
    with pytest.raises(UserError, match=r"metric\.judges\.judges\.b"):
        judges({"a": Says(0), "b": None}, Data)


def test_how_often_the_judges_decide_alike_on_real_images():
    alike = judges({"a": Says(0), "b": Says(1), "c": Says(2)}, Data)["judges_alike"].figure()
    assert (alike.value, alike.n) == (0.5, 4)
    assert alike.low < 0.5 < alike.high
