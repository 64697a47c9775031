"""Deep inversion from the query: the statistics of the batch norms."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from counterfoil.classifier.base import Classifier
from counterfoil.classifier.cnn import CNN
from counterfoil.core.errors import CounterfoilWarning
from counterfoil.explainer.deep_inversion import DeepInversion
from counterfoil.search import (
    BatchStatistics,
    Candidate,
)


@pytest.fixture
def x(toy: Any) -> torch.Tensor:
    pixels: torch.Tensor = toy.test[range(3)].x.double()
    return pixels


def test_deep_inversion_reads_every_batch_norm_and_says_where_there_is_none(
    tiny_classifier: nn.Module, x: torch.Tensor, recwarn: pytest.WarningsRecorder
) -> None:
    torch.manual_seed(0)
    classifier = Classifier(CNN(width=4, classes=3, stages=2).double())
    method = DeepInversion(classifier, steps=5)
    statistics = method.objective.terms["statistics"]
    assert isinstance(statistics, BatchStatistics)
    assert statistics.layers(classifier) == tuple(f"blocks.{i}.{k}:input" for i in (0, 1) for k in (1, 4))
    assert not [warning for warning in recwarn if warning.category is CounterfoilWarning]
    assert len(method(x)) == 3
    with pytest.warns(CounterfoilWarning, match="no batch norm"):
        DeepInversion(tiny_classifier)


def test_statistics_pull_towards_those_of_the_training_images(x: torch.Tensor) -> None:
    torch.manual_seed(0)
    classifier = Classifier(CNN(width=4, classes=3, stages=2).double())
    with_them, without = (
        DeepInversion(
            classifier,
            bn=bn,
            confidence=1.0,
            steps=40,
            rounds=1,
            tv=0.0,
            l2=0.0,
            scale=0.0,
            lr=0.02,
            patience=None,
        )
        for bn in (10.0, 0.0)
    )
    distances = []
    for method in (with_them, without):
        query = x[:2]
        counterfactual = method(query, 1).counterfactual
        term = method.objective.terms["statistics"]
        logits, features = classifier.read(counterfactual, term.layers(classifier))
        distances.append(
            float(term(query_of(classifier), Candidate({}, counterfactual, logits, 1.0, features)).sum())
        )
    assert distances[0] < distances[1]


def query_of(classifier: nn.Module) -> Any:
    from counterfoil.core.query import Query

    return Query(torch.zeros(2, 1, 16, 16).double(), torch.zeros(2).long(), classifier)
