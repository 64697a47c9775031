"""One pass through a network that gives its output and the activations of named sub-modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from counterfoil.core.errors import UserError

INPUT = ":input"
"""Behind a name: what goes into the sub-module, instead of what comes out."""
DEFAULT_TAPS = 4
"""Convolutions read of a network that names no layers."""
_OVERWRITTEN: WeakKeyDictionary[nn.Module, set[bool]] = WeakKeyDictionary()
"""Modules whose input (True) or output (False) the network has been seen to overwrite in place."""


def read(model: nn.Module, x: Tensor, layers: Sequence[str]) -> tuple[Tensor, dict[str, Tensor]]:
    """Outputs of `model` on inputs x (B, ...), and activations (B, ...) of `layers` by name, in one pass.

    Activations are as the layer left them: one that the network then overwrites, as ReLU(inplace=True) does,
    is copied. A first pass that finds out which these are is done again.

    Raises:
        UserError: a layer that the model lacks, that did not run, or whose activation is not a tensor with a
            leading B.
    """
    if not layers:
        return model(x), {}
    chosen = _chosen(model, layers)
    output, taps = _run(model, x, chosen)
    for name in layers:
        value = taps[name].value if name in taps else None
        if not isinstance(value, Tensor) or value.shape[:1] != x.shape[:1]:
            kind = type(value).__name__ if name in taps else "nothing, as it does not run"
            raise UserError(
                f"layers: {name} gives {kind}, expected one activation per image; name another layer"
            )
    changed = [name for name, tap in taps.items() if tap.overwritten]
    for name in changed:
        _OVERWRITTEN.setdefault(chosen[name], set()).add(name.endswith(INPUT))
    if changed:
        output, taps = _run(model, x, chosen)
    return output, {name: taps[name].value for name in layers}


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


class _Tap(NamedTuple):
    """An activation, and its count of changes in place when it was taken; -1 where none is kept."""

    value: Any
    version: int = -1

    @property
    def overwritten(self) -> bool:
        """Whether it has been changed in place since."""
        return self.version >= 0 and self.value._version != self.version


def _run(model: nn.Module, x: Tensor, chosen: Mapping[str, nn.Module]) -> tuple[Tensor, dict[str, _Tap]]:
    found: dict[str, _Tap] = {}
    hooks = [_hook(module, name, found) for name, module in chosen.items()]
    try:
        return model(x), found
    finally:
        for hook in hooks:
            hook.remove()


def _hook(module: nn.Module, name: str, found: dict[str, _Tap]) -> Any:
    """Puts what goes in or comes out under its name."""
    at_input = name.endswith(INPUT)
    copied = at_input in _OVERWRITTEN.get(module, ())

    def keep(*passed: Any) -> None:
        value = passed[1][0] if at_input else passed[2]
        if not isinstance(value, Tensor):
            found[name] = _Tap(value)
        elif copied or value.is_inference():  # which keeps no count
            found[name] = _Tap(value.clone())
        else:
            found[name] = _Tap(value, value._version)

    return module.register_forward_pre_hook(keep) if at_input else module.register_forward_hook(keep)
