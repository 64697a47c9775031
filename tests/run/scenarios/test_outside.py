"""A researcher's own network, weights and folder of images, through both scripts by overrides alone."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.forked import Forked

ROOT = Path(__file__).parents[3]
NET = """
from torch import nn


class BirdNet(nn.Module):
    def __init__(self, hidden, channels, size, classes):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(channels * size**2, hidden), nn.LeakyReLU(0.3))
        self.head = nn.Linear(hidden, classes)

    def forward(self, x):
        return self.head(self.body(x))
"""


def birds(root: Path) -> None:
    """Colour images 24 px wide and 20 high of three kinds, told apart by their colour."""
    draw = np.random.default_rng(0)
    for k, kind in enumerate(("finch", "gull", "owl")):
        (root / kind).mkdir(parents=True)
        for i in range(40):
            pixels = draw.integers(0, 120, (20, 24, 3))
            pixels[..., k] += 110
            Image.fromarray(pixels.astype(np.uint8)).save(root / kind / f"{i}.png")


def run(environment: dict[str, str], folder: Path, script: str, *overrides: str) -> str:
    done = Forked([str(ROOT / script), *overrides], folder, environment).end()
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_own_network_weights_and_images_by_overrides_alone(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    birds(tmp_path / "birds")
    (tmp_path / "my_package.py").write_text(NET)
    shared = [
        "data=folder",
        "data.root=birds",
        "data.size=16",
        "data.batch_size=16",
        "logger=none",
        "store=store",
    ]
    own = ["classifier=custom", "classifier.net._target_=my_package.BirdNet", "+classifier.net.hidden=32"]
    norm = ["classifier.mean=[0.4,0.4,0.4]", "classifier.std=[0.2,0.25,0.3]"]
    judge = ["classifier@judge=resnet", "judge.net.width=4", "judge.net.stages=1", "judge.layers=[pool]"]
    judge += ["judge.training.epochs=4", "judge.training.batch_size=8"]
    trained = ["classifier.training.epochs=8", "classifier.training.batch_size=8"]
    run(environment, tmp_path, "train.py", *shared, *own, *norm, *judge, *trained, "run_dir=trained")

    (weights,) = (tmp_path / "store").glob("folder-classifier-custom-*.safetensors")
    renamed = {f"model.{name}": value for name, value in load_file(str(weights)).items()}
    torch.save({"state_dict": renamed, "epoch": 3}, tmp_path / "birdnet.ckpt")
    for file in (tmp_path / "store").glob("folder-classifier-custom-*"):
        file.unlink()
    options = [
        "explainer=[wachter]",
        "explainer.wachter.scale=1",
        "n=6",
        "metric=[validity,judge_agreement,l1]",
        "confidence=0.6",
    ]
    options += ["classifier.checkpoint=birdnet.ckpt", "classifier.layers=[body]", "target=owl", "run_dir=out"]
    run(environment, tmp_path, "evaluate.py", *shared, *own, *norm, *judge, *options)

    summary = json.loads((tmp_path / "out/metrics.json").read_text())
    assert summary["queries"]["class_names"] == ["finch", "gull", "owl"]
    assert summary["methods"]["wachter"]["validity"]["value"] > 0.9
    counterfactuals = load_file(str(tmp_path / "out/counterfactuals/wachter/batch-00000.safetensors"))
    assert counterfactuals["factual"].shape == (6, 3, 16, 16)
    assert counterfactuals["target"].tolist() == [2] * 6
    assert len(list(csv.DictReader((tmp_path / "out/queries.csv").open()))) == 6
    _graded_by_her_network(tmp_path, counterfactuals)


def _graded_by_her_network(folder: Path, counterfactuals: dict[str, torch.Tensor]) -> None:
    """Her own class, her own normalisation, by hand."""
    names: dict[str, type[torch.nn.Module]] = {}
    exec(NET, names)
    net = names["BirdNet"](32, 3, 16, 3)
    saved = torch.load(folder / "birdnet.ckpt", weights_only=True)["state_dict"]
    net.load_state_dict({name.removeprefix("model."): value for name, value in saved.items()})
    mean, std = torch.tensor([0.4, 0.4, 0.4]).view(3, 1, 1), torch.tensor([0.2, 0.25, 0.3]).view(3, 1, 1)
    with torch.no_grad():
        logits = net((counterfactuals["counterfactual"] - mean) / std)
    torch.testing.assert_close(logits, counterfactuals["counterfactual_logits"], rtol=1e-4, atol=1e-4)


METRIC = """
from counterfoil.metric.base import SampleMetric


class Darkening(SampleMetric):
    name = "darkening"
    label = "Darkening & 100_%"
    unit = "grey"
    higher_is_better = False
    minimum = 0.0
    maximum = 255.0

    def score(self, cf):
        \"\"\"Mean darkening of the pixels, in grey levels.\"\"\"
        return 255 * (cf.factual - cf.counterfactual).clamp(min=0).flatten(1).mean(1)
"""


def test_own_metric_is_shown_everywhere_in_its_unit(
    tmp_path: Path, bench: Any, environment: dict[str, str]
) -> None:
    """One .py and one .yaml: terminal, page, Markdown, LaTeX, CSV and JSON show it beside all others."""
    (tmp_path / "my_metric.py").write_text(METRIC)
    (tmp_path / "mine/metric").mkdir(parents=True)
    (tmp_path / "mine/metric/darkening.yaml").write_text(
        "# @package metric.darkening\n_target_: my_metric.Darkening\n"
    )
    others = "success,distances,linf,manifold,cout,steps,cost,peak_memory_mb"
    options = ["--config-dir=mine", f"metric=[{others},darkening]", "n=8", "explainer=[nearest,unchanged]"]
    own = [*bench.models, "logger=none", f"store={bench.store}", "run_dir=out"]
    terminal = run(environment | {"COLUMNS": "80"}, tmp_path, "evaluate.py", *options, *own)

    out = tmp_path / "out"
    entry = json.loads((out / "metrics.json").read_text())["methods"]["nearest"]["darkening"]
    assert (entry["unit"], entry["minimum"], entry["maximum"], entry["n"]) == ("grey", 0, 255, 8)
    assert 1 < entry["low"] <= entry["value"] <= entry["high"] < 255
    value = f"{entry['value']:.1f}" if entry["value"] < 99.5 else f"{entry['value']:.0f}"
    tables = {end: (out / f"tables/leaderboard.{end}").read_text() for end in ("md", "tex", "csv")}
    (line,) = [line for line in tables["csv"].splitlines() if line.startswith("nearest,darkening,")]
    assert float(line.split(",")[2]) == pytest.approx(entry["value"], rel=1e-5)
    assert line.endswith(",grey")
    assert "Darkening & 100_% grey ↓" in tables["md"]
    assert r"Darkening \& 100\_\% grey $\downarrow$" in tables["tex"]
    page = (out / "report.html").read_text()
    assert "Darkening &amp; 100_%" in page
    assert all(value in text for text in (terminal, page, tables["md"], tables["tex"]))
    assert "grey ↓" in terminal
    assert "grey" in page
    assert max(map(len, terminal.split("queries,")[0].splitlines())) <= 80
    held = json.loads((out / "metrics.json").read_text())["methods"]["nearest"]
    for unit in {entry["unit"] for entry in held.values() if entry["value"] is not None}:
        assert unit in terminal
    assert all(f"\nnearest,{name}," in tables["csv"] for name in held)
