"""Kernels and centroids by hand."""

from __future__ import annotations

import pytest
import torch

from counterfoil.classifier.base import Classifier
from counterfoil.classifier.duq import DUQ, Kernels
from counterfoil.core.errors import UserError


@pytest.fixture
def kernels() -> Kernels:
    """Two classes, D = 2, m = 2: W_0 is the identity, W_1 doubles; centroids (1, 0) and (0, 2)."""
    kernels = Kernels(2, 2, 2, sigma=0.5)
    with torch.no_grad():
        kernels.weight.copy_(torch.stack((torch.eye(2), 2 * torch.eye(2))))
        kernels.number.copy_(torch.tensor([1.0, 2.0]))
        kernels.total.copy_(torch.tensor([[1.0, 0.0], [0.0, 4.0]]))
    return kernels


def test_logits_are_negative_scaled_distances(kernels: Kernels) -> None:
    """h = (1, 1): W_0 h - e_0 = (0, 1), W_1 h - e_1 = (2, 0); divided by m = 2 and 2 sigma^2 = 1/2."""
    torch.testing.assert_close(kernels(torch.ones(1, 2)), torch.tensor([[-1.0, -4.0]]))


def test_centroids_follow_the_embeddings_of_their_own_class(kernels: Kernels) -> None:
    kernels.update_(torch.tensor([[1.0, 2.0], [3.0, 0.0], [1.0, 1.0]]), torch.tensor([0, 0, 1]), gamma=0.75)
    torch.testing.assert_close(kernels.number, torch.tensor([0.75 + 0.5, 1.5 + 0.25]))
    torch.testing.assert_close(kernels.total, torch.tensor([[0.75 + 1.0, 0.5], [0.5, 3.0 + 0.5]]))
    torch.testing.assert_close(
        kernels.centroids, torch.tensor([[1.75 / 1.25, 0.5 / 1.25], [0.5 / 1.75, 3.5 / 1.75]])
    )
    assert kernels.weight.grad is None


def test_a_class_that_a_batch_lacks_keeps_its_centroid(kernels: Kernels) -> None:
    before = kernels.centroids[1].clone()
    kernels.update_(torch.ones(3, 2), torch.zeros(3, dtype=torch.int64), gamma=0.5)
    torch.testing.assert_close(kernels.centroids[1], before)


def test_kernels_stay_in_full_precision(kernels: Kernels) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        logits = kernels(torch.tensor([[1.001, 1.0]]))
    assert logits.dtype == torch.float32
    assert float(logits[0, 1].detach()) == pytest.approx(-(2.002**2))


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 64)])
def test_fits_the_house(channels: int, size: int) -> None:
    layers = ("blocks.0", "blocks.1", "blocks.2", "pool")
    classifier = Classifier(DUQ(channels, 2, width=4), layers=layers)
    x = torch.rand(3, channels, size, size)
    assert classifier(x).shape == (3, 2)
    assert (classifier(x) <= 0).all()
    assert tuple(classifier.features(x)) == layers
    assert classifier.net.kernel
    assert {"head.number", "head.total"} <= set(classifier.net.state_dict())


def test_a_kernel_without_width_is_refused() -> None:
    with pytest.raises(UserError, match="sigma"):
        DUQ(sigma=0.0)
