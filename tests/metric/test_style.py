"""Similarity of style by embeddings set by hand, and what makes it doubtful."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.data.base import Images
from counterfoil.metric.evaluation import evaluate_metrics
from counterfoil.metric.style import styles


class Ink(nn.Module):
    """Embeds an image by how its ink is shared among the classes of its pixels."""

    def __init__(self, blind: bool = False) -> None:
        super().__init__()
        self.blind = blind

    def forward(self, x: Tensor) -> Tensor:
        e = x.flatten(2).sum(2).new_ones(len(x), 2) if self.blind else x.flatten(1).sort(dim=1).values
        return nn.functional.normalize(e - (0 if self.blind else e.mean(1, keepdim=True)), dim=1)


@pytest.fixture
def data() -> Any:
    """Images of dark ground with a few bright pixels of their own number and brightness."""
    draw = torch.Generator().manual_seed(0)
    images = torch.zeros(64, 1, 16, 16, dtype=torch.uint8)
    for i, image in enumerate(images):
        image[:, 7:9, 7:9] = torch.randint(60, 255, (1, 2, 2), generator=draw).to(torch.uint8)
        image[:, 6, 6 : 6 + i % 4] = 40 + 3 * i
    return SimpleNamespace(queried=Images(images, torch.zeros(64)))


def test_the_query_itself_has_the_style_of_the_query(make, data):
    cf = make(6)
    same = replace(cf, counterfactual=cf.factual)
    found = evaluate_metrics(styles(Ink(), data), same).summary
    assert found["style_similarity"].value == pytest.approx(1.0)
    other = evaluate_metrics(styles(Ink(), data), cf).summary["style_similarity"]
    assert other.value < 1.0
    assert other.n == 6


def test_an_embedding_that_tells_no_images_apart_is_doubted(make, data):
    blind = evaluate_metrics(styles(Ink(blind=True), data), make(6)).summary
    assert blind["style_retrieval"].value == pytest.approx(1 / 64)
    assert "finds 2 % of second views, expected 80 % or more" in blind["style_similarity"].doubt
