"""Which output of a network is which class: by the names of its outputs, or by what its decisions fit."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from counterfoil.core.errors import UserError

TABLES = ("id2label", "label_names", "label2id", "class_to_idx")
"""Keys of a json file that hold the names: of HuggingFace, timm and torchvision."""
PLACEHOLDER = re.compile(r"LABEL_\d+")
"""A name that HuggingFace gives where nobody gave one."""
OPTION = "classifier.class_names"


def read_names(given: Any, where: str = OPTION) -> tuple[str, ...]:
    """The names of a network's outputs, in their order.

    Args:
        given: a list of names; a mapping {output: name} or {name: output}; or a file: json of one of these,
            perhaps under id2label, label_names, label2id or class_to_idx, or text with one name per line.
        where: the option, for messages.

    Raises:
        UserError: no such file, no names in it, numbers of outputs that are not 0..K-1, one name twice.
    """
    if isinstance(given, str | Path):
        path = Path(given).expanduser()
        return _names_in(_content(path, where), f"{where}={path}")
    return _names_in(given, where)


def own_names(net: nn.Module) -> tuple[str, ...] | None:
    """The names that a network of HuggingFace or timm has for its outputs; None where it has none."""
    for place, key in (("config", "id2label"), ("pretrained_cfg", "label_names")):
        noted = getattr(net, place, None)
        table = noted.get(key) if isinstance(noted, Mapping) else getattr(noted, key, None)
        if isinstance(table, Mapping | list | tuple) and len(table) > 1:
            names = _names_in(table, f"the network's {key}")
            fits = getattr(net, "num_classes", len(names)) == len(names)
            return names if fits and not all(PLACEHOLDER.fullmatch(name) for name in names) else None
    return None


def columns(names: Sequence[str], classes: Sequence[str], where: str = OPTION) -> list[int]:
    """The output of each class, found by name.

    Names are the same where they are equal, else where their numbers are, else but for case, spaces,
    underscores and hyphens; of a name with commas, such as "tench, Tinca tinca", each part counts.

    Args:
        names: of the network's outputs, in their order.
        classes: of the data, in theirs.
        where: the option, for messages.

    Raises:
        UserError: a class without an output, with several, or two classes with one.
    """
    places = [_places(names, name) for name in classes]
    for name, several in zip(classes, places, strict=True):
        if len(several) != 1:
            problem = f"has several outputs for {name!r}" if several else f"lacks the class {name!r}"
            raise UserError(
                f"{where}: {problem} of the data; names of outputs: {listed(names)}; classes of the data: "
                f"{listed(classes)}"
            )
    found = [several[0] for several in places]
    for place in found:
        if found.count(place) > 1:
            both = [name for name, other in zip(classes, found, strict=True) if other == place]
            raise UserError(f"{where}: the output {names[place]!r} stands for {' and '.join(both)}")
    return found


def common(names: Sequence[str], classes: Sequence[str]) -> bool:
    """Whether any class has an output of its name."""
    return any(_places(names, name) for name in classes)


def unlike(names: Sequence[str]) -> tuple[str, ...]:
    """The names, those that occur twice with the number of their output."""
    return tuple(
        name if list(names).count(name) == 1 else f"{name} ({place})" for place, name in enumerate(names)
    )


def listed(names: Sequence[str] | Sequence[int], most: int = 12) -> str:
    """The first names on one line, and how many there are."""
    shown = ", ".join(map(str, names[:most]))
    return shown + (f", ... ({len(names)} in all)" if len(names) > most else "")


def fitting(decided: Tensor, labels: Tensor, classes: int) -> list[int] | None:
    """The output that fits each class, where that is not the class's own; None where no other order fits.

    It is the best assignment of outputs to classes by the confusion matrix. So that no order is read into
    noise, that of half of the images must hold on the other half: there it gains more than two standard
    errors, with a mean recall of more than half, and 0.1 above guessing: what untrained networks do is
    no order either.

    Args:
        decided: (N,) int64, the outputs that the classifier decides for.
        labels: (N,) int64.
        classes: K.
    """
    by_class = labels.argsort(stable=True)
    halves = (by_class[::2], by_class[1::2])
    first, second = (_confusion(decided[half], labels[half], classes) for half in halves)
    rows, found = np.arange(classes), _assigned(first)
    moved = (found != rows) & (second.sum(1) > 0)
    gained, kept = second[rows, found][moved], second[rows, rows][moved]
    if not moved.any() or gained.sum() - kept.sum() <= 2 * (gained.sum() + kept.sum()) ** 0.5:
        return None
    recall = float((gained / second.sum(1)[moved]).mean())
    return _assigned(first + second).tolist() if recall > max(0.5, 1 / (found != rows).sum() + 0.1) else None


def _confusion(decided: Tensor, labels: Tensor, classes: int) -> Any:
    flat = labels * classes + decided
    return flat.bincount(minlength=classes**2).reshape(classes, classes).cpu().numpy()


def _assigned(confusion: Any) -> Any:
    """The output (K,) of each class in the best assignment; a class keeps its own where nothing is lost."""
    return linear_sum_assignment(confusion + 1e-3 * np.eye(len(confusion)), maximize=True)[1]


def override(names: Sequence[str], option: str = OPTION) -> str:
    """The names as an override to paste into a shell: 'classifier.class_names=["a","b c"]'."""
    escaped = (
        re.sub(r'(\\*)("|$)', lambda found: 2 * found[1] + ("\\" + found[2] if found[2] else ""), name)
        for name in names
    )
    listed = ",".join(f'"{name}"' for name in escaped)
    return shlex.quote(f"{option}=[{listed}]")


def _content(path: Path, where: str) -> Any:
    if not path.is_file():
        raise UserError(
            f"{where}={path} is not a file; give a list [a,b,c], or a file of names, one per line, or json"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
        return json.loads(text) if path.suffix == ".json" else text.strip().splitlines()
    except ValueError as error:
        raise UserError(f"{where}={path} cannot be read ({error}); expected UTF-8 text or json") from error


def _names_in(given: Any, where: str) -> tuple[str, ...]:
    if isinstance(given, Mapping):
        table = _table(given)
        return _in_order(given, where) if table is None else _names_in(table, where)
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) < 2:
        raise UserError(f"{where}: expected the names of the outputs, at least two, found {str(given)[:80]}")
    return tuple(str(name).strip() for name in given)


def _table(given: Mapping[Any, Any]) -> Any:
    """The table of names in a file's content, at any depth; None where there is none."""
    own = next((given[key] for key in TABLES if given.get(key)), None)
    deeper = (_table(each) for each in given.values() if isinstance(each, Mapping))
    return own if own is not None else next((found for found in deeper if found is not None), None)


