"""The training of the language model."""

from __future__ import annotations

import math

import pytest
import pytorch_lightning as pl
import torch

from counterfoil.core.errors import UserError
from counterfoil.data.texts import TextData, Written
from counterfoil.generative.text.language import TextLM
from counterfoil.generative.text.language_training import TextLMTraining
from counterfoil.testing.texts import Sentences

QUIET = dict.fromkeys(
    ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
)


class Orders(TextData):
    """Texts apart in which b follows a; the training texts have it the other way."""

    name = "orders"

    def written(self) -> tuple[list[Written], tuple[str, ...], tuple[str, ...]]:
        train = [Written(f"b a {w}", i % 2, "train") for i, w in enumerate("cdefgh")]
        test = [Written(f"a b {w}", i % 2, "test") for i, w in enumerate("cd")]
        return train + test + [Written(f"a b {w}", 0, "apart") for w in "efgh"], ("no", "yes"), ()


def trained(data: TextData) -> tuple[TextLM, dict[str, float]]:
    torch.manual_seed(0)
    net = TextLM(4, len(data.vocabulary), width=8, states=8, dropout=0.0)
    module = TextLMTraining(net, epochs=60, batch_size=2, lr=2e-2)
    trainer = pl.Trainer(max_epochs=60, accelerator="cpu", limit_val_batches=0, **QUIET)  # type: ignore
    ready = module.prepare(data)
    trainer.fit(module, datamodule=ready)
    (found,) = trainer.test(module, datamodule=ready, verbose=False)
    return net.eval(), found


def test_it_learns_the_texts_that_are_held_apart_and_logs_their_perplexity() -> None:
    data = Orders(length=4, tokens=20, val_fraction=0.3)
    net, found = trained(data)
    x = data.test[:].x
    with torch.no_grad():
        said, known = net.said(net.read(x))
        assert float(said[:, :2].mean()) > -0.5
        assert found["model/test/perplexity"] == pytest.approx(math.exp(-float(said.sum() / known.sum())))
        turned = torch.cat((x[:, :, 1:2], x[:, :, :1], x[:, :, 2:]), dim=2)
        assert (net.log_likelihood(turned) < net.log_likelihood(x)).all()


def test_images_are_refused() -> None:
    with pytest.raises(UserError, match="text_lm is trained on texts, data=toy_texts holds images"):
        TextLMTraining(TextLM(6, 12), epochs=1, batch_size=2).prepare(Sentences())
