from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.classifier.retraining import Retraining, new_labels
from counterfoil.core.counterfactuals import Counterfactuals, Found
from counterfoil.core.errors import UserError
from counterfoil.core.query import Query
from counterfoil.data.base import ImageData, Images, Splits, bind
from counterfoil.explainer.base import Explainer

NAMES = ("Dark", "Tall")


class Pair(ImageData):
    """Black and white squares: class 1 is white; Tall is a coin's toss."""

    name = "pair"

    def load(self) -> Splits:
        def part(n: int, seed: int) -> Images:
            tall = torch.randint(0, 2, (n,), generator=torch.Generator().manual_seed(seed))
            white = torch.arange(n) % 2
            pixels = (white * 200 + 20).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 4, 4).clone()
            return Images(pixels, white, torch.stack((1 - white, tall), dim=1).to(torch.uint8))

        return Splits(part(40, 0), part(10, 1), ("black", "white"), part(10, 2), NAMES)


class Brightness(nn.Module):
    """Logits (-s, s) with s = mean - 1/2, and as a network that learns nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(4.0))

    def forward(self, x: Tensor) -> Tensor:
        s = self.scale * (x.flatten(1).mean(1) - 0.5)
        return torch.stack((-s, s), dim=1)


class Inverts(Explainer):
    """Counterfactuals with the negative of the bright images; the dark ones stay, which is not valid."""

    def explain(self, query: Query) -> Found:
        bright = query.factual.flatten(1).mean(1) > 0.5
        image = torch.where(bright.view(-1, 1, 1, 1), 1 - query.factual, query.factual)
        ones = torch.ones_like(query.target)
        return Found(
            image,
            ones,
            ones,
            changes={"Dark": bright.float(), "Tall": 0.2 * ones.float()},
        )


@pytest.fixture
def pair() -> Pair:
    return Pair(batch_size=8)


@pytest.fixture
def retraining() -> Callable[..., Retraining]:
    return lambda **options: Retraining(Brightness(), explainer=Inverts(Brightness()), **options)


@pytest.mark.parametrize(("label", "expected"), [("kept", 1), ("target", 0)])
def test_valid_counterfactuals_alone_join_the_training_images(
    pair: Pair, retraining: Callable[..., Retraining], label: str, expected: int
) -> None:
    """Half of the 40 images are bright; their negatives have pixel 255 - 220 = 35."""
    data = retraining(label=label, queries=40).prepare(pair)
    assert len(data.train) == 60
    added = data.train[40:]
    assert set((added.x * 255).round().unique().tolist()) == {35.0}
    assert added.y.tolist() == [expected] * 20
    assert len(pair.train) == 40
    assert len(data.test) == 10


def test_only_as_many_images_are_explained_as_given_and_the_manifest_counts_them(
    pair: Pair, retraining: Callable[..., Retraining]
) -> None:
    module = retraining(label="kept", queries=10)
    assert len(module.prepare(pair).train) == 45
    assert module.added == 5


def test_real_images_in_place_of_counterfactuals(
    pair: Pair, retraining: Callable[..., Retraining], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as given, classes in proportion, under their own labels; nothing is explained."""
    monkeypatch.setattr(Inverts, "explain", lambda *_: pytest.fail("explained"))
    module = retraining(queries=10, real=Pair(batch_size=8))
    data = module.prepare(pair)
    assert len(data.train) == 50
    assert module.added == 10
    added = data.train[40:]
    assert added.y.tolist().count(1) == 5
    assert torch.equal(added.y, (added.x.flatten(1).mean(1) > 0.5).long())
    assert data.train.attributes is not None
    assert len(pair.train) == 40


def _counterfactuals(change: dict[str, list[float]]) -> Counterfactuals:
    n = len(next(iter(change.values())))
    x, zeros = torch.zeros(n, 1, 4, 4), torch.zeros(n)
    changes = {name: torch.tensor(values) for name, values in change.items()}
    return Counterfactuals(
        x,
        x,
        zeros.long(),
        torch.zeros(n, 2),
        torch.zeros(n, 2),
        zeros.long(),
        zeros,
        zeros,
        zeros,
        zeros,
        changes=changes,
    )


@pytest.mark.parametrize(
    ("attribute", "change", "expected"),
    [
        ("Dark", {"Dark": [0.4, 0.6, -0.4, -0.6]}, [0, 1, 1, 0]),
        ("Dark", {"Tall": [1.0, 1.0, 1.0, 1.0]}, [0, 0, 1, 1]),
        ("Dark", {"Dark": [0.0] * 4}, [0, 0, 1, 1]),
        ("Dark+Tall", {"Dark": [1.0, 1.0, 0.0, 0.0], "Tall": [0.0, 1.0, 0.0, 1.0]}, [0, 1, 1, 1]),
    ],
)
def test_labels_say_what_the_edited_attributes_spell(
    attribute: str, change: dict[str, list[float]], expected: list[int]
) -> None:
    """Truth: not Dark, not Dark, Dark, Dark; Tall in the third."""
    attributes = torch.tensor([[0, 0], [0, 0], [1, 1], [1, 0]], dtype=torch.uint8)
    data: Any = type("Data", (), {"attribute": attribute, "attribute_names": NAMES, "name": "pair"})()
    queries = Images(torch.zeros(4, 1, 4, 4, dtype=torch.uint8), torch.zeros(4), attributes)
    assert new_labels("attributes", _counterfactuals(change), queries, data).tolist() == expected


def test_labels_by_attributes_follow_the_bound_attribute(
    pair: Pair, retraining: Callable[..., Retraining]
) -> None:
    """An inverted white image is declared dark: not the class it was."""
    bound = Pair(batch_size=8, attribute="Dark")
    bound.__dict__["_splits"] = bind(pair._splits, "Dark", "pair")
    data = retraining(label="attributes", queries=40).prepare(bound)
    assert data.train.labels[40:].tolist() == [1] * 20


def test_data_without_a_told_attribute_are_refused(pair: Pair, retraining: Callable[..., Retraining]) -> None:
    with pytest.raises(UserError, match="label=attributes needs data whose labels tell an attribute"):
        retraining(label="attributes").prepare(pair)


def test_without_a_valid_counterfactual_there_is_nothing_to_add(pair: Pair) -> None:
    class Silent(Explainer):
        def explain(self, query: Query) -> Found:
            zeros = torch.zeros_like(query.target)
            return Found(query.factual, zeros, zeros)

    with pytest.raises(UserError, match="none of 40 counterfactuals is valid"):
        Retraining(Brightness(), explainer=Silent(Brightness()), label="kept").prepare(pair)


def test_fine_tuning_begins_at_the_earlier_weights() -> None:
    earlier, net = Brightness(), Brightness()
    with torch.no_grad():
        earlier.scale.fill_(9.0)
    Retraining(net, explainer=Inverts(earlier), label="kept")
    assert net.scale.item() == 4.0
    Retraining(net, explainer=Inverts(earlier), label="kept", finetune=True)
    assert net.scale.item() == 9.0
    with pytest.raises(UserError, match="another architecture"):
        Retraining(nn.Linear(3, 2), explainer=Inverts(earlier), finetune=True)


def test_unknown_labels_are_refused(retraining: Callable[..., Retraining]) -> None:
    with pytest.raises(UserError, match="choose one of: attributes, kept, target"):
        retraining(label="oracle")
