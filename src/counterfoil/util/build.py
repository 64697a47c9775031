"""Builds the objects of a config; a recipe, of a model or of the data, is built once and shared."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Protocol, runtime_checkable

from hydra.utils import get_object
from omegaconf import DictConfig, ListConfig, OmegaConf

from counterfoil.core.bounds import checked, open_ended, parameters
from counterfoil.core.errors import UserError, first_line, unknown_option


@runtime_checkable
class Recipe(Protocol):
    """What stands in a config for an object that is made once and shared: a model, or the data."""

    role: Any


Share = Callable[[Any], Any]
RESERVED = ("_target_", "_args_", "_partial_")
"""Keys of a node that are no options of its target."""


def plain(config: Any) -> Any:
    """A config as resolved dicts and lists; names the option that has no value."""
    if not isinstance(config, DictConfig | ListConfig):
        return config
    return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)


def build(node: Any, share: Share | None = None, where: str = "config", **extra: Any) -> Any:
    """Instantiate `_target_` nodes, innermost first; a recipe is what `share` makes of it.

    Args:
        node: dicts, lists, recipes and values.
        share: turns a recipe into the one object that it stands for.
        where: the node's place in the config, for messages.
        extra: arguments for the outermost target; those it already has in the config are kept.
    """
    if isinstance(node, Recipe) and share is not None:
        return share(node)
    if isinstance(node, Mapping):
        values = {key: build(value, share, f"{where}.{key}") for key, value in node.items()}
        return _call(values, where, extra) if "_target_" in values else values
    if isinstance(node, list):
        return [build(value, share, f"{where}[{i}]") for i, value in enumerate(node)]
    return node


def check(node: Any, where: str, filled: Collection[str] = ()) -> None:
    """Hold the options of all `_target_` nodes against what their targets take; nothing is made.

    Args:
        node: dicts, lists, recipes and values.
        where: the node's place in the config, for messages.
        filled: options of the outermost target that others fill in where they are null.

    Raises:
        UserError: a target that cannot be imported, an option that it does not have, a value of another type
            or out of bounds.
    """
    if isinstance(node, list):
        for i, child in enumerate(node):
            check(child, f"{where}[{i}]")
    if not isinstance(node, Mapping):
        return
    for key, child in node.items():
        check(child, f"{where}.{key}")
    if node.get("_target_"):
        target = locate(node["_target_"], where)
        given = {key: value for key, value in node.items() if key not in RESERVED}
        given = {key: value for key, value in given.items() if value is not None or key not in filled}
        _check_arguments(target, list(node.get("_args_", ())), given, where)
        checked(target, given, f"{where}.")


def accepted(target: str, offered: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Those of the offered arguments that the target's signature names."""
    parameters = inspect.signature(locate(target, where)).parameters
    return {name: value for name, value in offered.items() if name in parameters}


def locate(target: str, where: str, option: str = "_target_") -> Callable[..., Any]:
    """The object at a dotted path, which an option at `where` names; one clear line where there is none."""
    try:
        found: Callable[..., Any] = get_object(target)
    except Exception as error:
        raise UserError(
            f"{where}.{option}={target} cannot be imported ({_reason(error)}); is its folder on PYTHONPATH?"
        ) from error
    return found


def _call(values: dict[str, Any], where: str, extra: Mapping[str, Any]) -> Any:
    target = locate(values.pop("_target_"), where)
    arguments = list(values.pop("_args_", ()))
    defer = values.pop("_partial_", False)
    values = {**extra, **values}
    _check_arguments(target, arguments, values, where)
    values = checked(target, values, f"{where}.")
    return partial(target, *arguments, **values) if defer else target(*arguments, **values)


def _check_arguments(
    target: Callable[..., Any], arguments: list[Any], values: Mapping[str, Any], where: str
) -> None:
    try:
        signature = _signature(target)
    except (TypeError, ValueError):
        return
    known_names = parameters(target)
    if not open_ended(target):
        for name in values.keys() - known_names.keys():
            raise UserError(unknown_option(f"{where}.{name}", name, known_names))
    try:
        signature.bind_partial(*arguments, **values)
    except TypeError as error:
        known = ", ".join(name for name in signature.parameters if name != "self")
        raise UserError(
            f"{where}: {getattr(target, '__name__', target)} {error}; it takes: {known}"
        ) from error


@functools.cache
def _signature(target: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(target)


def _reason(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error)
