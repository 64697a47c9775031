"""What a network of kernels minimises, by hand; and that it knows what is no digit."""

from __future__ import annotations

import math
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from counterfoil.classifier.duq import DUQ
from counterfoil.classifier.duq_training import DuqTraining, gradient_penalty, kernel_loss
from counterfoil.core.errors import UserError
from counterfoil.data.digits import Digits


def test_loss_is_the_binary_cross_entropy_of_kernels() -> None:
    """K = (0.9, 0.2) with class 0, K = (0.5, 0.4) with class 1."""
    kernels = torch.tensor([[0.9, 0.2], [0.5, 0.4]])
    by_hand = -(math.log(0.9) + math.log(0.8) + math.log(0.5) + math.log(0.4)) / 4
    assert float(kernel_loss(kernels.log(), torch.tensor([0, 1]))) == pytest.approx(by_hand, rel=1e-5)


def test_loss_is_finite_at_a_centroid_and_far_away() -> None:
    logits = torch.tensor([[0.0, -1e4], [0.0, -1e4]], requires_grad=True)
    loss = kernel_loss(logits, torch.tensor([0, 1]))
    loss.backward()
    assert bool(loss.isfinite())
    assert bool(logits.grad is not None and logits.grad.isfinite().all())


def test_penalty_by_hand() -> None:
    """sum_c K_c = exp(-w x) + exp(-2 w x) at w = 1: the slope in x is -(exp(-x) + 2 exp(-2 x)).

    The penalty moves w.
    """
    w = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    x = torch.tensor([[0.0], [1.0]], dtype=torch.float64, requires_grad=True)
    penalty = gradient_penalty(torch.cat((-w * x, -2 * w * x), 1), x)
    slopes = [3.0, math.exp(-1) + 2 * math.exp(-2)]
    assert float(penalty.detach()) == pytest.approx(sum((slope - 1) ** 2 for slope in slopes) / 2)
    penalty.backward()
    assert float(w.grad) != 0  # type: ignore[arg-type]


def test_one_step_adds_the_penalty_of_the_first_images(toy: Any) -> None:
    batch = toy.train[range(12)]
    net = DUQ(classes=3, width=4, stages=2).eval()
    losses = []
    for l_gp in (0.0, 0.5):
        training = DuqTraining(net, mean=0.3, std=0.4, l_gp=l_gp, penalised=4)
        training.report = lambda *_: None  # type: ignore[method-assign]
        losses.append(training.training_step(batch, 0).detach())
    x = ((batch.x - 0.3) / 0.4).requires_grad_()
    torch.testing.assert_close(losses[0], kernel_loss(net(x), batch.y).detach())
    (gradient,) = torch.autograd.grad(net(x).exp().sum(), x)
    norms = gradient[:4].flatten(1).norm(dim=1)
    torch.testing.assert_close(losses[1] - losses[0], 0.5 * (norms - 1).square().mean(), atol=1e-5, rtol=1e-4)


def test_centroids_move_after_a_step_and_the_network_trains_on(toy: Any) -> None:
    net = DUQ(classes=3, width=4, stages=2).train()
    training = DuqTraining(net, penalised=4, gamma=0.5)
    training.report = lambda *_: None  # type: ignore[method-assign]
    training.training_step(toy.train[range(12)], 0)
    before = net.head.centroids.clone()
    training.on_train_batch_end()
    assert not torch.equal(net.head.centroids, before)
    torch.testing.assert_close(net.head.number, torch.tensor([2.5, 2.5, 2.5]))
    assert net.training


@pytest.mark.parametrize(
    ("option", "value"), [("multilabel", True), ("label_smoothing", 0.1), ("gamma", 1.0), ("penalised", 0)]
)
def test_options_that_make_no_sense_are_refused(option: str, value: Any) -> None:
    with pytest.raises(UserError, match=option):
        DuqTraining(DUQ(width=4), **{option: value})


def test_learns_the_shipped_digits_and_tells_what_is_none() -> None:
    pl.seed_everything(0, verbose=False)
    training = DuqTraining(DUQ(width=8), mean=0.5, std=0.5, lr=1e-2, epochs=3, name="duq")
    data = Digits(batch_size=128, limit=4000)
    options = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = pl.Trainer(
        max_epochs=3, accelerator="cpu", num_sanity_val_steps=0, limit_val_batches=0, **options
    )
    trainer.fit(training, datamodule=data)
    (measured,) = trainer.test(training, datamodule=data, verbose=False)
    assert measured["duq/test/accuracy"] > 0.85
    assert measured["duq/test/auroc_noise"] > 0.9
    assert measured["duq/test/auroc_shuffled"] > 0.8
    assert {"duq/test/auroc_black_square", "duq/test/auroc_white_square"} <= set(measured)
