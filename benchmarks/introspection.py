"""Does the ranked change of attributes name what a classifier uses?

python benchmarks/introspection.py [--progressive] [overrides of evaluate.py, such as store=weights]

Three classifiers of cartoon faces whose causes are known: Smiling alone; Smiling trained where every smile wears eyeglasses and nothing
else does, so that it tells glasses; Beard and Dark_Clothes at once. The generators and the judge are trained on faces without a plant.
The truth is measured too: as attributes of test faces are independent, an attribute's effect on a classifier is |mean f_1 with it - mean
f_1 without it|, over faces without its partner where the two exclude each other. GCI, AIP and REVISE explain, and progressive exaggeration
for those classifiers for which its model is trained (--progressive trains all three). What a method declares is ranked where it declares
it (attribute_change), and for all methods what the judge sees (judged_change). A hit is a true cause at the top. Writes
runs/introspection/introspection.json and a run folder a classifier.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import torch
from scipy.stats import spearmanr

from counterfoil.data.face import EXCLUSIVE
from counterfoil.run.config import typed
from counterfoil.run.models import Models
from counterfoil.run.store import Store
from counterfoil.util import cli  # noqa: F401 (registers the resolvers of the configs)
from counterfoil.util.build import plain
from counterfoil.util.record import write_json

ROOT = Path(__file__).resolve().parents[1]
CASES = {
    "smiling": (["attribute=Smiling"], ("Smiling",)),
    "planted": (
        ["attribute=Smiling", "data.spurious={first: Smiling, second: Eyeglasses, strength: 1.0}"],
        ("Eyeglasses",),
    ),
    "conjunction": (["attribute=Beard+Dark_Clothes"], ("Beard", "Dark_Clothes")),
}
KINDS = ("attribute_change", "judged_change")
PROGRESSIVE = [
    "explainer=[gci,aip,progressive]",
    "explainer.progressive.generator.training={lambda_cls: 20.0, lambda_rec: 40.0, lr: 5e-4, batch_size: 32, epochs: 18, steps: 250, "
    "average: 0.999, flip: true, empty: borrow}",
]
"""As in experiment=pe_bias."""
PUBLISHED = {"planted": ROOT / "weights" / "avatars-generative-exaggerator-ee53ca8705.safetensors"}
"""What experiment=pe_bias trained against the classifier of this case, whose weights it was given as a file."""
UNPLANTED = ("generative", "judge", "explainer.revise.generator")
"""Models that are trained on faces without a plant, whatever the classifier saw."""


def compose(*overrides: str) -> dict[str, Any]:
    """The config of evaluate.py."""
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        node: dict[str, Any] = typed(
            plain(
                hydra.compose("evaluate", overrides=["experiment=introspection", "logger=none", *overrides])
            )
        )
    return node


def weights(overrides: list[str]) -> list[str]:
    """Train what every case shares on faces without a plant; the overrides that have other runs read it."""
    _call("train.py", *overrides)
    node = compose(*overrides)
    models = Models(Store(Path(node["store"])), node["data"])
    return [
        f"{path}.checkpoint={models.store.weights(_at(node, path), models.data).resolve()}"
        for path in UNPLANTED
    ]


def progressive(case: str, overrides: list[str]) -> list[str]:
    """The overrides that add progressive exaggeration where its model, which each classifier needs of its own, is at hand."""
    node = compose(*overrides, *PROGRESSIVE)
    models = Models(Store(Path(node["store"])), node["data"])
    if models.store.has(_at(node, "explainer.progressive.generator"), models.data):
        return PROGRESSIVE
    return (
        [*PROGRESSIVE, f"explainer.progressive.generator.checkpoint={PUBLISHED[case]}"]
        if case in PUBLISHED
        else []
    )


def _at(node: dict[str, Any], path: str) -> Any:
    for key in path.split("."):
        node = node[key]
    return node


def _call(script: str, *overrides: str) -> None:
    """A script in a process of its own; where it fails it has said why."""
    done = subprocess.run(
        [sys.executable, str(ROOT / script), "experiment=introspection", "logger=none", *overrides]
    )
    if done.returncode:
        sys.exit(done.returncode)


def effects(overrides: list[str]) -> dict[str, float]:
    """How much each attribute moves the classifier's probability of class 1 over test faces."""
    node = compose(*overrides)
    models = Models(Store(Path(node["store"])), node["data"])
    classifier, test = models.share(node["classifier"]), models.data.test
    with torch.no_grad():
        p = torch.cat(
            [
                classifier(test[range(i, min(i + 256, len(test)))].x).softmax(1)[:, 1]
                for i in range(0, len(test), 256)
            ]
        )
    has, names = test.attributes > 0, models.data.attribute_names
    partner = {a: b for pair in EXCLUSIVE for a, b in (pair, pair[::-1])}
    alone = {
        name: ~has[:, names.index(partner[name])]
        if name in partner
        else torch.ones(len(has), dtype=torch.bool)
        for name in names
    }
    return {
        name: float((p[has[:, j] & alone[name]].mean() - p[~has[:, j] & alone[name]].mean()).abs())
        for j, name in enumerate(names)
    }


