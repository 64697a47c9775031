from types import SimpleNamespace

import pytest
import torch
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.explainer.gci import GCI

NAMES = ("left", "right", "noise")


class Halves(nn.Module):
    """The code is the image; attributes: brightness of both halves, and of a pixel without effect."""

    attribute_names = NAMES

    def encode(self, x, condition=None):
        return x.flatten(1)

    def decode(self, z, condition=None):
        x = z.view(-1, 1, 4, 4).clone()
        shift = condition - self.attributes(x)
        return torch.cat(
            (x[..., :2] + shift[:, 0, None, None, None], x[..., 2:] + shift[:, 1, None, None, None]), dim=3
        )

    def attributes(self, x):
        return torch.stack(
            (x[..., :2].mean((1, 2, 3)), x[..., 2:].mean((1, 2, 3)), torch.zeros(len(x)).to(x)), 1
        )


@pytest.fixture
def classifier(linear):
    """Says "bright on the right" above a mean of one half there; nothing else counts."""
    weight = torch.zeros(2, 1, 4, 4)
    weight[1, ..., 2:] = 20 / 8
    return linear(weight.flatten(1), [0.0, -10.0])


@pytest.fixture
def x():
    return (
        torch.full((3, 1, 4, 4), 0.3).double()
        + torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0)).double() / 20
    )


def test_finds_the_attribute_that_decides(classifier, x):
    cf = GCI(classifier, Halves(), lambda_=0.05)(x, 1)
    change = {name: cf.changes[name] for name in NAMES}
    assert cf.valid.all()
    needed = 0.5 - x[..., 2:].mean((1, 2, 3))
    assert ((change["right"] >= needed) & (change["right"] < needed + 0.06)).all()
    assert change["left"].abs().max() < 0.01
    assert torch.equal(change["noise"], torch.zeros(3).double())


@pytest.mark.parametrize("options", [{"frozen": ["right"]}, {"free": ["left", "noise"]}])
def test_an_attribute_held_fast_cannot_help(classifier, x, options):
    cf = GCI(classifier, Halves(), rounds=1, steps=30, **options)(x, 1)
    assert not cf.valid.any()
    assert torch.equal(cf.changes["right"], torch.zeros(3).double())


def test_modes(classifier, x):
    bounds = {
        mode: GCI(classifier, Halves(), mode=mode, rounds=3, confidence=0.95)(x, 1)
        for mode in ("flip", "exaggerate", "criticise")
    }
    assert (bounds["flip"].target_probability >= 0.95).all()
    assert (
        (bounds["criticise"].target_probability >= 0.5) & (bounds["criticise"].target_probability < 0.8)
    ).all()
    before = bounds["exaggerate"].factual_logits.softmax(1)[:, 1]
    assert (bounds["exaggerate"].target_probability < before).all()
    with pytest.raises(UserError, match="mode=praise is not supported"):
        GCI(classifier, Halves(), mode="praise")


def test_a_model_without_attributes_is_searched_by_its_code(tiny_classifier, tiny_vae):
    x = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0)).double()
    for inversion in ("encoder", "optimise"):
        explainer = GCI(
            tiny_classifier, tiny_vae, inversion=inversion, restarts=1, rounds=1, steps=3, gate=1e-9
        )
        explainer.fit(SimpleNamespace(val=Split(x)))
        assert explainer(x).extra["z"].shape == (2, 4)
    with pytest.raises(UserError, match="inversion=guess"):
        GCI(tiny_classifier, tiny_vae, inversion="guess")


class Split:
    def __init__(self, x):
        self.x = x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, rows):
        return SimpleNamespace(x=self.x[list(rows)])
