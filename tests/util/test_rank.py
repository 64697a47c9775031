from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import rankdata, spearmanr

from counterfoil.util.rank import ranks, spearman


def test_ranks_and_rho_are_scipys_with_many_ties() -> None:
    draw = torch.Generator().manual_seed(0)
    a, b = torch.randint(5, (200,), generator=draw), torch.rand(200, generator=draw)
    assert ranks(a).tolist() == rankdata(a.numpy()).tolist()
    assert spearman(a, b + a) == pytest.approx(spearmanr(a.numpy(), (b + a).numpy()).statistic, abs=1e-12)


def test_rho_of_a_constant_is_not_defined() -> None:
    assert math.isnan(spearman(torch.ones(4), torch.arange(4)))
