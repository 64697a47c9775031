"""The tiny networks and data are what the checks count on."""

from __future__ import annotations

import torch

from counterfoil.testing.toys import Bars, TinyClassifier, counterfactuals, queries, tiny_vae


def test_they_fit_each_other_and_never_change() -> None:
    x = queries(6)
    assert x.shape == (6, 1, 16, 16)
    assert torch.equal(x, Bars().test[range(6)].x.double())
    net, vae = TinyClassifier().double(), tiny_vae().double()
    assert net(x).shape == (6, len(Bars().class_names))
    assert torch.equal(net(x), TinyClassifier().double()(x))
    assert torch.equal(vae.encode(x), tiny_vae().double().encode(x))
    assert vae.decode(vae.encode(x)).shape == x.shape


def test_random_counterfactuals_are_graded() -> None:
    cf = counterfactuals(20)
    torch.testing.assert_close(cf.counterfactual_logits, TinyClassifier()(cf.counterfactual))
    assert 0 < cf.valid.sum() < 20
    assert cf.counterfactual.min() >= 0
    assert cf.counterfactual.max() <= 1
