import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.data.attributes import BatchAttributes, offered
from counterfoil.data.base import ImageData, Images, Splits
from counterfoil.data.digits import Digits


class Named(ImageData):
    name = "named"

    def load(self) -> Splits:
        draw = torch.Generator().manual_seed(0)
        attributes = torch.randint(2, (40, 3), generator=draw, dtype=torch.uint8)
        attributes[:, 2] = 1
        images = Images(
            torch.randint(256, (40, 1, 8, 8), generator=draw, dtype=torch.uint8), attributes[:, 0], attributes
        )
        return Splits(images, images, ("not A", "A"), images, ("A", "B", "C"))


def test_own_attributes_in_the_order_of_their_names():
    data = Named()
    batch = data.train[:5]
    assert torch.equal(BatchAttributes(data, ["B", "A"])(batch), batch.a[:, [1, 0]])


def test_labels_alone_give_classes_and_shape(toy):
    assert offered(toy) == ("left", "middle", "right", "Thickness", "Slant", "Width")
    batch = toy.train[:6]
    read = BatchAttributes(toy, ["right", "left"])(batch)
    assert torch.equal(read, torch.stack((batch.y == 2, batch.y == 0), 1).float())


def test_shapes_are_measured_and_scaled():
    data = Digits(limit=200)
    read = BatchAttributes(data, ["3", "Thickness", "Slant"])(data.test[:50])
    assert read.shape == (50, 3)
    assert torch.equal(read[:, 0], (data.test[:50].y == 3).float())
    assert 0 <= read.min() <= read.max() <= 1
    assert read[:, 1:].std(0).min() > 0.1


def test_a_shape_that_never_varies_is_named(toy):
    with pytest.raises(UserError, match="Width is 0 in all 54"):
        BatchAttributes(toy, ["left", "Width"])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["A", "Hat"], "Hat is not in data=named; known attributes: A, B, C"),
        ([], "none"),
        (["A", "A"], "different"),
        (["C"], "C is 1 in all 40"),
    ],
)
def test_refuses(names, message):
    with pytest.raises(UserError, match=message):
        BatchAttributes(Named(), names)
