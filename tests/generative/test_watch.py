from __future__ import annotations

import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.generative.watch import Watch


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
