"""Splits, batches, their order, and what identifies a data set."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from pytorch_lightning import LightningModule, Trainer

from counterfoil.core.errors import UserError
from counterfoil.data.base import Batch, EpochSampler, ImageData, Images, Splits, splits_digest, stratified

CONFIGS = sorted((Path(__file__).parents[2] / "conf" / "data").glob("*.yaml"))


class Toy(ImageData):
    """100 training and 20 test images whose pixel is their row number; class 1 is rare; two attributes."""

    name = "toy"

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.loads = 0

    def load(self) -> Splits:
        self.loads += 1

        def split(n: int) -> Images:
            row = torch.arange(n)
            attributes = torch.stack((row % 2, torch.zeros_like(row)), 1).to(torch.uint8)
            return Images(
                row.to(torch.uint8).reshape(n, 1, 1, 1).expand(n, 1, 2, 2).clone(),
                (row % 10 == 0).long(),
                attributes,
            )

        return Splits(split(100), split(20), ("no", "yes"), attribute_names=("odd", "never"))


def rows_of(images: Images) -> list[int]:
    return images.images[:, 0, 0, 0].tolist()


@pytest.mark.parametrize("index", [[3, 0, 7], torch.tensor([3, 0, 7])])
def test_images_are_indexed_in_one_go_and_scaled(index: object) -> None:
    batch = Toy().load().train[index]
    assert isinstance(batch, Batch)
    torch.testing.assert_close(batch.x[:, 0, 0, 0], torch.tensor([3.0, 0.0, 7.0]) / 255)
    assert batch.x.shape == (3, 1, 2, 2)
    assert batch.y.tolist() == [0, 1, 0]
    assert batch.a.tolist() == [[1, 0], [0, 0], [1, 0]]
    assert (batch.x.dtype, batch.y.dtype, batch.a.dtype) == (torch.float32, torch.int64, torch.float32)


def test_slices_ints_and_images_without_attributes() -> None:
    images = Images(torch.zeros(5, 3, 4, 4, dtype=torch.uint8), torch.arange(5))
    assert images[1:4].x.shape == (3, 3, 4, 4)
    assert images[2].x.shape == (3, 4, 4)
    assert images[2].y == 2
    assert images[1:4].a is None


def test_images_refuse_float_and_unequal_lengths() -> None:
    with pytest.raises(ValueError, match="uint8"):
        Images(torch.zeros(5, 3, 4, 4), torch.arange(5))
    with pytest.raises(ValueError, match="length"):
        Images(torch.zeros(5, 3, 4, 4, dtype=torch.uint8), torch.arange(4))


def test_scaling_does_not_follow_the_default_dtype() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        assert Toy().load().train[:2].x.dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


def test_sampler_order_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        sampler = EpochSampler(50, 8, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 3) == order(0, 3)
    assert order(0, 3) != order(0, 4)
    assert order(0, 3) != order(1, 3)
    assert order(0, 1) != order(1, 0)
    assert sorted(row for batch in order(0, 3) for row in batch) == list(range(50))


@pytest.mark.parametrize(
    ("length", "drop_last", "sizes"),
    [(10, False, [4, 4, 2]), (10, True, [4, 4]), (3, True, [3]), (8, True, [4, 4])],
)
def test_sampler_batches(length: int, drop_last: bool, sizes: list[int]) -> None:
    sampler = EpochSampler(length, 4, shuffle=False, drop_last=drop_last)
    assert [len(batch) for batch in sampler] == sizes
    assert len(sampler) == len(sizes)


def test_stratified_keeps_proportions_and_every_class() -> None:
    labels = torch.tensor([0] * 80 + [1] * 19 + [2])
    assert labels[stratified(labels, 10)].bincount().tolist() == [7, 2, 1]
    assert labels[stratified(labels, 3)].tolist() == [0, 1, 2]
    assert stratified(labels, 200).tolist() == list(range(100))
    assert torch.equal(stratified(labels, 30, seed=1), stratified(labels, 30, seed=1))
    assert not torch.equal(stratified(labels, 30, seed=1), stratified(labels, 30, seed=2))


def test_validation_is_a_stratified_part_of_train() -> None:
    data = Toy(val_fraction=0.2)
    assert sorted(rows_of(data.train) + rows_of(data.val)) == list(range(100))
    assert len(data.val) == 20
    assert int(data.val.labels.sum()) == 2
    assert rows_of(Toy(val_fraction=0.2, seed=1).val) != rows_of(data.val)
    assert rows_of(Toy(val_fraction=0.2).val) == rows_of(data.val)


def test_setup_loads_once() -> None:
    data = Toy()
    data.setup()
    data.setup("fit")
    assert data.loads == 1
    assert (data.channels, data.size, data.num_classes) == (1, 2, 2)


def test_attribute_becomes_the_label() -> None:
    data, plain = Toy(attribute="odd", limit=10), Toy(limit=10)
    assert data.class_names == ("not odd", "odd")
    assert data.test.labels.tolist() == [row % 2 for row in rows_of(data.test)]
    assert rows_of(data.train) == rows_of(plain.train)
    assert data.images_identity == plain.images_identity
    assert data.identity != plain.identity


def test_limit_keeps_n_of_each_split() -> None:
    data = Toy(limit=10)
    assert [len(part) for part in (data.train, data.val, data.test)] == [10, 10, 10]
    assert set(data.train.labels.tolist()) == {0, 1}


class Other(Toy):
    """The same pictures with the labels of the test images turned."""

    def load(self) -> Splits:
        made = super().load()
        turned = Images(made.test.images, 1 - made.test.labels, made.test.attributes)
        return replace(made, test=turned)


def test_identity_tells_what_matters() -> None:
    data = Toy(batch_size=7)
    assert data.identity == Toy(batch_size=9).identity
    assert Other().identity != data.identity, "labels are content"
    assert splits_digest(Toy().load()) != splits_digest(Other().load())
    data.setup()
    assert data.loads == 1
    for change in ({"seed": 1}, {"limit": 5}, {"val_fraction": 0.5}, {"attribute": "odd"}, {"name": "other"}):
        assert Toy(**change).identity != data.identity
    json.dumps(data.identity)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attribute": "even"}, "attribute=even is not in data=toy; known attributes: odd, never"),
        ({"attribute": "never"}, "attribute=never is 0 in all 90 training images"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"limit": 0}, "limit=0"),
        ({"val_fraction": 1.0}, "val_fraction=1: expected a number above 0 and below 1"),
    ],
)
def test_bad_options_are_told(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Toy(**options).setup()


class Recorder(LightningModule):
    """Adds up what it is shown, so that its weight tells the order of the batches."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        assert batch.x.dtype == torch.float32
        assert batch.a is not None
        return (self.weight - batch.x.mean() * (1 + index)).square()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.1)


