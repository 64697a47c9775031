"""What a trained model is: data, effective recipe and departures of the trainer, whose hash is its address.

A class is known by its declared identity, not by its import path. An option at its constructor's default is
left out of the hash. So a moved file, another spelling, a new option and a default spelt out leave an address
as it was. The manifest holds the recipe with all defaults filled in; `differences` compares it with today's.
"""

from __future__ import annotations

import functools
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer

from counterfoil.core.errors import UserError, suggest
from counterfoil.data.base import ImageData
from counterfoil.run.config import ROLES
from counterfoil.run.devices import devices_in
from counterfoil.util.build import locate
from counterfoil.util.digest import digest, file_digest, folder_digest
from counterfoil.util.naming import file_name

FROM_DATA = ("channels", "size", "length", "tokens", "words", "classes", "class_names", "attributes")
"""Arguments of a network that the data fill in where they are null."""
FROM_NODE = ("net", "data", "name", "mean", "std")
"""Arguments of a training that the run fills in."""
NODE = ("role", "name", "seed", "mean", "std")
"""Options beside `net` and `training` that change the weights, or what they read."""
_TRAINER = "pytorch_lightning.Trainer"
WHOLE = {"precision": "32-true", "devices": 1, "max_epochs": None}
"""Arguments of conf/trainer/default.yaml that are not Lightning's defaults, as far as they change weights."""
INCIDENTAL = (
    "accelerator", "deterministic", "benchmark", "inference_mode", "num_sanity_val_steps", "logger",
    "log_every_n_steps", "enable_checkpointing", "enable_progress_bar", "enable_model_summary", "profiler",
    "detect_anomaly", "barebones", "default_root_dir", "model_registry", "enable_autolog_hparams",
)  # fmt: skip
"""Arguments of a trainer that leave the weights as they are."""
WATCHING = (
    "DeviceStatsMonitor", "LearningRateMonitor", "ModelCheckpoint", "ModelSummary", "RichModelSummary",
    "RichProgressBar", "ThroughputMonitor", "TQDMProgressBar",
)  # fmt: skip
"""Callbacks that leave a training as it is."""
PRECISIONS = {"32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed", "64": "64-true"}
"""Shorter names of precisions."""
INHERITED = inspect.Parameter.VAR_KEYWORD
STORED = re.compile(r".+-[0-9a-f]{10}")
"""The name of a file in a store: it says what the weights are."""
WEIGHTS = (".safetensors", ".pt", ".pth", ".ckpt", ".pt2", ".ts", ".torchscript", ".jit")


@dataclass(frozen=True)
class Seen:
    """What a model sees of a run beside its recipe.

    Attributes:
        name, identity, kind: of the data: identity as a manifest notes it, and class, which knows defaults.
        trainer: `departures` of the trainer.
        older: whether a store has no weights of the first name, and some of the second whose manifest notes
            no trainer; these serve trainers that depart in precision alone.
    """

    name: str
    identity: Mapping[str, Any]
    kind: type = ImageData
    trainer: Mapping[str, Any] = field(default_factory=dict)
    older: Callable[[str, str], bool] = lambda _exact, _plain: False

    @classmethod
    def of(cls, data: ImageData, **rest: Any) -> Seen:
        """The data of a run."""
        return cls(data.name, data.identity, type(data), **rest)

    def facts(self, labels: bool) -> dict[str, Any]:
        """All that makes these data what they are; without labels, whatever these tell."""
        return {key: plain(value) for key, value in self.identity.items() if labels or key != "attribute"}

    def address(self, labels: bool) -> dict[str, Any]:
        """The facts that are not at their default, nor null."""
        known = defaults(self.kind)
        return {
            key: value
            for key, value in self.facts(labels).items()
            if value is not None and (key == "name" or not same(value, plain(known.get(key))))
        }


def stem(node: Mapping[str, Any], seen: Seen) -> str:
    """The file name of the model that a node trains: <data>-<role>-<name>-<ten hex digits>."""
    told = {"node": recipe(node, seen), "data": seen.address(node.get("labels", True))}
    key = digest(told | ({"trainer": seen.trainer} if seen.trainer else {}))
    role = node["role"]
    parts = (seen.name, "data.name"), (role, "role"), (node["name"], f"{role}.name")
    exact = "-".join([*(file_name(part, option) for part, option in parts), key])
    if seen.trainer.keys() == {"precision"}:
        plainly = stem(node, replace(seen, trainer={}))
        return plainly if seen.older(exact, plainly) else exact
    return exact