def rows(run: Path, method: str, kind: str) -> tuple[list[str], np.ndarray]:
    """Names of the attributes and the change (N, A) of each valid counterfactual, of a method that has this kind of change."""
    with (run / "queries.csv").open() as file:
        table = [row for row in csv.DictReader(file) if row["method"] == method and row["valid"] == "1"]
    columns = [key for key in (table[0] if table else {}) if key.startswith(f"{kind}/")]
    values = np.array([[float(row[key]) for key in columns] for row in table]).reshape(
        len(table), len(columns)
    )
    known = np.isfinite(values).any(0)
    return [key.partition("/")[2] for key, one in zip(columns, known, strict=True) if one], values[:, known]


def agreement(
    values: np.ndarray, truth: np.ndarray, causes: np.ndarray, resamples: int = 1000
) -> dict[str, Any]:
    """Whether the largest mean change lies on a cause, and the rank correlation of mean changes and true effects, with intervals."""
    rng = np.random.default_rng(0)
    drawn = [np.abs(values[rng.integers(len(values), size=len(values))]).mean(0) for _ in range(resamples)]
    mean = np.abs(values).mean(0)
    correlations = [spearmanr(sample, truth).statistic for sample in drawn]
    return {
        "hit": bool(causes[mean.argmax()]),
        "hit_share_of_resamples": float(np.mean([causes[sample.argmax()] for sample in drawn])),
        "rank_correlation": float(spearmanr(mean, truth).statistic),
        "low": float(np.quantile(correlations, 0.025)),
        "high": float(np.quantile(correlations, 0.975)),
        "n": len(values),
    }


def report(case: str, causes: tuple[str, ...], run: Path, truth: dict[str, float]) -> dict[str, Any]:
    """Every method and kind of change of one run."""
    found: dict[str, Any] = {"effects": truth, "causes": causes}
    for method in json.loads((run / "metrics.json").read_text())["methods"]:
        for kind in KINDS:
            names, values = rows(run, method, kind)
            if len(values) and names:
                entry = agreement(
                    values, np.array([truth[n] for n in names]), np.array([n in causes for n in names])
                )
                order = np.abs(values).mean(0).argsort()[::-1]
                entry["ranking"] = {names[j]: round(float(np.abs(values[:, j]).mean()), 4) for j in order}
                found[f"{method}, {kind}"] = entry
                top = ", ".join(f"{name} {value:.2f}" for name, value in list(entry["ranking"].items())[:3])
                bounds = f"rank correlation {entry['rank_correlation']:.2f} [{entry['low']:.2f}, {entry['high']:.2f}]"
                print(f"{case:12} {method:8} {kind:17} {'hit ' if entry['hit'] else 'miss'}  {bounds}  {top}")
    return found


def main(overrides: list[str], with_progressive: bool) -> None:
    """Three runs, one table; `with_progressive` trains its models too."""
    folder = Path("runs/introspection")
    given = weights(overrides)
    found = {}
    for case, (own, causes) in CASES.items():
        run = folder / case
        more = [*own, *(PROGRESSIVE if with_progressive else progressive(case, [*overrides, *own]))]
        _call(
            "evaluate.py", "train_missing=true", "overwrite=true", f"run_dir={run}", *overrides, *more, *given
        )
        found[case] = report(case, causes, run, effects([*overrides, *own]))
    write_json(folder / "introspection.json", found)


if __name__ == "__main__":
    main([part for part in sys.argv[1:] if part != "--progressive"], "--progressive" in sys.argv[1:])