def test_a_resumed_training_is_bit_exact(tmp_path: Path) -> None:
    def trainer(epochs: int) -> Trainer:
        quiet = {
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "enable_checkpointing": False,
        }
        return Trainer(max_epochs=epochs, accelerator="cpu", default_root_dir=tmp_path, **quiet)

    whole, first, second = Recorder(), Recorder(), Recorder()
    trainer(4).fit(whole, datamodule=Toy(batch_size=16))
    half = trainer(2)
    half.fit(first, datamodule=Toy(batch_size=16))
    half.save_checkpoint(tmp_path / "half.ckpt")
    trainer(4).fit(second, datamodule=Toy(batch_size=16), ckpt_path=tmp_path / "half.ckpt")
    assert torch.equal(whole.weight, second.weight)
    assert not torch.equal(whole.weight, first.weight)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_builds_its_data(path: Path) -> None:
    config = OmegaConf.merge({"attribute": None}, {"data": OmegaConf.load(path)})
    assert config.data.pop("role") == "data"
    data = instantiate(config.data, _convert_="all")
    assert isinstance(data, ImageData)
    assert data.name == path.stem


def test_a_conjunction_of_attributes():
    class Pair(ImageData):
        name = "pair"

        def load(self) -> Splits:
            attributes = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]] * 5, dtype=torch.uint8)
            images = Images(torch.zeros(20, 1, 8, 8, dtype=torch.uint8), attributes[:, 0], attributes)
            return Splits(images, images, ("not A", "A"), images, ("A", "B"))

    both = Pair(attribute="A+B")
    assert both.train.labels.tolist() == [0, 0, 0, 1] * 5
    assert both.class_names == ("not A+B", "A+B")
    with pytest.raises(UserError, match=r"attribute=A\+C is not in data=pair; known attributes: A, B"):
        _ = Pair(attribute="A+C").train


def test_names_follow_the_images() -> None:
    images = Toy().test
    assert list(images.names) == list(range(len(images)))
    picked = images.take(torch.tensor([4, 0, 7]))
    assert picked.names == (4, 0, 7)
    assert list(images.take(images.labels == 1).names) == images.labels.eq(1).nonzero()[:, 0].tolist()
    assert list(images.take(slice(3, 5)).names) == [3, 4]
    assert picked.joined(images.take(slice(0, 2))).names == (4, 0, 7, 0, 1)
    with pytest.raises(ValueError, match="names differ in length"):
        Images(images.images, images.labels, None, ["a.png"])


def test_a_limited_split_is_named_by_the_published_order() -> None:
    few = Toy(limit=4).test
    assert len(few) == 4
    for name, image in zip(few.names, few.images, strict=True):
        assert torch.equal(image, Toy().test.images[name])
