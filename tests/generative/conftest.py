"""Images and classes for variational auto-encoders, and what each of them promises."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn


@pytest.fixture
def x() -> Tensor:
    return torch.rand(6, 1, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture
def condition() -> Tensor:
    return nn.functional.one_hot(torch.tensor([0, 1, 2, 0, 1, 2]), 3)


@pytest.fixture
def encoded() -> Callable[..., None]:
    """encoded(net, channels, size, condition) checks shapes and range of codes and images."""

    def check(net: nn.Module, channels: int, size: int, condition: Tensor | None = None) -> None:
        x = torch.rand(2, channels, size, size)
        z = net.encode(x, condition)
        assert z.shape == (2, 3)
        image = net.decode(z, condition)
        assert image.shape == x.shape
        assert image.min() > 0
        assert image.max() < 1

    return check


@pytest.fixture
def unlearnt() -> Callable[..., list[str]]:
    """unlearnt(net, x, condition) names the parameters that the loss gives no finite gradient."""

    def names(net: nn.Module, x: Tensor, condition: Tensor | None = None) -> list[str]:
        net.double().loss(x, condition)["loss"].backward()
        return [name for name, p in net.named_parameters() if p.grad is None or not p.grad.isfinite().all()]

    return names
