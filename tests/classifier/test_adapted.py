"""A network from elsewhere sees the images that it expects, and is told in a line where it cannot."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfoil.classifier.adapted import Adapted
from counterfoil.core.errors import UserError


class Seen(nn.Module):
    """Puts out what it is shown."""

    config = "its own"

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_grey_images_are_shown_in_each_channel_normalised_by_it() -> None:
    x = torch.rand(2, 1, 8, 8)
    net = Adapted(Seen(), (1, 8), "net", channels=3, size=(8, 8), mean=[0.1, 0.2, 0.3], std=[1, 2, 4])
    expected = [(x[:, 0] - mean) / std for mean, std in ((0.1, 1), (0.2, 2), (0.3, 4))]
    torch.testing.assert_close(net(x), torch.stack(expected, 1))
    assert net.config == "its own"


def test_images_are_scaled_where_that_is_asked_for_and_gradients_come_back() -> None:
    x = torch.rand(2, 3, 8, 8, requires_grad=True)
    net = Adapted(Seen(), (3, 8), "net", channels=3, size=(16, 12), resize=True)
    shown = net(x)
    torch.testing.assert_close(shown, F.interpolate(x, (16, 12), mode="bilinear", antialias=True))
    shown.square().sum().backward()
    assert x.grad is not None
    assert bool((x.grad != 0).all())
    assert Adapted(Seen(), (3, 8), "net", size=(8, 8), resize=True).size is None


@pytest.mark.parametrize(
    ("shape", "options", "told"),
    [
        ((3, 8), {"channels": 1}, "net takes images of 1 channel(s), the data have 3; set data.channels="),
        (
            (1, 8),
            {"size": (16, 16)},
            "of 16 x 16 px, the data have 8 x 8; set data.size=16, or set",
        ),
        ((1, 8), {"size": (16, 12)}, "of 16 x 12 px, the data have 8 x 8; set classifier.net.resize=true"),
        ((1, 8), {"mean": [0.1, 0.2]}, "net: classifier.mean has 2 numbers, the network 1 channel(s)"),
        ((1, 8), {"std": [0.0]}, "classifier.std holds 0, expected positive numbers"),
    ],
)
def test_what_does_not_fit_is_told(shape: tuple[int, int], options: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError) as caught:
        Adapted(Seen(), shape, "net", **options)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
