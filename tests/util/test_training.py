"""What all trainings share."""

from __future__ import annotations

import pytest

from counterfoil.util.training import one_cycle


def test_learning_rate_warms_up_and_ends_at_zero() -> None:
    assert one_cycle(0.0) == pytest.approx(0.04)
    assert one_cycle(0.05) == pytest.approx(0.52)
    assert one_cycle(0.1) == pytest.approx(1.0)
    assert one_cycle(0.55) == pytest.approx(0.5, abs=1e-6)
    assert one_cycle(1.0) == pytest.approx(0.0, abs=1e-6)
    assert one_cycle(1.2) == pytest.approx(0.0, abs=1e-6)
