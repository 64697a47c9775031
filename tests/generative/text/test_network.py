"""The auto-encoder of texts."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from counterfoil.core.errors import UserError
from counterfoil.core.generator import Decodes, Edits, Encodes
from counterfoil.generative.text.network import TextCVAE
from counterfoil.testing.generative import check_generative


def net(**options: float) -> TextCVAE:
    torch.manual_seed(0)
    return TextCVAE(6, 11, ["praise", "long"], latent=3, width=8, depth=2, **options).eval()  # type: ignore


def texts(rows: int = 4) -> torch.Tensor:
    ids = torch.randint(11, (rows, 6), generator=torch.Generator().manual_seed(0))
    return F.one_hot(ids, 11)[:, None].float()


def test_it_keeps_the_promises_of_a_generator() -> None:
    check_generative(net(), texts())
    check_generative(net(), torch.rand(4, 1, 6, 11).softmax(-1))
    assert all(isinstance(net(), ability) for ability in (Encodes, Decodes, Edits))


def test_what_is_decoded_is_a_distribution_over_the_tokens() -> None:
    made = net()
    z = made.encode(texts())
    assert z.shape == (4, 6 * 3 + 2)
    soft = made.decode(z)
    assert soft.shape == (4, 1, 6, 11)
    assert torch.allclose(soft.sum(-1), torch.ones(4, 1, 6))
    sharp = net(temperature=0.05).decode(z)
    assert (sharp.amax(-1) > soft.amax(-1)).all()
    assert torch.equal(sharp.argmax(-1), soft.argmax(-1))


def test_without_attributes_those_that_were_read_are_taken() -> None:
    made, x = net(), texts()
    z = made.encode(x)
    assert torch.equal(z[:, -2:], made.attributes(x))
    assert torch.equal(made.decode(z), made.decode(z, made.attributes(x)))
    a = torch.zeros(4, 2, requires_grad=True)
    assert not torch.allclose(made.decode(z, a), made.decode(z))
    made.decode(z, a)[..., 3].sum().backward()
    assert a.grad is not None
    assert bool((a.grad != 0).any(0).all())


def test_refuses_no_attributes_and_other_texts() -> None:
    with pytest.raises(UserError, match="text_cvae: expected the names of one or more attributes"):
        TextCVAE(6, 11)
    with pytest.raises(UserError, match=r"made for texts of shape \(1, 6, 11\).*found \(1, 6, 12\)"):
        net().encode(torch.zeros(1, 1, 6, 12))
