"""Gives the models of a store the addresses that they have today.

    python -m counterfoil.run.readdress STORE [--data my.module.MyData]

Reads each manifest and brings its recipe up to date: classes that were moved, options that were renamed, and
defaults that were changed since the training, which are spelt out. Then it renames weights and manifest. What
cannot be moved is left, and said in one line each. A second call changes nothing.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import inspect
import json
import pkgutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.utils import get_object

from counterfoil.core.errors import UserError, first_line
from counterfoil.data.base import ImageData
from counterfoil.run.address import FROM_DATA, Seen, defaults, plain, recipe, same, stem
from counterfoil.util.build import locate
from counterfoil.util.record import read_json, write_json

MOVED: dict[str, str] = {}
"""Classes of another name today, by their old dotted path. One that only moved is found by its name."""
RENAMED = {"training.asked": "training.queries"}
"""Options that have another name today."""


@dataclass
class Renaming:
    """The manifests of a folder, by the name of their file, and the names that they get."""

    root: Path
    kinds: Mapping[str, type]
    manifests: dict[str, dict[str, Any]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)

    def read(self) -> None:
        """All manifests that have weights; a line for each file that is passed over."""
        for weights in sorted(self.root.glob("*.safetensors")):
            path = weights.with_suffix(".json")
            try:
                noted = read_json(path, "manifest of a model")
                _ = noted["node"]["net"], noted["data"]["name"]
                self.manifests[weights.stem] = noted
            except (UserError, KeyError, TypeError) as error:
                self.left.append(
                    f"{weights.name}: left, its manifest {path.name} cannot be read: {first_line(error)}"
                )

    def name(self, old: str) -> str:
        """The name of today; the files that a recipe refers to come first, as their names are part of it."""
        if old not in self.names:
            self.names[old] = old  # for a recipe that refers to itself
            try:
                self.manifests[old] = self.current(old)
                noted = self.manifests[old]
                self.names[old] = stem(noted["node"], self.seen(noted))
            except UserError as error:
                self.left.append(f"{old}.safetensors: left, {first_line(error)}")
        return self.names[old]

    def current(self, old: str) -> dict[str, Any]:
        """A manifest in the words of today."""
        text = json.dumps(self.manifests[old])
        for other in self.manifests:
            if other != old and other in text:
                text = text.replace(other, self.name(other))
        for before, today in RENAMED.items():
            text = text.replace(f"{before}=", f"{today}=")
        noted: dict[str, Any] = json.loads(text)
        noted["node"] = spelt_out(up_to_date(noted["node"]), noted.get("recipe", {}))
        whole = recipe(noted["node"], self.seen(noted), whole=True)
        first = {"node": noted.pop("node"), "recipe": whole}
        return first | {key: value for key, value in noted.items() if key != "recipe"}

    def seen(self, noted: Mapping[str, Any]) -> Seen:
        """The data and the trainer as the manifest notes them; of a model referred to, the name noted."""
        data, trainer = noted["data"], noted.get("trainer") or {}
        referred = json.dumps(noted.get("recipe", {}))
        kind = self.kinds.get(data["name"], ImageData)
        return Seen(data["name"], data, kind, trainer, lambda _exact, plainly: plainly in referred)

    def rename(self) -> Iterator[str]:
        """Move every pair of files that has another name today and shares it with none; a line each."""
        new = {old: self.name(old) for old in list(self.manifests)}
        shared = {name for name, number in Counter(new.values()).items() if number > 1}
        for old, name in new.items():
            if name in shared:
                self.left.append(
                    f"{old}.safetensors: left, {_others(old, name, new)} has the same address {name}"
                )
            else:
                before = read_json(self.root / f"{old}.json", "manifest of a model")
                if name != old or before != self.manifests[old]:
                    yield from self.move(old, name)

    def move(self, old: str, name: str) -> Iterator[str]:
        """Manifest first, then weights: a move that is cut off is finished by the next call."""
        write_json(self.root / f"{name}.json", self.manifests[old])
        if name != old:
            (self.root / f"{old}.safetensors").rename(self.root / f"{name}.safetensors")
            (self.root / f"{old}.json").unlink()
        yield f"{old} -> {name}" if name != old else f"{old}: manifest brought up to date"


def readdress(root: Path, data: str | None = None) -> tuple[list[str], list[str]]:
    """Rename the models of a store; returns a line for each that was moved, and for each that was left.

    Args:
        root: the store.
        data: dotted path of an own data set's class, whose defaults count.
    """
    if not root.is_dir():
        raise UserError(f"store {root} is no folder; give the folder of models, such as models/")
    renaming = Renaming(root, data_kinds(data))
    renaming.read()
    return list(renaming.rename()), renaming.left


def up_to_date(node: Any) -> Any:
    """A recipe with the paths and options of today."""
    if isinstance(node, list):
        return [up_to_date(child) for child in node]
    if not isinstance(node, Mapping):
        return node
    found = {key: up_to_date(value) for key, value in node.items()}
    if isinstance(found.get("_target_"), str):
        found["_target_"] = moved(found["_target_"])
    for before, today in RENAMED.items():
        group, old = before.split(".")
        if isinstance(found.get(group), dict) and old in found[group] and "net" in found:
            found[group] = _renamed(found[group], old, today.split(".")[1])
    return found


def moved(target: str) -> str:
    """Where a class lies today: by the table, as it is, or anywhere in this package by its name."""
    target = MOVED.get(target, target)
    if target.partition(".")[0] != "counterfoil" or _exists(target):
        return target
    return classes("counterfoil").get(target.rpartition(".")[2], target)


def spelt_out(node: dict[str, Any], noted: Mapping[str, Any]) -> dict[str, Any]:
    """The node with the noted value of each default that is another one today."""
    for group, filled in (("net", FROM_DATA), ("training", ())):
        part, then = node.get(group) or {}, noted.get(group) or {}
        if part.get("_target_") and then:
            known = defaults(locate(part["_target_"], f"{node['role']}.{group}"))
            node = {**node, group: _completed(part, then, known, filled)}
    return node


def _completed(
    part: Mapping[str, Any], then: Mapping[str, Any], known: Mapping[str, Any], filled: tuple[str, ...]
) -> dict[str, Any]:
    more = {
        key: value
        for key, value in then.items()
        if key in known and key not in part and key not in filled and not isinstance(value, Mapping)
    }
    return {
        **part,
        **{key: value for key, value in more.items() if not same(plain(value), plain(known[key]))},
    }


def _renamed(part: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    return {new if key == old else key: value for key, value in part.items()}


def _others(old: str, name: str, new: Mapping[str, str]) -> str:
    return ", ".join(f"{other}.safetensors" for other, its in new.items() if its == name and other != old)


def _exists(target: str) -> bool:
    module, _, name = target.rpartition(".")
    try:
        return hasattr(importlib.import_module(module), name)
    except ImportError:
        return False


@functools.cache
def classes(package: str) -> dict[str, str]:
    """The dotted path of each class below a package, by its name."""
    found = {}
    for info in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            if inspect.isclass(value) and value.__module__ == info.name:
                found[name] = f"{info.name}.{name}"
    return found


def data_kinds(own: str | None) -> dict[str, type]:
    """Data sets by their name: those of this package, and one's own."""
    kinds = [get_object(path) for path in classes("counterfoil.data").values()]
    kinds += [locate(own, "data")] if own else []
    return {kind.name: kind for kind in kinds if inspect.isclass(kind) and issubclass(kind, ImageData)}


def main() -> None:
    """Rename, and say what was moved and what was left."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", type=Path, help="the folder of models")
    parser.add_argument("--data", help="class of an own data set, as my.module.MyData; its defaults count")
    given = parser.parse_args()
    moved, left = readdress(given.store.expanduser(), given.data)
    print("\n".join([*moved, f"{len(moved)} moved or brought up to date, {len(left)} left"]))
    if left:
        sys.exit("\n".join(left))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
