"""The audit of a run: what its classifier relies on, in audit.json and on the page."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from counterfoil.audit.attributes import Shown
from counterfoil.audit.audit import Audit, Subject, audit
from counterfoil.audit.options import options_of
from counterfoil.core.domain import Continuous
from counterfoil.metric.attributes import AttributeReader
from counterfoil.metric.network import Borrowed
from counterfoil.run.results import Evaluation, placed


def audited(evaluation: Evaluation, judged: Mapping[str, Tensor]) -> Audit | None:
    """The audit of a run, of images; None where it is turned off, or no method has enough valid ones.

    Args:
        evaluation: explained and scored.
        judged: the judge's probability (N,) of the target, by method.
    """
    options = options_of(evaluation.config.audit)
    if options is None or not isinstance(evaluation.models.data.domain, Continuous):
        return None
    models, run = evaluation.models, evaluation.config
    classifier = Borrowed(evaluation.classifier, "audit", "classifier")
    several = bool(run.judge and run.judge.multilabel and models.data.attribute_names)
    subject = Subject(
        classifier,
        evaluation.classifier.class_names,
        partial(placed, models=models),
        {} if evaluation.doubt else judged,
        AttributeReader(evaluation.judge, models.data, "audit") if several else None,
        _shown(evaluation),
        evaluation.explainers,
        run.seed,
    )
    with torch.no_grad():
        return audit(evaluation.counterfactuals, subject, options)


def _shown(evaluation: Evaluation) -> Shown | None:
    """What the images of the queries show by the data; None where one of them is no image of the data."""
    images, queries = evaluation.models.data.queried, evaluation.queries
    if queries is None or images.attributes is None:
        return None
    places = {name: row for row, name in enumerate(images.names)}
    rows = [places[name] for name in queries.names if name in places]
    if len(rows) < len(queries.names):
        return None
    return Shown(evaluation.models.data.attribute_names, images.attributes[rows].bool())
