"""How well a score tells outliers, against counted pairs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from counterfoil.classifier.base import Classifier
from counterfoil.classifier.outlier import auroc, check_score, measure, outliers
from counterfoil.core.errors import CounterfoilWarning


class Brightness:
    """A score that takes bright images for outliers."""

    def layers(self, classifier: Any) -> tuple[str, ...]:
        return ()

    def __call__(self, classifier: Any, x: torch.Tensor, logits: torch.Tensor, features: Any) -> torch.Tensor:
        return x.flatten(1).mean(1)


@pytest.fixture
def classifier() -> Classifier:
    return Classifier(nn.Sequential(nn.Flatten(), nn.Linear(256, 3)))


def test_auroc_counts_pairs() -> None:
    """(1, 2) against (2, 3, 0): 2 > 1, 2 = 2, 3 > 1, 3 > 2 and 0 below both: (1 + 1/2 + 2 + 0) / 6."""
    assert auroc(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 3.0, 0.0])) == pytest.approx(3.5 / 6)
    assert auroc(torch.full((3,), -1e9), torch.full((4,), 1e9)) == 1
    assert auroc(torch.ones(5), torch.ones(2)) == 0.5


def test_outliers_are_those_asked_for_and_repeat(toy: Any) -> None:
    x = toy.test[range(20)].x
    made, again = outliers(x), outliers(x)
    assert list(made) == ["noise", "black_square", "white_square", "shuffled"]
    assert all(torch.equal(made[kind], again[kind]) for kind in made)
    for kind, value in (("black_square", 0), ("white_square", 1)):
        changed = made[kind] != x
        assert (made[kind][changed] == value).all()
        assert (changed.flatten(1).sum(1) <= 25).all()
        assert changed.flatten(1).any(1).all()
    assert "digits" in outliers(x, "toy")
    assert "digits" not in outliers(x, "mnist")


def test_another_data_set_takes_the_shape_of_the_images() -> None:
    other = outliers(torch.rand(5, 3, 64, 64), "avatars")["digits"]
    assert other.shape == (5, 3, 64, 64)
    assert other.min() >= 0
    assert other.max() <= 1


def test_a_score_is_measured_in_parts(classifier: Classifier) -> None:
    x = torch.rand(300, 1, 16, 16)
    torch.testing.assert_close(measure(classifier, x, Brightness()), x.flatten(1).mean(1))


def test_one_line_warns_of_the_kinds_that_are_missed(classifier: Classifier, toy: Any) -> None:
    with pytest.warns(CounterfoilWarning) as caught:
        found = check_score(classifier, toy, Brightness())
    told = str(caught[0].message)
    assert found["white_square"] > 0.85
    assert found["black_square"] < 0.5
    assert told.startswith("Brightness of Sequential")
    assert f"{found['black_square']:.2f} against black square" in told
    assert "white square" not in told
    assert "classifier=duq" in told


def test_the_queries_serve_where_there_are_no_data(classifier: Classifier) -> None:
    with pytest.warns(CounterfoilWarning, match="against black square"):
        found = check_score(classifier, 0.2 * torch.rand(30, 1, 16, 16), Brightness())
    assert set(found) == {"noise", "black_square", "white_square", "shuffled"}
    assert found["noise"] == 1


def test_unlabelled_images_are_not_held_against_another_set(
    classifier: Classifier, toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may show the same as the other set does."""
    assert "digits" in check_score(classifier, toy, Brightness())
    monkeypatch.setattr(type(toy), "labelled", False)
    assert "digits" not in check_score(classifier, toy, Brightness())
