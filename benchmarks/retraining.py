"""AIP's applications, before and after, over seeds:  python benchmarks/retraining.py augmentation|debiasing [--seeds 0,1,2] [overrides]

augmentation: the classifier of Smiling, trained where faces wear eyeglasses exactly when they smile, is trained again with its valid
counterfactuals, labelled by what their attributes spell, or by the class requested. Accuracy on unbiased test faces; and as it would be
where a share s of the faces has glasses exactly with a smile: s * (accuracy where they agree) + (1 - s) * (where they differ), once for the
strength s of the training faces, once for its inversion. data.spurious.strength=0.95 plants less; then the classifier sees enough faces
that differ to learn the smile.

debiasing: the same classifier is fine-tuned on counterfactuals that move only the protected attribute, labels kept. Share of decisions
that turn when it alone is edited in test faces: by the generator, absent against present; and truly, the face being drawn anew.

The generator is trained once, on unbiased faces (experiment=attributes, first seed), or given by generator=FILE. The overrides are those
of train.py. Writes runs/<name>/<name>.json. Intervals are 95 % over seeds: see `counterfoil.report.seeds.over_seeds`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hydra
import torch
from common import ROOT, markdown
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.data.avatars import Avatars
from counterfoil.data.base import Images
from counterfoil.metric.bootstrap import wilson
from counterfoil.report.seeds import over_seeds
from counterfoil.run.config import recipes_in, typed
from counterfoil.run.models import Models, resolve_device
from counterfoil.run.store import Store
from counterfoil.run.train import train_all
from counterfoil.util import cli  # noqa: F401 (registers the resolvers of the configs)
from counterfoil.util.build import plain
from counterfoil.util.record import command_line, versions, write_json

VARIANTS = {
    "augmentation": {
        "labels by attributes": ["classifier.training.label=attributes"],
        "labels as asked": ["classifier.training.label=target"],
    },
    "debiasing": {"fine-tuned": []},
}
DRAWN = 500
"""Test faces that are drawn anew."""
Entry = dict[str, Any]


def compose(*overrides: str) -> dict[str, Any]:
    """The config of train.py."""
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        node: dict[str, Any] = typed(plain(hydra.compose("train", overrides=["logger=none", *overrides])))
    return node


def trained(node: dict[str, Any], key: str) -> Models:
    """The models of a config; the one at `key` and those it depends on are trained where they are missing."""
    store = Store(Path(node["store"]).expanduser())
    recipes = dict(recipes_in(node[key], key))
    train_all(recipes, Models(store, node["data"]), node["trainer"], False, command=command_line())
    return Models(store, node["data"], resolve_device("auto"))


def generator_file(overrides: list[str], seed: int) -> str:
    """The generator of unbiased faces, trained where it is missing."""
    groups = ("data", "store", "generative", "trainer")
    named = [(part, part.split("=")[0].lstrip("+").split(".")) for part in overrides]
    shared = [part for part, path in named if path[0] in groups and path[:2] != ["data", "spurious"]]
    node = compose("experiment=attributes", f"seed={seed}", *shared)
    models = trained(node, "generative")
    return str(models.store.weights(node["generative"], models.data))


def measure_seed(name: str, seed: int, overrides: list[str], generator: str) -> dict[str, dict[str, Entry]]:
    """Metrics of the classifier before, and after each variant, all of one seed."""
    found: dict[str, dict[str, Entry]] = {}
    for variant, more in VARIANTS[name].items():
        node = compose(
            f"experiment={name}", f"seed={seed}", *overrides, *more, f"generative.checkpoint={generator}"
        )
        models = trained(node, "classifier")
        before = models.share(node["classifier"].training["explainer"]["classifier"])
        for label, classifier in {"before": before, variant: models.share(node["classifier"])}.items():
            if label not in found:
                found[label] = measure(name, classifier, models, node)
    return found


def measure(name: str, classifier: nn.Module, models: Models, node: Mapping[str, Any]) -> dict[str, Entry]:
    """Accuracy in all worlds; for debiasing also how often the protected attribute decides."""
    test, data = models.data.test, models.data
    correct = decisions(classifier, test) == test.labels
    assert test.attributes is not None
    spurious = node["data"].options["spurious"]
    first, second = (
        test.attributes[:, data.attribute_names.index(spurious[key])] for key in ("first", "second")
    )
    found = accuracies(correct, first == second, spurious["strength"])
    if name == "debiasing":
        found.update(turned(classifier, models, node))
    return found


def decisions(classifier: nn.Module, images: Images) -> Tensor:
    """The class (N,) of each image, on the CPU."""
    like = next(classifier.parameters())
    with torch.no_grad():
        parts = [
            classifier(images[slice(i, i + 256)].x.to(like)).argmax(1).cpu()
            for i in range(0, len(images), 256)
        ]
    return torch.cat(parts)


def accuracies(correct: Tensor, agree: Tensor, strength: float) -> dict[str, Entry]:
    """Accuracy on the test faces, and with both attributes alike as often as in training, or as seldom: weighted means of two shares."""
    found = {"accuracy, unbiased": share(correct)}
    parts = [correct[agree].double(), correct[~agree].double()]
    for name, s in (("as in training", strength), ("inverted", 1 - strength)):
        pairs = list(zip((s, 1 - s), parts, strict=True))
        value = sum(w * float(p.mean()) for w, p in pairs)
        halves = [w * (high - low) / 2 for w, p in pairs for low, high in [wilson(float(p.mean()), len(p))]]
        half = sum(h * h for h in halves) ** 0.5
        found[f"accuracy, {name}"] = entry(value, value - half, value + half, len(correct))
    return found


def turned(classifier: nn.Module, models: Models, node: Mapping[str, Any]) -> dict[str, Entry]:
    """Share of decisions that turn when the protected attribute alone is edited."""
    data, name = models.data, node["protected"]
    generator = models.share(node["generative"])
    column = generator.attribute_names.index(name)
    flips = []
    like = next(generator.parameters())
    with torch.no_grad():
        for start in range(0, len(data.test), 256):
            x = data.test[slice(start, start + 256)].x.to(like)
            z, a = generator.encode(x), generator.attributes(x)
            other = a.clone()
            other[:, column] = (a[:, column] < 0.5).to(a)
            a[:, column] = 1 - other[:, column]
            flips.append(
                classifier(generator.decode(z, a)).argmax(1)
                != classifier(generator.decode(z, other)).argmax(1)
            )
    found = {f"turned by {name}, generator": share(torch.cat(flips).cpu())}
    if isinstance(data, Avatars):
        n = min(DRAWN, len(data.test))
        own, twin = (
            decisions(classifier, images) for images in (data.test.take(slice(0, n)), data.twins(name, n))
        )
        found[f"turned by {name}, drawn"] = share(own != twin)
    return found


def share(hits: Tensor) -> Entry:
    """A share with Wilson's interval."""
    value = float(hits.double().mean())
    return entry(value, *wilson(value, len(hits)), len(hits))


