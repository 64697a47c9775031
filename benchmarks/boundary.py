"""Do counterfactuals teach a boundary?  python benchmarks/boundary.py [--classes 3:8] [--sizes 25,50] [overrides of evaluate.py]

n queries of two classes, each with its counterfactual of the other class, are 2n labelled points. On these alone two small models are
trained: logistic regression on what the judge's last layer says of an image, and a small convolutional network on pixels. Held against
them on the other test images of both classes: agreement with the classifier (its decision between the two), and accuracy. Beside the
methods stand the queries alone, which already hold both classes, and as upper bound the queries with real training images of the other
class in place of counterfactuals. Each seed draws queries, real images and initial weights; the classifier and the judge stay.
Writes runs/<name>/<name>.json. Intervals are 95 % over seeds: see `counterfoil.report.seeds.over_seeds`.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import torch
import torch.nn.functional as F
from common import markdown
from setting import Entry, Setting, cell, entry, save
from torch import Tensor

from counterfoil.classifier.cnn import CNN
from counterfoil.core.errors import UserError
from counterfoil.core.target import class_index
from counterfoil.data.base import Images
from counterfoil.report.seeds import over_seeds

Points = tuple[Tensor, Tensor]
"""Images (N, C, H, W) and which of the two classes they are, 0 or 1 (N,)."""
LEARNERS = ("regression", "network")


def regression(x: Tensor, y: Tensor, held: Tensor) -> Tensor:
    """The side (M,) on which logistic regression puts held-out rows; features (N, D) scaled to the points, ridge 0.01.

    Args:
        x, y: the features of the points, and which of the two classes they are, 0 or 1 (N,).
        held: features (M, D).
    """
    mean, scale = x.mean(0), x.std(0) + 1e-3
    weights = torch.zeros(x.shape[1] + 1, device=x.device, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = (x - mean) / scale @ weights[1:] + weights[0]
        value = F.binary_cross_entropy_with_logits(logits, y.to(x)) + 0.005 * weights[1:].square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    with torch.no_grad():
        return ((held - mean) / scale @ weights[1:] + weights[0] > 0).long()


def network(x: Tensor, y: Tensor, held: Tensor, seed: int, steps: int) -> Tensor:
    """The side (M,) on which a small network, trained `steps` batches of at most 50 points, puts held-out images."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CNN(x.shape[1], classes=2, width=8, stages=3, dropout=0.0).to(x.device).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, weight_decay=1e-4)
    for _step in range(steps):
        rows = torch.randperm(len(x), generator=generator)[:50].to(x.device)
        optimizer.zero_grad()
        F.cross_entropy(model(x[rows] - 0.5), y[rows]).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        return torch.cat([model(part - 0.5).argmax(1) for part in held.split(256)])


