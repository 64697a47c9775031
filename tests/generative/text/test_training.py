"""The training of the auto-encoder of texts."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from counterfoil.core.errors import UserError
from counterfoil.data.base import ImageData
from counterfoil.generative.text.network import TextCVAE
from counterfoil.generative.text.training import TextCVAETraining
from counterfoil.testing.texts import Sentences

QUIET = dict.fromkeys(
    ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
)


def made(data: ImageData, **options: Any) -> TextCVAETraining:
    torch.manual_seed(0)
    net = TextCVAE(6, 12, ["positive", "long"], latent=6, width=24, depth=2, word_dropout=0.0)
    return TextCVAETraining(net, data, batch_size=20, lr=1e-2, **options)


def figures(module: TextCVAETraining, data: ImageData, epochs: int) -> dict[str, float]:
    """What is logged of the test texts after some epochs."""
    data = module.prepare(data)
    trainer = pl.Trainer(max_epochs=epochs, accelerator="cpu", limit_val_batches=0, **QUIET)  # type: ignore
    trainer.fit(module, datamodule=data)
    found = trainer.test(module, datamodule=data, verbose=False)[0]
    return {name.removeprefix("model/test/"): value for name, value in found.items()}


def test_texts_are_rebuilt_and_their_attribute_turns_them() -> None:
    data = Sentences()
    found = figures(made(data, epochs=60), data, 60)
    assert found["tokens"] > 0.85
    assert found["turned"] > 0.9
    assert found["same"] > 0.5
    assert found["reading"] > 0.85


def test_an_edit_does_not_teach_the_reader() -> None:
    data = Sentences()
    module = made(data, epochs=1)
    batch = data.train[range(20)]
    before = copy.deepcopy(module.net.reader)
    module._seen(batch.x.requires_grad_()).sum().backward()
    assert all(value.grad is None for value in module.net.reader.parameters())
    assert module.net.reader.training == before.training
    assert batch.x.grad is not None


def test_the_gradient_of_the_guess_reaches_the_code_reversed() -> None:
    module = made(Sentences(), epochs=1, hide=3.0)
    a = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    gradients = []
    for grown in (1.0, 0.0):
        places = torch.ones(2, 6, 6, requires_grad=True)
        module._hiding(places, a, grown).backward()
        assert places.grad is not None
        gradients.append(places.grad)
    plain = torch.ones(2, 6, 6, requires_grad=True)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(module.net.guess(plain)[:, :1], a[:, :1])
    (gradient,) = torch.autograd.grad(loss, plain)
    assert torch.allclose(gradients[0], -3 * gradient, atol=1e-7)
    assert not gradients[1].any()


def test_an_unknown_attribute_is_refused() -> None:
    with pytest.raises(UserError, match=r"hidden: mood is no attribute of the generator; .*positive, long"):
        made(Sentences(), epochs=1, hidden=["mood"])


def test_paddings_are_held_where_a_hidden_attribute_is_turned() -> None:
    module = made(Sentences(), epochs=1)
    ids = torch.tensor([[3, 4, 0, 0, 0, 0]] * 2)
    held = module._held(ids, torch.tensor([[True, False], [False, True]]))
    assert held[:, 0, :, 0].tolist() == [[False, False, True, True, True, True], [False] * 6]
