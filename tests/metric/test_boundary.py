"""Learners against a boundary that is known, and what counts as a pair."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.data.base import Images
from counterfoil.metric.boundary import Lessons, apart, boundaries, real, regression


class Brightness(nn.Module):
    """Class 2 for bright images, else class 0; embeds an image as its mean and one other pixel."""

    def forward(self, x):
        score = 20 * (x.flatten(1).mean(1) - 0.5)
        return torch.stack((-score, torch.full_like(score, -99), score), 1)

    def embed(self, x):
        return torch.stack((x.flatten(1).mean(1), x[:, 0, 0, 0]), 1)


@pytest.fixture
def data():
    draw = torch.Generator().manual_seed(0)
    level = torch.randint(0, 200, (80, 1, 1, 1), generator=draw)
    pixels = (level + torch.randint(0, 56, (80, 1, 8, 8), generator=draw)).to(torch.uint8)
    labels = 2 * (pixels.float().flatten(1).mean(1) > 127.5).long()
    labels[:10] = 1
    return SimpleNamespace(train=Images(pixels, labels), queried=Images(pixels, labels))


@pytest.fixture
def cf(make, data):
    """Ten queries of classes 0 and 2, each with its brightness turned round."""
    rows = (data.queried.labels != 1).nonzero()[:10, 0]
    x = data.queried[rows].x
    return replace(make(10), factual=x, counterfactual=1 - x, target=2 - data.queried.labels[rows])


def test_regression_learns_a_line():
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    side = (x[:, 0] - x[:, 1] > 0.2).long()
    assert (regression(x[:100], side[:100], x[100:]) == side[100:]).float().mean() > 0.95


def test_good_pairs_teach_the_boundary_and_wrong_ones_do_not(cf, data):
    made = boundaries(Brightness(), Brightness(), data, steps=30, sizes=[4, 10, 11])
    assert len(made) == 12
    for metric in made.values():
        metric.update(cf[:5])
        metric.update(cf[5:])
    good = made["boundary_agreement/regression/10"].figure()
    assert good.value > 0.9
    assert good.n == 60
    assert good.low < good.value
    assert made["boundary_accuracy/regression/10"].figure().value == good.value, "labels are decisions here"
    assert made["boundary_agreement/network/10"].figure().value > 0.5
    assert math.isnan(made["boundary_agreement/regression/11"].figure().value), "more than there are"
    wrong = boundaries(Brightness(), Brightness(), data)["boundary_agreement/regression"]
    wrong.update(replace(cf, counterfactual=cf.factual + 1e-3))
    assert wrong.figure().value < 0.8


def test_regression_on_pixels_bears_pixels_that_never_change(cf, data):
    """One of them is lit in a held-out image alone, and must not decide there."""
    black = replace(cf, factual=cf.factual.clone(), counterfactual=cf.counterfactual.clone())
    for x in (black.factual, black.counterfactual):
        x[:, :, 0] = 0
    made = boundaries(Brightness(), Brightness(), data, learners=["pixels"])
    assert list(made) == ["boundary_agreement/pixels", "boundary_accuracy/pixels"]
    made["boundary_agreement/pixels"].update(black)
    assert made["boundary_agreement/pixels"].figure().value > 0.9


def test_a_counterfactual_that_is_its_query_is_no_point(cf, data):
    lessons = Lessons(Brightness(), Brightness(), data)
    pair = [0, 2]
    images, labels = lessons.points(cf.factual, cf.counterfactual, cf.target, pair, 4)
    assert torch.equal(images[::2], cf.factual[:4])
    assert torch.equal(images[1::2], cf.counterfactual[:4])
    assert torch.equal(labels[1::2], (cf.target[:4] == 2).long())
    assert torch.equal(labels[::2], 1 - labels[1::2])
    alone, labels = lessons.points(cf.factual, cf.factual, cf.target, pair, 4)
    assert torch.equal(alone, cf.factual[:4])
    assert torch.equal(labels, (cf.target[:4] == 0).long())


def test_real_images_have_the_label_and_none_comes_twice(cf, data):
    drawn = real(data.train, cf.target, 0)
    assert torch.equal(Brightness()(drawn).argmax(1), cf.target)
    assert len(drawn.unique(dim=0)) == len(drawn)
    lessons = Lessons(Brightness(), Brightness(), data, pairs="real")
    images, _labels = lessons.points(cf.factual, cf.counterfactual, cf.target, [0, 2], 10)
    assert torch.equal(images[1::2], drawn)


def test_queries_and_other_classes_are_not_held_out(cf, data):
    held, label = apart(data.queried, [0, 2], cf.factual)
    assert len(held) == 60
    assert torch.equal(2 * label, Brightness()(held).argmax(1))


def test_what_is_refused_or_not_defined(cf, data):
    with pytest.raises(UserError, match="pairs=none is not supported; choose among: counterfactuals, real"):
        boundaries(Brightness(), Brightness(), data, pairs="none")
    with pytest.raises(UserError, match=r"learners=tree is not supported; choose among: regression, pixels"):
        boundaries(Brightness(), Brightness(), data, learners=["tree"])
    with pytest.raises(UserError, match="needs judge"):
        boundaries(None, Brightness(), data)
    (metric, *_others) = boundaries(Brightness(), Brightness(), data).values()
    assert metric.compute().isnan()
    metric.update(replace(cf, target=torch.zeros_like(cf.target)))
    assert math.isnan(metric.figure().value), "one class has no boundary"