def real(images: Images, labels: Tensor, seed: int) -> Tensor:
    """One training image of each label (B,), none twice."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.zeros_like(labels.cpu())
    for label in labels.unique().tolist():
        places = (labels.cpu() == label).nonzero()[:, 0]
        known = (images.labels == label).nonzero()[:, 0]
        rows[places] = known[torch.randperm(len(known), generator=generator)[: len(places)]]
    return images[rows].x


def apart(images: Images, pair: list[int], queries: Tensor) -> Points:
    """Test images of the two classes that are no queries, and their labels, 0 or 1."""
    asked = {row.numpy().tobytes() for row in (queries * 255).round().to(torch.uint8).cpu()}
    rows = [
        i
        for i in range(len(images))
        if int(images.labels[i]) in pair and images.images[i].numpy().tobytes() not in asked
    ]
    held = images[rows]
    return held.x.to(queries.device), (held.y == pair[1]).long().to(queries.device)


def points_of(
    setting: Setting, pair: list[int], n: int, seed: int
) -> tuple[dict[str, Points], dict[str, Tensor], Tensor]:
    """The labelled points of each source, 2n in pairs but for the queries alone; whether each counterfactual is valid; the queries."""
    x, target = setting.queries(f"{pair[0]}:{pair[1]}", n, seed)
    if len(x) < n:
        raise UserError(
            f"--sizes {n}: the classifier puts only {len(x)} test images of these classes in their own; ask for fewer"
        )
    side = (target == pair[1]).long()
    counterfactuals, valid = {}, {}
    for name, method in setting.methods().items():
        started = time.perf_counter()
        counterfactuals[name] = setting.counterfactuals(method, x, target)
        valid[name] = setting.decided(setting.classifier, counterfactuals[name]) == target
        print(f"seed {seed}, {name}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    counterfactuals["real images"] = real(setting.models.data.train, target, seed).to(x)
    pairs = {
        name: (torch.stack((x, other), 1).flatten(0, 1), torch.stack((1 - side, side), 1).flatten())
        for name, other in counterfactuals.items()
    }
    return {"queries alone": (x, 1 - side), **pairs}, valid, x


def measure(
    setting: Setting, pair: list[int], sizes: list[int], seed: int, steps: int
) -> dict[int, dict[str, dict[str, Entry]]]:
    """Everything of one seed: size, source, metric."""
    sources, valid, x = points_of(setting, pair, max(sizes), seed)
    held, label = apart(setting.models.data.test, pair, x)
    with torch.no_grad():
        decision = torch.cat([setting.classifier(part)[:, pair].argmax(1) for part in held.split(256)])
    embedded = setting.embedded(held)
    found: dict[int, dict[str, dict[str, Entry]]] = {n: {} for n in sizes}
    for name, (images, labels) in sources.items():
        features = setting.embedded(images)
        for n in sizes:
            part = slice(n * len(images) // len(x))
            said = {
                "regression": regression(features[part], labels[part], embedded),
                "network": network(images[part], labels[part], held, seed, steps),
            }
            row = {} if name not in valid else {"validity": entry(valid[name][:n].double(), share=True)}
            for learner, side in said.items():
                row[f"{learner}, agreement"] = entry((side == decision).double(), share=True)
                row[f"{learner}, accuracy"] = entry((side == label).double(), share=True)
            found[n][name] = row
    return found


def averaged(runs: list[dict[int, dict[str, dict[str, Entry]]]]) -> dict[int, Any]:
    """Means over seeds at each size, intervals cut to [0, 1]."""
    means = {n: over_seeds([run[n] for run in runs]) for n in runs[0]}
    return {
        n: {name: {m: _within(e) for m, e in row.items()} for name, row in rows.items()}
        for n, rows in means.items()
    }


def _within(found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "low": max(found["low"], 0.0), "high": min(found["high"], 1.0)}


def table(means: dict[int, Any]) -> str:
    """A row a size and source, per cent."""
    metrics = [f"{learner}, {what}" for learner in LEARNERS for what in ("agreement", "accuracy")]
    columns = ["validity", *metrics]
    lines = [
        [str(n), name, *(cell(row[m], percent=True) if m in row else "" for m in columns)]
        for n, rows in means.items()
        for name, row in rows.items()
    ]
    return markdown(["n", "pairs from", *(f"{name} %" for name in columns)], lines)


def numbers(text: str) -> list[int]:
    """Whole numbers with commas between them."""
    return [int(part) for part in text.split(",")]


def main() -> None:
    """Explain, learn, print and record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--classes", default="3:8", help="two classes, by name or number")
    parser.add_argument(
        "--sizes", type=numbers, default=[25, 50, 100, 250], help="numbers of queries n, such as 25,50"
    )
    parser.add_argument("--seeds", type=numbers, default=[0, 1, 2], help="such as 0,1,2")
    parser.add_argument("--steps", type=int, default=200, help="of training the small network")
    parser.add_argument("--name", default="boundary", help="of the folder in runs/")
    parser.add_argument("overrides", nargs="*", help="of evaluate.py, such as data=mnist store=FOLDER")
    args = parser.parse_intermixed_args()
    setting = Setting.of(args.overrides)
    names = setting.models.data.class_names
    pair = [
        class_index(int(part) if part.isdigit() else part, names, len(names))
        for part in args.classes.split(":")
    ]
    if len(set(pair)) != 2:
        raise UserError(f"--classes {args.classes}: expected two different classes, such as 3:8")
    runs = [measure(setting, pair, args.sizes, seed, args.steps) for seed in args.seeds]
    means = averaged(runs)
    print(
        f"classes {args.classes}, seeds {', '.join(map(str, args.seeds))}, {setting.node['classifier'].name}\n\n{table(means)}\n"
    )
    print(save(args.name, {"options": vars(args), "means": means, "runs": runs}))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
