from __future__ import annotations

from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.generative.latent_diffusion.network import LatentDiffusion
from counterfoil.generative.latent_diffusion.training import CodeData, Codes, LatentDiffusionTraining
from tests.generative.pooled import Pooled

QUIET = dict.fromkeys(
    ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
)


def test_it_learns_the_noise_and_what_the_class_tells(toy: Any) -> None:
    torch.manual_seed(0)
    net = LatentDiffusion(Pooled(), 3, width=32, layers=2, timesteps=100)
    before = net.generator.scale.clone()
    module = LatentDiffusionTraining(net, epochs=60, lr=1e-2, batch_size=20, decay=0.9, pictures=6)
    data = module.prepare(toy)
    z = net.code(toy.test[range(30)].x)
    labels = toy.test.labels[:30]

    def loss(label: Tensor) -> float:
        net.dropped = 0.0
        with torch.no_grad():
            found = float(net.loss(z, label, torch.Generator().manual_seed(0))["loss"])
        net.dropped = 0.15
        return found

    assert loss(labels) > 0.9
    pl.Trainer(max_epochs=60, accelerator="cpu", **QUIET).fit(module, datamodule=data)
    assert loss(labels) < 0.6
    assert loss((labels + 1) % 3) > loss(labels) + 0.1
    assert torch.equal(net.generator.scale, before)
    for name, value in module.average.state_dict().items():
        assert torch.equal(value, net.state_dict()[name]), f"{name} is not the average"
    drawn = module.drawn(net, torch.Generator().manual_seed(0))
    assert drawn.shape == (6, 1, 16, 16)


def test_codes_are_those_of_the_images_standardised_by_the_training_split(toy: Any) -> None:
    net = LatentDiffusion(Pooled(), 3, width=8)
    module = LatentDiffusionTraining(net, batch_size=20)
    data = module.prepare(toy)
    torch.testing.assert_close(data.splits["train"].z.mean(0), torch.zeros(16), atol=1e-5, rtol=0)
    torch.testing.assert_close(data.splits["test"].z, net.code(toy.test[range(30)].x))
    torch.testing.assert_close(module.average.mean, net.mean)
    assert torch.equal(data.splits["val"].labels, toy.val.labels)
    assert net.mean.any()


def test_batches_are_shuffled_by_epoch_and_in_order_elsewhere() -> None:
    part = Codes(torch.arange(10.0)[:, None], torch.arange(10))
    data = CodeData({"train": part, "val": part, "test": part}, 4, seed=0)
    loader = data.train_dataloader()
    first = [batch.y.tolist() for batch in loader]
    assert [len(rows) for rows in first] == [4, 4]
    loader.sampler.set_epoch(1)  # type: ignore[attr-defined]
    assert [batch.y.tolist() for batch in loader] != first
    for loader in (data.val_dataloader(), data.test_dataloader()):
        batches = list(loader)
        assert [batch.y.tolist() for batch in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
        assert torch.equal(batches[0].x[:, 0], torch.arange(4.0))


@pytest.mark.parametrize(
    ("classes", "told"),
    [(2, r"net.classes=2, but the data have label 2"), (4, r"no training image is of class 3")],
)
def test_labels_that_are_not_the_classes_are_refused(toy: Any, classes: int, told: str) -> None:
    """Two classes have places 0 and 1, and place 2 is that of no class."""
    module = LatentDiffusionTraining(LatentDiffusion(Pooled(), classes, width=8))
    with pytest.raises(UserError, match=told):
        module.prepare(toy)


def test_another_net_is_refused() -> None:
    with pytest.raises(UserError, match="trains LatentDiffusion, found net Linear"):
        LatentDiffusionTraining(nn.Linear(2, 2))
