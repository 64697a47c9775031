"""COUT against a loop over single pixels, its extreme values and hand values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.metric.cout import COUT


def by_loop(cf, classifier, steps):
    """The definition, one image, one step and one pixel at a time, in numpy."""
    result = []
    for row in range(len(cf)):
        x, y = cf.factual[row].numpy().copy(), cf.counterfactual[row].numpy()
        change = np.abs(y - x).sum(0)
        pixels = sorted(np.ndindex(change.shape), key=lambda at: (-change[at], at))
        gaps, at, done = [], [0.0], 0
        for step in range(steps + 1):
            upto = round(step * len(pixels) / steps)
            for pixel in pixels[done:upto]:
                x[(slice(None), *pixel)] = y[(slice(None), *pixel)]
            done = upto
            p = classifier(torch.from_numpy(x)[None])[0].softmax(0)
            gaps.append(float(p[cf.target[row]] - p[cf.source[row]]))
            at.append(done / len(pixels))
        widths = np.diff(at[1:])
        result.append(
            float(sum(w * (a + b) / 2 for w, a, b in zip(widths, gaps[:-1], gaps[1:], strict=True)))
        )
    return result


@pytest.mark.parametrize("steps", [3, 20])
def test_loop_agrees(steps, make, parts):
    cf = make(11)
    torch.testing.assert_close(
        COUT(parts.classifier, steps).score(cf).tolist(),
        by_loop(cf, parts.classifier, steps),
        rtol=1e-4,
        atol=1e-5,
    )


class Certain(nn.Module):
    """Class 1 for sure once the first `enough` of 20 pixels are lit, class 0 for sure before."""

    def __init__(self, enough: int) -> None:
        super().__init__()
        self.enough = enough

    def forward(self, x):
        lit = (x[:, 0].flatten(1).sum(1) >= self.enough).float()
        return 1000 * torch.stack((1 - lit, lit), dim=1)


@pytest.mark.parametrize(("enough", "expected"), [(1, 0.95), (20, -0.95), (10, 0.05), (21, -1.0), (0, 1.0)])
def test_hand_values_stay_within_one(enough, expected, make):
    """20 pixels, one a step: the gap is -1 before step `enough` and +1 from it on."""
    net = Certain(enough)
    zeros, ones = torch.zeros(1, 2, 4, 5), torch.ones(1, 2, 4, 5)
    cf = replace(
        make(1),
        factual=zeros,
        counterfactual=ones,
        target=torch.tensor([1]),
        factual_logits=torch.tensor([[1.0, 0.0]]),
        counterfactual_logits=net(ones),
    )
    assert float(COUT(net).score(cf)) == pytest.approx(expected, abs=1e-6)


def test_most_changed_pixels_come_first(make):
    """The decision hangs on the most changed pixel: it is in at the first of 20 steps."""

    class Corner(nn.Module):
        def forward(self, x):
            lit = (x[:, 0, 3, 4] > 0.5).float()
            return 1000 * torch.stack((1 - lit, lit), dim=1)

    counterfactual = torch.full((1, 2, 4, 5), 0.2)
    counterfactual[:, :, 3, 4] = 0.9
    cf = replace(
        make(1),
        factual=torch.zeros(1, 2, 4, 5),
        counterfactual=counterfactual,
        target=torch.tensor([1]),
        factual_logits=torch.tensor([[1.0, 0.0]]),
        counterfactual_logits=torch.tensor([[0.0, 1.0]]),
    )
    assert float(COUT(Corner(), steps=20).score(cf)) == pytest.approx(0.95)


def test_unchanged_image_scores_the_difference_of_its_probabilities(make, parts):
    cf = make(4)
    p = parts.classifier(cf.factual).softmax(1)
    rows = torch.arange(4)
    expected = p[rows, cf.target] - p[rows, cf.source]
    torch.testing.assert_close(COUT(parts.classifier).score(replace(cf, counterfactual=cf.factual)), expected)


def test_networks_see_chunks_and_rows_do_not_mix(make, parts):
    cf = make(40)
    metric = COUT(parts.classifier, steps=20)
    parts.classifier.largest = 0
    whole = metric.score(cf)
    assert parts.classifier.largest <= 256
    torch.testing.assert_close(whole[17:18], metric.score(cf[17:18]))


def test_steps_below_one_are_refused(parts):
    with pytest.raises(UserError, match="steps"):
        COUT(parts.classifier, steps=0)
