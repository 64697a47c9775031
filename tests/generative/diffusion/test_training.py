"""A diffusion model learns, and its average is what is kept."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch

from counterfoil.generative.diffusion.network import Diffusion
from counterfoil.generative.diffusion.training import DiffusionTraining


def fitted(data: Any, **options: Any) -> tuple[DiffusionTraining, float]:
    """A module trained on drawn pictures, and its loss before."""
    torch.manual_seed(0)
    module = DiffusionTraining(Diffusion(1, 16, width=8, timesteps=100), batch_size=20, lr=5e-3, **options)
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    before = loss(module.net, data)
    trainer = pl.Trainer(max_epochs=module.epochs, accelerator="cpu", **quiet)
    trainer.fit(module, datamodule=module.prepare(data))
    return module, before


def loss(net: Diffusion, data: Any) -> float:
    return float(net.loss(data.test[range(30)].x, torch.Generator().manual_seed(0))["loss"])


def test_it_learns_to_tell_the_noise(toy: Any) -> None:
    module, before = fitted(toy, epochs=15)
    assert loss(module.net, toy) < 0.6 * before


def test_the_average_is_kept(toy: Any) -> None:
    module, _ = fitted(toy, epochs=1, decay=0.0)
    last = {key: value.clone() for key, value in module.net.state_dict().items()}
    assert all(torch.equal(value, last[key]) for key, value in module.average.state_dict().items())
    with torch.no_grad():
        for value in module.net.parameters():
            value.add_(1.0)
    module.decay = 0.9
    module._trainer = None
    module.on_train_end()
    assert all(torch.equal(value, last[key]) for key, value in module.net.state_dict().items())
    assert not any(value.requires_grad for value in module.average.parameters())
