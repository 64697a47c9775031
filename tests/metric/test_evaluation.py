"""Summary and table: counts, valid rows, JSON, seeds, batches."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch

from counterfoil.metric.base import SampleMetric, SetMetric
from counterfoil.metric.evaluation import evaluate_metrics
from counterfoil.metric.proximity import L1
from counterfoil.metric.validity import Validity


def test_every_metric_has_an_entry_and_sample_metrics_a_column(metrics, make):
    summary, table, _ = evaluate_metrics(metrics, make(40))
    valid = {"l1", "l2", "linf", "sparsity", "judge_agreement", "im1", "im2", "cout"}
    assert set(summary) == set(metrics) | {f"{name}_valid" for name in valid}
    assert set(table) == {name for name, metric in metrics.items() if isinstance(metric, SampleMetric)}
    for name, entry in summary.items():
        assert entry.higher_is_better is metrics[name.removesuffix("_valid")].higher_is_better
        assert name == "peak_memory_mb" or entry.low <= entry.value <= entry.high, name
    assert list(summary)[2:4] == ["l1", "l1_valid"]


def test_valid_rows_have_their_own_mean_count_and_interval(make):
    cf = make(60)
    summary, table, _ = evaluate_metrics({"l1": L1(), "validity": Validity()}, cf)
    l1 = cf.delta.abs().flatten(1).mean(1)
    assert summary["l1"].value == pytest.approx(float(l1.mean()))
    assert summary["l1_valid"].value == pytest.approx(float(l1[cf.valid].mean()))
    assert (summary["l1"].n, summary["l1_valid"].n) == (60, int(cf.valid.sum()))
    assert summary["l1"].low != summary["l1_valid"].low
    assert summary["validity"].value == pytest.approx(int(cf.valid.sum()) / 60)
    torch.testing.assert_close(table["l1"], l1.double(), check_dtype=False)


def test_no_valid_row_leaves_the_valid_entry_empty(make):
    cf = make(10)
    cf = replace(cf, target=(cf.counterfactual_logits.argmax(1) + 1) % 3)
    summary, _, _ = evaluate_metrics({"l1": L1(), "validity": Validity()}, cf)
    empty = summary["l1_valid"]
    assert (empty.value, empty.low, empty.high, empty.n, empty.label) == (None, None, None, 0, "L1, valid")
    assert summary["validity"].value == summary["validity"].low == 0
    assert summary["validity"].high == pytest.approx(0.2775, abs=1e-3)


def test_undefined_rows_are_counted_out_and_stay_in_the_table(make):
    class Odd(L1):
        def score(self, cf):
            return torch.where(cf.query % 2 == 1, super().score(cf), math.nan)

    cf = make(9)
    summary, table, _ = evaluate_metrics({"odd": Odd()}, cf)
    assert summary["odd"].n == 4
    assert summary["odd"].value == pytest.approx(float(cf[1::2].delta.abs().mean()))
    assert table["odd"].isnan().tolist() == [True, False] * 4 + [True]


def test_json_is_strict(metrics, make):
    cf = replace(make(6), seconds=torch.full((6,), math.nan))
    summary, _, _ = evaluate_metrics({name: m for name, m in metrics.items() if name != "fid_judge"}, cf)
    plain = {name: entry.as_dict() for name, entry in summary.items()}
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_batches_and_a_second_run_give_the_same(metrics, make):
    cf = make(30)
    first, table, _ = evaluate_metrics(metrics, cf, seed=5)
    second, _, _ = evaluate_metrics(metrics, cf, seed=5)
    assert first == second
    split, parts, _ = evaluate_metrics(metrics, (cf[i : i + 8] for i in range(0, 30, 8)), seed=5)
    for name in first:
        for key in ("value", "low", "high"):
            expected = getattr(first[name], key)
            assert getattr(split[name], key) == (
                expected if expected is None else pytest.approx(expected, rel=1e-5, abs=1e-6)
            ), name
        assert split[name].n == first[name].n
    for name in table:
        torch.testing.assert_close(parts[name], table[name])


def test_seed_moves_intervals_only(make):
    a, b = (evaluate_metrics({"l1": L1()}, make(30), seed=seed)[0]["l1"] for seed in (0, 1))
    assert a.value == b.value
    assert a.low != b.low


def test_other_metrics_do_not_move_an_interval(metrics, make):
    cf = make(30)
    alone = evaluate_metrics({"cout": metrics["cout"]}, cf)[0]["cout"]
    assert evaluate_metrics(metrics, cf)[0]["cout"] == alone


def test_several_counterfactuals_a_query_widen_the_interval(make):
    one, five = make(100), make(100, per_query=5)
    same = replace(
        five,
        factual=five.factual[::5].repeat_interleave(5, 0),
        counterfactual=five.counterfactual[::5].repeat_interleave(5, 0),
    )
    wide, narrow = (
        evaluate_metrics({"l1": L1()}, cf)[0]["l1"] for cf in (same, replace(same, query=one.query))
    )
    assert narrow.value == wide.value
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_set_metrics_hold_their_value_within_the_interval(metrics, make):
    chosen = {name: metric for name, metric in metrics.items() if isinstance(metric, SetMetric)}
    summary, table, _ = evaluate_metrics(chosen, make(80))
    assert not table
    for entry in summary.values():
        assert entry.n == 80
        assert entry.low < entry.value < entry.high


def test_no_counterfactuals(metrics):
    summary, table, _ = evaluate_metrics(metrics, [])
    assert all(entry.value is None and entry.n == 0 for entry in summary.values())
    assert all(len(values) == 0 for values in table.values())


def test_doubts_stand_at_the_entries_of_their_metric_alone(metrics, make):
    chosen = {name: metrics[name] for name in ("l1", "judge_agreement")}
    summary = evaluate_metrics(chosen, make(20), 0, {"judge_agreement": "judge: tells other classes"}).summary
    assert {name for name, entry in summary.items() if entry.doubt} == {
        "judge_agreement",
        "judge_agreement_valid",
    }
