"""Where a search that starts ahead begins, what it costs, and what it refuses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.core.query import Query
from counterfoil.search import Ahead, Latent, Toward


class Half(nn.Module):
    """The code is half of the image."""

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return x.flatten(1) / 2

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return 2 * z.view(-1, 1, 4, 4)


class Train:
    """Sixty images by their numbers, as a data set gives them."""

    x = torch.rand(60, 1, 4, 4, generator=torch.Generator().manual_seed(1)).double()

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: range) -> SimpleNamespace:
        return SimpleNamespace(x=self.x[rows.start : rows.stop])


DATA = SimpleNamespace(name="toy", train=Train())


@pytest.fixture
def query(linear: Any) -> Query:
    rows = torch.randn(3, 16, generator=torch.Generator().manual_seed(0)).double()
    classifier = linear(rows, -rows.sum(1) / 2)
    x = torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(2)).double()
    target = (classifier(x).argmax(1) + 1) % 3
    return Query(x, target, classifier, generator=Half(), confidence=0.5)


@pytest.mark.parametrize("toward", ["gradient", "neighbour"])
def test_starts_where_the_target_is_reached_or_at_the_factual(query: Query, toward: Toward) -> None:
    space = Ahead(toward, points=16, bisections=4)
    space.fit(query.classifier, query.generator, DATA)
    origin, ahead = Latent().start(query)["z"], space.start(query)["z"]
    with torch.no_grad():
        reached = query.reached(query.classifier(space.decode(query, {"z": ahead})))
    moved = (ahead != origin).any(1)
    assert torch.equal(moved & reached, moved)
    assert moved.any()


def test_each_row_starts_where_it_does_alone(query: Query) -> None:
    space = Ahead("neighbour")
    space.fit(query.classifier, query.generator, DATA)
    alone = torch.cat([space.start(query[torch.tensor([row])])["z"] for row in range(len(query))])
    assert torch.equal(space.start(query)["z"], alone)


def test_the_neighbour_is_the_nearest_code_that_reaches_the_target(query: Query) -> None:
    """With one point and no halving the search starts at the neighbour itself."""
    space = Ahead("neighbour", points=1, bisections=0)
    space.fit(query.classifier, query.generator, DATA)
    with torch.no_grad():
        codes = query.generator.encode(Train.x)
        found = query.classifier(query.generator.decode(codes)).softmax(1)
    origin, start = Latent().start(query)["z"], space.start(query)["z"]
    for row, target in enumerate(query.target.tolist()):
        sure = (found.argmax(1) == target) & (found[:, target] >= query.confidence)
        if sure.any():
            near = codes[sure][(codes[sure] - origin[row]).norm(dim=1).argmin()]
            assert torch.equal(start[row], near) or torch.equal(start[row], origin[row])


def test_a_later_rank_is_the_next_nearest_code(query: Query) -> None:
    origin = Latent().start(query)["z"]

    def distance(rank: int) -> Tensor:
        space = Ahead("neighbour", points=1, bisections=0, rank=rank)
        space.fit(query.classifier, query.generator, DATA)
        return (space.start(query)["z"] - origin).norm(dim=1)

    near, next_, far = map(distance, (0, 1, 1000))
    moved = (near > 0) & (next_ > 0) & (far > 0)
    assert moved.any()
    assert (near[moved] < next_[moved]).all()
    assert (next_[moved] <= far[moved]).all()


def test_every_point_is_charged(query: Query) -> None:
    """A gradient; the points up to the first that reaches the target, the factual's among them; halvings."""
    space = Ahead("gradient", points=4, bisections=3)
    space.prepare(query)
    spent = space.spent(query)
    assert isinstance(spent, Tensor)
    moved = (space.start(query)["z"] != Latent().start(query)["z"]).any(1)
    assert (spent[~moved] == 1 + 5).all()
    assert (spent[moved] >= 1 + 2 + 3).all()
    assert (spent <= 1 + 5 + 3).all()


def test_a_further_counterfactual_starts_elsewhere(query: Query) -> None:
    again = Query(
        query.factual,
        query.target,
        query.classifier,
        generator=query.generator,
        confidence=0.5,
        repeat=torch.arange(len(query)) % 2,
    )
    space = Ahead("gradient")
    start, first = space.start(again)["z"], Ahead("gradient", spread=0.0).start(again)["z"]
    assert torch.equal(start[::2], first[::2])
    assert (start[1::2] != first[1::2]).all()


def test_neighbours_need_training_images(query: Query) -> None:
    with pytest.raises(UserError, match=r"start=neighbour has no neighbours; call fit\(data\)"):
        Ahead("neighbour").start(query)
    data = SimpleNamespace(name="folder", train=[])
    with pytest.raises(UserError, match="start=neighbour needs training images, data=folder has none"):
        Ahead("neighbour").fit(query.classifier, query.generator, data)