def departures(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a trainer that make other weights of the same recipe: precision, limits, callbacks.

    {} for conf/trainer/default.yaml. An argument that is not known to leave the weights as they are counts.
    """
    known = {**defaults(Trainer), **WHOLE}
    taken = set(inspect.signature(locate(trainer.get("_target_", _TRAINER), "trainer")).parameters)
    unknown = [name for name in trainer if name not in taken | {"_target_"}]
    if unknown:
        raise UserError(
            f"trainer.{unknown[0]} is no argument of the trainer{suggest(unknown[0], taken)}; "
            "what a training itself takes is set by classifier.training or generative.training"
        )
    found = {}
    for name, given in trainer.items():
        value = devices_in(trainer) if name == "devices" else _effective(name, given)
        if name not in INCIDENTAL and value is not None and value != known.get(name):
            found[name] = value
    return found


def _effective(name: str, value: Any) -> Any:
    """An argument of a trainer as it works, whatever it is written like; None where it does nothing."""
    if name == "_target_":
        made = locate(value, "trainer")
        return None if made is Trainer else identity(made)
    if name == "precision":
        return PRECISIONS.get(str(value), value)
    if name == "strategy" and str(value).startswith("ddp"):
        return None  # how several processes train, and one does not care
    if name == "callbacks":
        several = value if isinstance(value, list | tuple) else [value]
        return [node for node in map(_untold, several) if _kind(node) not in WATCHING] or None
    if name.startswith("limit_"):  # 1 is one batch, 1.0 is all of them
        return None if isinstance(value, float) and value == 1 else value
    return value


def _untold(node: Any) -> Any:
    """A node with what it makes called by its identity."""
    if not isinstance(node, Mapping) or "_target_" not in node:
        return plain(node)
    return {**plain(node), "_target_": identity(locate(node["_target_"], "trainer.callbacks"))}


def _kind(node: Any) -> str:
    return (
        str(node["_target_"]).rpartition(".")[2] if isinstance(node, Mapping) and "_target_" in node else ""
    )


def recipe(node: Mapping[str, Any], seen: Seen, *, whole: bool = False) -> dict[str, Any]:
    """The canonical form of a model node.

    Args:
        node: role, name, net, training and what a yaml of classifier/ or generative/ has beside them.
        seen: the data.
        whole: with every default filled in, as a manifest keeps it; else without what is at its default.
    """
    form = _Form(seen, whole)
    role = node["role"]
    made = {key: plain(node[key]) for key in NODE if node.get(key) is not None}
    made["net"] = form.part(node["net"], FROM_DATA, f"{role}.net")
    made["training"] = form.part(node.get("training") or {}, FROM_NODE, f"{role}.training")
    return made


def differences(then: Any, now: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Options (path, value then, value now) that two recipes both have, with different values."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for key in then.keys() & now.keys():
            yield from differences(then[key], now[key], f"{path}.{key}" if path else key)
    elif not same(plain(then), plain(now)):
        yield path, then, now


def identity(target: Any) -> str:
    """What a class is called, wherever it lies: its own `identity`, else its name.

    Outside this package the module is part of the name.
    """
    own = vars(target).get("identity") if inspect.isclass(target) else None
    if isinstance(own, str):
        return own
    module, name = getattr(target, "__module__", None), getattr(target, "__qualname__", None)
    if not module or not name:
        return type(target).__qualname__
    return str(name) if module.partition(".")[0] == "counterfoil" else f"{module}.{name}"


def defaults(target: Any) -> dict[str, Any]:
    """Arguments of a callable with a default; what a class hands on as keywords is what its bases take."""
    found: dict[str, Any] = {}
    for maker in makers(target):
        parameters = _parameters(maker)
        found = {p.name: p.default for p in parameters if p.kind is not INHERITED} | found
        if not any(p.kind is INHERITED for p in parameters):
            break
    return {name: value for name, value in found.items() if value is not inspect.Parameter.empty}


def makers(target: Any) -> list[Any]:
    """The constructors of a class, its own first; a function itself."""
    if not inspect.isclass(target):
        return [target] if _signed(target) else []
    own = [vars(cls)["__init__"] for cls in target.__mro__ if "__init__" in vars(cls) and cls is not object]
    return [maker for maker in own if _signed(maker)]


def same(a: Any, b: Any) -> bool:
    """Whether two plain values are one, a list in its order."""
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


def plain(value: Any) -> Any:
    """A value as JSON has it: whole floats as integers, tuples as lists.

    A file of weights stands for what it holds, an object for its class.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(child) for key, child in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(child) for child in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Path) or (isinstance(value, str) and value.endswith(WEIGHTS)):
        return weights_named(Path(value))
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return identity(value if inspect.isclass(value) or inspect.isroutine(value) else type(value))


