"""Training images looked up in the code of a generative model."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from counterfoil.search import neighbours
from counterfoil.search.neighbours import decided, distances
from counterfoil.testing import TinyClassifier


class Train:
    """Images as a data set gives them."""

    def __init__(self, x: torch.Tensor) -> None:
        self.x = x

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: range) -> SimpleNamespace:
        return SimpleNamespace(x=self.x[rows.start : rows.stop])


def test_the_first_images_in_order_with_the_decision_for_a_target(monkeypatch) -> None:
    monkeypatch.setattr(neighbours, "ROWS", 4)
    x = torch.rand(12, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    classifier = TinyClassifier()
    found = list(decided(classifier, None, SimpleNamespace(train=Train(x)), 10))
    assert [len(query) for query in found] == [4, 4, 2]
    assert torch.equal(torch.cat([query.factual for query in found]), x[:10])
    assert torch.equal(torch.cat([query.target for query in found]), classifier(x[:10]).argmax(1))


def test_distances_of_a_row_do_not_depend_on_the_others() -> None:
    one, other = (torch.randn(n, 3, 2, generator=torch.Generator().manual_seed(n)) for n in (40, 60))
    whole = distances(one, other)
    assert torch.equal(whole[:1], distances(one[:1], other))
    assert torch.allclose(whole[3, 5], (one[3] - other[5]).norm())
