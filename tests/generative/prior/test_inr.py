"""An INR against the same network written out."""

from __future__ import annotations

import torch

from counterfoil.generative.prior.inr import INR


def test_an_inr_by_hand() -> None:
    """One network written out as a plain multi-layer perceptron on the features of each pixel."""
    prior = INR(frequencies=5, width=4, depth=2, scale=2.0)
    shape = (1, 6, 7)
    weights = {
        name: torch.randn(2, *size, dtype=torch.float64) for name, (size, _) in prior.weights(shape).items()
    }
    points = prior._points(shape, weights["w0"]).T
    hidden = (points @ weights["w0"][1].T + weights["b0"][1].T).relu()
    hidden = (hidden @ weights["w1"][1].T + weights["b1"][1].T).relu()
    expected = (hidden @ weights["w2"][1].T + weights["b2"][1].T).sigmoid().view(6, 7)
    torch.testing.assert_close(prior.render(weights, shape)[1, 0], expected)
    torch.testing.assert_close(
        points[:, :5].square() + points[:, 5:].square(), torch.ones(42, 5, dtype=torch.float64)
    )


def test_blocks_run_from_the_last_layer_to_the_first() -> None:
    assert INR(depth=2).blocks == (("w2", "b2"), ("w1", "b1"), ("w0", "b0"))
