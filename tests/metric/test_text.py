"""Metrics of texts against what is counted by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.metric.text import EmbeddingDistance, LogPerplexity, Perplexity, TokenEdit
from counterfoil.testing.toys import counterfactuals


def texts(*rows: list[int]) -> Tensor:
    return torch.nn.functional.one_hot(torch.tensor(rows), 8)[:, None].float()


@pytest.fixture
def cf() -> Counterfactuals:
    factual = texts([2, 3, 4, 5, 0], [2, 3, 4, 0, 0], [2, 3, 0, 0, 0])
    made = texts([2, 3, 6, 5, 0], [7, 2, 3, 4, 0], [2, 3, 0, 0, 0])
    return replace(counterfactuals(3), factual=factual, counterfactual=made)


def test_a_swap_and_an_insertion_count_once(cf: Counterfactuals) -> None:
    assert TokenEdit().score(cf).tolist() == [0.25, 0.25, 0.0]


def test_a_text_without_a_token_is_as_far_as_the_other_is_long(cf: Counterfactuals) -> None:
    empty, full = texts([0, 0, 0]), texts([2, 3, 0])
    both = replace(
        counterfactuals(2), factual=torch.cat((empty, empty)), counterfactual=torch.cat((full, empty))
    )
    assert TokenEdit().score(both).tolist() == [1.0, 0.0]


class Reader(nn.Module):
    def embed(self, x: Tensor) -> Tensor:
        return x.sum(2)[:, 0]

    def log_likelihood(self, x: Tensor) -> Tensor:
        return -x.argmax(-1)[:, 0, 0].float()


def test_distances_in_an_embedding_and_perplexity(cf: Counterfactuals) -> None:
    found = EmbeddingDistance(Reader()).score(cf)
    assert found[2] == pytest.approx(0, abs=1e-6)
    assert 0 < found[0] < found.new_tensor(1)
    nats = LogPerplexity(Reader()).score(cf)
    assert nats.tolist() == [2, 7, 2]
    torch.testing.assert_close(Perplexity(Reader()).score(cf), nats.exp())
    assert float(Perplexity(Reader()).score(cf)[0]) == pytest.approx(math.e**2)
