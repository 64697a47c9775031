"""What an option takes, declared in its annotation and checked where it enters.

`def __init__(self, *, steps: Count = 200, lr: Positive = 0.1)` declares a whole number of at least 1 and a
number above 0. Without bounds any finite number will do. A whole float such as 1e3 is taken for an integer.
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
import math
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from counterfoil.core.errors import UserError

T = TypeVar("T")
SIMPLE = (str, bool, type(None), Path)
"""What stands in a config beside numbers and lists."""
LARGEST = 2**31 - 1
"""The largest count."""


@dataclass(frozen=True)
class Bounds:
    """The numbers from `least` to `most`, or above `above` and below `below`."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def hold(self, value: float) -> bool:
        """Whether a number lies within."""
        return not (
            (self.least is not None and value < self.least)
            or (self.most is not None and value > self.most)
            or (self.above is not None and value <= self.above)
            or (self.below is not None and value >= self.below)
        )

    def __str__(self) -> str:
        low = "" if self.least is None else f"of at least {self.least:g}"
        low = low if self.above is None else f"above {self.above:g}"
        high = "" if self.most is None or self.most == LARGEST else f"at most {self.most:.10g}"
        high = high if self.below is None else f"below {self.below:g}"
        return " and ".join(part for part in (low, high) if part)


Count = Annotated[int, Bounds(least=1, most=LARGEST)]
"""How many of something that there must be."""
Whole = Annotated[int, Bounds(least=0, most=LARGEST)]
"""How many of something that may be left out."""
Side = Annotated[int, Bounds(least=1, most=8192)]
"""Pixels of a side that a set is scaled to."""
Pair = Annotated[int, Bounds(least=2, most=LARGEST)]
"""How many of something that is compared with another of its kind."""
Seed = Annotated[int, Bounds(least=0, most=2**32 - 1)]
"""The start of a random stream."""
Growth = Annotated[float, Bounds(least=1)]
"""A factor by which something grows."""
Positive = Annotated[float, Bounds(above=0)]
"""A learning rate, a width, a scale."""
Weight = Annotated[float, Bounds(least=0)]
"""The weight of a term; 0 leaves it out."""
Share = Annotated[float, Bounds(least=0, most=1)]
"""A share, from none to all."""
Fraction = Annotated[float, Bounds(above=0, below=1)]
"""A share that leaves something on both sides."""
Decay = Annotated[float, Bounds(least=0, below=1)]
"""The share of a moving average that stays."""
Angle = Annotated[float, Bounds(least=0, most=180)]
"""An angle in degrees."""
Probability = Annotated[float, Bounds(above=0, most=1)]
"""A probability to reach."""


def parameters(target: Any) -> dict[str, inspect.Parameter]:
    """What a callable takes, by name; what a class hands on as keywords is what its bases take."""
    return {name: parameter for name, (parameter, _) in _declared(target).items()}


def declared_numbers(target: Any) -> dict[str, tuple[Bounds | None, set[type]]]:
    """The options of a callable that are numbers: their bounds, and what will do as well, str or bool."""
    found = {}
    for name, (_, hint) in _declared(target).items():
        held = [hint, *(item for item in _listed(_members(hint)) or () if item is not ...)]
        numbers = [number for each in held for number in _numbers(each)]
        if numbers:
            found[name] = (numbers[0][1], {str, bool} & set(_members(hint)))
    return found


@functools.cache
def open_ended(target: Any) -> bool:
    """Whether a callable takes keywords of any name."""
    return all(any(p.kind is p.VAR_KEYWORD for p in _signature(maker)) for maker in _makers(target))


