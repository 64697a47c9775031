"""REVISE and Wachter with each lever of a search: what a counterfactual costs, and what it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from statistics import median
from typing import Any

import torch
from cases.search import bare
from subject import Subject, chosen, runner_up
from timing import Options, Row, Times, Work, interleave
from torch import Tensor, nn

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.entry import Entry
from counterfoil.core.query import reaches
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.explainer.revise import Revise
from counterfoil.explainer.wachter import Wachter

DEFAULTS = Options(queries=(1024,), steps=10, repeats=3)
"""The steps are those of the floor."""
PUBLISHED = ("time", "times faster", "over the floor", "steps", "valid", "judge agreement", "L1")
"""Columns of results/levers.json."""
CONFIDENCES = (0.95, 0.999)
ENOUGH = 120.0
"""Seconds after which a method is not run again at a confidence."""
BEFORE = "removal alone"
Make = Callable[..., OptimisedExplainer]


def rows(options: Options) -> Iterator[Row]:
    """A row for each method, confidence and lever, and for levers together."""
    subject = Subject(options)
    classifier, judge, vae = map(subject.trained, ("classifier", "judge", "generative"))
    methods: dict[str, Make] = {
        "revise": partial(Revise, classifier, vae),
        "wachter": partial(Wachter, classifier),
    }
    for n in options.queries:
        x = subject.models.data.test[range(n)].x.to(subject.models.device)
        asked = x, runner_up(classifier, x), min(subject.run.batch_size, n)
        for name, method in methods.items():
            for confidence in CONFIDENCES:
                made = levers(partial(method, confidence=confidence), asked[-1])
                yield from compare(f"{name} at {confidence:g}", made, asked, judge, options)


def weights(options: Options) -> dict[str, str]:
    """Sha256 of each file of weights."""
    subject = Subject(options)
    names = ("classifier", "judge", "generative")
    return subject.models.hashes({name: chosen(getattr(subject.run, name)) for name in names})


def levers(method: Make, width: int) -> dict[str, OptimisedExplainer]:
    """The method as it was, with each lever, and with several; a batch of `width` is a full one."""
    margin, refill, bf16 = {"flip": "margin"}, {"refill": width}, {"precision": "bf16"}
    options: dict[str, dict[str, Any]] = {
        BEFORE: {},
        "flip=margin": margin,
        "refill": refill,
        "precision=bf16": bf16,
        "flip=margin, refill": margin | refill,
        "all": margin | refill | bf16,
    }
    made = {}
    for name, told in options.items():
        made[name] = method(**{key: value for key, value in told.items() if key == "flip"})
        for key in told.keys() - {"flip"}:
            setattr(made[name].search, key, told[key])
    return made


def compare(
    what: str,
    made: Mapping[str, OptimisedExplainer],
    asked: tuple[Tensor, Tensor, int],
    judge: nn.Module,
    options: Options,
) -> Iterator[Row]:
    """The same queries under each lever in turn, beside bare steps of a full batch.

    The floor is as many of these as a query takes: without the factual's and the counterfactual's grading.
    """
    (x, target, width), found = asked, {}

    def run(name: str) -> None:
        found[name] = explained(made[name], x, target, width)

    for explainer in made.values():
        explainer(x[:2], target[:2])  # what only a first call does
    floor = partial(bare, made[BEFORE], x[:width], target[:width], options.steps)
    works = {
        "floor": Work(floor, width * options.steps),
        **{name: Work(partial(run, name), len(x)) for name in made},
    }
    times = interleave(works, options.repeats, options.device, warm=False, enough=ENOUGH)
    for name in made:
        facts = outcome(found[name], judge)
        steps = facts["steps"].value or 1.0
        bare_steps = Times(
            *([steps * each for each in kept] for kept in (times["floor"].wall, times["floor"].cpu))
        )
        sides = {"ours": times[name], BEFORE: times[BEFORE], "floor": bare_steps}
        yield Row(f"{what}, {name}", sides, facts={**costs(sides, options), **facts})


def costs(sides: Mapping[str, Times], options: Options) -> dict[str, Entry]:
    """Time per counterfactual and its ratios, medians; by the clock of the CPU where one thread works."""
    on_cpu = options.threads == 1 and not options.device.startswith("cuda")
    ours, before, floor = (times.cpu if on_cpu else times.wall for times in sides.values())
    n = len(ours)
    return {
        "time": Entry(1e3 * median(ours), n=n, unit="ms of CPU" if on_cpu else "ms", label="time"),
        "times faster": Entry(
            median(b / a for a, b in zip(ours, before, strict=True)), n=n, label="times faster"
        ),
        "over the floor": Entry(
            median(a / b for a, b in zip(ours, floor, strict=True)), n=n, label="over the floor"
        ),
    }


def explained(explainer: OptimisedExplainer, x: Tensor, target: Tensor, width: int) -> list[Counterfactuals]:
    """All queries, in batches of `width`."""
    return [part for _, part in explainer.stream(zip(x.split(width), target.split(width), strict=True))]


@torch.no_grad()
def outcome(found: list[Counterfactuals], judge: nn.Module) -> dict[str, Entry]:
    """Steps, validity, the judge's agreement and L1, over all counterfactuals."""
    agreed = [reaches(judge(part.counterfactual), part.target) for part in found]
    measured = {
        "steps": (torch.cat([part.steps for part in found]), ""),
        "valid": (torch.cat([part.valid for part in found]), "%"),
        "judge agreement": (torch.cat(agreed), "%"),
        "L1": (torch.cat([part.delta.abs().flatten(1).mean(1) for part in found]), ""),
    }
    return {
        name: Entry(float(value.double().mean()), n=len(value), unit=unit, label=name)
        for name, (value, unit) in measured.items()
    }
