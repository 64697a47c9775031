"""The house's order, kept by a test: code, configs, tests and the tables of the docs mirror each other.

A new method is one .py and one .yaml (and a row in README and docs): nothing here lists methods.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.data.base import Images
from counterfoil.explainer.base import Explainer
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.run.config import DataRecipe, ModelRecipe, RunConfig
from counterfoil.run.models import Models, needed_for_training
from counterfoil.run.store import Store
from counterfoil.run.train import training_module
from counterfoil.util.build import build, locate, plain
from counterfoil.util.loggers import Label, open_loggers

ROOT = Path(__file__).parents[1]
SOURCE, CONF, TESTS = ROOT / "src" / "counterfoil", ROOT / "conf", ROOT / "tests"
README = (ROOT / "README.md").read_text()
METHODS, METRICS = ((ROOT / "docs" / f"{name}.md").read_text() for name in ("methods", "metrics"))


def target_of(path: Path) -> str:
    return str(yaml.safe_load(path.read_text())["_target_"])


def preset(path: Path) -> list[str]:
    """The names that a yaml of names alone stands for; none for a recipe."""
    content = yaml.safe_load(path.read_text())
    return list(content["defaults"]) if set(content) == {"defaults"} else []


def expanded(names: Iterable[str]) -> list[str]:
    """Metrics, those of presets in their place."""
    return [one for name in names for one in preset(CONF / "metric" / f"{name}.yaml") or [name]]


def written_in(path: Path) -> dict[str, type]:
    """The public classes that a source file defines."""
    module = importlib.import_module(
        ".".join(("counterfoil", *path.relative_to(SOURCE).with_suffix("").parts))
    )
    own = {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__
    }
    return {name: value for name, value in own.items() if not name.startswith("_")}


def methods() -> Iterator[tuple[Path, type]]:
    """Every file of a method with its class."""
    for path in sorted((SOURCE / "explainer").glob("*.py")):
        for cls in written_in(path).values():
            if issubclass(cls, Explainer) and cls not in (Explainer, OptimisedExplainer):
                yield path, cls


each_method = pytest.mark.parametrize(
    ("path", "cls"), list(methods()), ids=lambda value: getattr(value, "__name__", "")
)


@each_method
def test_every_method_has_a_yaml_of_its_name(path: Path, cls: type) -> None:
    config = CONF / "explainer" / f"{path.stem}.yaml"
    assert config.is_file(), (
        f"{path.name} has no conf/explainer/{path.stem}.yaml, so that explainer={path.stem} does not exist"
    )
    assert target_of(config) == f"{cls.__module__}.{cls.__name__}"


@pytest.mark.parametrize("group", ["explainer", "metric"])
def test_every_yaml_is_placed_and_points_into_its_package(group: str) -> None:
    for path in sorted((CONF / group).glob("*.yaml")):
        if preset(path):
            continue
        assert path.read_text().startswith(f"# @package {group}.{path.stem}\n"), (
            f"{path} must start with: # @package {group}.{path.stem}"
        )
        assert target_of(path).startswith(f"counterfoil.{group}."), path
        assert locate(target_of(path), str(path)), path


@each_method
def test_every_option_of_a_method_is_in_its_yaml_or_has_a_default(path: Path, cls: type) -> None:
    given = yaml.safe_load((CONF / "explainer" / f"{path.stem}.yaml").read_text())
    parameters = inspect.signature(cls).parameters
    unknown = set(given) - {"_target_", "defaults", "generator", *parameters}
    assert not unknown, f"conf/explainer/{path.stem}.yaml sets {unknown}, which {cls.__name__} does not take"
    assert given["confidence"] == "${confidence}"
    assert given["count"] == "${count}"


@each_method
def test_every_method_stands_in_the_two_tables(path: Path, cls: type) -> None:
    row = f"| `{path.stem}` |"
    assert row in METHODS, f"docs/methods.md: the table has no row {row} paper | needs | departures |"
    assert row in README, f"README.md: the table of methods has no row {row} what it does |"


def test_the_tables_name_no_method_or_metric_that_does_not_exist() -> None:
    """Rows of the tables with one name, or several in the metrics' table, in their first column."""
    known = {path.stem for group in ("explainer", "metric") for path in (CONF / group).glob("*.yaml")}
    for page, header in ((README, "| method |"), (METHODS, "| method |"), (METRICS, "| name |")):
        assert header in page, f"no table that starts with {header}"
        for line in page.split(header, 1)[1].split("\n\n", 1)[0].splitlines()[2:]:
            for name in re.findall(r"`(\w+)`", line.split("|")[1]):
                assert name in known, f"a table names {name}, which has no yaml"


