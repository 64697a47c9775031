"""What a step of GCI and of AIP costs beside the bare networks:  python benchmarks/attributes.py [--queries 256] [--device cuda]

The floor is what no step can avoid: decode, classify, loss, gradient to the variables, the optimiser, for the same networks, queries,
number of steps and batch size, without any record of the best point. Both run in turn in one process, without early stop, so that both
do the same steps. Networks are those of experiment=attributes with random weights, which take as long as trained ones.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from common import about, config, interleave, machine, markdown, ratios, record
from torch import Tensor, nn

from counterfoil.classifier.base import Classifier
from counterfoil.data.face import ATTRIBUTES
from counterfoil.explainer.aip import AIP
from counterfoil.explainer.gci import GCI
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.generative.attgan.network import AttGAN
from counterfoil.util.build import build

AIM = 1.25
CHANNELS, SIZE = 3, 64


def networks(overrides: list[str], device: str) -> tuple[Classifier, AttGAN]:
    """Classifier and generator of experiment=attributes as they are before training."""
    torch.manual_seed(0)
    node = config("experiment=attributes", *overrides)
    net = build(node["classifier"].net, where="classifier.net", channels=CHANNELS, classes=2)
    generator = build(
        {key: value for key, value in node["generative"].net.items() if value is not None},
        where="generative.net",
        channels=CHANNELS,
        size=SIZE,
        attributes=ATTRIBUTES,
    )
    return Classifier(net, 0.5, 0.5).to(device), generator.eval().requires_grad_(False).to(device)


def methods(
    classifier: Classifier, generator: AttGAN, steps: int
) -> dict[str, tuple[OptimisedExplainer, Callable[..., Tensor]]]:
    """Each method at its defaults, one round and no early stop, with the floor under it."""
    return {
        "gci": (GCI(classifier, generator, steps=steps, rounds=1, patience=None), bare_gci),
        "aip": (AIP(classifier, generator, n_max=steps, best=True), bare_aip),
    }


def bare_gci(classifier: Classifier, generator: AttGAN, x: Tensor, target: Tensor, steps: int) -> Tensor:
    """Adam on the attributes."""
    z, a = _start(generator, x)
    a = a.requires_grad_()
    return _bare(classifier, generator, z, a, target, steps, torch.optim.Adam([a], lr=0.05), [a])


def bare_aip(classifier: Classifier, generator: AttGAN, x: Tensor, target: Tensor, steps: int) -> Tensor:
    """Gradient descent on code and attributes."""
    z, a = (value.requires_grad_() for value in _start(generator, x))
    optimizer = torch.optim.SGD([{"params": [z], "lr": 0.5}, {"params": [a], "lr": 0.05}])
    return _bare(classifier, generator, z, a, target, steps, optimizer, [z, a])


@torch.no_grad()
def _start(generator: AttGAN, x: Tensor) -> tuple[Tensor, Tensor]:
    return generator.encode(x), generator.attributes(x)


def _bare(
    classifier: nn.Module,
    generator: AttGAN,
    z: Tensor,
    a: Tensor,
    target: Tensor,
    steps: int,
    optimizer: torch.optim.Optimizer,
    moved: list[Tensor],
) -> Tensor:
    for _ in range(steps):
        loss = F.cross_entropy(classifier(generator.decode(z, a)), target, reduction="sum")
        for value, gradient in zip(moved, torch.autograd.grad(loss, moved), strict=True):
            value.grad = gradient
        optimizer.step()
    return a.detach()


def measure(classifier: Classifier, generator: AttGAN, args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row a method and batch size."""
    x = torch.rand(max(args.queries), CHANNELS, SIZE, SIZE, generator=torch.Generator().manual_seed(0)).to(
        args.device
    )
    with torch.no_grad():
        target = 1 - classifier(x).argmax(1)
    wait: Callable[[], None] = torch.cuda.synchronize if args.device.startswith("cuda") else lambda: None
    rows = []
    for name, (explainer, bare) in methods(classifier, generator, args.steps).items():
        for n in args.queries:
            floor = partial(bare, classifier, generator, x[:n], target[:n], args.steps)
            times = interleave(
                {"ours": partial(explainer, x[:n], target[:n]), "floor": floor}, args.repeats, wait
            )
            seconds = {key: value.per(args.steps) for key, value in times.items()}
            rows.append(
                {"method": name, "queries": n, **seconds, "ratio": ratios(times["ours"], times["floor"])}
            )
            print(f"{name}, {n} queries: ratio {rows[-1]['ratio']['median']:.3f}", file=sys.stderr)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Milliseconds a step of the whole batch."""
    heads = [
        "method",
        "queries",
        "ours, ms a step",
        "floor, ms a step",
        "ratio of medians",
        "of minima",
        "aim met",
    ]
    lines = [
        [
            row["method"],
            str(row["queries"]),
            *(f"{1e3 * row[key]['median']:.1f}" for key in ("ours", "floor")),
            *(f"{row['ratio'][key]:.3f}" for key in ("median", "min")),
            "yes" if row["ratio"]["median"] <= AIM else "no",
        ]
        for row in rows
    ]
    return markdown(heads, lines)


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queries", type=int, nargs="+", default=[256], help="batch sizes")
    parser.add_argument(
        "--steps", type=int, default=30, help="of each search; all overhead of its start falls on these"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of torch on the CPU")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("overrides", nargs="*", help="of the config, such as generative.net.width=64")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    classifier, generator = networks(args.overrides, args.device)
    before = machine(args.device)
    rows = measure(classifier, generator, args)
    print(
        f"A step of {args.steps}, {SIZE} x {SIZE} px, {len(ATTRIBUTES)} attributes; at most {AIM} times the floor is the aim\n"
    )
    print(table(rows))
    print(
        f"\nBefore: {about(before)}\nAfter: load {' '.join(map(str, machine(args.device)['load_average']))}"
    )
    print(record("attributes", {"machine": before, "options": vars(args), "rows": rows}))


if __name__ == "__main__":
    main()
