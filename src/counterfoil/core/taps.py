"""One pass through a network that gives its output and the activations of named sub-modules."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from counterfoil.core.errors import UserError

INPUT = ":input"
"""Behind a name: what goes into the sub-module, instead of what comes out."""
DEFAULT_TAPS = 4
"""Convolutions read of a network that names no layers."""


def read(model: nn.Module, x: Tensor, layers: Sequence[str]) -> tuple[Tensor, dict[str, Tensor]]:
    """Outputs of `model` on inputs x (B, ...), and activations (B, ...) of `layers` by name, in one pass.

    Raises:
        UserError: a layer that the model lacks, that did not run, or whose activation is not a tensor with a
            leading B.
    """
    if not layers:
        return model(x), {}
    found: dict[str, Any] = {}
    hooks = [_hook(module, name, found) for name, module in _chosen(model, layers).items()]
    try:
        output: Tensor = model(x)
    finally:
        for hook in hooks:
            hook.remove()
    for name in layers:
        if not isinstance(found.get(name), Tensor) or len(found[name]) != len(x):
            kind = type(found[name]).__name__ if name in found else "nothing, as it does not run"
            raise UserError(
                f"layers: {name} gives {kind}, expected one activation per image; name another layer"
            )
    return output, {name: found[name] for name in layers}


def check_taps(model: nn.Module, layers: Sequence[str]) -> None:
    """Refuse names of layers that the model lacks, and say which it has."""
    _chosen(model, layers)


def default_taps(model: nn.Module) -> tuple[str, ...]:
    """The `layers` that a classifier names, shallow to deep; else some of its convolutions; else ()."""
    named = tuple(getattr(model, "layers", ()))
    if named:
        return named
    convolutions = [name for name, module in _modules(model).items() if isinstance(module, nn.Conv2d)]
    count = min(DEFAULT_TAPS, len(convolutions))
    return tuple(convolutions[round((i + 1) * len(convolutions) / count) - 1] for i in range(count))


def _modules(model: nn.Module) -> dict[str, nn.Module]:
    """Sub-modules by their name in the network that a classifier wraps, or in the model itself."""
    net = getattr(model, "net", None)
    return {
        name: module
        for name, module in (net if isinstance(net, nn.Module) else model).named_modules()
        if name
    }


def _chosen(model: nn.Module, layers: Sequence[str]) -> dict[str, nn.Module]:
    modules = _modules(model)
    for name in layers:
        if name.removesuffix(INPUT) not in modules:
            net = type(getattr(model, "net", model)).__name__
            raise UserError(
                f"layers: no layer {name!r} in {net}; its layers: {', '.join(list(modules)[:40]) or 'none'}"
            )
    return {name: modules[name.removesuffix(INPUT)] for name in layers}


def _hook(module: nn.Module, name: str, found: dict[str, Any]) -> Any:
    if name.endswith(INPUT):
        return module.register_forward_pre_hook(partial(_keep_input, found, name))
    return module.register_forward_hook(partial(_keep_output, found, name))


def _keep_input(found: dict[str, Any], name: str, _module: nn.Module, inputs: tuple[Any, ...]) -> None:
    found[name] = inputs[0]


def _keep_output(
    found: dict[str, Any], name: str, _module: nn.Module, _inputs: tuple[Any, ...], output: Any
) -> None:
    found[name] = output