def test_every_default_metric_stands_in_the_table() -> None:
    table = METRICS.split("| name |", 1)[1].split("\n\n", 1)[0]
    for name in default_metrics():
        assert f"`{name}`" in table, f"docs/metrics.md: the table lacks {name}"


@each_method
def test_every_method_states_formula_or_sketch_and_source(path: Path, cls: type) -> None:
    text = inspect.getdoc(cls) or ""
    assert "Source" in text or "Reference" in text, f"{cls.__name__} names no source"
    if "count" in inspect.signature(cls).parameters:
        assert "Args:" in text


def test_a_recipe_is_a_constructor_and_nothing_else() -> None:
    recipes = [cls for _, cls in methods() if issubclass(cls, OptimisedExplainer)]
    assert len(recipes) >= 2
    for cls in recipes:
        written = {name for name in vars(cls) if name == "__init__" or not name.startswith(("__", "_abc_"))}
        assert written == {"__init__"}, f"{cls.__name__} writes {written}; a recipe writes __init__ alone"


def test_inheritance_is_two_deep_at_most() -> None:
    """Public classes; what a file factors out under a name of its own does not count."""
    for path in sorted(SOURCE.glob("*/**/*.py")):
        for cls in written_in(path).values():
            bases = [base for base in cls.__mro__[1:] if base.__module__.startswith("counterfoil")]
            named = [base.__name__ for base in bases if not base.__name__.startswith("_")]
            assert len(named) <= 2, f"{cls.__name__} inherits from {named}"


def test_nothing_but_the_base_decides_what_a_counterfactual_is_worth() -> None:
    assert all("forward" not in vars(cls) for _, cls in methods())


def test_every_file_has_a_test_file_of_its_name() -> None:
    missing = []
    for path in sorted(SOURCE.glob("*/**/*.py")):
        public = any(
            not getattr(node, "name", "_").startswith("_") for node in ast.parse(path.read_text()).body
        )
        own = TESTS / path.relative_to(SOURCE).parent / f"test_{path.stem}.py"
        if public and not own.is_file():
            missing.append(own.relative_to(ROOT).as_posix())
    assert not missing, f"each source file has a test file of its own name; write {', '.join(missing)}"


def test_lines_end_at_column_110() -> None:
    """Of configs and of prose; code is ruff's, rows of tables and addresses do not break."""
    wide = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in (*sorted(CONF.rglob("*.yaml")), ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > 110 and not line.startswith("|")
    ]
    assert not wide, f"longer than 110 columns: {', '.join(wide)}"


def default_metrics() -> list[str]:
    defaults = yaml.safe_load((CONF / "evaluate.yaml").read_text())["defaults"]
    return expanded(next(entry["metric"] for entry in defaults if "metric" in entry))


