"""What every data set promises, as functions that any set can be tried on."""

from __future__ import annotations

import copy
import json

import torch

from counterfoil.data.base import ImageData, Images, splits_digest
from counterfoil.data.texts import TextData
from counterfoil.testing.broken import broken, hold, tell


def check_data(data: ImageData) -> None:
    """Try every promise of a data set, which is loaded twice.

    Raises:
        Broken: an AssertionError with one plain sentence for each promise that is broken.
    """
    tell(data, broken(PROMISES, data))


def splits_of(data: ImageData) -> dict[str, Images]:
    """The splits by name."""
    return {"train": data.train, "val": data.val, "test": data.test}


def splits_fit_together(data: ImageData) -> None:
    """Images of all splits have one square shape, texts one length, and none is empty."""
    for name, split in splits_of(data).items():
        hold(len(split), f"has no image in {name}")
        found, expected = tuple(split.images.shape[1:]), tuple(data.train.images.shape[1:])
        hold(found == expected, f"has images {found} in {name}, and {expected} in train")
        square = found[1] == found[2] or isinstance(data, TextData)
        hold(square, f"has images {found}, expected as high as wide")


def labels_are_those_of_the_names(data: ImageData) -> None:
    """Labels run from 0 to K - 1 with a name each, and every class has a training image."""
    names = data.class_names
    hold(
        len(set(names)) == len(names) >= 2,
        f"names its classes {list(names)}, expected two or more, none twice",
    )
    for name, split in splits_of(data).items():
        low, high = int(split.labels.min()), int(split.labels.max())
        hold(
            low >= 0 and high < len(names),
            f"has labels from {low} to {high} in {name}, expected 0 to {len(names) - 1}",
        )
    counted = torch.bincount(data.train.labels, minlength=len(names))
    absent = [str(name) for name, n in zip(names, counted.tolist(), strict=True) if not n]
    hold(not absent, f"has no training image of {', '.join(absent)}")


def attributes_are_yes_or_no(data: ImageData) -> None:
    """A column of 0 and 1 for each name, in every split."""
    for name, split in splits_of(data).items():
        width = 0 if split.attributes is None else split.attributes.shape[1]
        hold(
            width == len(data.attribute_names),
            f"has {width} columns of attributes in {name} and {len(data.attribute_names)} names",
        )
        if split.attributes is not None:
            hold(int(split.attributes.max()) <= 1, f"has attributes other than 0 and 1 in {name}")


def no_image_is_in_two_splits(data: ImageData) -> None:
    """What is tested was not trained on."""
    seen = {
        name: {image.numpy().tobytes() for image in split.images} for name, split in splits_of(data).items()
    }
    for first, second in (("train", "test"), ("train", "val"), ("val", "test")):
        both = len(seen[first] & seen[second])
        hold(not both, f"has {both} image(s) of {first} in {second} as well")


def loads_alike(data: ImageData) -> None:
    """Read again, it is the same, and its identity, which addresses models, is JSON and the same too."""
    other = copy.copy(data)
    for name in ("_splits", "_loaded", "_content"):
        vars(other).pop(name, None)
    same = splits_digest(other._loaded) == splits_digest(data._loaded)
    hold(same, "loads other images or labels the second time")
    json.dumps(data.identity)
    hold(other.identity == data.identity, "has another identity the second time")


PROMISES = (
    splits_fit_together,
    labels_are_those_of_the_names,
    attributes_are_yes_or_no,
    no_image_is_in_two_splits,
    loads_alike,
)
