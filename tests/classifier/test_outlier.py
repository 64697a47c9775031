"""How well a score tells outliers, against counted pairs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from counterfoil.classifier.base import Classifier
from counterfoil.classifier.cnn import CNN
from counterfoil.classifier.outlier import auroc, check_score, measure
from counterfoil.core.errors import CounterfoilWarning


class Brightness:
    """A score that takes bright images for outliers."""

    def layers(self, classifier: Any) -> tuple[str, ...]:
        return ()

    def __call__(self, classifier: Any, x: torch.Tensor, logits: torch.Tensor, features: Any) -> torch.Tensor:
        return x.flatten(1).mean(1)


@pytest.fixture
def classifier() -> Classifier:
    return Classifier(nn.Sequential(nn.Flatten(), nn.Linear(256, 3)))


def test_auroc_counts_pairs() -> None:
    """(1, 2) against (2, 3, 0): 2 > 1, 2 = 2, 3 > 1, 3 > 2 and 0 below both: (1 + 1/2 + 2 + 0) / 6."""
    assert auroc(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 3.0, 0.0])) == pytest.approx(3.5 / 6)
    assert auroc(torch.full((3,), -1e9), torch.full((4,), 1e9)) == 1
    assert auroc(torch.ones(5), torch.ones(2)) == 0.5


def test_a_score_is_measured_in_parts(classifier: Classifier) -> None:
    x = torch.rand(300, 1, 16, 16)
    torch.testing.assert_close(measure(classifier, x, Brightness()), x.flatten(1).mean(1))


def test_one_line_warns_of_the_kinds_that_are_missed(classifier: Classifier, toy: Any) -> None:
    with pytest.warns(CounterfoilWarning) as caught:
        found = check_score(classifier, toy.val[:].x, toy.outliers(toy.val[:].x), Brightness())
    told = str(caught[0].message)
    assert found["white_square"] > 0.85
    assert found["black_square"] < 0.5
    assert told.startswith("Brightness of Sequential")
    assert f"{found['black_square']:.2f} against black square" in told
    assert "white square" not in told
    assert told.endswith("choose another score, or leave its term out (lambda_2=0)")


@pytest.mark.parametrize("given", [False, True])
def test_another_classifier_is_advice_where_the_network_is_ours_and_trained_here(
    toy: Any, given: bool
) -> None:
    ours = Classifier(CNN(classes=3, width=4, stages=2))
    ours.given = given
    with pytest.warns(CounterfoilWarning) as caught:
        check_score(ours, toy.val[:].x, toy.outliers(toy.val[:].x), Brightness())
    assert ("classifier=duq" in str(caught[0].message)) is not given
