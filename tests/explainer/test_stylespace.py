"""Moves of single coordinates, of a linear generator and a linear classifier."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.explainer.stylespace import StyleSpace, log_odds

WEIGHT = torch.tensor([0.0, 4.0, -9.0, 0.5], dtype=torch.float64)
"""w_1 - w_0 of the classifier, per coordinate of the code."""


@pytest.fixture
def known(latent: Any, linear: Any) -> SimpleNamespace:
    """A classifier that reads the code, and images whose coordinates all range from -0.2 to 0.2."""
    generator = latent.Affine(latent.orthonormal(4))
    difference = WEIGHT @ generator.rows.detach()
    bias = torch.tensor([0.0, -float(difference.sum()) / 2 - 1.0])
    classifier = linear(torch.stack((torch.zeros(16, dtype=torch.float64), difference)), bias)
    ends = torch.stack((torch.full((4,), -0.2), torch.full((4,), 0.2))).double()
    x = generator.decode(torch.cat((ends, torch.zeros(1, 4).double()))).detach()

    class Train:
        def __len__(self) -> int:
            return len(x)

        def __getitem__(self, rows: Tensor) -> SimpleNamespace:
            return SimpleNamespace(x=x[rows])

    return SimpleNamespace(
        generator=generator, classifier=classifier, data=SimpleNamespace(train=Train(), name="known"), x=x[2:]
    )


def fitted(known: SimpleNamespace, **options: Any) -> StyleSpace:
    explainer = StyleSpace(known.classifier, known.generator, bisections=30, shift=1.0, **options)
    explainer.fit(known.data)
    return explainer


def moves(known: SimpleNamespace, cf: Any) -> Tensor:
    found: Tensor = (cf.extra["z"] - known.generator.encode(cf.factual)).abs() > 1e-9
    return found


@pytest.mark.parametrize("selection", ["subset", "independent"])
def test_the_coordinates_that_move_the_classifier_most_come_first(
    known: SimpleNamespace, selection: Any
) -> None:
    """z_2 to -0.2 gives a margin of 0.8, enough for .6; .75 needs z_1 too."""
    for confidence, expected in ((0.6, [2]), (0.75, [1, 2])):
        cf = fitted(known, selection=selection, confidence=confidence)(known.x, 1)
        assert cf.valid.all()
        assert moves(known, cf)[0].nonzero()[:, 0].tolist() == expected
        assert cf.steps.tolist() == [len(expected)]
        assert float(cf.target_probability) == pytest.approx(confidence, abs=1e-6)
        graded = 8 * (len(expected) if selection == "subset" else 1) + len(expected)
        assert graded < float(cf.classifier_calls) <= graded + 21 + 30 + 2


def test_the_second_counterfactual_begins_with_the_second_best_move(known: SimpleNamespace) -> None:
    cf = fitted(known, confidence=0.4, count=2, coordinates=1)(known.x, 1)
    assert [row.nonzero()[:, 0].tolist() for row in moves(known, cf)] == [[2], [1]]


def test_moves_end_at_the_range(known: SimpleNamespace) -> None:
    cf = fitted(known, confidence=0.99, points=1, coordinates=3)(known.x, 1)
    assert not cf.target_probability.ge(0.99).any()
    assert cf.steps.tolist() == [3]
    wanted = torch.tensor([[0.0, 0.2, -0.2, 0.2]], dtype=torch.float64)
    torch.testing.assert_close(cf.extra["z"], wanted)


def test_log_odds() -> None:
    logits = torch.tensor([[1.0, 2.0, 0.0], [torch.nan, 0.0, 0.0]])
    probability = logits.softmax(1)[0, 1]
    found = log_odds(logits, torch.tensor([1, 1]))
    torch.testing.assert_close(found[0], (probability / (1 - probability)).log())
    assert found[1] == -torch.inf


def test_ranges_come_from_training_images(known: SimpleNamespace, latent: Any) -> None:
    with pytest.raises(UserError, match="call fit"):
        StyleSpace(known.classifier, known.generator)(known.x, 1)
    with pytest.raises(UserError, match="needs training images"):
        StyleSpace(known.classifier, known.generator).fit(SimpleNamespace(train=[], name="bare"))
    with pytest.raises(UserError, match="explainer stylespace needs a generator"):
        StyleSpace(known.classifier, nn.Linear(1, 1))
