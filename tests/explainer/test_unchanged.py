"""Doing nothing."""

from __future__ import annotations

import torch

from counterfoil.explainer.unchanged import Unchanged


def test_every_query_comes_back_as_it_is(tiny_classifier, toy):
    x = toy.test[range(4)].x.double()
    cf = Unchanged(tiny_classifier, count=2)(x)
    assert torch.equal(cf.counterfactual, x.repeat_interleave(2, 0))
    assert not cf.valid.any()
    assert cf.steps.tolist() == [0] * 8
