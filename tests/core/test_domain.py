"""What kind of input a model takes: hard inputs, what a classifier is shown, and refusals."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.domain import IMAGES, Continuous, Domain, Images, Tokens, domain_of, require_domain
from counterfoil.core.errors import UserError
from counterfoil.core.query import Query
from counterfoil.testing.texts import TEXTS, TinyReader, texts


@pytest.fixture
def soft() -> Tensor:
    return torch.randn(3, 1, 6, 12, generator=torch.Generator().manual_seed(0)).softmax(-1)


def test_images_are_clamped_and_else_left_alone() -> None:
    x = torch.tensor([-0.5, 0.25, 1.5]).view(1, 1, 1, 3)
    assert torch.equal(IMAGES.hard(x), x.clamp(0, 1))
    assert IMAGES.shown(x) is x
    assert IMAGES.words(x) is None
    assert domain_of(nn.Linear(1, 1)) is IMAGES


def test_tokens_are_the_likeliest_of_each_row(soft: Tensor) -> None:
    hard = TEXTS.hard(soft)
    assert torch.equal(hard.argmax(-1), soft.argmax(-1))
    assert torch.equal(hard.sum(-1), torch.ones(3, 1, 6))
    assert torch.equal(TEXTS.hard(hard), hard)
    assert TEXTS.words(hard)[0] == [TEXTS.tokens[i] for i in soft[0, 0].argmax(-1).tolist() if i]


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_classifier_is_shown_hard_rows_and_the_gradient_passes(soft: Tensor, temperature: float) -> None:
    """Bitwise hard; the gradient is that of the (tempered) distribution."""
    domain = Tokens(temperature=temperature)
    scores = soft.log().requires_grad_()
    shown = domain.shown(scores.softmax(-1))
    assert torch.equal(shown, domain.hard(soft))
    weights = torch.rand(soft.shape, generator=torch.Generator().manual_seed(1))
    (found,) = torch.autograd.grad((shown * weights).sum(), scores)
    (expected,) = torch.autograd.grad(((scores / temperature).softmax(-1) * weights).sum(), scores)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)


def test_what_is_not_finite_stays_so(soft: Tensor) -> None:
    soft[1, 0, 2, 3] = torch.nan
    hard = TEXTS.hard(soft)
    assert hard[1, 0, 2].isnan().any()
    assert hard[[0, 2]].isfinite().all()


def test_a_mask_keeps_whole_rows(soft: Tensor) -> None:
    x = texts(3)
    mask = torch.zeros(3, 1, 6, 12, dtype=torch.bool)
    mask[:, :, 1, 4] = True
    query = Query(x, torch.tensor([0, 1, 2]), TinyReader().double(), mask=mask)
    kept = query.keep(soft.double())
    assert torch.equal(kept[:, :, 1], x[:, :, 1])
    assert torch.equal(kept[:, :, 2:], TEXTS.hard(soft.double())[:, :, 2:])


@pytest.mark.parametrize(
    ("model", "kind", "told"),
    [
        (TinyReader(), Continuous, "found texts; choose a method that moves a generator's code"),
        (nn.Linear(1, 1), Tokens, "found images; choose a method that moves values"),
    ],
)
def test_methods_refuse_what_they_cannot_move(model: nn.Module, kind: type[Domain], told: str) -> None:
    with pytest.raises(UserError, match=told):
        require_domain(model, kind, method="mine")
    require_domain(model, Domain, method="mine")


def test_rows_of_tokens_are_put_back_whole() -> None:
    change = torch.tensor([[[0.0, 0.3, 1.0], [0.0, 0.0, 0.0]]])
    assert Images().units(change) is change
    assert Tokens().units(change).tolist() == [[[1.0], [0.0]]]


@pytest.mark.parametrize("p", [1.0, 2.0])
def test_distances_of_texts_are_those_of_their_values(p: float) -> None:
    one, other = Tokens().hard(torch.rand(5, 1, 7, 9)), Tokens().hard(torch.rand(4, 1, 7, 9))
    assert torch.equal(Tokens().distances(one, other, p), IMAGES.distances(one, other, p))