def test_every_metric_is_measured_by_default_or_used_or_said_to_be_optional() -> None:
    lists = [
        re.findall(r"override /metric:\s*\[([^\]]*)\]", path.read_text())
        for path in (CONF / "experiment").glob("*.yaml")
    ]
    used = expanded(name for part in lists for names in part for name in re.findall(r"\w+", names))
    for name in singles("metric"):
        text = (CONF / "metric" / f"{name}.yaml").read_text()
        assert name in [*default_metrics(), *used] or re.search(
            r"^# .*\b(optional|needs)\b", text, re.I | re.M
        ), f"metric {name} is in no list; say in its yaml what it needs"
    assert set(singles("metric")) >= set(default_metrics())


def test_presets_hold_metrics_each_once(compose: Compose) -> None:
    """Presets chosen together give what their yamls list, and no metric has two places."""
    presets = {path.stem: names for path in (CONF / "metric").glob("*.yaml") if (names := preset(path))}
    held = [name for names in presets.values() for name in names]
    assert sorted(held) == sorted(set(held)), "a metric stands in two presets; leave it in one"
    config, _ = compose("evaluate", f"metric=[{','.join(presets)}]")
    assert list(config.metric) == held


def test_files_and_groups_mirror_each_other() -> None:
    for group in ("data", "classifier", "generative", "explainer", "metric"):
        for path in (CONF / group).glob("*.yaml"):
            targets = re.findall(r"_target_: (counterfoil\.\w+)\.", path.read_text())
            free = path.stem in ("custom", *from_elsewhere(group))  # the network is the user's
            assert f"counterfoil.{group}" in targets or free or preset(path), path


# every yaml of every group, composed with the scripts' own configs and built


class Untrained(Models):
    """Networks as they are before training, on small drawn pictures with two attributes."""

    def load(self, recipe: ModelRecipe) -> nn.Module:
        torch.manual_seed(0)
        net = self.network(recipe)
        if recipe.role == "classifier":
            return self.classifier(net, recipe)
        return net.eval().requires_grad_(False)


@pytest.fixture
def models(toy: Any, tmp_path: Path) -> Untrained:
    made = Untrained(Store(tmp_path), DataRecipe({"_target_": "counterfoil.data.digits.Digits"}))
    splits = toy._splits
    for name in ("train", "val", "test"):
        part = getattr(splits, name)
        drawn = torch.randint(0, 2, (len(part), 2), generator=torch.Generator().manual_seed(0)).to(
            torch.uint8
        )
        object.__setattr__(splits, name, Images(part.images, part.labels, drawn))
    object.__setattr__(splits, "attribute_names", ("Smiling", "Eyeglasses"))
    toy.attribute = "Smiling"
    made.data = toy
    return made


