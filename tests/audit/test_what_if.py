from dataclasses import replace

import pytest
import torch

from counterfoil.audit.regions import Region
from counterfoil.audit.what_if import freeze, hide, neighbour_filled


@pytest.fixture
def regions():
    corner = torch.zeros(16, 16, dtype=torch.bool)
    corner[12:, 12:] = True
    return [Region(corner, "A"), Region(~corner, "rest")]


def test_hiding_what_is_read_changes_the_decision(corner_cases, corner, regions):
    cf = corner_cases(20)
    found = hide([cf[:3], cf[3:]], corner, regions, torch.zeros(1, 16, 16))
    assert [one.region for one in found] == ["A", "rest"]
    assert found[0].mean.value == 0.5  # those that had the mark
    assert found[0].filled.value == 0.5
    assert found[1].mean.value == 0
    assert found[0].as_dict()["mean"][0] == 0.5


def test_a_hidden_region_takes_the_values_around_it():
    x = torch.zeros(1, 2, 16, 16)
    x[:, 0] = torch.linspace(0, 1, 16)
    mask = torch.zeros(16, 16, dtype=torch.bool)
    mask[6:9, 6:9] = True
    broken = torch.where(mask, torch.rand(1, 2, 16, 16), x)
    torch.testing.assert_close(neighbour_filled(broken, mask), x, atol=1e-2, rtol=0)
    assert torch.equal(neighbour_filled(x, mask & False), x)
    assert torch.equal(neighbour_filled(x, mask | True), x)


def test_frozen_queries_that_still_flip_are_counted(corner_cases, regions):
    cf = corner_cases(10)
    seen = []

    def method(x, target, *, mask):
        seen.append(mask)
        return replace(
            cf,
            counterfactual_logits=cf.factual_logits.where(
                torch.arange(10)[:, None] < 8, cf.counterfactual_logits
            ),
        )

    share = freeze(method, cf.factual, cf.target, regions[0])
    assert share.value == pytest.approx(0.2)
    assert share.low < 0.2 < share.high
    assert seen[0].shape == (1, 1, 16, 16)
    assert bool(seen[0][..., 12:, 12:].all())
    assert int(seen[0].sum()) == 16
