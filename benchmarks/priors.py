"""Seconds a query through an image prior: many at once, one at a time, and the bare networks:  python benchmarks/priors.py

Each query is a network of its own; B of them are stacked and rendered in one call. Fixed numbers of steps, fitting and searching, so that
all sides do the same work. The floor is what cannot be avoided: render, classify, losses, gradient, Adam, for the same stacked networks,
written out without any record of the best point. All sides run in turn in one process. The classifier is the one of conf/evaluate.yaml.
"""

from __future__ import annotations

import argparse
import math
import sys
import warnings
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from common import about, config, interleave, machine, markdown, ratios, record, trained
from torch import Tensor

from counterfoil.core.errors import CounterfoilWarning
from counterfoil.core.query import Query
from counterfoil.explainer.disc import DISC
from counterfoil.generative.prior.dip import DIP
from counterfoil.generative.prior.inr import INR
from counterfoil.search import PriorWeights

PRIORS: dict[str, type[INR | DIP]] = {"inr": INR, "dip": DIP}
SINGLES = 4
"""Queries asked one at a time in a repeat."""


def method(classifier: Any, kind: str, fit: int, steps: int) -> DISC:
    """DISC at its defaults that never stops early."""
    prior = PRIORS[kind](psnr=math.inf, steps=fit)
    return DISC(
        classifier, prior=prior, steps=steps, rounds=1, patience=None, schedule="none", confidence=0.95
    )


def silently(explainer: DISC, x: Tensor, target: Tensor, at_once: bool) -> None:
    """Explain; the warning about a PSNR that nothing can reach is not shown."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CounterfoilWarning)
        for part in [slice(None)] if at_once else [slice(i, i + 1) for i in range(len(x))]:
            explainer(x[part], target[part])


def bare(classifier: Any, space: PriorWeights, x: Tensor, target: Tensor, fit: int, steps: int) -> Tensor:
    """The floor under `disc` at its defaults with energy as its score."""
    prior, shape = space.prior, (x.shape[1], x.shape[2], x.shape[3])
    weights = {
        name: value.requires_grad_() for name, value in space.draw(Query(x, target, classifier)).items()
    }
    optimizer = torch.optim.Adam(list(weights.values()), lr=prior.lr)
    for _ in range(fit):
        optimizer.zero_grad(set_to_none=True)
        (prior.render(weights, shape) - x).square().flatten(1).mean(1).sum().backward()
        optimizer.step()
    with torch.no_grad():
        logits, known = classifier.read(x, classifier.layers)
        energy, norms = (
            -logits.logsumexp(1),
            {name: value.square().flatten(1).mean(1) + 1e-4 for name, value in known.items()},
        )
        size = x.square().flatten(1).mean(1) + 1e-4
    optimizer = torch.optim.Adam(list(weights.values()), lr=2e-3)
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        image = prior.render(weights, shape)
        logits, seen = classifier.read(image, classifier.layers)
        apart = (image - x).square().flatten(1).mean(1) / size
        for name, value in seen.items():
            apart = apart + (value - known[name]).square().flatten(1).mean(1) / norms[name]
        loss = (
            F.cross_entropy(logits, target, reduction="none")
            + (-logits.logsumexp(1) - energy).relu()
            + 0.2 * apart
        )
        loss.sum().backward()
        optimizer.step()
    return image.detach()


def measure(
    classifier: Any, kind: str, x: Tensor, target: Tensor, args: argparse.Namespace
) -> dict[str, Any]:
    """One prior: all queries at once, some of them one at a time, and the floor."""
    explainer = method(classifier, kind, args.fit, args.steps)
    space = explainer.space
    assert isinstance(space, PriorWeights)
    cases = {
        "at once": partial(silently, explainer, x, target, True),
        "one at a time": partial(silently, explainer, x[:SINGLES], target[:SINGLES], False),
        "floor": partial(bare, classifier, space, x, target, args.fit, args.steps),
    }
    wait = torch.cuda.synchronize if args.device.startswith("cuda") else lambda: None
    times = interleave(cases, args.repeats, wait)
    counts = {"at once": len(x), "one at a time": SINGLES, "floor": len(x)}
    gain = {
        name: value * len(x) / SINGLES
        for name, value in ratios(times["one at a time"], times["at once"]).items()
    }
    row = {
        "prior": kind,
        "queries": len(x),
        "gain": gain,
        "over_floor": ratios(times["at once"], times["floor"]),
    }
    print(
        f"{kind}: gain {gain['median']:.2f}, over the floor {row['over_floor']['median']:.3f}",
        file=sys.stderr,
    )
    return {**row, "seconds": {name: value.per(counts[name]) for name, value in times.items()}}


def _table(rows: list[dict[str, Any]]) -> str:
    heads = ["prior", "at once, s min (median)", "one at a time, s min (median)", "floor, s min (median)"]
    heads += ["gain min", "gain median", "over the floor, min", "over the floor, median"]
    lines = []
    for row in rows:
        seconds = [f"{value['min']:.4f} ({value['median']:.4f})" for value in row["seconds"].values()]
        figures = [
            row["gain"]["min"],
            row["gain"]["median"],
            row["over_floor"]["min"],
            row["over_floor"]["median"],
        ]
        lines.append([row["prior"], *seconds, *(f"{value:.2f}" for value in figures)])
    return markdown(heads, lines)


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--priors", nargs="+", default=["inr", "dip"], choices=list(PRIORS))
    parser.add_argument("--queries", type=int, default=64, help="at once")
    parser.add_argument("--fit", type=int, default=30, help="steps of the pre-image")
    parser.add_argument("--steps", type=int, default=30, help="of the search")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1, help="of torch on the CPU")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("overrides", nargs="*", help="of the config, such as data=mnist or store=FOLDER")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    models, (classifier,) = trained(config(*args.overrides), ("classifier",), args.device)
    x = models.data.test[range(args.queries)].x.to(args.device)
    with torch.no_grad():
        target = classifier(x).topk(2, dim=1).indices[:, 1]
    before = machine(args.device)
    rows = [measure(classifier, kind, x, target, args) for kind in args.priors]
    print(f"{args.queries} queries, {args.fit} fitting and {args.steps} searching steps\n\n{_table(rows)}")
    print(
        f"\nBefore: {about(before)}\nAfter: load {' '.join(map(str, machine(args.device)['load_average']))}"
    )
    print(record("priors", {"machine": before, "options": vars(args), "rows": rows}))


if __name__ == "__main__":
    main()
