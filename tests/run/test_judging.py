"""A judge that is often wrong is told of."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from counterfoil.run.config import ModelRecipe, RunConfig
from counterfoil.run.judging import warn_of_weak_judges


def warned(compose: Callable[..., Any], accuracies: Mapping[str, float]) -> list[str]:
    """What is said of models whose accuracy after training is known by their name."""

    def manifest(recipe: ModelRecipe, _data: Any) -> dict[str, Any]:
        return {"test": {"accuracy": accuracies[recipe.name]}} if recipe.name in accuracies else {}

    config = RunConfig.of(compose("evaluate", "metric=[judges]", "explainer=[nearest]")[0])
    models: Any = SimpleNamespace(data=None, store=SimpleNamespace(manifest=manifest))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_weak_judges(config, models)
    return [str(each.message) for each in caught]


def test_a_judge_far_below_the_classifier_is_named_with_both_figures(compose: Callable[..., Any]) -> None:
    (told,) = warned(compose, {"cnn": 0.92, "resnet": 0.9, "mixer": 0.85, "robust": 0.456})
    assert told.startswith("metric.judges.judges.robust: right on 45.6 % of the test images, the classifier")
    assert "92.0 %" in told


@pytest.mark.parametrize("known", [{}, {"resnet": 0.2}, {"cnn": 0.9, "resnet": 0.81}])
def test_what_is_near_or_not_known_is_passed_over(
    compose: Callable[..., Any], known: dict[str, float]
) -> None:
    assert warned(compose, known) == []


def test_the_judge_of_the_run_is_told_of_once(compose: Callable[..., Any]) -> None:
    (told,) = warned(compose, {"cnn": 0.9, "resnet": 0.5})
    assert told.startswith("judge: right on 50.0 %")
