import torch

from counterfoil.search import Candidate, Moved


def test_sums_the_norms_of_the_named_variables():
    variables = {
        "z": torch.tensor([[3.0, 4.0], [0.0, 0.0]]),
        "z0": torch.zeros(2, 2),
        "a": torch.tensor([[1.0, -1.0], [2.0, 0.0]]),
        "a0": torch.zeros(2, 2),
    }
    candidate = Candidate(variables, torch.zeros(2, 1, 1, 1), torch.zeros(2, 2), 0.0)
    torch.testing.assert_close(Moved(names=("z", "a"))(None, candidate), torch.tensor([5 + 2**0.5, 2.0]))
    torch.testing.assert_close(Moved(names=("a",), order=1)(None, candidate), torch.tensor([2.0, 2.0]))


def test_has_a_gradient_at_the_start():
    z = torch.zeros(1, 3, requires_grad=True)
    Moved(names=("z",))(
        None, Candidate({"z": z, "z0": torch.zeros(1, 3)}, torch.zeros(1), torch.zeros(1), 0.0)
    ).sum().backward()
    assert torch.equal(z.grad, torch.zeros(1, 3))
