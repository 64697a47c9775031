"""What is minimised when a classifier is trained, by hand."""

from __future__ import annotations

from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn

from counterfoil.classifier.base import Classifier
from counterfoil.classifier.cnn import CNN
from counterfoil.classifier.training import ClassifierTraining, augment
from counterfoil.core.errors import UserError
from counterfoil.data.base import Batch


class Silent(ClassifierTraining):
    """Logs into a dict instead of a trainer."""

    def report(self, stage: str, values: Any, rows: int) -> None:
        self.seen = {
            **getattr(self, "seen", {}),
            **{f"{stage}/{key}": float(value.detach()) for key, value in values.items()},
        }


@pytest.fixture
def batch(toy: Any) -> Batch:
    return toy.train[range(12)]


def test_cross_entropy_on_the_normalisation_that_is_explained_later(batch: Batch) -> None:
    torch.manual_seed(0)
    net = CNN(classes=3, width=4).eval()
    training = Silent(net, mean=0.3, std=0.4, label_smoothing=0.2)
    loss = training.training_step(batch, 0)
    logits = Classifier(net, 0.3, 0.4)(batch.x)
    torch.testing.assert_close(loss, F.cross_entropy(logits, batch.y, label_smoothing=0.2))
    assert training.seen["train/accuracy"] == pytest.approx(
        float((logits.argmax(1) == batch.y).float().mean())
    )


def test_one_output_an_attribute(batch: Batch) -> None:
    attributes = torch.randint(0, 2, (12, 4), generator=torch.Generator().manual_seed(0)).float()
    net = CNN(classes=4, width=4).eval()
    training = Silent(net, multilabel=True, label_smoothing=0.1)
    loss = training.training_step(batch._replace(a=attributes), 0)
    smooth = attributes * 0.9 + 0.05
    p = net(batch.x).sigmoid()
    torch.testing.assert_close(loss, -(smooth * p.log() + (1 - smooth) * (1 - p).log()).mean())
    assert training.seen["train/accuracy"] == pytest.approx(
        float(((p > 0.5) == (attributes > 0.5)).float().mean())
    )
    with pytest.raises(UserError, match="multilabel"):
        training.training_step(batch, 0)


def test_calibration_error_by_hand(batch: Batch) -> None:
    """All in one bin: |accuracy - confidence|."""
    logits = torch.tensor([[2.0, 0.0, 0.0]]).expand(12, 3)

    class Fixed(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return logits[: len(x)]

    training = Silent(Fixed(), channels_last=False)
    training.validation_step(batch._replace(x=batch.x[:7], y=batch.y[:7]), 0)
    training.validation_step(batch._replace(x=batch.x[7:], y=batch.y[7:]), 1)
    training.on_validation_epoch_end()
    expected = abs(float((batch.y == 0).float().mean()) - float(logits[0].softmax(0)[0]))
    assert training.seen["val/ece"] == pytest.approx(expected, abs=1e-6)
    assert training.outputs == []


def offset(moved: torch.Tensor, x: torch.Tensor) -> tuple[int, int]:
    """By how many pixels a batch was moved; the edges are not looked at."""
    offsets = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)]
    return next(o for o in offsets if torch.equal(moved[..., 4:-4, 4:-4], x.roll(o, (2, 3))[..., 4:-4, 4:-4]))


def test_shifts_move_and_flips_mirror(batch: Batch) -> None:
    torch.manual_seed(0)
    shifted = [augment(batch.x, 2, False) for _ in range(20)]
    assert all(image.shape == batch.x.shape for image in shifted)
    moved = {offset(image, batch.x) for image in shifted}
    assert len(moved) > 5
    flipped = augment(batch.x, 0, True)
    mirrored = (flipped == batch.x.flip(-1)).flatten(1).all(1)
    assert ((flipped == batch.x).flatten(1).all(1) | mirrored).all()
    assert 0 < int(mirrored.sum()) < 12
    assert augment(batch.x, 0, False) is batch.x


def test_learns_the_toy_set(toy: Any) -> None:
    pl.seed_everything(0, verbose=False)
    training = ClassifierTraining(
        CNN(classes=3, width=4, stages=2), lr=2e-2, epochs=12, batch_size=12, name="cnn"
    )
    toy.batch_size = 12
    options = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = pl.Trainer(max_epochs=12, accelerator="cpu", num_sanity_val_steps=0, **options)
    trainer.fit(training, datamodule=toy)
    (measured,) = trainer.test(training, datamodule=toy, verbose=False)
    assert measured["cnn/test/accuracy"] > 0.9
    assert set(measured) == {"cnn/test/accuracy", "cnn/test/loss", "cnn/test/ece"}


def test_halves_of_the_training_images_share_none_and_hold_all(toy: Any) -> None:
    whole = {image.numpy().tobytes() for image in toy.train.images}
    parts = {}
    for half in ("first", "second"):
        trained_on = ClassifierTraining(CNN(classes=3, width=4), half=half).prepare(toy)
        parts[half] = {image.numpy().tobytes() for image in trained_on.train.images}
        counts = trained_on.train.labels.bincount()
        assert int(counts.max() - counts.min()) <= 1, "classes in proportion"
        assert torch.equal(trained_on.val.images, toy.val.images)
    assert parts["first"] | parts["second"] == whole
    assert not parts["first"] & parts["second"]
    assert ClassifierTraining(CNN(classes=3, width=4)).prepare(toy) is toy
