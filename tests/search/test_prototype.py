"""Prototypes of classes in a code that is the image itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.core.query import Query
from counterfoil.search import Candidate, Guided, Prototype


class Same(nn.Module):
    """Encodes an image of two pixels as these."""

    def encode(self, x: Tensor, condition: Any = None) -> Tensor:
        return x.flatten(1)


class Few:
    def __init__(self, x: Tensor) -> None:
        self.x = x

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: range) -> SimpleNamespace:
        return SimpleNamespace(x=self.x[list(rows)])


def pixels(*rows: tuple[float, float]) -> Tensor:
    return torch.tensor(rows).view(-1, 1, 1, 2)


def test_a_prototype_is_the_mean_of_the_nearest_codes_of_the_target() -> None:
    classifier = nn.Flatten()  # decides for the brighter of two pixels
    space = Guided(nearest=2)
    train = Few(pixels((0.0, 0.4), (0.2, 0.6), (0.0, 1.0), (0.9, 0.0)))
    space.fit(classifier, Same(), SimpleNamespace(name="few", train=train))
    query = Query(pixels((0.3, 0.2), (0.1, 0.2)), torch.tensor([1, 0]), classifier, generator=Same())
    space.prepare(query)
    expected = torch.tensor([[0.1, 0.5], [0.9, 0.0]])
    torch.testing.assert_close(query.remembered["prototype"], expected)
    value = Prototype()(query, Candidate({}, query.factual, query.logits, 0.0))
    torch.testing.assert_close(value, (query.factual.flatten(1) - expected).square().sum(1))


def test_without_images_it_says_what_to_do() -> None:
    query = Query(pixels((0.3, 0.2)), torch.tensor([1]), nn.Flatten(), generator=Same())
    with pytest.raises(UserError, match="call fit"):
        Guided().prepare(query)
    with pytest.raises(UserError, match="needs training images"):
        Guided().fit(nn.Flatten(), Same(), SimpleNamespace(name="none", train=Few(pixels((0.3, 0.2))[:0])))
