"""Corruptions held against the clean image, on numbers known by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.data.corruption import Noise, Square
from counterfoil.metric.corruption import L1ToClean, L1ToReference, Removed, SquareChange, SquareError


@pytest.fixture
def cf(make):
    """Clean queries are black; the counterfactual of a clean one paints the upper half white."""
    clean, reference, corrupted = (
        torch.zeros(3, 1, 2, 2),
        torch.zeros(3, 1, 2, 2),
        torch.full((3, 1, 2, 2), 0.4),
    )
    reference[:, :, 0] = 1.0
    found = torch.stack([torch.zeros(1, 2, 2), corrupted[0], torch.full((1, 2, 2), 0.2)])
    found[:, :, 0] = 1.0
    return replace(make(3), factual=corrupted, counterfactual=found, clean=clean, reference=reference)


def test_removed_counts_only_where_the_clean_counterfactual_changes_nothing(cf):
    assert Removed().score(cf).tolist() == pytest.approx([1.0, 0.0, 0.5])
    assert Removed().score(replace(cf, factual=cf.clean)).isnan().all()


def test_differences(cf):
    assert L1ToClean().score(cf).tolist() == pytest.approx([0.5, 0.7, 0.6])
    assert L1ToReference().score(cf).tolist() == pytest.approx([0.0, 0.2, 0.1])


def test_without_a_corruption_the_query_is_clean(make):
    cf = make(4)
    assert torch.equal(L1ToClean().score(cf), cf.delta.abs().flatten(1).mean(1))
    assert L1ToReference().score(cf).tolist() == [0.0] * 4
    assert Removed().score(cf).isnan().all()


def test_reference_is_needed(cf):
    for metric in (Removed(), L1ToReference()):
        with pytest.raises(UserError, match="set reference=true"):
            metric.score(replace(cf, reference=None))


def test_error_inside_the_square_alone(make):
    image = torch.zeros(2, 3, 6, 6)
    image[0, :, 2, 2] = 1.0
    image[:, :, 0] = 1.0
    clean = torch.zeros_like(image)
    cf = replace(make(2), factual=clean, counterfactual=image, clean=clean)
    assert SquareError(Square(2, place="middle")).score(cf).tolist() == [0.25, 0.0]
    assert SquareError().score(cf).isnan().all()
    painted = replace(cf, factual=torch.ones_like(clean))
    assert SquareChange(Square(2, place="middle")).score(painted).tolist() == [0.75, 1.0]
    with pytest.raises(UserError, match="needs corruption=square, found Noise"):
        SquareError(Noise())
    with pytest.raises(UserError, match="set it to middle"):
        SquareError(Square(2)).score(cf)