def checked(target: Any, given: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Arguments for a callable, each held against what its annotation declares.

    Callables from elsewhere are trusted with their own arguments, but for those that they declare with
    `Bounds`.

    Args:
        target: the callable.
        given: its arguments by name.
        where: of the arguments in a config, or the name of the callable.

    Returns:
        the arguments, whole floats as integers where such are expected.

    Raises:
        UserError: a value of another type or out of bounds.
    """
    declared = _declared(target)
    found = dict(given)
    for name, value in given.items():
        parameter, hint = declared.get(name, (None, Any))
        if parameter is not None and not _is_default(value, parameter.default):
            found[name] = _settled(value, hint, f"{where}{name}")
    return found


def checks_options(cls: type[T]) -> type[T]:
    """Class decorator: the constructors of a class and its subclasses check their arguments."""
    checking: Any = cls
    check_constructor(checking)
    before = checking.__init_subclass__

    def also(sub: Any, /, **options: Any) -> None:
        before.__func__(sub, **options) if hasattr(before, "__func__") else before(**options)
        check_constructor(sub)

    checking.__init_subclass__ = classmethod(also)
    return cls


def check_constructor(cls: Any) -> None:
    """Have the constructor that a class writes check its arguments."""
    init = vars(cls).get("__init__")
    if init is None:
        return
    signature = inspect.signature(init)

    @functools.wraps(init)
    def checking(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            bound = signature.bind(self, *args, **kwargs)
        except TypeError:
            init(self, *args, **kwargs)  # says what does not fit
            return
        bound.arguments.update(checked(init, bound.arguments, f"{type(self).__name__}: "))
        init(*bound.args, **bound.kwargs)

    cls.__init__ = checking


@functools.cache
def _declared(target: Any) -> dict[str, tuple[inspect.Parameter, Any]]:
    """Each parameter with its resolved annotation; Any where that is no concern of ours."""
    found: dict[str, tuple[inspect.Parameter, Any]] = {}
    for maker in _makers(target):
        own = _signature(maker)
        for parameter in own:
            if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                found.setdefault(parameter.name, (parameter, _hint(maker, parameter)))
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in own):
            break
    return found


def _makers(target: Any) -> list[Any]:
    """The constructors of a class, its own first; a function itself."""
    if not inspect.isclass(target):
        return [target]
    return [vars(cls)["__init__"] for cls in target.__mro__ if "__init__" in vars(cls) and cls is not object]


def _signature(maker: Any) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(maker).parameters.values())
    except (TypeError, ValueError):
        return []


def _hint(maker: Any, parameter: inspect.Parameter) -> Any:
    written, made = parameter.annotation, inspect.unwrap(maker)
    if written is parameter.empty:
        return Any
    if isinstance(written, str):
        names = getattr(made, "__globals__", None) or vars(sys.modules[made.__module__])
        try:
            written = eval(written, dict(names))
        except Exception:  # a name that only type checkers import
            return Any
    ours = str(getattr(made, "__module__", "")).partition(".")[0] == "counterfoil"
    return written if ours or any(bounds for _, bounds in _numbers(written)) else Any


def _members(hint: Any) -> tuple[Any, ...]:
    """The members of a union, or the one type."""
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(part for member in get_args(hint) for part in _members(member))
    return (hint,)


def _numbers(hint: Any) -> Iterator[tuple[type, Bounds | None]]:
    """The kinds of number that a hint names: int or float, and the bounds."""
    for member in _members(hint):
        if get_origin(member) is Annotated:
            kind, *notes = get_args(member)
            yield kind, next((note for note in notes if isinstance(note, Bounds)), None)
        elif member in (int, float):
            yield member, None


def _is_default(value: Any, default: Any) -> bool:
    return value is default or (
        type(value) is type(default) and isinstance(value, int | float) and value == default
    )


def _settled(value: Any, hint: Any, name: str) -> Any:
    """The value as the hint has it; raises UserError where it is none."""
    members = _members(hint)
    numbers, items, words = list(_numbers(hint)), _listed(members), _words(members)
    closed = all(member in SIMPLE or list(_numbers(member)) or _special(member) for member in members)
    if Any in members or object in members or not (closed or numbers or items):
        return value
    if value is None or isinstance(value, bool):
        right = type(value) in members or not (closed or numbers)
    elif isinstance(value, Real):
        for kind, bounds in numbers:
            if _is_one(value, kind) and (bounds is None or bounds.hold(float(value))):
                return int(float(value)) if kind is int and not isinstance(value, int) else value
        if str in members and isinstance(value, Integral) and not numbers:
            return str(int(value))
        right = not (closed or numbers)
    elif isinstance(value, str):
        if closed and words and not numbers and str not in members and value not in words:
            raise UserError(f"{name}={value} is not supported; choose one of: {', '.join(words)}")
        right = not (closed or _called(members)) or bool({str, Path} & set(members)) or value in words
    elif isinstance(value, Mapping) and numbers and not closed:
        right = "_target_" in value
    elif isinstance(value, Sequence) and items is not None:
        return _settled_items(value, items, members, name)
    else:
        right = not closed or (
            not isinstance(value, Sequence | Mapping) and bool({str} & set(members) or items)
        )
    if not right:
        raise UserError(
            f"{name}={shown(value)}: expected {_expected(members)}{_how_to_write(value, members, name)}"
        )
    return value


def _how_to_write(value: Any, members: Sequence[Any], name: str) -> str:
    """What to write for a value that reads as another kind than it is meant to be."""
    if str in members and (value is None or isinstance(value, bool | float)):
        return f"; a text that reads otherwise needs quotes: '{name}=\"{shown(value)}\"'"
    if isinstance(value, str) and _listed(members):
        return f"; a list of one is {name}=[{value}]"
    return ""


def _is_one(value: Real, kind: type) -> bool:
    """Whether a number is finite and, where integers are expected, whole."""
    if isinstance(value, Integral):
        return int(value).bit_length() <= 1000  # what a float can hold
    return math.isfinite(value) and (kind is float or float(value).is_integer())


def _special(member: Any) -> bool:
    """Whether a hint is a list or a choice of words."""
    return get_origin(member) is Literal or _listed((member,)) is not None


def _called(members: Sequence[Any]) -> bool:
    """Whether a function will do."""
    return any(get_origin(member) is collections.abc.Callable for member in members)


def _words(members: Sequence[Any]) -> tuple[Any, ...]:
    """The words that may be chosen."""
    return tuple(word for member in members if get_origin(member) is Literal for word in get_args(member))


def _listed(members: Sequence[Any]) -> tuple[Any, ...] | None:
    """What a list among the members holds: (hint, ...) for any number of items, or one hint for each."""
    for member in members:
        origin = get_origin(member)
        if inspect.isclass(origin) and issubclass(origin, Sequence):
            held = get_args(member)
            return held if origin is tuple else (*held, ...)
    return None


def _settled_items(value: Sequence[Any], items: tuple[Any, ...], members: Any, name: str) -> Any:
    hints = [items[0]] * len(value) if items[-1] is ... else list(items)
    if len(hints) != len(value):
        raise UserError(f"{name}={shown(value)}: expected {_expected(members)}")
    pairs = zip(value, hints, strict=True)
    settled = [_settled(item, hint, f"{name}[{i}]") for i, (item, hint) in enumerate(pairs)]
    if all(new is old for new, old in zip(settled, value, strict=True)):
        return value
    return tuple(settled) if isinstance(value, tuple) else settled


def _expected(members: Sequence[Any]) -> str:
    return " or ".join(dict.fromkeys(_word(member) for member in members))


def _word(member: Any) -> str:
    for kind, bounds in _numbers(member):
        limits = f" {bounds}" if bounds else ""
        return f"{'a whole number' if kind is int else 'a number'}{limits}"
    named = {str: "text", bool: "true or false", type(None): "null", Path: "a path"}
    items = _listed((member,))
    if items is not None:
        several = f"{len(items)} such values" if items[-1] is not ... else "a list"
        return f"{several}, each {_expected(_members(items[0]))}" if list(_numbers(items[0])) else several
    if get_origin(member) is Literal:
        return " or ".join(map(str, get_args(member)))
    return named.get(member) or str(getattr(member, "__name__", member)).lower()


def shown(value: Any) -> str:
    """A value as it stands in a config."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Real):
        return f"{value:.10g}" if not isinstance(value, Integral) else str(int(value))
    if isinstance(value, list | tuple):
        return f"[{','.join(map(shown, value))}]"
    return repr(value) if isinstance(value, str) else f"a {type(value).__name__}"
