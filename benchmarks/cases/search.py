"""REVISE and Wachter against decoder, classifier, backward pass and Adam alone; with and without leaving."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch.nn.functional as F
from subject import Subject, chosen, runner_up
from timing import Options, Row, Work, descent, interleave, take
from torch import Tensor

from counterfoil.core.entry import Entry
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.explainer.revise import Revise
from counterfoil.explainer.wachter import Wachter

DEFAULTS = Options(queries=(1, 16, 256), steps=100, repeats=5)
SMALL = 64
"""Batches of fewer queries run four times as often."""


def rows(options: Options) -> Iterator[Row]:
    """Full-length searches for each size of batch; then searches that end each query where it is valid."""
    subject = Subject(options)
    classifier, vae = subject.trained("classifier"), subject.trained("generative")
    x = subject.models.data.test[range(max(options.queries))].x.to(subject.models.device)
    target = runner_up(classifier, x)
    common: dict[str, Any] = {"rounds": 1, "confidence": subject.run.confidence}
    methods: dict[str, Callable[..., OptimisedExplainer]] = {
        "revise": partial(Revise, classifier, vae, **common),
        "wachter": partial(Wachter, classifier, **common),
    }
    for name, method in methods.items():
        full = method(steps=options.steps, patience=None)
        for n in options.queries:
            works = {
                "ours": Work(partial(full, x[:n], target[:n]), n),
                "floor": Work(partial(bare, full, x[:n], target[:n], options.steps), n),
            }
            repeats = options.repeats * (4 if n < SMALL else 1)
            yield Row(f"{name}, {n} at once", interleave(works, repeats, options.device))
    for name, method in methods.items():
        yield leaving(name, method, x, target, options)


def weights(options: Options) -> dict[str, str]:
    """Sha256 of each file of weights."""
    subject = Subject(options)
    names = ("classifier", "generative")
    return subject.models.hashes({name: chosen(getattr(subject.run, name)) for name in names})


def bare(explainer: OptimisedExplainer, x: Tensor, target: Tensor, steps: int) -> None:
    """The floor under a search in pixels, or in the code of its generator."""
    vae: Any = explainer.generator
    z, decode = (x.clone(), lambda pixels: pixels) if vae is None else (vae.encode(x).detach(), vae.decode)

    def loss() -> Tensor:
        image = decode(z)
        flip = F.cross_entropy(explainer.classifier(image), target, reduction="sum")
        return flip + 2 * (image - x).abs().flatten(1).mean(1).sum()

    take(descent([z], loss, explainer.search.optimizer), steps)


def leaving(name: str, method: Callable[..., Any], x: Tensor, target: Tensor, options: Options) -> Row:
    """Finished queries leave the batch, or stay in it; each search ends where all are valid."""
    ours, staying, found, n = method(patience=0), method(patience=0), [], len(x)
    staying.search.crowd = 1.1
    works = {
        "ours": Work(lambda: found.append(ours(x, target)), n),
        "staying": Work(partial(staying, x, target), n),
    }
    times = interleave(works, max(1, options.repeats // 2), options.device, warm=False)
    steps = found[0].steps.double()
    facts = {
        "valid": Entry(float(found[0].valid.double().mean()), n=n, unit="%", label="valid"),
        "mean steps": Entry(float(steps.mean()), n=n, label="mean steps"),
        "most steps": Entry(float(steps.max()), n=n, label="most steps"),
    }
    return Row(f"{name}, {n} until valid", times, facts=facts)
