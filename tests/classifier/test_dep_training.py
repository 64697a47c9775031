"""What is minimised when errors are predicted, by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from counterfoil.classifier.dep import DEP
from counterfoil.classifier.dep_training import KINDS, DepTraining, corrupt, ranking_loss
from counterfoil.core.errors import UserError


class Silent(DepTraining):
    """Logs into a dict instead of a trainer."""

    def report(self, stage: str, values: Any, rows: int) -> None:
        self.seen = {f"{stage}/{key}": float(value.detach()) for key, value in values.items()}


def test_ranking_by_hand() -> None:
    """Pairs (0, 4) and (1, 3); row 2 has no partner.

    s_0 < s_4 while e_0 - e_4 = 0.5: 1.5; s_1 > s_3 with e_1 - e_3 = 3: 0.
    """
    predicted = torch.tensor([1.0, 5.0, 100.0, 2.0, 0.5], requires_grad=True)
    losses = torch.tensor([0.1, 4.0, 9.0, 0.0, 0.3], requires_grad=True)
    loss = ranking_loss(predicted, losses, gamma=1.0)
    assert float(loss.detach()) == pytest.approx(0.75)
    loss.backward()
    assert predicted.grad is not None
    torch.testing.assert_close(predicted.grad, torch.tensor([0.5, 0.0, 0.0, 0.0, -0.5]))
    assert losses.grad is None


def test_equal_losses_cost_the_margin() -> None:
    assert float(ranking_loss(torch.tensor([3.0, -3.0]), torch.ones(2), gamma=0.7)) == pytest.approx(0.7)


@pytest.mark.parametrize("corrupted", [(), ("square", "noise")])
def test_one_step_is_cross_entropy_on_clean_images_and_ranking_on_all(
    toy: Any, corrupted: tuple[str, ...]
) -> None:
    batch = toy.train[range(12)]
    net = DEP(classes=3, width=4, stages=2).eval()
    training = Silent(net, mean=0.3, std=0.4, beta=0.5, gamma=2.0, corrupted=corrupted)
    torch.manual_seed(0)
    loss = training.training_step(batch, 0)
    torch.manual_seed(0)
    x, clean = corrupt(batch.x, corrupted)
    assert int(clean.sum()) == (12 if not corrupted else pytest.approx(6, abs=4))
    logits, predicted = net.both((x - 0.3) / 0.4)
    each = F.cross_entropy(logits, batch.y, reduction="none")
    torch.testing.assert_close(loss, each[clean].mean() + 0.5 * ranking_loss(predicted, each, 2.0))


def test_half_of_the_images_are_corrupted_by_one_kind_each() -> None:
    torch.manual_seed(0)
    x = 0.1 + 0.8 * torch.rand(600, 1, 28, 28)
    made, clean = corrupt(x, tuple(KINDS))
    changed = (made != x).flatten(1).double().mean(1)
    assert made.min() >= 0
    assert made.max() <= 1
    assert torch.equal(changed == 0, clean)
    assert 250 < int(clean.sum()) < 350
    assert 60 < int(((changed > 0) & (changed < 0.5)).sum()) < 140, "a square"
    rough = (made - x).flatten(1).std(1) > 0
    calm = made.flatten(1).std(1) < 0.9 * x.flatten(1).std(1)
    assert 60 < int((calm & (changed > 0.9)).sum()) < 140, "blurred everywhere"
    assert 60 < int((rough & ~calm & (changed > 0.9)).sum()) < 140, "noise everywhere"


@pytest.mark.parametrize(
    ("option", "value"),
    [("multilabel", True), ("label_smoothing", 0.1), ("batch_size", 1), ("corrupted", ["snow"])],
)
def test_options_that_make_no_sense_are_refused(option: str, value: Any) -> None:
    with pytest.raises(UserError, match=option):
        DepTraining(DEP(width=4), **{option: value})
