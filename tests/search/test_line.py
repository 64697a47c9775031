"""Points of a line through a code, and the first that reaches the target."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.query import Query
from counterfoil.search.line import Line, uphill
from counterfoil.search.space import Latent


class Identity(nn.Module):
    """An image is its own code."""

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return x.flatten(1)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return z.unflatten(1, (1, 4, 4))


@pytest.fixture
def line(linear: Any) -> Line:
    """The classifier's margin is 10 (mean - 1/2); the line goes straight up from means of .2, .39 and .6."""
    rows = torch.stack((torch.zeros(16), torch.full((16,), 10 / 16))).double()
    classifier = linear(rows, torch.tensor([0.0, -5.0]))
    x = torch.tensor([0.2, 0.39, 0.6]).double().view(3, 1, 1, 1).expand(3, 1, 4, 4)
    query = Query(x, torch.ones(3, dtype=torch.int64), classifier, generator=Identity())
    return Line(query, Latent(), x.flatten(1), torch.ones(3, 16).double(), reach=0.25, points=5)


def test_marches_to_the_first_point_that_reaches_the_target(line: Line) -> None:
    shift, reached = line.march()
    assert reached.tolist() == [False, True, True]
    torch.testing.assert_close(shift, torch.tensor([0.25, 0.15, 0.0]).double())  # the likeliest where none
    assert line.calls.tolist() == [6, 4, 1]


def test_halvings_come_as_near_as_they_can(line: Line) -> None:
    shift = line.refine(*line.march(), line.hits, 10)
    assert shift[0] == 0.25
    assert 0 <= shift[1] - 0.11 <= 0.05 / 2**10
    assert shift[2] == 0


def test_uphill_is_the_direction_of_the_gradient(line: Line) -> None:
    torch.testing.assert_close(
        uphill(line.query, line.space, line.origin), torch.full((3, 16), 0.25, dtype=torch.float64)
    )
