from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from counterfoil.core.errors import UserError
from counterfoil.data.base import Batch
from counterfoil.generative.cyclegan.network import CycleGAN
from counterfoil.generative.cyclegan.training import CycleGANTraining


class Shift(CycleGAN):
    """Class k is drawn as the image plus d_k."""

    def draw(self, x: Tensor, place: int) -> Tensor:
        return x + (0.25, -0.125)[place] + 0 * next(self.parameters()).sum()


def training(net: CycleGAN, **options: Any) -> CycleGANTraining:
    torch.manual_seed(0)
    return CycleGANTraining(net, width=4, batch_size=16, **options)


def test_the_terms_by_hand() -> None:
    module = training(Shift(1, 16, 2, width=4, blocks=0), lambda_id=1.0)
    real = [torch.full((3, 1, 16, 16), 0.25), torch.full((2, 1, 16, 16), 0.5)]
    made = [module.net.draw(real[1], 0), module.net.draw(real[0], 1)]
    terms = module._generators((0, 1), real, made)
    # there and back leaves 0.25 - 0.125 on either side, in images twice as wide
    assert float(terms["cycle_l1"]) == pytest.approx(4 * 0.125)
    assert float(terms["id_l1"]) == pytest.approx(2 * (0.25 + 0.125))
    scores = [module.critics[k](2 * made[k] - 1) for k in (0, 1)]
    assert float(terms["gan"]) == pytest.approx(float(sum((s - 1).square().mean() for s in scores)))
    own = [module.critics[k](2 * real[k] - 1) for k in (0, 1)]
    expected = sum(
        (o - 1).square().mean() / 2 + s.square().mean() / 2 for o, s in zip(own, scores, strict=True)
    )
    assert float(module._critics((0, 1), real, made)) == pytest.approx(float(expected))


def fitted(data: Any, net: CycleGAN, epochs: int) -> CycleGANTraining:
    module = training(net, epochs=epochs, lr=2e-3)
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    pl.Trainer(max_epochs=epochs, accelerator="cpu", **quiet).fit(module, datamodule=module.prepare(data))
    return module


def test_it_learns_to_move_the_bar_to_the_other_class(toy: Any) -> None:
    net = CycleGAN(1, 16, 3, targets=[0, 2], width=8, blocks=1)
    before = [value.clone() for value in net.state_dict().values()]
    module = fitted(toy, net, epochs=40)
    assert all(bool(value.isfinite().all()) for value in net.state_dict().values())
    assert any(not torch.equal(a, b) for a, b in zip(before, net.state_dict().values(), strict=True))
    x = toy.test.images[toy.test.labels == 0].float() / 255
    moved = module.net.eval().translate(x, torch.full((len(x),), 2))
    left, right = (moved[..., first : first + 3].mean().item() for first in (2, 12))
    assert right > left


def test_a_batch_of_one_class_is_passed_over() -> None:
    module = training(CycleGAN(1, 16, 2, width=4, blocks=0))
    module.trainer = SimpleNamespace(current_epoch=0, num_training_batches=1)  # type: ignore[assignment]
    module.optimizers = lambda: [  # type: ignore[method-assign,assignment]
        torch.optim.SGD(part.parameters(), lr=1.0) for part in (module.net, module.critics)
    ]
    before = [value.clone() for value in module.state_dict().values()]
    module.training_step(Batch(torch.rand(4, 1, 16, 16), torch.zeros(4, dtype=torch.long), None), 0)
    assert all(torch.equal(a, b) for a, b in zip(before, module.state_dict().values(), strict=True))


def test_data_without_one_of_the_classes_are_refused(toy: Any) -> None:
    module = training(CycleGAN(1, 16, 4, targets=[0, 3], width=4, blocks=0))
    with pytest.raises(UserError, match=r"hold of the classes \[0, 3\] only \[0\]"):
        module.prepare(toy)
