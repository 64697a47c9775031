import pytest
import torch
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.core.query import Query
from counterfoil.search import InvertedLatent


class Spread(nn.Module):
    """Decodes a code of 4 to 4 pixels by a known invertible matrix."""

    latent = 4

    def __init__(self):
        super().__init__()
        self.matrix = nn.Parameter(
            0.3 * torch.randn(4, 4, generator=torch.Generator().manual_seed(1)).double()
            + torch.eye(4).double()
        )

    def decode(self, z, condition=None):
        return (z @ self.matrix).view(-1, 1, 2, 2)


def test_finds_the_code_of_a_known_image(tiny_classifier):
    model = Spread().requires_grad_(False)
    z = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)).double()
    query = Query(model.decode(z), torch.zeros(5).long(), tiny_classifier, generator=model)
    found = InvertedLatent(restarts=2, steps=1500, lr=0.05, penalty=0.0).start(query)["z"]
    torch.testing.assert_close(found, z, atol=1e-3, rtol=0)


def test_keeps_the_best_of_the_starts(tiny_classifier):
    model = Spread().requires_grad_(False)
    query = Query(torch.rand(5, 1, 2, 2).double(), torch.zeros(5).long(), tiny_classifier, generator=model)
    errors = []
    for restarts in (1, 5):
        space = InvertedLatent(restarts=restarts, steps=3, penalty=0.0)
        errors.append(space._error(query, space.start(query)["z"]))
    assert (errors[1] <= errors[0]).all()
    assert errors[1].sum() < errors[0].sum()


def test_refuses_no_restart():
    with pytest.raises(UserError, match="restarts=0: expected a whole number of at least 1"):
        InvertedLatent(restarts=0)
