"""Retrained classifiers whose decisions are set by hand."""

from __future__ import annotations

import pytest

from counterfoil.core.errors import UserError
from counterfoil.metric.evaluation import evaluate_metrics
from counterfoil.metric.retrained import retrained
from tests.metric.test_judges import Says, told


def test_retrained_classifiers_are_asked_like_judges(make):
    cf = told(make, [1, 1, 1, 0], [1, 0, 0, 0])
    found = evaluate_metrics(retrained(Says(2), {"a": Says(0), "b": Says(1), "c": None}), cf).summary
    assert found["retrained"].value == pytest.approx((3 + 1) / 8)
    assert found["retrained_least"].value == pytest.approx(1 / 4)
    assert [found[name].label for name in found if not name.endswith("_valid")] == [
        "Retrained, mean",
        "Retrained, least",
    ]


def test_the_classifier_itself_is_not_a_retrained_one():
    itself = Says(0)
    with pytest.raises(UserError, match=r"classifiers\.b is the classifier that is explained"):
        retrained(itself, {"a": Says(0), "b": itself})
    with pytest.raises(UserError, match="found none"):
        retrained(itself, {"a": None})


def test_a_run_trains_the_kind_explained_under_other_seeds(compose):
    """Whatever the options of the classifier; its weights from elsewhere are none of another seed."""
    from counterfoil.run.config import RunConfig

    given = ("metric=[retrained]", "classifier=mixer", "classifier.net.depth=2", "seed=3")
    config = RunConfig.of(compose("evaluate", *given, "classifier.checkpoint=mine.pt")[0])
    options = config.metric["retrained"].options
    assert options["classifier"] == config.classifier
    for seed, other in zip((4001, 4002, 4003), options["classifiers"].values(), strict=True):
        assert (other.seed, other.checkpoint, other.net) == (seed, None, config.classifier.net)
        assert other.name == "mixer"