def entry(value: float, low: float, high: float, n: int) -> Entry:
    """A figure as in metrics.json."""
    return {"value": value, "low": low, "high": high, "n": n, "higher_is_better": None}


def gains(runs: list[dict[str, dict[str, Entry]]]) -> dict[str, dict[str, Entry]]:
    """After minus before, paired by seed; the runs' own intervals do not enter, as both see the same faces."""
    paired = [
        {
            f"{variant} - before": {
                m: entry(e["value"] - run["before"][m]["value"], float("nan"), float("nan"), e["n"])
                for m, e in row.items()
            }
        }
        for run in runs
        for variant, row in run.items()
        if variant != "before"
    ]
    return over_seeds(paired)


def within(rows: Mapping[str, Mapping[str, Entry]]) -> dict[str, dict[str, Entry]]:
    """Shares, their intervals cut to [0, 1]."""
    return {
        name: {m: {**e, "low": max(e["low"], 0.0), "high": min(e["high"], 1.0)} for m, e in row.items()}
        for name, row in rows.items()
    }


def table(rows: Mapping[str, Mapping[str, Entry]]) -> str:
    """A row a classifier, per cent."""
    metrics = list(next(iter(rows.values())))
    return markdown(
        ["", *(f"{metric} %" for metric in metrics)],
        [[name, *(_cell(row[m]) for m in metrics)] for name, row in rows.items()],
    )


def _cell(found: Mapping[str, Any]) -> str:
    value, low, high = (found.get(key) for key in ("value", "low", "high"))
    interval = "" if low is None or high is None or low != low else f" [{100 * low:.1f}, {100 * high:.1f}]"
    return f"{100 * float(value or 0.0):.1f}{interval}"


def main() -> None:
    """Train, measure, print and record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=list(VARIANTS))
    parser.add_argument(
        "--seeds",
        type=lambda text: [int(part) for part in text.split(",")],
        default=[0, 1, 2],
        help="such as 0,1,2",
    )
    parser.add_argument("overrides", nargs="*", help="of train.py, such as store=weights; or generator=FILE")
    args = parser.parse_intermixed_args()
    folder = Path("runs") / args.name
    folder.mkdir(parents=True, exist_ok=True)
    given = [part.removeprefix("generator=") for part in args.overrides if part.startswith("generator=")]
    overrides = [part for part in args.overrides if not part.startswith("generator=")]
    generator = given[-1] if given else generator_file(overrides, args.seeds[0])
    runs = [measure_seed(args.name, seed, overrides, generator) for seed in args.seeds]
    means, differences = within(over_seeds(runs)), gains(runs)
    print(
        f"\n{args.name}, seeds {', '.join(map(str, args.seeds))}\n\n{table(means)}\n\n{table(differences)}\n"
    )
    content = {
        "seeds": args.seeds,
        "means": means,
        "gains": differences,
        "runs": runs,
        "generator": generator,
    }
    write_json(folder / f"{args.name}.json", {**content, "command": command_line(), "versions": versions()})
    print(folder / f"{args.name}.json")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
