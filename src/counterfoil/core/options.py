"""A repr that shows the options of a part: `Revise(lambda_=2.0, steps=200, ...)`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial, wraps
from typing import Any, TypeVar

from torch import nn

from counterfoil.core.bounds import check_constructor

T = TypeVar("T")


def shows_options(cls: type[T]) -> type[T]:
    """Class decorator: the class and its subclasses show what they were made with, and check it.

    Options are those of the constructor's signature, defaults filled in; networks are left out.
    """
    shown: Any = cls
    _note(shown)
    shown.__init_subclass__ = classmethod(_note)
    shown.__repr__ = _repr
    return cls


def _note(cls: Any) -> None:
    """Have the constructor that a class writes keep its arguments; the outermost of several does."""
    check_constructor(cls)
    init = vars(cls).get("__init__")
    if init is None:
        return

    @wraps(init)
    def noting(self: Any, *args: Any, **kwargs: Any) -> None:
        if "_options" not in vars(self):
            vars(self)["_options"] = _bound(init, self, args, kwargs)
        init(self, *args, **kwargs)

    cls.__init__ = noting


def _bound(init: Callable[..., None], self: Any, args: Any, kwargs: Any) -> Mapping[str, Any]:
    """The arguments by name, {} where they do not fit: the constructor itself says so better."""
    signature = inspect.signature(init)
    try:
        bound = signature.bind(self, *args, **kwargs)
    except TypeError:
        return {}
    bound.apply_defaults()
    found: dict[str, Any] = {}
    for name, value in list(bound.arguments.items())[1:]:
        variadic = signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD
        found.update(value if variadic else {name: value})
    return {name: value for name, value in found.items() if not isinstance(value, nn.Module)}


def _repr(self: Any) -> str:
    return f"{type(self).__name__}({', '.join(_shown(vars(self).get('_options', {})))})"


def _shown(options: Mapping[str, Any]) -> Iterator[str]:
    return (f"{name}={_text(value)}" for name, value in options.items())


def _text(value: Any) -> str:
    if isinstance(value, partial):
        return f"{_text(value.func)}({', '.join([*map(_text, value.args), *_shown(value.keywords)])})"
    if inspect.isclass(value) or inspect.isfunction(value):
        return str(value.__name__)
    return repr(value)
