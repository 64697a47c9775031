"""Rankings of changes whose order is known."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.metric.introspection import introspections
from tests.metric.test_effect import First, faces

DATA = faces([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1], [1, 1, 1], [0, 0, 0], [0, 1, 0], [1, 0, 1]])


class Judge(nn.Module):
    """Tells each attribute by its pixel."""

    def outputs(self, x):
        return 8 * x.flatten(1)[:, :3] - 4


@pytest.fixture
def cf(make):
    """Forty valid rows that change A most and B least, as declared and in the image; and one not valid."""
    values = torch.tensor([[0.9, -0.1, 0.2], [-0.7, 0.1, 0.0]]).repeat(20, 1)
    values = torch.cat((values, torch.tensor([[0.0, 100.0, 0.0]])))
    x = torch.full((41, 1, 2, 2), 0.5)
    found = x.clone()
    found.flatten(1)[:, :3] += values.clamp(-1, 1) / 2
    logits = torch.eye(2)[torch.tensor([1] * 40 + [0])]
    return replace(
        make(41),
        factual=x,
        counterfactual=found,
        target=torch.ones(41, dtype=torch.int64),
        counterfactual_logits=logits,
        changes=dict(zip("ABC", values.unbind(1), strict=True)),
    )


def shown(cf, causes):
    made = introspections(First(), DATA, Judge(), causes)
    for metric in made.values():
        metric.update(cf[:30])
        metric.update(cf[30:])
    return made


def test_changes_are_ranked_by_their_mean_size_over_valid_rows(cf):
    made = shown(cf, ["A"])
    for kind in ("declared", "judged"):
        assert made[f"cause_rank/{kind}"].figure().value == 1
        assert made[f"cause_first/{kind}"].figure().value == 1
        assert made[f"cause_first/{kind}"].figure().n == 40
    missed = shown(cf, ["B"])
    assert missed["cause_rank/declared"].figure().value == 2, "0.8, 0.1 and 0.1: a tie is the better place"
    assert missed["cause_first/declared"].figure().value == 0
    assert shown(cf, ["B+A"])["cause_rank/declared"].figure().value == 1, "one of several causes is enough"


def test_correlation_is_spearmans(cf):
    made = shown(cf, ["A"])["effect_correlation/declared"]
    truth = [made.effects.by_name[name] for name in "ABC"]
    values = np.stack([cf.changes[name][:40].abs().double().numpy() for name in "ABC"], 1)
    rng = np.random.default_rng(0)
    drawn = [values[rng.integers(40, size=40)].mean(0) for _ in range(1000)]
    expected = [spearmanr(sample, truth).statistic for sample in drawn]
    entry = made.figure()
    assert entry.value == pytest.approx(spearmanr(values.mean(0), truth).statistic)
    assert (entry.low, entry.high) == pytest.approx(tuple(np.quantile(expected, [0.025, 0.975])))


def test_what_is_not_declared_is_left_out(cf):
    bare = shown(replace(cf, changes={}), ["A"])
    assert math.isnan(bare["cause_rank/declared"].figure().value)
    assert bare["cause_rank/judged"].figure().value == 1
    some = shown(replace(cf, changes={"A": cf.changes["A"]}), ["A"])
    assert some["cause_rank/declared"].figure().value == 1


def test_refusals():
    with pytest.raises(UserError, match="causes: found Hat; set it, or attribute="):
        introspections(First(), DATA, Judge(), ["Hat"])
    with pytest.raises(UserError, match="causes: found none"):
        introspections(First(), DATA, Judge(), [None])
    with pytest.raises(UserError, match="needs judge="):
        introspections(First(), DATA, None, ["A"])
    with pytest.raises(UserError, match="needs data with attributes"):
        introspections(First(), SimpleNamespace(name="digits", attribute_names=()), Judge(), ["A"])
