"""`check_data` finds these broken sets out, and says so in the right sentence."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from counterfoil.data.base import ImageData, Images, Splits
from counterfoil.data.digits import Digits
from counterfoil.testing import Bars, Broken, check_data
from counterfoil.testing.toys import bars


class Leaks(Bars):
    def load(self) -> Splits:
        splits = super().load()
        return replace(splits, test=splits.test.joined(splits.train.take(slice(0, 2))))


class OneTooMany(Bars):
    def load(self) -> Splits:
        return replace(super().load(), class_names=("left", "middle"))


class OneNameTwice(Bars):
    def load(self) -> Splits:
        return replace(super().load(), class_names=("left", "left", "right"))


class NoneToLearnFrom(Bars):
    def load(self) -> Splits:
        return replace(super().load(), class_names=("left", "middle", "right", "top"))


class Drawn(Bars):
    def load(self) -> Splits:
        images = torch.randint(256, (60, 1, 16, 16), dtype=torch.uint8)
        return replace(super().load(), train=Images(images, torch.arange(60) % 3))


class Wide(Bars):
    def load(self) -> Splits:
        split = bars(30, 1)
        return replace(super().load(), test=Images(split.images[..., :12], split.labels))


class Nameless(Bars):
    def load(self) -> Splits:
        return replace(super().load(), attribute_names=("bright",))


BROKEN: dict[type[ImageData], str] = {
    Leaks: "has 2 image(s) of train in test as well",
    OneTooMany: "has labels from 0 to 2 in train, expected 0 to 1",
    OneNameTwice: "names its classes ['left', 'left', 'right'], expected two or more, none twice",
    NoneToLearnFrom: "has no training image of top",
    Drawn: "loads other images or labels the second time",
    Wide: "has images (1, 16, 12) in test, and (1, 16, 16) in train",
    Nameless: "has 0 columns of attributes in train and 1 names",
}


@pytest.mark.parametrize("data", [Bars(), Digits(limit=200)], ids=lambda data: data.name)
def test_sound_data_pass(data: ImageData) -> None:
    check_data(data)


@pytest.mark.parametrize("data", BROKEN, ids=lambda cls: cls.__name__)
def test_broken_data_are_told_what_they_break(data: type[ImageData]) -> None:
    with pytest.raises(Broken) as caught:
        check_data(data(val_fraction=0.2))
    assert f"{data.__name__} {BROKEN[data]}" in str(caught.value).splitlines()
