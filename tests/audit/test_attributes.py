from types import SimpleNamespace

import pytest
import torch

from counterfoil.audit.attributes import Shown, read_attributes
from counterfoil.metric.attributes import AttributeReader


class Eyes:
    """A judge of two attributes: a bright corner, and a bar near the left edge."""

    def outputs(self, x):
        return 20 * torch.stack(
            (x[..., 12:, 12:].mean((1, 2, 3)) - 0.5, x[..., :4].amax(3).mean((1, 2)) - 0.3), 1
        )


def test_the_attribute_that_is_changed_comes_first(corner_cases):
    data = SimpleNamespace(attribute_names=("Bar", "Corner")[::-1], attribute="Corner", name="toy")
    cf = corner_cases(40)
    first, second = read_attributes([cf[:9], cf[9:]], AttributeReader(Eyes(), data, "audit"))
    assert (first.name, second.name) == ("Corner", "Bar")
    assert first.moved.low > 0.9
    assert (first.first, second.first) == (1.0, 0.0)
    assert abs(first.change.value) < 0.05  # half are painted, half wiped
    assert second.moved.high < first.moved.low
    for one in (first, second):
        assert one.ease.low <= one.ease.value <= one.ease.high
    l1, shows = cf.delta.abs().flatten(1).mean(1), cf.source == 1
    assert first.ease.value == pytest.approx(float(l1[shows].mean() - l1[~shows].mean()), abs=1e-6)
    assert first.validity.value == 0
    assert read_attributes([], AttributeReader(Eyes(), data, "audit")) == []


def test_without_a_judge_the_data_tell_which_queries_flip_easily(corner_cases):
    cf = corner_cases(40)
    shown = Shown(("Odd", "Late"), torch.stack((torch.arange(40) % 2 == 1, torch.arange(40) >= 20), 1))
    odd, late = read_attributes([cf[:9], cf[9:]], None, shown)
    assert (odd.name, late.name) == ("Odd", "Late")
    l1 = cf.delta.abs().flatten(1).mean(1)
    assert odd.ease.value == pytest.approx(float(l1[1::2].mean() - l1[::2].mean()), abs=1e-6)
    assert odd.as_dict()["moved"] == [None, None, None]
    assert odd.first == late.first == 0
