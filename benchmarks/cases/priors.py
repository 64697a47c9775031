"""Image priors, a network per query: all at once, against the bare stacked networks and one at a time."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from subject import Subject, runner_up
from timing import Options, Row, Work, descent, interleave, take
from torch import Tensor
from torch.optim import Adam

from counterfoil.core.errors import CounterfoilWarning
from counterfoil.core.query import Query
from counterfoil.explainer.disc import DISC
from counterfoil.search.prior import PRIORS, shape_of

DEFAULTS = Options(queries=(64,), steps=30, repeats=7)
SINGLES = 4
"""Queries asked one at a time in a repeat."""
NEVER = 1e6
"""Decibels that no fit reaches."""


def rows(options: Options) -> Iterator[Row]:
    """DISC with each prior and size of batch: `steps` of fitting and as many of searching, no early stop."""
    subject = Subject(options)
    classifier = subject.untrained(subject.run.explained)
    for kind, prior in PRIORS.items():
        fitted = prior(psnr=NEVER, steps=options.steps)
        explainer = DISC(
            classifier,
            prior=fitted,
            steps=options.steps,
            rounds=1,
            patience=None,
            schedule="none",
            confidence=subject.run.confidence,
        )
        for n in options.queries:
            x = subject.noise(n)
            target = runner_up(classifier, x)
            singles = min(n, SINGLES)
            works = {
                "ours": Work(partial(explainer, x, target), n),
                "floor": Work(partial(bare, explainer, Query(x, target, classifier), options.steps), n),
                "singly": Work(partial(one_by_one, explainer, x[:singles], target[:singles]), singles),
            }
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CounterfoilWarning)  # no fit reaches an infinite PSNR
                yield Row(f"{kind}, {n} at once", interleave(works, options.repeats, options.device))


def one_by_one(explainer: DISC, x: Tensor, target: Tensor) -> None:
    """Each query as a batch of its own."""
    for i in range(len(x)):
        explainer(x[i : i + 1], target[i : i + 1])


def bare(explainer: Any, query: Query, steps: int) -> None:
    """The floor under `disc` at its defaults, with energy as its score."""
    space, x, classifier = explainer.space, query.factual, explainer.classifier
    weights = space.draw(query)
    render = partial(space.prior.render, weights, shape_of(query))
    moved = list(weights.values())
    take(descent(moved, lambda: means(render() - x).sum(), partial(Adam, lr=space.prior.lr)), steps)
    with torch.no_grad():
        logits, known = classifier.read(x, classifier.layers)
        energy, sizes = -logits.logsumexp(1), {name: means(value) + 1e-4 for name, value in known.items()}
        size = means(x) + 1e-4

    def loss() -> Tensor:
        image = render()
        logits, seen = classifier.read(image, classifier.layers)
        apart = means(image - x) / size
        for name, value in seen.items():
            apart = apart + means(value - known[name]) / sizes[name]
        flip = F.cross_entropy(logits, query.target, reduction="none")
        return (flip + (-logits.logsumexp(1) - energy).relu() + 0.2 * apart).sum()

    take(descent(moved, loss, explainer.search.optimizer), steps)


def means(value: Tensor) -> Tensor:
    """Mean square (B,) of values (B, ...)."""
    return value.square().flatten(1).mean(1)
