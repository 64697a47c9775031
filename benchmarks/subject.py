"""What is timed on: the config, its networks as trained or as they are before, and queries."""

from __future__ import annotations

from typing import Any

import hydra
import torch
from timing import ROOT, Options
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.run.config import ModelRecipe, RunConfig
from counterfoil.run.models import Models, missing, resolve_device
from counterfoil.run.store import Store
from counterfoil.run.train import train_all


class Subject:
    """The config of evaluate.py with its data and networks, on the device of the options.

    Args:
        options: of the command; their overrides win.
        overrides: of the case.
    """

    def __init__(self, options: Options, *overrides: str) -> None:
        with hydra.initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
            composed = hydra.compose("evaluate", ["logger=none", *overrides, *options.overrides])
        self.run = RunConfig.of(composed)
        self.models = Models(Store(ROOT / self.run.store), self.run.data, resolve_device(options.device))
        torch.manual_seed(0)

    def trained(self, name: str) -> Any:
        """The model that the config holds under this name; trained first where the store lacks it."""
        recipe = chosen(getattr(self.run, name))
        train_all(missing({name: recipe}, self.models), self.models, self.run.trainer, [], self.run.as_dict())
        return self.models.share(recipe)

    def untrained(self, recipe: ModelRecipe | None) -> Any:
        """The network as it is before training, frozen; it takes as long as a trained one."""
        recipe = chosen(recipe)
        net = self.models.network(recipe)
        made = self.models.classifier(net, recipe) if recipe.role == "classifier" else net
        return made.eval().requires_grad_(False).to(self.models.device)

    def noise(self, n: int) -> Tensor:
        """Images (n, C, H, W) of the data's size, uniform in [0, 1]."""
        return torch.rand(n, self.models.data.channels, *[self.models.data.size] * 2).to(self.models.device)


def chosen(recipe: ModelRecipe | None) -> ModelRecipe:
    """The recipe of a model; raises UserError where the overrides took it out."""
    if recipe is None:
        raise UserError("this case needs classifier and generative; do not take them out of the config")
    return recipe


@torch.no_grad()
def runner_up(classifier: nn.Module, x: Tensor) -> Tensor:
    """The second likeliest class (B,) of images (B, C, H, W), which no search has reached at its start."""
    return classifier(x).topk(2, dim=1).indices[:, 1]
