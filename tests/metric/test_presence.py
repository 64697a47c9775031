"""Realism of counterfactuals in which the target is present, absent, or either."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.classifier.base import Classifier
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.data.base import Images
from counterfoil.generative.exaggeration.network import Exaggerator
from counterfoil.metric.presence import AbsentFID, OverallFID, PresentFID, Within


class Pixels(nn.Module):
    def embed(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :2]


def test_present_and_absent_compare_like_with_like(classifier: Classifier, generator: Exaggerator) -> None:
    draw = torch.Generator().manual_seed(0)
    dark, bright = (torch.rand(60, 1, 8, 8, generator=draw) * 0.2 + level for level in (0.0, 0.8))
    both = torch.cat((dark, bright))
    images = Images((both * 255).round().to(torch.uint8), torch.zeros(120, dtype=torch.long))
    exact = images[slice(0, 120)].x
    zeros = torch.zeros(120)
    logits = classifier(exact)
    cf = Counterfactuals(
        exact.flip(0),
        exact,
        logits.argmax(1),
        logits.flip(0),
        logits,
        torch.arange(120),
        zeros,
        zeros,
        zeros,
        zeros,
    )
    data = SimpleNamespace(queried=images)
    for kind, number in ((PresentFID, 60), (AbsentFID, 60), (OverallFID, 120)):
        metric = kind(Pixels(), data, classifier, generator)
        metric.update(cf)
        assert int(metric.usable.sum()) == number
        assert float(metric.compute()) == pytest.approx(0, abs=1e-8)
    invalid = PresentFID(Pixels(), data, classifier, generator)
    invalid.update(replace(cf, target=1 - cf.target))
    assert int(invalid.usable.sum()) == 0


def test_groups_are_those_of_their_bounds(
    classifier: Classifier, generator: Exaggerator, strips: Counterfactuals
) -> None:
    s = torch.logit(torch.tensor([0.05, 0.11, 0.5, 0.89, 0.91, 0.99]))
    logits = torch.stack((torch.zeros(6), s), dim=1)
    cf = replace(strips, counterfactual_logits=logits, target=logits.argmax(1))
    groups = [
        Within(classifier, generator, "m", **bounds)
        for bounds in ({}, *(metric.bounds for metric in (PresentFID, AbsentFID)))
    ]
    assert [group.rows(cf).nonzero()[:, 0].tolist() for group in groups] == [[0, 1, 2, 3, 4, 5], [4, 5], [0]]
    assert not groups[0].rows(replace(cf, target=1 - cf.target)).any(), (
        "a counterfactual that is not valid belongs to no group"
    )


@pytest.mark.parametrize("generator", [None, nn.Identity()])
def test_a_generator_without_a_target_is_refused(classifier: Classifier, generator: Any) -> None:
    with pytest.raises(UserError, match="explainer=progressive"):
        Within(classifier, generator, "m")
