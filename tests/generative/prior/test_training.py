"""A trained start shortens the fit."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch

from counterfoil.generative.prior.inr import INR
from counterfoil.generative.prior.start import PriorStart
from counterfoil.generative.prior.training import PriorStartTraining

SMALL = INR(frequencies=8, width=8, depth=2, steps=40, lr=1e-2, psnr=12.0)


def trained(toy: Any, **options: Any) -> tuple[PriorStartTraining, dict[str, float]]:
    pl.seed_everything(0, verbose=False)
    module = PriorStartTraining(
        PriorStart(1, 16, SMALL),
        **{"epochs": 4, "steps": 10, "batch_size": 8, "psnr": 12.0, "name": "start", **options},
    )
    trainer = pl.Trainer(
        max_epochs=module.epochs,
        logger=False,
        accelerator="cpu",
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    data = module.prepare(toy)
    trainer.fit(module, datamodule=data)
    (measured,) = trainer.test(module, datamodule=data, verbose=False)
    return module, dict(measured)


def test_training_cuts_the_steps_to_half(toy: Any) -> None:
    _, measured = trained(toy)
    assert set(measured) == {"start/test/steps", "start/test/untrained_steps"}
    assert measured["start/test/steps"] <= 0.5 * measured["start/test/untrained_steps"]


def test_an_outer_step_by_hand(toy: Any) -> None:
    """With a rate of 1 and one step the weights are the mean of those fitted to each image."""
    module = PriorStartTraining(PriorStart(1, 16, SMALL), inner=3)
    module.report = lambda *_args: None  # type: ignore[method-assign,assignment]
    batch = toy.train[range(5)]
    fitted = SMALL.fit(batch.x, module.net.stacked(5), steps=3, psnr=torch.inf)
    before = {name: value.detach().clone() for name, value in module.net.theta.items()}
    module.training_step(batch, 0).backward()
    for name, value in module.net.theta.items():
        assert value.grad is not None
        torch.testing.assert_close(before[name] - value.grad, fitted[name].mean(0), rtol=0, atol=1e-6)
        assert value.grad.abs().amax() > 0, name
