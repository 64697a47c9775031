from __future__ import annotations

import torch
from torch import nn

from counterfoil.core.query import Query
from counterfoil.explainer.along import chosen


def query(confidence: float, repeat: list[int] | None = None) -> Query:
    rows = 4
    return Query(
        factual=torch.zeros(rows, 1, 2, 2),
        target=torch.ones(rows, dtype=torch.long),
        classifier=nn.Identity(),
        confidence=confidence,
        repeat=None if repeat is None else torch.tensor(repeat),
    )


# log-odds of the target along four strips
LOGITS = torch.tensor([[-2.0, 0.5, 3.0], [-1.0, -0.5, -3.0], [2.0, -1.0, 3.0], [-1.0, 4.0, -2.0]])
LOGITS = torch.stack((torch.zeros_like(LOGITS), LOGITS), dim=2)


def test_the_first_that_reaches_the_confidence_else_the_likeliest() -> None:
    assert chosen(query(0.5), LOGITS, "first").tolist() == [1, 1, 0, 1]
    assert chosen(query(0.9), LOGITS, "first").tolist() == [2, 1, 2, 1]


def test_the_kth_that_reaches_it_else_the_last_that_does() -> None:
    assert chosen(query(0.5, [1, 1, 1, 1]), LOGITS, "first").tolist() == [2, 1, 2, 1]


def test_or_the_end_of_the_strip() -> None:
    assert chosen(query(0.9), LOGITS, "last").tolist() == [2, 2, 2, 2]
