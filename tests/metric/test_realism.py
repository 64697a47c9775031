"""FID against scipy's matrix square root, KID against a loop over pairs."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.linalg
import torch

from counterfoil.core.errors import UserError
from counterfoil.metric.evaluation import evaluate_metrics
from counterfoil.metric.realism import JudgeFID, JudgeKID


def frechet(a, b):
    root = scipy.linalg.sqrtm(np.cov(a.T) @ np.cov(b.T))
    return float(
        ((a.mean(0) - b.mean(0)) ** 2).sum()
        + np.trace(np.cov(a.T))
        + np.trace(np.cov(b.T))
        - 2 * np.trace(root).real
    )


def mmd(a, b):
    def k(u, v):
        return (sum(x * y for x, y in zip(u, v, strict=True)) / len(u) + 1) ** 3

    def within(s):
        return sum(k(u, v) for i, u in enumerate(s) for j, v in enumerate(s) if i != j) / (
            len(s) * (len(s) - 1)
        )

    return within(a) + within(b) - 2 * sum(k(u, v) for u in a for v in b) / (len(a) * len(b))


def features(parts, x):
    return parts.judge.embed(x).double().numpy()


def test_fid_is_scipys(parts, make):
    metric, cf = JudgeFID(parts.judge, parts.reference), make(30)
    metric.update(cf)
    expected = frechet(features(parts, cf.counterfactual), features(parts, parts.reference.queried.x))
    assert float(metric.compute()) == pytest.approx(expected, rel=1e-6)


def test_fid_of_some_rows_with_repetitions_is_scipys(parts, make):
    metric, cf, rows = (
        JudgeFID(parts.judge, parts.reference),
        make(30),
        torch.tensor([0, 0, 3, 7, 7, 7, 12, 13, 20, 21, 29]),
    )
    metric.update(cf)
    expected = frechet(features(parts, cf.counterfactual[rows]), features(parts, parts.reference.queried.x))
    assert metric.statistic(rows) == pytest.approx(expected, rel=1e-6)


def test_kid_is_the_loops(parts, make):
    metric, cf = JudgeKID(parts.judge, parts.reference), make(30)
    metric.update(cf)
    expected = mmd(
        features(parts, cf.counterfactual).tolist(), features(parts, parts.reference.queried.x).tolist()
    )
    assert float(metric.compute()) == pytest.approx(expected, rel=1e-6)
    assert metric.statistic(torch.arange(30)) == pytest.approx(expected, rel=1e-6)


def test_kid_of_repeated_rows_leaves_out_pairs_with_themselves(parts, make):
    metric, cf = JudgeKID(parts.judge, parts.reference), make(8)
    metric.update(cf)
    repeated = torch.arange(8).repeat_interleave(3)
    assert metric.statistic(repeated) == pytest.approx(float(metric.compute()), rel=1e-9)


def test_kid_across_chunks(parts, make):
    metric, cf = JudgeKID(parts.judge, parts.reference), make(300)
    metric.update(cf)
    a, b = (torch.from_numpy(features(parts, x)) for x in (cf.counterfactual, parts.reference.queried.x))
    k = lambda u, v: (u @ v.T / u.shape[1] + 1) ** 3  # noqa: E731
    within = [(k(s, s).sum() - k(s, s).trace()) / (len(s) * (len(s) - 1)) for s in (a, b)]
    assert float(metric.compute()) == pytest.approx(
        float(within[0] + within[1] - 2 * k(a, b).mean()), rel=1e-9
    )


def test_same_set_is_at_zero(parts, make):
    cf = make(40)
    parts.reference.queried.x = cf.counterfactual
    fid, kid = JudgeFID(parts.judge, parts.reference), JudgeKID(parts.judge, parts.reference)
    fid.update(cf)
    kid.update(cf)
    assert 0 <= float(fid.compute()) < 1e-6
    assert float(kid.compute()) < 0.01


def test_reference_is_capped_by_a_fixed_draw_from_all_of_the_split(parts):
    # a split sorted by brightness, as folders are sorted by class: the draw must not be its head
    ramp = torch.linspace(0, 1, 60)[:, None, None, None].expand(60, 2, 4, 5)
    parts.reference.queried.x = ramp
    seen = []
    parts.judge.embed = lambda x: seen.append(x) or x.flatten(1)
    for _ in range(2):
        JudgeKID(parts.judge, parts.reference, max_reference=20)._real()
    assert len(seen[0]) == 20
    assert 0.3 < float(seen[0].mean()) < 0.7
    torch.testing.assert_close(seen[0], seen[1])


def test_reference_is_read_once(parts, make):
    metric = JudgeFID(parts.judge, parts.reference)
    metric.update(make(30))
    first = float(metric.compute())
    metric.reset()
    parts.reference.queried = None
    metric.update(make(30))
    assert float(metric.compute()) == first


def test_too_few_rows_for_the_covariance_still_give_a_number(parts, make):
    metric = JudgeFID(parts.judge, parts.reference)
    metric.update(make(5))
    assert math.isfinite(float(metric.compute()))
    assert metric.doubt == "fid_judge: 5 counterfactuals, expected 7 or more"


@pytest.mark.parametrize("cls", [JudgeFID, JudgeKID])
def test_one_row_is_not_a_set(cls, parts, make):
    metric = cls(parts.judge, parts.reference)
    metric.update(make(1))
    assert math.isnan(float(metric.compute()))


def test_one_real_image_of_the_group_is_no_set(parts, make):
    group = SimpleNamespace(
        rows=lambda cf: torch.ones(len(cf), dtype=torch.bool), real=lambda images, order: order[:1]
    )
    metric = JudgeFID(parts.judge, parts.reference, group=group)
    metric.update(make(5))
    assert math.isnan(float(metric.compute()))


def test_too_small_reference_is_refused(parts):
    with pytest.raises(UserError, match="max_reference"):
        JudgeFID(parts.judge, parts.reference, max_reference=1)


@pytest.mark.parametrize(
    ("rows", "real", "doubt"),
    [
        (30, 60, ""),
        (7, 60, ""),
        (6, 60, "fid_judge: 6 counterfactuals, expected 7 or more"),
        (30, 6, "fid_judge: 6 real images, expected 7 or more"),
        (2, 3, "fid_judge: 2 counterfactuals and 3 real images, expected 7 or more"),
    ],
)
def test_fid_of_no_more_rows_than_features_is_in_doubt(parts, make, rows, real, doubt):
    cf = make(rows)
    metric = JudgeFID(parts.judge, parts.reference, max_reference=real)
    assert evaluate_metrics({"fid": metric}, cf).summary["fid"].doubt == doubt


def test_kid_of_few_rows_is_in_doubt_and_failures_do_not_count(parts, make):
    def doubt(cf):
        metric = JudgeKID(parts.judge, parts.reference)
        return evaluate_metrics({"kid": metric}, cf).summary["kid"].doubt

    cf = make(55)
    assert doubt(cf) == ""
    assert doubt(cf[:49]) == "kid_judge: 49 counterfactuals, expected 50 or more"
    failed = replace(cf, failed=torch.arange(55) < 10)
    assert doubt(failed) == "kid_judge: 45 counterfactuals, expected 50 or more"
