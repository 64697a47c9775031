"""GCI and AIP against decoder, classifier, backward pass and optimiser alone; networks as before training."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from subject import Subject, runner_up
from timing import Options, Row, Work, descent, interleave, take
from torch import Tensor
from torch.optim import SGD

from counterfoil.explainer.aip import AIP
from counterfoil.explainer.gci import GCI

DEFAULTS = Options(queries=(256,), steps=30, repeats=5)


def rows(options: Options) -> Iterator[Row]:
    """Each method at its defaults for each size of batch, one round without early stop."""
    own_data = any(part.startswith(("data=", "experiment=")) for part in options.overrides)
    few = () if own_data else ("data.n=20",)  # the faces themselves are not looked at
    subject = Subject(options, "experiment=attributes", *few)
    networks = subject.untrained(subject.run.explained), subject.untrained(subject.run.generative)
    gci = GCI(*networks, steps=options.steps, rounds=1, patience=None)
    aip = AIP(*networks, n_max=options.steps, best=True)
    floors = {
        "gci": (gci, partial(bare, gci, gci.search.optimizer, ("a",))),
        "aip": (aip, partial(bare, aip, partial(SGD, lr=0.05), ("z", "a"))),
    }
    for name, (explainer, floor) in floors.items():
        for n in options.queries:
            x = subject.noise(n)
            target = runner_up(networks[0], x)
            works = {
                "ours": Work(partial(explainer, x, target), options.steps),
                "floor": Work(partial(floor, x, target, options.steps), options.steps),
            }
            yield Row(f"{name}, {n} at once", interleave(works, options.repeats, options.device), "step")


def bare(
    explainer: Any, optimizer: Any, moved: tuple[str, ...], x: Tensor, target: Tensor, steps: int
) -> None:
    """The floor under a search in the code z, the attributes a, or both."""
    classifier, generator = explainer.classifier, explainer.generator
    with torch.no_grad():
        start = {"z": generator.encode(x), "a": generator.attributes(x)}

    def loss() -> Tensor:
        return F.cross_entropy(classifier(generator.decode(start["z"], start["a"])), target, reduction="sum")

    take(descent([start[name] for name in moved], loss, optimizer), steps)
