import pytest
import torch

from counterfoil.search import Paced, Unfrozen


def moves(steps, **options):
    """Positions of two numbers whose gradient is always 1, after each step."""
    tensors = [torch.zeros(1, requires_grad=True) for _ in range(2)]
    optimizer = Paced((0.5, 0.1), **options)(tensors)
    found = []
    for _ in range(steps):
        optimizer.zero_grad()
        sum(tensors).sum().backward()
        optimizer.step()
        found.append([round(-t.item(), 6) for t in tensors])
    return found


def test_each_tensor_has_its_rate_and_both_shrink():
    assert moves(3, decay=0.5) == [[0.5, 0.1], [0.75, 0.15], [0.875, 0.175]]


def test_taking_turns_shrinks_after_both_have_moved():
    assert moves(4, decay=0.5, alternate=True) == [[0.5, 0.0], [0.5, 0.1], [0.75, 0.1], [0.75, 0.15]]


def test_adam_moves_by_the_rate_whatever_the_gradient():
    assert moves(1, adam=True) == [[0.5, 0.1]]


def test_one_rate_a_tensor():
    with pytest.raises(ValueError, match="zip"):
        Paced((0.1,))([torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)])


def test_tensors_are_freed_in_turns():
    """Gradients are 1, and Adam then moves by its rate: the i-th tensor begins after turns[i] times two
    steps.
    """
    tensors = [torch.zeros(1, requires_grad=True) for _ in range(3)]
    optimizer = Unfrozen((2, 0, 1), every=2, lr=0.1)(tensors)
    found = []
    for _ in range(5):
        optimizer.zero_grad()
        sum(tensors).sum().backward()
        optimizer.step()
        found.append([round(-10 * t.item(), 3) for t in tensors])
    assert found == [[0, 1, 0], [0, 2, 0], [0, 3, 1], [0, 4, 2], [1, 5, 3]]
