"""What methods may hand back beside a counterfactual."""

from __future__ import annotations

import pytest
import torch

from counterfoil.core.counterfactuals import Found
from counterfoil.core.errors import UserError
from counterfoil.core.extras import EXTRAS, Extra


def found(**extra: torch.Tensor) -> Found:
    zeros = torch.zeros(2, dtype=torch.int64)
    return Found(torch.zeros(2, 1, 3, 3), zeros, zeros, extra=extra)


def test_what_is_declared_is_taken() -> None:
    found(z=torch.zeros(2, 4, 1, 1), psnr=torch.zeros(2), reconstruction=torch.zeros(2, 1, 3, 3))


def test_what_is_not_declared_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        UserError, match=r"extra\['mood'\] is not declared; choose one of z, .*EXTRAS"
    ) as caught:
        found(mood=torch.zeros(2))
    assert "\n" not in str(caught.value)
    monkeypatch.setitem(EXTRAS, "mood", Extra(("B",), "how it feels"))
    found(mood=torch.zeros(2))


@pytest.mark.parametrize("shape", [(3,), (2, 1)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"expected \(B\) of B = 2, found"):
        found(psnr=torch.zeros(shape))
