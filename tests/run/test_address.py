"""Addresses of models: what may change without changing them, and what may not."""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import hydra
import pytest

from counterfoil.classifier.cnn import CNN
from counterfoil.data.base import ImageData
from counterfoil.data.digits import Digits
from counterfoil.run.address import (
    FROM_DATA,
    FROM_NODE,
    Seen,
    defaults,
    departures,
    differences,
    identity,
    plain,
    recipe,
    same,
    stem,
    weights_named,
)
from counterfoil.util import cli  # noqa: F401 (registers the resolvers of the configs)
from counterfoil.util.build import build, locate
from counterfoil.util.build import plain as plain_config

CONF = Path(__file__).parents[2] / "conf"
MODELS = [
    (group, path.stem)
    for group in ("classifier", "generative")
    for path in sorted((CONF / group).glob("*.yaml"))
    if "\npath:" not in path.read_text()
]
"""Those that are trained here; one from elsewhere has no address, see `Store.weights`."""
FILLED = {"net": FROM_DATA, "training": FROM_NODE}
SEEN = Seen(
    "digits", {"name": "digits", "seed": 0, "limit": None, "val_fraction": 0.1, "attribute": None}, Digits
)
each_model = pytest.mark.parametrize(("group", "name"), MODELS, ids=[f"{g}-{n}" for g, n in MODELS])
Node = dict[str, Any]


def composed(group: str, name: str, *overrides: str) -> Node:
    """The node that train.py composes for a model yaml."""
    own = ("classifier.net._target_=counterfoil.classifier.cnn.CNN",) if name == "custom" else ()
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        made = hydra.compose("train", overrides=["logger=none", f"{group}={name}", *own, *overrides])
    node: Node = plain_config(made)[group]
    return node


def parts(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], type]]:
    """The parts of a node that a class makes, but for those of a model that it reads."""
    for key, value in node.items():
        if isinstance(value, dict) and "role" not in value:
            yield from parts(value, (*path, key))
    if "_target_" in node:
        yield path, locate(node["_target_"], "test")


def options(node: Node) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each option that changes the weights with its value, spelt out or a default."""
    for path, cls in parts(node):
        if path[0] in FILLED:
            found = {key: value for key, value in at(node, path).items() if not isinstance(value, Mapping)}
            filled = FILLED[path[0]] if len(path) == 1 else ()
            known = {key: value for key, value in defaults(cls).items() if key not in (*filled, "self")}
            for key, value in ({key: plain(value) for key, value in known.items()} | found).items():
                if key != "_target_" and key not in at(node, path).keys() - found.keys():
                    yield (*path, key), value


def at(node: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        node = node[key]
    return node


def changed(node: Node, path: tuple[str, ...], value: Any) -> Node:
    """A copy with another value at a place."""
    other = copy.deepcopy(node)
    at(other, path[:-1])[path[-1]] = value
    return other


def another(value: Any) -> Any:
    """A value that is not the given one."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return f"{value}x"
    return [*value, "x"] if isinstance(value, list) else 7


def with_signature(monkeypatch: pytest.MonkeyPatch, cls: type, change: Callable[..., Any]) -> None:
    """Let a class's constructor have the parameters that `change` makes of its own."""
    own = inspect.signature(cls.__init__)  # type: ignore[misc]

    def constructor(self: Any, *args: Any, **kwargs: Any) -> None: ...

    constructor.__signature__ = own.replace(parameters=change(list(own.parameters.values())))  # type: ignore[attr-defined]
    monkeypatch.setattr(cls, "__init__", constructor)


def with_option(parameters: list[inspect.Parameter]) -> list[inspect.Parameter]:
    """One more option, brand_new=3."""
    new = inspect.Parameter("brand_new", inspect.Parameter.KEYWORD_ONLY, default=3)
    last = [p for p in parameters if p.kind is inspect.Parameter.VAR_KEYWORD]
    return [*(p for p in parameters if p not in last), new, *last]