def names_in(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def singles(group: str) -> list[str]:
    """The recipes of a group, without its presets."""
    return [name for name in names_in(group) if not preset(CONF / group / f"{name}.yaml")]


def needed(group: str, name: str) -> list[str]:
    """What the yaml's own comment says it needs, as overrides."""
    return re.findall(r"[Nn]eeds.*?\b(explainer=\w+)", (CONF / group / f"{name}.yaml").read_text())


Compose = Callable[..., tuple[Any, Mapping[str, str]]]


@pytest.mark.parametrize("name", names_in("explainer"))
def test_every_explainer_builds(compose: Compose, models: Untrained, name: str) -> None:
    config = RunConfig.of(
        compose("evaluate", f"explainer=[{name}]", "attribute=Smiling", "confidence=0.7", "count=2")[0]
    )
    assert list(config.explainer) == [name]
    if not isinstance(models.data.domain, locate(config.explainer[name]["_target_"], name).inputs):
        return  # it moves texts
    explainer = build(config.explainer[name], models.share, name, classifier=models.share(config.explained))
    assert isinstance(explainer, Explainer)
    assert (explainer.confidence, explainer.count) == (0.7, 2)


@cache
def with_metrics(compose: Compose, names: tuple[str, ...], *given: str) -> RunConfig:
    """A run with several metrics; composing one by one takes long."""
    return RunConfig.of(compose("evaluate", f"metric=[{','.join(names)}]", *given)[0])


@pytest.mark.parametrize("name", singles("metric"))
def test_every_metric_builds(compose: Compose, models: Untrained, name: str) -> None:
    """With what its yaml says it needs; and where it refuses, with the fix that its message names."""
    decision = ("judge.decision._target_=counterfoil.core.decision.Attribute", "+judge.decision.name=Smiling")
    given = ("attribute=Smiling", "judge.training.multilabel=true", *decision)
    needs = needed("metric", name)
    alike = tuple(other for other in singles("metric") if needed("metric", other) == needs)

    def built(names: tuple[str, ...], *overrides: str) -> Any:
        config = with_metrics(compose, names, *given, *(needs or ["explainer=[]"]), *overrides)
        return build(config.metric[name].options, models.share, f"metric.{name}")

    try:
        metric = built(alike)
    except UserError as error:
        metric = built((name,), *re.findall(r"\bset (\w+=\w+)", str(error)))
    for made in metric.values() if isinstance(metric, Mapping) else [metric]:
        assert hasattr(made, "compute")
        assert made.higher_is_better in (True, False, None)


def from_elsewhere(group: str) -> list[str]:
    """Models that are read from a file or folder of the user's, their `path`, and not trained here."""
    return [name for name in names_in(group) if "\npath:" in (CONF / group / f"{name}.yaml").read_text()]


def own(group: str) -> list[str]:
    """Models that are trained here."""
    return sorted(set(names_in(group)) - set(from_elsewhere(group)))


@pytest.mark.parametrize(
    ("group", "name"),
    [(group, name) for group in ("classifier", "generative") for name in from_elsewhere(group)],
)
def test_every_model_from_elsewhere_needs_its_path(compose: Compose, group: str, name: str) -> None:
    """What it reads there is tested beside its class."""
    with pytest.raises(UserError, match=rf"{group}\.path is not set; {name} is read from"):
        RunConfig.of(compose("evaluate", f"{group}={name}")[0])
    recipe = getattr(RunConfig.of(compose("evaluate", f"{group}={name}", f"{group}.path=a")[0]), group)
    assert recipe.checkpoint == "a"
    assert recipe.net["_target_"] is None or locate(recipe.net["_target_"], name)


@pytest.mark.parametrize("script", ["train", "evaluate"])
@pytest.mark.parametrize("group", ["classifier", "classifier@judge"])
@pytest.mark.parametrize("name", own("classifier"))
def test_every_classifier_builds(
    compose: Compose, models: Untrained, script: str, group: str, name: str
) -> None:
    key = group.split("@")[-1]
    own = [f"{key}.net._target_=counterfoil.classifier.cnn.CNN"] if name == "custom" else []
    recipe = getattr(RunConfig.of(compose(script, f"{group}={name}", *own)[0]), key)
    assert recipe.role == "classifier"
    assert recipe.name == name
    classifier = models.share(recipe)
    assert classifier(models.data.test[range(2)].x).shape == (2, 3)
    training = training_module(recipe, models)
    assert training.epochs == recipe.training["epochs"]
    for key in ("mean", "std"):
        seen = getattr(training, key).flatten().tolist()
        assert seen == getattr(classifier, key).flatten().tolist() == [getattr(recipe, key)], (
            f"{name} is trained on another {key} than it is used with"
        )


@pytest.mark.parametrize("script", ["train", "evaluate"])
@pytest.mark.parametrize("name", own("generative"))
def test_every_generative_model_builds(compose: Compose, models: Untrained, script: str, name: str) -> None:
    recipe = RunConfig.of(compose(script, f"generative={name}", "classifier=cnn")[0]).generative
    assert recipe is not None
    assert recipe.role in ("generative", "autoencoder")
    assert isinstance(models.share(recipe), nn.Module)
    assert training_module(recipe, models).epochs == recipe.training["epochs"]


@pytest.mark.parametrize("name", names_in("data"))
def test_every_data_set_builds(compose: Compose, name: str) -> None:
    node = plain(compose("evaluate", f"data={name}")[0]["data"])
    assert node.pop("role") == "data"
    data = build(node, where="data")
    assert data.name == node["name"] == name


@pytest.mark.parametrize("name", names_in("trainer"))
def test_every_trainer_builds(compose: Compose, tmp_path: Path, name: str) -> None:
    node = plain(compose("train", f"trainer={name}")[0]["trainer"])
    given = {key: value for key, value in node.items() if value is not None}
    if name in ("gpu", "ddp", "mps"):  # machines without one are refused by name, see run/test_devices.py
        given |= {"accelerator": "cpu", "devices": 1}
    assert (
        build(given, where="trainer", max_epochs=1, logger=False, default_root_dir=str(tmp_path)).max_epochs
        == 1
    )


@pytest.mark.parametrize("name", names_in("logger"))
def test_every_logger_builds(compose: Compose, tmp_path: Path, name: str) -> None:
    nodes = plain(compose("train", f"logger={name}")[0]["logger"])
    assert list(nodes) == [name]
    if name == "tensorboard" and not (find_spec("tensorboard") or find_spec("tensorboardX")):
        with pytest.raises(UserError, match="pip install"):
            open_loggers(nodes, tmp_path, Label("run"))
        return
    loggers = open_loggers(nodes, tmp_path, Label("run"))
    assert len(loggers) == (name != "none")
    assert all(hasattr(logger, "log_metrics") for logger in loggers)


def targets(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    children = (
        node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
    )
    for key, child in children:
        yield from targets(child, f"{path}.{key}")
    if isinstance(node, Mapping) and "_target_" in node:
        yield path, dict(node)


@pytest.mark.parametrize("script", ["train", "evaluate"])
@pytest.mark.parametrize("name", names_in("experiment"))
def test_every_experiment_composes_for_both_scripts(compose: Compose, script: str, name: str) -> None:
    """All values resolve, all classes exist and take the arguments they are given."""
    open_values = re.findall(
        r"(\w+): \{(\w+): \"\?\?\?\"", (CONF / "experiment" / f"{name}.yaml").read_text()
    )
    config, _ = compose(
        script, f"experiment={name}", *(f"{key}.{option}=given" for key, option in open_values)
    )
    node = plain(config)
    assert needed_for_training(RunConfig.of(config))
    for path, part in targets(node):
        found = locate(part["_target_"], path)
        if part.get("_partial_"):
            continue
        parameters = inspect.signature(found).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            unknown = set(part) - set(parameters) - {"_target_", "role", "_args_", "_convert_"}
            assert not unknown, f"experiment {name}: {path} gives {part['_target_']} {unknown}"


def test_both_scripts_share_what_makes_a_model(compose: Compose) -> None:
    """The same choices name the same models, whichever script composes them."""
    chosen = (
        "classifier=cnn",
        "classifier@judge=resnet",
        "generative=cvae",
        "generative@autoencoder=autoencoder",
        "seed=3",
    )
    train, evaluate = (
        plain(compose(script, *chosen, "explainer=[revise]")[0]) for script in ("train", "evaluate")
    )
    for key in ("data", "classifier", "judge", "generative", "autoencoder"):
        assert train[key] == evaluate[key]
    assert train["judge"]["seed"] != train["classifier"]["seed"]
    assert evaluate["explainer"]["revise"]["generator"] == evaluate["generative"]


def test_all_is_every_method_that_tries_something() -> None:
    from counterfoil.util.cli import expand_all

    (expanded,) = expand_all(["explainer=all"], CONF)
    presets = {"residual"}  # a method that is another one's options has a yaml alone
    assert set(expanded.removeprefix("explainer=[").removesuffix("]").split(",")) == presets | {
        path.stem for path, cls in methods() if cls.__name__ != "Unchanged"
    }
