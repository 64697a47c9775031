"""A network read as a config says: what a classifier of it decides for, checked as before an evaluation."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from torch import Tensor, nn

from counterfoil.classifier.base import Classifier
from counterfoil.classifier.check import Checked, check
from counterfoil.core.errors import CounterfoilWarning
from counterfoil.data.base import ImageData, Images, Splits
from counterfoil.run.config import DataRecipe, ModelRecipe
from counterfoil.run.models import Models
from counterfoil.run.store import Store
from counterfoil.util.build import plain
from tests.bench import ROOT
from tests.inputs.case import At

CONF = ROOT / "conf"


class Shades(ImageData):
    """Plain pictures of 4 x 4 px whose grey is the class: k of K is as bright as (k + 0.5) / K."""

    name = "shades"

    def __init__(self, *class_names: str, each: int = 20, attributes: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.names, self.each, self.attributes = class_names, each, attributes

    def load(self) -> Splits:
        labels = torch.arange(len(self.names)).repeat(self.each)
        grey = 255 * (labels + 0.5) / len(self.names) + torch.arange(len(labels)) % 5 - 2
        images = Images(grey.to(torch.uint8)[:, None, None, None].repeat(1, 1, 4, 4), labels)
        return Splits(images, images, self.names, images, self.attributes)


class Grey(nn.Module):
    """Knows the shades: logit k is -(distance from shade k)², in units in which the others are sure losers.

    Args:
        order: which shade each output stands for; may repeat or leave out some.
        shades: K.
    """

    def __init__(self, order: Sequence[int], shades: int) -> None:
        super().__init__()
        self.register_buffer("place", (torch.tensor(order) + 0.5) / shades)
        self.scale = nn.Parameter(torch.tensor(12.0 * shades**2))

    def forward(self, pixel_values: Tensor) -> Tensor:
        return -self.scale * (pixel_values.mean((1, 2, 3))[:, None] - self.place) ** 2


class Form(nn.Module):
    """The logits of another network, in another form."""

    def __init__(self, net: nn.Module, form: Any) -> None:
        super().__init__()
        self.net, self.form = net, form

    def forward(self, x: Tensor) -> Any:
        return self.form(self.net(x))


def recipe(*overrides: str) -> ModelRecipe:
    """What `classifier=custom` with these overrides composes to, in less time than a whole config takes."""
    config = OmegaConf.create({"seed": 0, "classifier": OmegaConf.load(CONF / "classifier" / "custom.yaml")})
    read = OverridesParser.create().parse_overrides(list(overrides))
    for part in sorted(read, key=lambda part: part.key_or_group != "decision"):
        if part.key_or_group == "decision":
            rule = OmegaConf.load(CONF / "decision" / f"{part.value()}.yaml")
            OmegaConf.update(config, "classifier.decision", rule, merge=True)
        else:
            OmegaConf.update(config, part.key_or_group, part.value(), merge=True)
    return ModelRecipe.of(plain(config)["classifier"], "classifier")


def classifier(at: At, net: nn.Module, data: ImageData, *overrides: str) -> Classifier:
    """The classifier that `classifier=custom` makes of a network, by these overrides."""
    models = Models(Store(at.folder), DataRecipe({"_target_": "counterfoil.data.digits.Digits"}))
    models.data = data
    return models.classifier(net, recipe(*overrides))


def checked(made: Classifier, data: ImageData) -> Checked:
    """What is found before an evaluation, its warnings raised as there."""
    found = check(made, data.test[:], len(data.class_names))
    for line in found.warnings:
        warnings.warn(line, CounterfoilWarning, stacklevel=2)
    return found


def agreement(made: Classifier, data: ImageData) -> str:
    """`60 of 60`: how many decisions are the labels."""
    x, labels, _ = data.test[:]
    assert made.class_names == data.class_names
    return f"{int((made(x).argmax(1) == labels).sum())} of {len(labels)}"


def written(path: Path, text: str) -> Path:
    """A file with this text."""
    path.write_text(text, encoding="utf-8")
    return path
