"""A composed config becomes typed objects: what is wrong is told, and what makes two runs the same run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from counterfoil.core.bounds import shown
from counterfoil.core.errors import UserError
from counterfoil.run.config import DataRecipe, ModelRecipe, RunConfig, content_digest, recipes_in, typed
from counterfoil.run.models import needed_for_counterfactuals, needed_for_evaluation, needed_for_training

Compose = Callable[..., tuple[DictConfig, Mapping[str, str]]]
MODEL = {"role": "classifier", "name": "cnn", "seed": 0, "net": {}, "training": {}}


@pytest.fixture(scope="module")
def good(compose: Compose) -> RunConfig:
    return RunConfig.of(compose("evaluate", "run_dir=x", "threads=1")[0])


@pytest.mark.parametrize(
    ("told", "threads"),
    [
        ({"threads": 3}, 3),
        ({"threads": None, "n": 1}, None),
        ({"threads": "auto", "n": 1}, 1),
        ({"threads": "auto", "n": 1, "count": 8}, None),
        ({"threads": "auto", "n": 100}, None),
        ({"threads": "auto", "n": 100, "batch_size": 2}, 1),
        ({"threads": "auto", "n": 100, "batch_size": 2, "refill": 50}, None),
    ],
)
def test_threads_go_by_the_queries_at_once(
    compose: Compose, told: dict[str, Any], threads: int | None
) -> None:
    config = compose("evaluate", "run_dir=x")[0]
    config.update(told)
    assert RunConfig.of(config).wanted_threads == threads


@pytest.mark.parametrize("change", [{"threads": 2}, {"n": 1}, {"confidence": 1}, {"n": 1e3}])
def test_good_options_pass(compose: Compose, change: dict[str, Any]) -> None:
    config = compose("evaluate", "run_dir=x", "threads=1")[0]
    config.update(change)
    (name, right), run = next(iter(change.items())), RunConfig.of(config)
    assert (getattr(run, name), run.composed[name]) == (right, right)
    assert type(run.composed[name]) is int


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("n", value) for value in (0, -1, 2.5, "many", True, None)),
        *(("count", value) for value in (0, "two")),
        *(("batch_size", value) for value in (0, 1e99)),
        *(("threads", value) for value in (0, "all", 10**6)),
        *(("seed", value) for value in ("x", 0.5, None, -1, 2**32)),
        *(("target", value) for value in (None, True, 1.5)),
        *(("overwrite", value) for value in (None, 1, "yes")),
        *(("device", value) for value in (None, True)),
        *(("confidence", value) for value in (0, 0.0, 1.01, 95, "high", None, float("nan"))),
    ],
)
def test_bad_options_are_named_with_their_value(compose: Compose, name: str, value: Any) -> None:
    config = compose("evaluate", "run_dir=x", "threads=1")[0]
    config[name] = value
    with pytest.raises(UserError, match=f"^{name}={re.escape(shown(value))}: expected ") as error:
        RunConfig.of(config)
    assert "\n" not in str(error.value)


def test_options_of_a_method_not_chosen_are_no_method(compose: Compose, good: RunConfig) -> None:
    given = ("run_dir=x", "threads=1", "+explainer.gci={steps: 3}")
    config = RunConfig.of(compose("evaluate", *given)[0])
    assert list(config.explainer) == list(config.as_dict()["explainer"]) == ["revise"]
    assert config.identity == good.identity


def test_options_of_a_metric_not_chosen_are_no_metric(compose: Compose, good: RunConfig) -> None:
    given = ("run_dir=x", "threads=1", "+metric.strokes_along={towards: '0'}")
    config = RunConfig.of(compose("evaluate", *given)[0])
    assert list(config.metric) == list(good.metric)


def test_nodes_become_recipes_and_one_object_everywhere(good: RunConfig) -> None:
    assert good.data.options["_target_"] == "counterfoil.data.digits.Digits"
    assert good.explained.net["width"] == 16
    assert good.explainer["revise"]["generator"] == good.generative
    assert good.metric["im1"].options["autoencoders"] == good.autoencoder
    assert good.metric["fid_judge"].refers == {"judge", "data"}
    assert good.metric["fid_judge"].options["reference"] == good.data
    assert good.as_dict()["classifier"] == good.composed["classifier"]


def test_a_training_has_no_queries_and_perhaps_no_model(compose: Compose) -> None:
    config = RunConfig.of(compose("train", "generative=exaggerator", "classifier=cnn")[0])
    assert (config.queries, config.judge, config.explainer, config.metric) == (None, None, {}, {})
    assert list(needed_for_training(config)) == ["classifier", "generative"]
    with pytest.raises(UserError, match="classifier: none chosen"):
        _ = replace(config, classifier=None).explained


def test_models_that_a_run_needs_are_called_by_their_group(good: RunConfig) -> None:
    assert list(needed_for_counterfactuals(good)) == ["classifier", "generative"]
    assert list(needed_for_evaluation(good)) == ["classifier", "generative", "judge", "autoencoder"]
    stored = replace(good, counterfactuals=Path("x"))
    assert list(needed_for_counterfactuals(stored)) == ["classifier"]
    assert list(needed_for_evaluation(stored.measuring(["l1", "cout"]))) == ["classifier", "judge"]


def test_what_a_model_depends_on_comes_before_it() -> None:
    inner = {**MODEL, "name": "inner"}
    outer = {**MODEL, "role": "generative", "name": "outer", "net": {"teacher": inner}}
    tree = typed({"a": {"role": "data", "name": "digits"}, "b": [outer], "c": {"role": "classifier"}})
    assert [(path, recipe.name) for path, recipe in recipes_in(tree)] == [
        ("b.0.net.teacher", "inner"),
        ("b.0", "outer"),
    ]
    assert tree["a"] == DataRecipe({"name": "digits"})
    assert tree["c"] == {"role": "classifier"}


def test_a_recipe_is_read_back_from_its_plain_form() -> None:
    inner = {**MODEL, "layers": ["pool"], "decision": {"_target_": "x"}, "mean": [0.1, 0.2], "std": 0.5}
    outer = {**MODEL, "role": "generative", "labels": False, "training": {"against": [inner]}, "seed": 3}
    recipe = ModelRecipe.of(outer)
    assert recipe.as_dict() == outer
    assert ModelRecipe.of(recipe.as_dict()) == recipe
    assert ModelRecipe.of({**MODEL, "labels": True, "checkpoint": None}).as_dict() == MODEL


def test_options_that_no_model_has_or_every_model_needs_are_told() -> None:
    with pytest.raises(
        UserError, match=r"^judge\.widht is no option of a model; its options: role, name, se"
    ):
        typed({"judge": {**MODEL, "widht": 3}})
    with pytest.raises(UserError, match=r"^judge\.seed is not set; every model needs one$"):
        typed({"judge": {key: value for key, value in MODEL.items() if key != "seed"}})


@pytest.mark.parametrize("said", ["judge=null", "~classifier@judge"])
def test_no_judge_is_null_however_it_is_said(compose: Compose, said: str) -> None:
    config = RunConfig.of(compose("evaluate", said)[0])
    assert (
        config.judge is config.as_dict()["judge"] is config.metric["judge_agreement"].options["judge"] is None
    )


def test_files_count_by_their_content(good: RunConfig, tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("index,target\n0,1\n")
    one, other = (replace(good, queries=tmp_path / name) for name in ("a.csv", "b.csv"))
    first = one.identity
    assert other.identity == first != good.identity
    (tmp_path / "a.csv").write_text("index,target\n0,2\n")
    assert one.identity != first


LOGITS, PROBABILITIES = (
    {"_target_": f"counterfoil.core.decision.{name}"} for name in ("Classes", "Probabilities")
)


@pytest.mark.parametrize(
    ("overrides", "judge", "decision"),
    [
        ([], False, LOGITS),
        (["decision=probabilities"], False, PROBABILITIES),
        (
            ["classifier.decision=probabilities"],
            False,
            {"_target_": "counterfoil.core.decision.Probabilities"},
        ),
        (
            ["decision=threshold", "classifier.decision.value=65"],
            False,
            {"_target_": "counterfoil.core.decision.Threshold", "value": 65, "scale": 1.0},
        ),
        (
            ["decision@judge.decision=sigmoid", "judge.decision.name=Smiling"],
            True,
            {"_target_": "counterfoil.core.decision.Sigmoid", "name": "Smiling", "index": None},
        ),
    ],
)
def test_a_decision_is_chosen_by_name(
    compose: Compose, overrides: list[str], judge: bool, decision: dict[str, Any]
) -> None:
    config = RunConfig.of(compose("evaluate", *overrides)[0])
    assert (config.judge if judge else config.classifier).decision == decision
    other = config.classifier if judge else config.judge
    assert other.decision == LOGITS
    assert "decision" not in config.composed


def test_names_of_outputs_count_by_what_the_file_holds(
    compose: Compose, good: RunConfig, tmp_path: Path
) -> None:
    file = tmp_path / "names.txt"

    def read(text: str) -> RunConfig:
        file.write_text(text)
        given = ("run_dir=x", "threads=1", f"classifier.class_names={file}")
        return RunConfig.of(compose("evaluate", *given)[0])

    first, second = read("a\nb"), read("b\na")
    assert (first.explained.class_names, second.explained.class_names) == (["a", "b"], ["b", "a"])
    assert len({good.identity, first.identity, second.identity}) == 3
    assert good.explained.class_names is None


def test_a_folder_counts_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"1")
    before = content_digest(tmp_path)
    (tmp_path / "a.png").write_bytes(b"2")
    changed = content_digest(tmp_path)
    (tmp_path / "a.png").rename(tmp_path / "b.png")
    assert len({before, changed, content_digest(tmp_path)}) == 3
    assert content_digest(tmp_path / "absent") == str(tmp_path / "absent")


def test_how_a_run_is_made_does_not_count(compose: Compose, good: RunConfig) -> None:
    incidental = ("run_dir=y", "threads=4", "metric=[]", "overwrite=true", "trainer=fast", "logger=csv")
    assert RunConfig.of(compose("evaluate", *incidental)[0]).identity == good.identity
    for other in ("confidence=0.5", "precision=bf16", "precision=auto", "again=[back]"):
        assert RunConfig.of(compose("evaluate", other)[0]).identity != good.identity


def test_an_option_that_is_not_used_leaves_a_run_what_it_was(compose: Compose, good: RunConfig) -> None:
    """Runs from before there was a second explanation are gone on with."""
    before = compose("evaluate", "~again", "run_dir=x", "threads=1")[0]
    del before.classifier.training.half, before.judge.training.half
    assert "again" not in before
    assert RunConfig.of(before).identity == good.identity
    halved = compose("evaluate", "classifier.training.half=first", "run_dir=x", "threads=1")[0]
    assert RunConfig.of(halved).identity != good.identity
    with pytest.raises(
        UserError, match=r"again\[0\]=there is not supported; choose one of: back, noise, own"
    ):
        RunConfig.of(compose("evaluate", "again=[there]")[0])


def test_other_queries_under_the_same_name_are_another_run(bench: Any, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("index,target\n0,1\n0,2\n")
    given = (f"queries={table}", "explainer=[nearest]", "metric=[validity]")
    bench.evaluate(tmp_path / "run", *given)
    table.write_text("index,target\n0,3\n0,4\n")
    with pytest.raises(UserError, match="holds another evaluation"):
        bench.evaluate(tmp_path / "run", *given)