@each_model
def test_a_moved_file_and_another_spelling_keep_the_address(
    group: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = composed(group, name)
    before, moved = stem(node, SEEN), copy.deepcopy(node)
    elsewhere = ModuleType("counterfoil.elsewhere")
    monkeypatch.setitem(sys.modules, elsewhere.__name__, elsewhere)
    for path, cls in parts(node):
        setattr(elsewhere, cls.__name__, cls)
        at(moved, path)["_target_"] = f"counterfoil.elsewhere.{cls.__name__}"
    assert moved != node
    assert stem(moved, SEEN) == before, "a re-export is another spelling of the same class"
    for _, cls in parts(node):
        monkeypatch.setattr(cls, "__module__", "counterfoil.elsewhere")
    assert stem(moved, SEEN) == before
    assert not list(differences(recipe(node, SEEN, whole=True), recipe(moved, SEEN, whole=True)))


@each_model
def test_a_new_option_with_a_default_keeps_the_address(
    group: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = composed(group, name)
    before, then = stem(node, SEEN), recipe(node, SEEN, whole=True)
    for cls in {cls for _, cls in parts(node)}:
        with_signature(monkeypatch, cls, with_option)
    assert stem(node, SEEN) == before
    now = recipe(node, SEEN, whole=True)
    assert now["net"]["brand_new"] == 3
    assert not list(differences(then, now)), "the manifest does not know the option"
    for path in [("net", "brand_new"), ("training", "brand_new")]:
        assert stem(changed(node, path, 3.0), SEEN) == before
        assert stem(changed(node, path, 4), SEEN) != before


@each_model
def test_an_option_spelt_out_at_its_default_keeps_the_address(group: str, name: str) -> None:
    node = composed(group, name)
    before = stem(node, SEEN)
    for path, value in options(node):
        assert stem(changed(node, path, value), SEEN) == before, path
        if isinstance(value, int) and not isinstance(value, bool):
            assert stem(changed(node, path, float(value)), SEEN) == before, path
    for key in ("channels", "size", "classes", "class_names", "attributes"):
        assert stem(changed(node, ("net", key), None), SEEN) == before, "the data fill it in"
    for key, value in {"layers": ["pool"], "checkpoint": None, "decision": None, "remark": "mine"}.items():
        assert stem(changed(node, (key,), value), SEEN) == before, key


@each_model
def test_every_option_changed_changes_the_address(group: str, name: str) -> None:
    node = composed(group, name)
    found = dict(options(node))
    assert {("training", "epochs"), ("training", "lr")} <= found.keys()
    others = {path: stem(changed(node, path, another(value)), SEEN) for path, value in found.items()}
    others |= {(key,): stem(changed(node, (key,), another(node[key])), SEEN) for key in ("seed", "name")}
    others |= {(key,): stem(changed(node, (key,), 0.1), SEEN) for key in ("mean", "std")}
    addresses = [stem(node, SEEN), *others.values()]
    assert len(set(addresses)) == len(addresses), [
        path for path, a in others.items() if addresses.count(a) > 1
    ]


def test_options_that_are_handed_on_count_by_the_class_that_takes_them() -> None:
    node = composed("generative", "exaggerator", "classifier=cnn")
    before, place = stem(node, SEEN), ("training", "discriminator")
    assert at(node, place) == {"projection": "ordinal", "width": 32}
    for given in ({}, {"width": 32.0}, {"projection": "ordinal", "stages": None}, None):
        assert stem(changed(node, place, given), SEEN) == before, given
    assert stem(changed(node, place, {"width": 33}), SEEN) != before
    assert recipe(node, SEEN, whole=True)["training"]["discriminator"]["stages"] is None


def test_what_the_data_give_is_no_default_of_the_class() -> None:
    """A network of one channel is not the one that the data fill in, which may have three."""
    node = composed("classifier", "cnn")
    assert defaults(CNN)["channels"] == 1
    assert stem(changed(node, ("net", "channels"), 1), SEEN) != stem(node, SEEN)


def test_a_class_is_known_by_what_it_declares_else_by_its_name() -> None:
    class Mine:
        pass

    class Renamed(Mine):
        identity = "Mine"

    assert identity(CNN) == "CNN"
    assert identity(Renamed) == "Mine"
    assert identity(type("Child", (Renamed,), {"__module__": "a.b"})) == "a.b.Child", "not inherited"
    assert identity(Mine).endswith(
        "test_address.test_a_class_is_known_by_what_it_declares_else_by_its_name.<locals>.Mine"
    )
    assert identity(build) == "build"


def test_a_model_in_a_recipe_is_known_by_its_weights(tmp_path: Path) -> None:
    node = composed("generative", "exaggerator", "classifier=cnn")
    inner = node["training"]["classifier"]
    before, its = stem(node, SEEN), stem(inner, SEEN)
    place = ("training", "classifier", "checkpoint")
    assert stem(changed(node, place, f"/anywhere/{its}.safetensors"), SEEN) == before
    given = changed(node, place, str(tmp_path / "mine.pt"))
    (tmp_path / "mine.pt").write_bytes(b"first")
    first = stem(given, SEEN)
    (tmp_path / "mine.pt").write_bytes(b"second")
    assert len({before, first, stem(given, SEEN)}) == 3
    for path, value in {
        "seed": 1,
        "mean": 0.1,
        "decision": {"_target_": "counterfoil.core.decision.Probabilities"},
        "class_names": ["b", "a"],
        "output": "logits",
    }.items():
        assert stem(changed(node, ("training", "classifier", path), value), SEEN) != before, path
    assert stem(changed(node, ("training", "classifier", "training", "lr"), 1.0), SEEN) != before
    assert stem(changed(node, ("training", "classifier", "layers"), []), SEEN) == before
    read = changed(changed(inner, ("class_names",), ["b", "a"]), ("output",), "logits")
    assert stem(read, SEEN) == its, "how its outputs are read does not change what is trained"


def test_a_file_of_weights_is_known_by_its_name_in_a_store_else_by_its_content(tmp_path: Path) -> None:
    assert (
        weights_named(Path("a/mnist-classifier-cnn-0123456789.safetensors"))
        == "mnist-classifier-cnn-0123456789"
    )
    assert weights_named(tmp_path / "absent.pt") == str(tmp_path / "absent.pt")
    for name in ("a.pt", "b.pt"):
        (tmp_path / name).write_bytes(b"weights")
    assert weights_named(tmp_path / "a.pt") == weights_named(tmp_path / "b.pt")
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline/unet.json").write_text("1")
    first = weights_named(tmp_path / "pipeline")
    (tmp_path / "pipeline/unet.json").write_text("2")
    assert weights_named(tmp_path / "pipeline") != first


def test_data_count_by_what_is_not_at_its_default() -> None:
    class More(Digits):
        def __init__(self, *, blur: float = 0.0, **options: Any) -> None:
            super().__init__(**options)
            self.blur = blur

        def options(self) -> dict[str, Any]:
            return {"blur": self.blur}

    node, unlabelled = composed("classifier", "cnn"), composed("generative", "vae")

    def address(data: ImageData, of: Node = node) -> str:
        return stem(of, Seen.of(data))

    before = address(Digits())
    assert before == stem(node, SEEN)
    assert address(Digits(batch_size=7)) == address(More()) == address(Digits(val_fraction=0.1)) == before
    others = [Digits(limit=9), Digits(seed=1), Digits(val_fraction=0.2), Digits(name="x"), More(blur=1.0)]
    others += [Digits(attribute="Smiling")]
    assert len({before, *map(address, others)}) == 1 + len(others)
    assert address(Digits(attribute="Smiling"), unlabelled) == address(Digits(), unlabelled)


def test_plain_values_are_equal_where_a_model_cannot_tell_them() -> None:
    assert same(plain((1.0, 2)), plain([1, 2.0]))
    assert not same(plain(True), plain(1))
    assert not same(plain([1, 2]), plain([2, 1]))
    assert plain(CNN) == "CNN"
    assert plain({"a": (Path("x"), 1e-3)}) == {"a": ["x", 0.001]}


FAST = {"precision": "bf16-mixed"}


@pytest.mark.parametrize(
    "trainer",
    [
        {"precision": "32-true"},
        {"precision": 32},
        {"devices": [1], "accelerator": "gpu", "deterministic": "warn", "log_every_n_steps": 5},
        {"fast_dev_run": False, "limit_train_batches": 1.0, "max_time": None, "max_steps": -1},
        {"callbacks": [{"_target_": "pytorch_lightning.callbacks.LearningRateMonitor"}]},
        {"_target_": "pytorch_lightning.Trainer", "strategy": "auto", "accumulate_grad_batches": 1},
    ],
)
def test_a_trainer_that_makes_the_same_weights_does_not_count(trainer: dict[str, Any]) -> None:
    assert departures(trainer) == {}


@pytest.mark.parametrize(
    "trainer",
    [
        FAST,
        {"fast_dev_run": True},
        {"fast_dev_run": 3},
        {"limit_train_batches": 1},
        {"limit_train_batches": 0.5},
        {"limit_val_batches": 2},
        {"max_steps": 10},
        {"max_time": "00:00:01:00"},
        {"min_epochs": 9},
        {"gradient_clip_val": 1.0},
        {"accumulate_grad_batches": 4},
        {"devices": 2},
        {"overfit_batches": 1},
        {"callbacks": {"_target_": "pytorch_lightning.callbacks.EarlyStopping", "monitor": "val/loss"}},
    ],
)
def test_a_trainer_that_makes_other_weights_is_part_of_the_address(trainer: dict[str, Any]) -> None:
    found = departures({"precision": "32-true", "devices": 1} | trainer)
    assert found.keys() == trainer.keys()
    node = composed("classifier", "cnn")
    reader = composed("generative", "exaggerator")
    for each in (node, reader):
        assert stem(each, replace(SEEN, trainer=found)) != stem(each, SEEN)
    other = replace(SEEN, trainer={"max_steps": 11})
    assert stem(node, replace(SEEN, trainer=found)) != stem(node, other)


@pytest.mark.parametrize("name", ["default", "fast"])
def test_the_default_trainer_does_not_depart(name: str) -> None:
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        made = plain_config(hydra.compose("train", overrides=["logger=none", f"trainer={name}"]))
    assert departures(made["trainer"]) == ({} if name == "default" else FAST)