def _in_order(given: Mapping[Any, Any], where: str) -> tuple[str, ...]:
    """The names of {output: name} or {name: output}."""
    table = given if all(_whole(key) for key in given) else {value: name for name, value in given.items()}
    if not table or not all(_whole(key) for key in table):
        raise UserError(
            f"{where}: expected {{output: name}} or {{name: output}}, found {str(dict(given))[:80]}"
        )
    by_place = {int(str(key)): name for key, name in table.items()}
    if len(by_place) < len(given) or sorted(by_place) != list(range(len(given))):
        raise UserError(
            f"{where}: the outputs are numbered {listed([str(key) for key in table])}, expected "
            f"0..{len(given) - 1}, each once"
        )
    return _names_in([by_place[place] for place in range(len(given))], where)


def _whole(key: Any) -> bool:
    return str(key).isdecimal()


def _places(names: Sequence[str], wanted: str) -> list[int]:
    """The outputs that a class may be: those of its name, else of a name that reads alike."""
    key = _folded(wanted)
    tests: list[Callable[[str], bool]] = [
        lambda name: name == wanted,
        lambda name: _folded(name) == key,
        lambda name: key in map(_folded, name.split(",")),
    ]
    found = ([place for place, name in enumerate(names) if same(name)] for same in tests)
    return next((places for places in found if places), [])


@lru_cache(4096)
def _folded(name: str) -> str:
    try:
        return repr(float(name))
    except ValueError:
        return " ".join(re.split(r"[\s_-]+", name.strip().casefold()))
