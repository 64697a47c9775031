"""What the experiments of DISC share: methods of a config over its classifier, means with intervals over queries, and the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from common import ROOT, about, config, machine, trained
from torch import Tensor, nn

from counterfoil.data.queries import sample
from counterfoil.explainer.base import Explainer
from counterfoil.metric.bootstrap import mean_interval, resampled_means, share_interval
from counterfoil.run.models import Models, resolve_device
from counterfoil.util.build import build
from counterfoil.util.record import command_line, write_json

LADDER = (
    "explainer=[iso,lso,disc]",
    "+explainer.lso_inr={_target_:counterfoil.explainer.lso.LSO,prior:inr,confidence:'${confidence}',count:'${count}'}",
)
"""From pixels to DISC, one part more each; the overrides say otherwise where they choose `explainer=` or `experiment=`."""
ORDER = ("iso", "lso", "lso_inr", "disc")
Entry = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """A config with its data and networks."""

    node: dict[str, Any]
    models: Models
    classifier: nn.Module
    judge: nn.Module
    device: torch.device

    @staticmethod
    def of(overrides: Sequence[str]) -> Setting:
        """Compose, and train what the store lacks."""
        own = any(part.split("=")[0] in ("explainer", "experiment") for part in overrides)
        node = config(*(() if own else LADDER), *overrides)
        if node["threads"]:
            torch.set_num_threads(node["threads"])
        device = resolve_device(node["device"])
        models, (classifier, judge) = trained(node, ("classifier", "judge"), str(device))
        return Setting(node, models, classifier, judge, device)

    def methods(self) -> dict[str, Explainer]:
        """Every explainer of the config, the ladder in its order."""
        names = sorted(
            self.node["explainer"], key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER)
        )
        return {name: self.method(name) for name in names}

    def method(self, name: str, **changed: Any) -> Explainer:
        """One explainer of the config, with some of its options changed."""
        made: Explainer = build(
            {**self.node["explainer"][name], **changed},
            self.models.share,
            f"explainer.{name}",
            classifier=self.classifier,
        )
        return made

    def queries(
        self, target: str | None = None, n: int | None = None, seed: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Test images (B, C, H, W) in [0, 1] and their targets (B,), drawn as evaluate.py draws them."""
        node = self.node
        drawn = sample(
            self.models.data,
            self.classifier,
            n or node["n"],
            node["seed"] if seed is None else seed,
            str(target or node["target"]),
        )
        return drawn.images[drawn.query].float().div(255).to(self.device), drawn.target.to(self.device)

    def counterfactuals(self, method: Explainer, x: Tensor, target: Tensor) -> Tensor:
        """The counterfactuals (B, C, H, W) of a method, a batch of the config's at a time."""
        size = self.node["batch_size"]
        return torch.cat(
            [method(*part).counterfactual for part in zip(x.split(size), target.split(size), strict=True)]
        )

    def decided(self, network: nn.Module, x: Tensor) -> Tensor:
        """The class (B,) that a network gives each image."""
        with torch.no_grad():
            return torch.cat([network(part).argmax(1) for part in x.split(256)])

    def embedded(self, x: Tensor) -> Tensor:
        """What the judge's last layer says of each image: (B, D)."""
        with torch.no_grad():
            return torch.cat([self.judge.embed(part) for part in x.split(256)])  # type: ignore[operator]


def entry(values: Tensor, share: bool = False) -> Entry:
    """The mean of the finite values (B,), one a query, and its 95 % interval: Wilson's of a share, else the bootstrap's."""
    values = values.detach().cpu().double()
    values = values[values.isfinite()]
    if not len(values):
        return {"value": None, "low": None, "high": None, "n": 0}
    query = torch.arange(len(values))
    samples = resampled_means(values[:, None], query)[:, 0]
    low, high = (share_interval if share else mean_interval)(values, query, samples)
    return {"value": float(values.mean()), "low": low, "high": high, "n": len(values)}


def cell(found: Mapping[str, Any], percent: bool = False) -> str:
    """A value and its interval, as it stands in a table."""
    if found["value"] is None:
        return "–"
    scale, digits = (100, 1) if percent else (1, 3)
    value, low, high = (scale * float(found[key]) for key in ("value", "low", "high"))
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def save(name: str, content: Mapping[str, Any]) -> Path:
    """Write runs/<name>/<name>.json with the command and the machine."""
    path = ROOT / "runs" / name / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = machine()
    write_json(path, {**content, "command": command_line(), "machine": facts, "about": about(facts)})
    return path
