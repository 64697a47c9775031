from __future__ import annotations

import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.generative.watch import Watch, strip_figures


def test_names_nan() -> None:
    with pytest.raises(UserError, match=r"loss term cyc is nan; lower training\.lr"):
        Watch().step({"gan": torch.tensor(1.0), "cyc": torch.tensor(torch.nan)})


def test_names_a_collapsed_discriminator_after_patience() -> None:
    watch = Watch(patience=2)
    watch.epoch(0.0, 1.0, 0.9, 0.1, 0.1)
    with pytest.raises(UserError, match=r"discriminator has collapsed.*always wins"):
        watch.epoch(0.0, 1.0, 0.9, 0.1, 0.2)
    dead = Watch(patience=1)
    with pytest.raises(UserError, match="same score"):
        dead.epoch(2.0, 0.0, 0.9, 0.1, 0.1)


def test_names_an_ignored_request_after_the_grace() -> None:
    watch = Watch()
    watch.epoch(1.0, 1.0, 0.0, 0.0, 0.4)
    with pytest.raises(UserError, match=r"ignores the requested bin.*raise training\.lambda_cls"):
        watch.epoch(1.0, 1.0, float("nan"), 0.1, 0.5)
    watch.epoch(1.0, 1.0, 0.9, 0.1, 0.9)


def test_figures_of_a_perfect_strip_by_hand() -> None:
    requested = torch.tensor([[0.25, 0.75], [0.25, 0.75]])
    obtained = torch.tensor([[0.25, 0.75], [0.35, 0.95]])
    figures = strip_figures(requested, obtained, torch.tensor([[True, True], [True, False]]), torch.ones(2, 1, dtype=torch.bool))
    assert figures["mae"] == pytest.approx(0.075)
    assert figures["mse"] == pytest.approx((0.01 + 0.04) / 4)
    assert figures["inside"] == 0.75
    assert figures["extreme_validity"] == 1
    assert figures["rho"] == pytest.approx(0.894427, abs=1e-5)
    assert figures["obtained_1"] == pytest.approx(0.85)
