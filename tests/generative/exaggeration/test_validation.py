from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.generative.exaggeration.network import Exaggerator
from counterfoil.generative.exaggeration.validation import Watch, measure, strip_figures, summarise


class Level(nn.Module):
    """Logits (0, 8 * (mean - 1/2))."""

    def forward(self, x: Tensor) -> Tensor:
        s = 8 * (x.mean((1, 2, 3)) - 0.5)
        return torch.stack((torch.zeros_like(s), s), dim=1)


def test_figures_of_a_perfect_strip_by_hand() -> None:
    requested = torch.tensor([[0.25, 0.75], [0.25, 0.75]])
    obtained = torch.tensor([[0.25, 0.75], [0.35, 0.95]])
    figures = strip_figures(
        requested, obtained, torch.tensor([[True, True], [True, False]]), torch.ones(2, 1, dtype=torch.bool)
    )
    assert figures["mae"] == pytest.approx(0.075)
    assert figures["mse"] == pytest.approx((0.01 + 0.04) / 4)
    assert figures["inside"] == 0.75
    assert figures["extreme_validity"] == 1
    assert figures["rho"] == pytest.approx(0.894427, abs=1e-5)
    assert figures["obtained_1"] == pytest.approx(0.85)


def test_a_strip_is_measured_image_by_image() -> None:
    torch.manual_seed(0)
    model = Exaggerator(1, 8, 2, bins=4, width=4).eval()
    for block in model.up:  # at first all bins draw alike
        torch.nn.init.normal_(block.first.table.weight)
    model.knob.temperature.fill_(2.0)
    x, slot = torch.rand(3, 1, 8, 8), torch.zeros(3, dtype=torch.int64)
    frames, parts = measure(model, Level(), x, slot)
    assert frames.shape == (3, 4, 1, 8, 8)
    with torch.no_grad():
        s = torch.stack([Level()(frame)[:, 1] for frame in frames.unbind(1)], dim=1)
        code = model.encode(x)
        redrawn = model.decode(code, model.own_cell(Level()(x), slot))
        torch.testing.assert_close(frames[:, 2], model.decode(code, torch.full((3,), 2)))
    torch.testing.assert_close(parts["obtained"], (s / 2).sigmoid())
    assert torch.equal(parts["valid"], torch.stack((s[:, -1] > 0, s[:, 0] <= 0), dim=1))
    torch.testing.assert_close(parts["l1"], (redrawn - x).abs().mean((1, 2, 3)))
    assert float((frames[:, 1] - frames[:, 0]).abs().max()) > 1e-3, (
        "untrained bins draw alike, so that nothing is compared"
    )
    torch.testing.assert_close(parts["change"], (frames[:, -1] - frames[:, 0]).abs().mean((1, 2, 3)))
    whole = summarise([parts])
    halves = summarise(
        [{key: value[rows] for key, value in parts.items()} for rows in (slice(0, 1), slice(1, 3))]
    )
    assert whole == pytest.approx(halves)
    assert whole["l1"] == pytest.approx(float(parts["l1"].mean()))


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
