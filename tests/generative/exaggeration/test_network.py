from __future__ import annotations

import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.generative.exaggeration.network import ConditionalBatchNorm, Exaggerator, fitting_pad


@pytest.mark.parametrize("size", [28, 32, 64, 8])
def test_images_come_back_in_their_size_and_range(size: int) -> None:
    model = Exaggerator(3, size, 2, bins=4, width=4).eval()
    x = torch.rand(2, 3, size, size)
    code = model.encode(x)
    assert code.shape[-1] == 4
    y = model.decode(code, torch.tensor([0, 3])).detach()
    assert y.shape == x.shape
    assert 0 <= float(y.min()) <= float(y.max()) <= 1


def test_refuses_sizes_that_cannot_be_halved() -> None:
    with pytest.raises(UserError, match="27 px cannot be halved"):
        Exaggerator(1, 27, 2)
    with pytest.raises(UserError, match=r"28 \+ 2 \* 1 px"):
        fitting_pad(28, 3, 1)
    assert fitting_pad(28, 3, None) == 2


def test_each_cell_has_its_own_scale_and_shift() -> None:
    norm = ConditionalBatchNorm(2, 3).eval()
    with torch.no_grad():
        norm.table.weight[1] = torch.tensor([2.0, 3.0, 0.5, -0.5])  # type: ignore[union-attr]
    h = torch.ones(2, 2, 1, 1)
    plain, scaled = norm(h, torch.tensor([0, 1]))[:, :, 0, 0] * (1 + 1e-3) ** 0.5
    torch.testing.assert_close(plain, torch.ones(2))
    torch.testing.assert_close(scaled, torch.tensor([2 + 0.5 * 1.0005, 3 - 0.5 * 1.0005]), atol=1e-4, rtol=0)


def test_a_counterfactual_does_not_depend_on_its_batch() -> None:
    torch.manual_seed(0)
    model = Exaggerator(1, 8, 3, width=4).double().eval()
    x, cell = torch.rand(5, 1, 8, 8, dtype=torch.float64), torch.tensor([0, 29, 7, 7, 12])
    whole = model.decode(model.encode(x), cell)
    alone = model.decode(model.encode(x[2:3]), cell[2:3])
    torch.testing.assert_close(whole[2:3], alone, atol=1e-12, rtol=0)


def test_the_conditioned_encoder_sees_the_cell_and_the_default_does_not() -> None:
    x = torch.rand(1, 1, 8, 8)
    for conditioned in (False, True):
        model = Exaggerator(1, 8, 2, bins=4, width=4, conditioned_encoder=conditioned).eval()
        for block in model.down:
            if conditioned:
                torch.nn.init.normal_(block.first.table.weight)
        one, two = (model.encode(x, torch.tensor([k])) for k in (0, 3))
        assert torch.equal(one, two) is not conditioned


def test_names_the_fix_where_no_bin_is_requested() -> None:
    model = Exaggerator(1, 8, 2, width=4)
    with pytest.raises(UserError, match="explainer=progressive"):
        model.decode(model.encode(torch.rand(2, 1, 8, 8)))
