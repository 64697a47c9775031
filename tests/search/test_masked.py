"""Which part of a code each counterfactual may move, of a linear model whose information is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.core.query import Query
from counterfoil.search import MaskedLatent
from counterfoil.search.masked import clusters, information, masks_of

WEIGHT = torch.tensor([[0.0, 0.0, 0.0, 0.0], [3.0, 0.1, -2.0, 0.5]], dtype=torch.float64)


class Plain(nn.Module):
    """The code is the image of 2 x 2 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones((), dtype=torch.float64))

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return x.flatten(1) * self.one

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return z.view(-1, 1, 2, 2) * self.one


@pytest.fixture
def query(linear: Any) -> Query:
    x = torch.rand(4, 1, 2, 2, generator=torch.Generator().manual_seed(0)).double()
    classifier = linear(WEIGHT)
    repeat = torch.tensor([0, 1, 0, 1])
    return Query(x, torch.ones(4, dtype=torch.int64), classifier, generator=Plain(), repeat=repeat)


def test_the_information_is_exact_over_classes(query: Query) -> None:
    """Of a logit s = w z it is p (1 - p) w w^T."""
    p = query.logits.softmax(1)[:, 1]
    wanted = (p * (1 - p)).mean() * torch.outer(WEIGHT[1], WEIGHT[1])
    torch.testing.assert_close(information(MaskedLatent(), query), wanted)


def test_chunks_block_the_most_influential_first() -> None:
    fisher = torch.diag(torch.tensor([0.1, 5.0, 1.0, 0.2], dtype=torch.float64))
    assert masks_of(fisher, 2, "chunk").tolist() == [[1, 0, 0, 1], [0, 1, 1, 0]]
    assert masks_of(fisher, 4, "chunk").tolist() == [[1, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 0], [0, 1, 1, 1]]


def test_clusters_are_coordinates_that_go_together() -> None:
    block = torch.ones(2, 2, dtype=torch.float64)
    fisher = torch.block_diag(block, 3 * block)[[0, 2, 1, 3]][:, [0, 2, 1, 3]]
    found = clusters(fisher, 2)
    assert found[0] == found[2] != found[1] == found[3]
    own, others = masks_of(fisher, 2, "spectral"), masks_of(fisher, 2, "spectral_inverse")
    assert torch.equal(own, 1 - others)
    assert own.sum(0).tolist() == [1, 1, 1, 1]


def test_what_is_blocked_stays(query: Query) -> None:
    class Train:
        def __len__(self) -> int:
            return 4

        def __getitem__(self, rows: Tensor) -> SimpleNamespace:
            return SimpleNamespace(x=query.factual[rows])

    space = MaskedLatent(2)
    space.fit(query.classifier, query.generator, SimpleNamespace(train=Train(), name="four"))
    variables = space.start(query)
    assert variables["mask"].tolist() == [[0, 1, 0, 1], [1, 0, 1, 0]] * 2
    z0 = query.factual.flatten(1)
    torch.testing.assert_close(variables["z"][::2], z0[::2])
    assert (variables["z"][1::2] != z0[1::2]).tolist() == [[True, False, True, False]] * 2
    moved = {**variables, "z": z0 + 1}
    torch.testing.assert_close(space.decode(query, moved).flatten(1), z0 + variables["mask"])
    torch.testing.assert_close(space.extra(moved)["z"], z0 + variables["mask"])
    space.project_(query, moved)
    torch.testing.assert_close(moved["z"], z0 + variables["mask"])


def test_one_alone_moves_everything_and_needs_no_data(query: Query) -> None:
    assert MaskedLatent(1).start(query)["mask"].all()
    assert MaskedLatent(2, "none").start(query)["mask"].all()


def test_what_is_lacking_is_told(query: Query) -> None:
    with pytest.raises(UserError, match="call fit"):
        MaskedLatent(2).start(query)
    with pytest.raises(UserError, match="needs training images"):
        MaskedLatent(2).fit(query.classifier, query.generator, SimpleNamespace(train=[], name="none"))
    with pytest.raises(UserError, match="count=5 counterfactuals need as many coordinates"):
        masks_of(torch.eye(4).double(), 5, "chunk")