def weights_named(path: Path) -> str:
    """What a file or folder of weights holds: the name that its store gave it, else its content."""
    path = path.expanduser()
    if path.is_dir():
        return folder_digest(path)
    if path.suffix not in WEIGHTS or STORED.fullmatch(path.stem):
        return path.stem if path.suffix in WEIGHTS else str(path)
    return file_digest(path) if path.is_file() else str(path)


@dataclass(frozen=True)
class _Form:
    """Brings the parts of a recipe to their canonical form."""

    seen: Seen
    whole: bool

    def part(
        self, node: Mapping[str, Any], filled: Sequence[str] = (), where: str = "config"
    ) -> dict[str, Any]:
        """A `_target_` node: its class and its arguments; others fill in those in `filled`, where null."""
        target = locate(node["_target_"], where) if node.get("_target_") else None
        nested = getattr(target, "options_of", {})
        known = defaults(target) | dict.fromkeys(filled) | {name: {} for name in nested}
        given = {key: self.value(value, f"{where}.{key}") for key, value in node.items() if key != "_target_"}
        for name, kind in nested.items():
            given[name] = self.options(kind, node.get(name) or {}, f"{where}.{name}")
        if self.whole:
            spelt = {key: plain(value) for key, value in known.items() if key not in filled and key != "self"}
            arguments = spelt | {
                key: value for key, value in given.items() if value is not None or key in spelt
            }
        else:
            arguments = {k: v for k, v in given.items() if k not in known or not same(v, plain(known[k]))}
        return {"_target_": None if target is None else identity(target), **arguments}

    def options(self, kind: type, given: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Options that a class hands on to another one, which knows their defaults."""
        known = {key: plain(value) for key, value in defaults(kind).items()}
        own = {key: self.value(value, f"{where}.{key}") for key, value in given.items()}
        if self.whole:
            return {key: value for key, value in known.items() if key not in FROM_DATA} | own
        return {key: value for key, value in own.items() if key not in known or not same(value, known[key])}

    def value(self, value: Any, where: str) -> Any:
        """Any value of a recipe; a model in it is known by its weights."""
        if isinstance(value, Mapping):
            if value.get("role") in ROLES and "net" in value:
                return self.model(dict(value), where)
            if value.get("role") == "data":
                return "data"
            if "_target_" in value:
                return self.part(value, (), where)
            return {str(key): self.value(child, f"{where}.{key}") for key, child in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(child, f"{where}[{i}]") for i, child in enumerate(value)]
        return plain(value)

    def model(self, node: Mapping[str, Any], where: str) -> dict[str, Any]:
        """A trained model that a recipe reads: its weights, and what is made of them."""
        file = Path(node["checkpoint"]) if node.get("checkpoint") else None
        read = {key: plain(node[key]) for key in ("mean", "std") if node.get(key) is not None}
        if node.get("decision"):
            read["decision"] = self.part(node["decision"], (), f"{where}.decision")
        read |= {key: plain(node[key]) for key in ("output", "class_names") if node.get(key) is not None}
        net = self.part(node["net"], FROM_DATA, f"{where}.net")
        return {"weights": weights_named(file) if file else stem(node, self.seen), "net": net, **read}


@functools.cache
def _parameters(maker: Any) -> tuple[inspect.Parameter, ...]:
    return tuple(inspect.signature(maker).parameters.values())


def _signed(maker: Any) -> bool:
    try:
        _parameters(maker)
    except (TypeError, ValueError):
        return False
    return True
