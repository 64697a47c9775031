from __future__ import annotations

import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.generative.exaggeration.calibration import Knob

LOGITS = torch.tensor([[1.0, 2.0, -1.0], [0.0, -3.0, 4.0]])


def test_log_odds_of_a_pair_is_the_difference_and_of_a_class_its_odds_against_the_rest() -> None:
    assert Knob(3, (0, 2)).log_odds(LOGITS, torch.zeros(2, dtype=torch.long)).tolist() == [-2.0, 4.0]
    p = LOGITS.softmax(1)
    slots = torch.tensor([1, 2])
    expected = torch.logit(p.gather(1, slots[:, None])[:, 0])
    torch.testing.assert_close(Knob(3).log_odds(LOGITS, slots), expected)


def test_bins_are_the_papers_without_calibration() -> None:
    knob = Knob(2, None, 10)
    q = torch.tensor([0.03, 0.1001, 0.55, 0.95])
    slot = torch.zeros(4, dtype=torch.long)
    assert knob.bin_of(torch.logit(q), slot).tolist() == [0, 1, 5, 9]
    torch.testing.assert_close(
        knob.request(slot, torch.tensor([0, 1, 5, 9])), torch.tensor([0.05, 0.15, 0.55, 0.95])
    )


def test_serve_names_slot_and_direction() -> None:
    slot, up = Knob(10, (3, 8)).serve(torch.tensor([8, 3]))
    assert (slot.tolist(), up.tolist()) == ([0, 0], [True, False])
    assert Knob(2).serve(torch.tensor([0, 1]))[1].tolist() == [False, True]
    slot, up = Knob(4).serve(torch.tensor([3, 1]))
    assert (slot.tolist(), up.tolist()) == ([3, 1], [True, True])
    with pytest.raises(UserError, match=r"target class 5 is not served.*class 8 against class 3"):
        Knob(10, (3, 8)).serve(torch.tensor([5]))
    with pytest.raises(UserError, match="against the rest"):
        Knob(10, 3).serve(torch.tensor([1]))


@pytest.mark.parametrize("targets", [(3, 3), (1, 2, 3), "eleven", 10])
def test_refuses_unknown_targets(targets: object) -> None:
    with pytest.raises(UserError):
        Knob(10, targets)  # type: ignore[arg-type]


def saturated(number: int = 4000) -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    sign = torch.randint(2, (number,), generator=draw) * 2 - 1
    return (sign * 10 + 3.5 * torch.randn(number, generator=draw))[None]


def test_fit_keeps_a_classifier_whose_bins_are_filled() -> None:
    s = torch.logit(torch.linspace(0.001, 0.999, 1000))[None]
    mode, counts = Knob(2).fit(s, s)
    assert mode == "raw"
    assert counts.min() >= 90


def test_fit_fills_the_bins_of_a_saturated_classifier() -> None:
    s, knob = saturated(), Knob(2)
    assert knob.fit(s, s, "raw")[1].min() < 30
    mode, counts = knob.fit(s, s)
    assert mode in ("temperature", "logit")
    assert counts.min() >= 30
    assert counts.sum() == s.shape[1]
    assert float(knob.temperature) > 2
    requests = knob.request(torch.zeros(10, dtype=torch.long), torch.arange(10))
    assert bool((requests.diff() > 0).all())
    assert bool((knob.edges.diff() > 0).all())
    assert knob.bin_of(knob.centres[0], torch.zeros(10, dtype=torch.long)).tolist() == list(range(10))


@pytest.mark.parametrize("mode", ["temperature", "logit"])
def test_a_decision_stays_at_one_half(mode: str) -> None:
    s, knob = saturated(), Knob(2)
    knob.fit(s, s, mode)
    assert float(knob.edges[0, 4]) == pytest.approx(0, abs=1e-6)


def test_fit_refuses_a_classifier_that_ignores_its_input() -> None:
    with pytest.raises(UserError, match="ignores its input"):
        Knob(2).fit(torch.zeros(1, 50), torch.full((1, 50), 0.3))
    with pytest.raises(UserError, match="calibration=magic"):
        Knob(2).fit(saturated(), saturated(), "magic")


def test_auto_prefers_fewer_empty_bins_where_all_modes_leave_some() -> None:
    s = torch.cat((torch.linspace(-14, -7, 500), torch.linspace(7, 14, 500)))[None]
    knob = Knob(2)
    empty = {mode: int((knob.fit(s, s, mode)[1] == 0).sum()) for mode in ("raw", "temperature", "logit")}
    mode, counts = knob.fit(s, s)
    assert int((counts == 0).sum()) == empty[mode] == min(empty.values()) < empty["raw"]
