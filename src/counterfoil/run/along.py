"""Asks the classifier about every image that a method drew on its way."""

from __future__ import annotations

from typing import Any

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.query import probability_of
from counterfoil.metric.compatibility import Posteriors, StripReader
from counterfoil.metric.network import Borrowed
from counterfoil.report.strips import Reading
from counterfoil.run.evaluation import Evaluation


def read_along(evaluation: Evaluation) -> dict[str, Reading]:
    """What the classifier says along the strips of each method that has a `path`."""
    read = {}
    for name, cf in evaluation.counterfactuals.items():
        if cf.path is not None:
            read[name] = _read(cf, evaluation.classifier, _scale(evaluation, name))
    return read


def _read(cf: Counterfactuals, classifier: Any, generator: Any) -> Reading:
    assert cf.path is not None
    steps = cf.path.shape[1]
    logits = Borrowed(classifier, "report", "classifier")(cf.path.flatten(0, 1))
    target = cf.target.repeat_interleave(steps)
    return Reading(
        probability_of(cf.factual_logits, cf.target),
        probability_of(logits, target).view(-1, steps),
        (logits.argmax(1) == target).view(-1, steps),
        None if generator is None else _posteriors(StripReader(classifier, generator, "report")(cf)),
    )


def _posteriors(read: Posteriors) -> Posteriors | None:
    """None where nothing was requested."""
    return read if bool(read.requested.isfinite().any()) else None


def _scale(evaluation: Evaluation, name: str) -> Any:
    """The generator whose scale a method's requests are on, None where it has none, or where stored counterfactuals came without it."""
    node = ((evaluation.node.get("explainer") or {}).get(name) or {}).get("generator")
    models = evaluation.models
    if not isinstance(node, dict) or not models.store.has(node, models.data):
        return None
    generator = models.share(node)
    return generator if hasattr(generator, "knob") else None
