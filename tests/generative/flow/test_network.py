"""A flow is a bijection with the volume that it says."""

from __future__ import annotations

import copy
import math
import sys

import pytest
import torch
from torch import Tensor

from counterfoil.core.errors import UserError
from counterfoil.generative.flow.network import Flow, half


def small(channels: int = 1, size: int = 8, couplings: int = 8) -> Flow:
    """Couplings that move something."""
    torch.manual_seed(0)
    flow = Flow(channels, size, couplings=couplings, width=4).double().eval()
    with torch.no_grad():
        for value in flow.parameters():
            value += 0.1 * torch.randn_like(value)
    return flow


@pytest.fixture
def x() -> Tensor:
    return (torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 255).round().double() / 255


@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 6), (1, 28)])
def test_images_come_back_exactly(channels: int, size: int) -> None:
    flow, x = small(channels, size), torch.rand(2, channels, size, size).double()
    z = flow.encode(x)
    assert z.shape == (2, channels * size * size)
    torch.testing.assert_close(flow.decode(z), x, rtol=0, atol=1e-9)
    assert not torch.allclose(z, Flow(channels, size).double().encode(x))


def test_images_stay_in_range_and_empty_pixels_have_a_gradient(x: Tensor) -> None:
    flow = small()
    z = (flow.encode(torch.zeros_like(x)) - 0.1).requires_grad_()
    image = flow.decode(z)
    assert 0 <= image.min().item() <= image.max().item() <= 1
    (gradient,) = torch.autograd.grad(image.sum(), z)
    assert (gradient.abs() > 1e-6).float().mean() > 0.9


def test_the_volume_is_that_of_the_jacobian(x: Tensor) -> None:
    """Of the whole way from levels to the code, against torch's determinant."""
    flow = small()
    draw = torch.get_rng_state()
    bits = flow.loss(x[:1])["loss"]
    torch.set_rng_state(draw)
    level = (x[:1] * 255 + torch.rand_like(x[:1])) / 256

    def code(level: Tensor) -> Tensor:
        spread = torch.logit(flow.alpha + (1 - 2 * flow.alpha) * level)
        whole: Tensor = flow._chain()(spread.view(1, -1))[0]
        return whole

    volume = torch.linalg.slogdet(torch.autograd.functional.jacobian(code, level.flatten()))[1]
    z = code(level.flatten())
    density = -0.5 * (z.square() + math.log(2 * math.pi)).sum() + volume
    torch.testing.assert_close(bits, -(density - 64 * math.log(256)) / (64 * math.log(2)))


def test_the_first_batch_is_standardised_once(x: Tensor) -> None:
    flow = Flow(1, 8, couplings=2, width=4).double()
    flow.train().loss(x.repeat(50, 1, 1, 1))
    kept = flow.shift.detach().clone()
    z = flow.encode(x)
    assert z.mean(0).abs().max() < 0.1
    assert (z.std(0, correction=0) - 1).abs().max() < 0.1
    flow.loss(x / 2)
    assert torch.equal(flow.shift, kept)
    fresh = Flow(1, 8).double().eval()
    fresh.loss(x)
    assert not fresh.shift.any()


def test_halves_alternate() -> None:
    for number in range(0, 12, 2):
        first, second = half((2, 8, 8), number), half((2, 8, 8), number + 1)
        assert torch.equal(first, ~second)
        assert first.float().mean() == 0.5
    assert len({tuple(half((1, 8, 8), number).flatten().tolist()) for number in range(12)}) == 10


def test_it_learns(x: Tensor) -> None:
    torch.manual_seed(0)
    flow = Flow(1, 8, couplings=4, width=8).float()
    images = x.float().repeat(8, 1, 1, 1)
    before = flow.loss(images)["loss"].item()
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        flow.loss(images)["loss"].backward()
        optimizer.step()
    assert flow.loss(images)["loss"].item() < before - 0.5
    assert all(bool(p.isfinite().all()) for p in flow.parameters())
    assert isinstance(copy.deepcopy(flow), Flow)


@pytest.mark.parametrize(
    ("channels", "size", "named"), [(3, 64, "expected at most 3072"), (1, 7, "expected an even size")]
)
def test_images_that_it_is_not_made_for_are_refused(channels: int, size: int, named: str) -> None:
    with pytest.raises(UserError, match=named):
        Flow(channels, size)


def test_images_of_another_shape_are_refused() -> None:
    with pytest.raises(UserError, match=r"images of shape \(3, 8, 8\), it was made for \(1, 8, 8\)"):
        small().encode(torch.rand(2, 3, 8, 8).double())


def test_without_zuko_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zuko", None)
    with pytest.raises(UserError, match=r"needs the package zuko: pip install 'counterfoil\[flow\]'"):
        Flow(1, 8)
