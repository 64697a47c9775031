"""A trained start shortens the fit, and is what DISC then starts from."""

from __future__ import annotations

from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.core.query import Query
from counterfoil.explainer.disc import DISC
from counterfoil.generative.prior_start import PriorStart
from counterfoil.generative.prior_start_training import PriorStartTraining
from counterfoil.generative.vae import VAE
from counterfoil.search import DIP, INR

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
    from counterfoil.search.prior import fit

    fitted = fit(
        lambda w: SMALL.render(w, (1, 16, 16)), batch.x, module.net.stacked(5), 3, SMALL.lr, torch.inf
    )
    before = {name: value.detach().clone() for name, value in module.net.theta.items()}
    module.training_step(batch, 0).backward()
    for name, value in module.net.theta.items():
        assert value.grad is not None
        torch.testing.assert_close(before[name] - value.grad, fitted[name].mean(0), rtol=0, atol=1e-6)
        assert value.grad.abs().amax() > 0, name


def test_disc_fits_from_the_start(tiny_classifier: nn.Module, toy: Any) -> None:
    torch.manual_seed(0)
    start = PriorStart(1, 16, SMALL).double()
    method = DISC(tiny_classifier, start=start)
    assert method.space is SMALL
    x = toy.test[range(3)].x.double()
    query = Query(x, torch.zeros(3).long(), tiny_classifier, generator=start, repeat=torch.tensor([0, 0, 1]))
    drawn = SMALL.draw(query)
    assert torch.equal(drawn["w0"][0], start.theta["w0"].detach())
    assert torch.equal(drawn["w0"][0], drawn["w0"][1])
    assert 0 < float((drawn["w0"][2] - drawn["w0"][0]).abs().amax()) < 0.1
    assert method(x).extra["fit_steps"].max() <= SMALL.steps


def test_a_start_of_a_convolutional_prior_keeps_its_names() -> None:
    start = PriorStart(3, 16, DIP(channels=(4, 4), noise=2))
    assert set(start.start) == set(start.prior.weights((3, 16, 16)))
    assert sum(p.numel() for p in start.parameters()) == sum(value.numel() for value in start.start.values())


def test_a_start_that_does_not_fit_is_refused(tiny_classifier: nn.Module, toy: Any) -> None:
    with pytest.raises(UserError, match=r"start=VAE.*generative=prior_start"):
        DISC(tiny_classifier, start=VAE(1, 16, latent=2, width=4))
    x = toy.test[range(2)].x.double()
    with pytest.raises(UserError, match=r"weights w2, these images need \(1, 8\)"):
        DISC(tiny_classifier, start=PriorStart(3, 16, SMALL).double())(x)
