import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.core.generator import Decodes, Edits, Encodes
from counterfoil.generative.attgan.network import AttGAN


@pytest.mark.parametrize(
    ("channels", "size", "shape"),
    [(1, 28, (32, 4, 4)), (1, 32, (32, 4, 4)), (3, 64, (64, 4, 4)), (3, 30, (32, 4, 4))],
)
@pytest.mark.parametrize("norm", ["spectral", "instance"])
def test_sizes(channels, size, shape, norm):
    net = AttGAN(channels, size, ["A", "B", "C"], width=8, norm=norm).eval()
    x, a = torch.rand(2, channels, size, size), torch.rand(2, 3)
    z = net.encode(x)
    assert net.shape == shape
    assert z.shape == (2, shape[0] * shape[1] * shape[2])
    image = net.decode(z, a)
    assert image.shape == x.shape
    assert 0 <= image.min() <= image.max() <= 1
    assert net.attributes(x).shape == (2, 3)
    assert all(isinstance(net, ability) for ability in (Encodes, Decodes, Edits))


def test_attributes_reach_the_image():
    net = AttGAN(1, 16, ["A", "B"], width=4).eval()
    z = net.encode(torch.rand(1, 1, 16, 16))
    a = torch.zeros(1, 2, requires_grad=True)
    net.decode(z, a).sum().backward()
    assert (a.grad.abs() > 0).all()


@pytest.mark.parametrize("wrong", [(1, 3, 16, 16), (1, 1, 20, 20)])
def test_wrong_images_are_named(wrong):
    with pytest.raises(UserError, match=r"made for images of shape \(1, 16, 16\)"):
        AttGAN(1, 16, ["A"], width=4).encode(torch.rand(wrong))


def test_refuses_no_attributes_and_no_condition():
    with pytest.raises(UserError, match="one or more attributes"):
        AttGAN(1, 16, [])
    net = AttGAN(1, 16, ["A"], width=4)
    with pytest.raises(UserError, match="under attributes only"):
        net.decode(net.encode(torch.rand(1, 1, 16, 16)))
