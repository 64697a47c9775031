"""What every network of the package promises; a file of a network runs all of it on its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.bench import Bench


def takes(network: Any, channels: int, size: int) -> None:
    """Images of this shape go in, and gradients reach them and every parameter."""
    net = network(channels=channels, classes=5, width=4)
    x = torch.rand(2, channels, size, size, requires_grad=True)
    outputs = net(x)
    assert outputs.shape == (2, 5)
    outputs.sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert all(p.grad is not None for p in net.parameters())


def names_what_the_configs_rely_on(network: Any) -> None:
    names = dict(network(width=4, stages=3).named_modules())
    assert {"blocks.0", "blocks.1", "blocks.2", "pool", "head"} <= set(names)


def halves_and_doubles(network: Any) -> None:
    """Each stage halves the image and doubles the channels."""
    net = network(channels=3, classes=2, width=4, stages=4).eval()
    seen = []
    net.blocks.register_forward_hook(lambda _module, _inputs, output: seen.append(output.shape))
    net(torch.rand(1, 3, 64, 64))
    assert seen[0] == (1, 32, 4, 4)


def treats_rows_apart(network: Any) -> None:
    """Once evaluated, a row is the same in any batch."""
    torch.manual_seed(0)
    net = network(width=4).double()
    net(torch.rand(16, 1, 28, 28, dtype=torch.float64))
    net.eval()
    x = torch.rand(4, 1, 28, 28, dtype=torch.float64)
    torch.testing.assert_close(net(x)[2:3], net(x[2:3]), rtol=0, atol=1e-12)


SHAPES = [(channels, size) for channels in (1, 3) for size in (28, 32, 64, 96, 128)]
PROMISES = {
    **{
        f"takes {channels} x {size} x {size}": lambda net, c=channels, s=size: takes(net, c, s)
        for channels, size in SHAPES
    },
    "names": names_what_the_configs_rely_on,
    "stages": halves_and_doubles,
    "rows": treats_rows_apart,
}


@pytest.fixture(params=PROMISES)
def promise(request: pytest.FixtureRequest) -> Callable[[Any], None]:
    """promise(network) checks one of them."""
    return PROMISES[request.param]


@pytest.fixture(scope="session")
def own_models(bench: Bench) -> Bench:
    """The small models of runs without options of a classifier, for one of the user's own."""
    return replace(bench, models=tuple(part for part in bench.models if not part.startswith("classifier.")))
