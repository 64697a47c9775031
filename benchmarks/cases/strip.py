"""A strip, an explanation and one bin of progressive exaggeration against the passes of its networks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch
from subject import Subject, runner_up
from timing import Options, Row, Work, interleave
from torch import nn

from counterfoil.core.entry import Entry
from counterfoil.core.query import Query
from counterfoil.explainer.progressive import Progressive

DEFAULTS = Options(queries=(64,), steps=1, repeats=15)


def rows(options: Options) -> Iterator[Row]:
    """Each form of the method for each size of batch, with the passes of each network."""
    subject = Subject(options, "explainer=[progressive]")
    classifier = subject.untrained(subject.run.explained)
    generator = subject.untrained(subject.run.explainer["progressive"]["generator"])
    whole, single = (
        Progressive(classifier, generator, strip=strip, confidence=subject.run.confidence)
        for strip in (True, False)
    )
    parts = {"encoder": generator.stem, "decoder": generator.head, "classifier": classifier}
    for n in options.queries:
        x = subject.noise(n)
        query = Query(x, runner_up(classifier, x), classifier, subject.run.confidence)
        query.__dict__["logits"] = classifier(x)  # known before a method explains
        strip, floor = partial(whole.frames, query), partial(bare, whole, query)
        forms: dict[str, dict[str, Callable[[], object]]] = {
            "strip": {"ours": strip, "floor": partial(floor, generator.knob.bins)},
            "explanation": {
                "ours": partial(whole.explain, query),
                "floor": partial(floor, generator.knob.bins, True),
            },
            "one bin": {"ours": partial(single.explain, query), "floor": partial(floor, 1), "strip": strip},
        }
        for name, runs in forms.items():
            works = {side: Work(run, n) for side, run in runs.items()}
            times = interleave(works, options.repeats, options.device)
            yield Row(f"{name}, {n} at once", times, facts=passes(runs["ours"], parts))


@torch.no_grad()
def bare(explainer: Progressive, query: Query, bins: int, graded: bool = False) -> None:
    """One encoder pass; per bin one decoder pass and, where graded, one classifier pass."""
    code, cells = explainer.exaggerator.encode(query.factual), torch.ones_like(query.target)
    for k in range(bins):
        image = explainer.exaggerator.decode(code, k * cells)
        if graded:
            query.classifier(image)


def passes(run: Callable[[], object], parts: Mapping[str, nn.Module]) -> dict[str, Entry]:
    """How often each network is called in one run."""
    seen: Counter[str] = Counter()
    hooks = [
        part.register_forward_hook(lambda *_, name=name: seen.update([name])) for name, part in parts.items()
    ]
    run()
    for hook in hooks:
        hook.remove()
    return {f"{name} passes": Entry(seen[name], n=1, label=f"{name} passes") for name in parts}
