"""What holds for all metrics: states, batches, borrowed networks, declared facts."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hydra.utils import get_class
from omegaconf import OmegaConf
from torchmetrics import MetricCollection

from counterfoil.metric.base import SetMetric, describe
from counterfoil.metric.cost import Seconds
from counterfoil.metric.proximity import L1
from counterfoil.metric.validity import Validity
from counterfoil.testing import metric as promises

CONF = Path(__file__).parents[2] / "conf" / "metric"
GOLDEN = {
    "validity": 0.38,
    "target_probability": 0.346263,
    "l1": 0.141311,
    "l2": 1.65101,
    "linf": 0.789131,
    "sparsity": 0.406,
    "judge_agreement": 0.26,
    "im1": 0.925551,
    "im2": 0.137423,
    "fid_judge": 0.0643236,
    "kid_judge": -0.0486625,
    "cout": -0.233871,
    "steps": 47.76,
    "seconds": 0.460905,
    "classifier_calls": 538.12,
    "peak_memory_mb": 490.292,
}
"""Values on `counterfactuals(50, seed=3)`, in float32 on the CPU."""
NAMES = list(GOLDEN)


def test_names_are_those_scripts_rely_on(metrics):
    assert sorted(metrics) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_config_builds_the_metric_of_its_name(name, parts):
    text = (CONF / f"{name}.yaml").read_text()
    assert text.startswith(f"# @package metric.{name}\n")
    config = OmegaConf.create(text)
    roles = {
        "judge": "${judge}",
        "classifier": "${classifier}",
        "autoencoders": "${autoencoder}",
        "reference": "${data}",
    }
    arguments = OmegaConf.to_container(config, resolve=False)
    cls = get_class(arguments.pop("_target_"))
    for argument, interpolation in roles.items():
        if argument in arguments:
            assert arguments[argument] == interpolation
            arguments[argument] = getattr(parts, argument)
    assert cls(**arguments).name == name


@pytest.mark.parametrize("name", NAMES)
def test_batches_do_not_matter(name, metrics, make):
    promises.batches_do_not_matter(metrics[name], make(23))


@pytest.mark.parametrize("name", NAMES)
def test_reset_forgets_and_rerun_is_bitwise_equal(name, metrics, make):
    promises.starts_again(metrics[name], make(12))


@pytest.mark.parametrize("name", NAMES)
def test_networks_stay_outside(name, metrics, make, parts):
    metric = metrics[name]
    promises.networks_stay_outside(metric, make(12))
    twin = copy.deepcopy(metric)
    for role in ("_judge", "_classifier", "_autoencoders"):
        if hasattr(metric, role):
            assert getattr(twin, role).net is getattr(metric, role).net


@pytest.mark.parametrize("name", NAMES)
def test_what_is_declared_is_true_and_nothing_is_changed(name, metrics, make):
    promises.facts_are_declared_and_true(metrics[name], make(23))
    promises.failures_do_not_flatter(metrics[name], make(23))
    promises.counterfactuals_stay(metrics[name], make(12))


@pytest.mark.parametrize("name", NAMES)
def test_summary_is_one_line_and_direction_is_declared(name, metrics):
    metric = metrics[name]
    assert describe(metric) == describe(type(metric))
    assert describe(metric).endswith(".") or ";" in describe(metric)
    assert "\n" not in describe(metric)
    assert metric.higher_is_better is (name in ("validity", "target_probability", "judge_agreement", "cout"))


def test_golden_values(metrics, make):
    cf, values = make(50, seed=3), {}
    for name, metric in metrics.items():
        metric.update(cf)
        values[name] = float(metric.compute())
    assert values == pytest.approx(GOLDEN, rel=1e-4)


def test_declared_directions_are_true(metrics, make, parts):
    """A factual with a good or a bad change: the better counterfactual has the better value."""
    cf = make(200)
    valid, failed = cf[cf.valid], cf[~cf.valid]
    near = replace(cf, counterfactual=cf.factual + 0.5 * cf.delta)
    noise = replace(cf, counterfactual=(torch.rand_like(cf.factual) > 0.5).float())
    real = replace(cf[:60], counterfactual=parts.reference.queried.x)
    dear = replace(
        cf,
        **{
            name: getattr(cf, name) * 2 + 1
            for name in ("steps", "seconds", "classifier_calls", "peak_memory_mb")
        },
    )
    of_target = replace(
        cf,
        target=torch.full_like(cf.target, 2),
        factual_logits=torch.eye(3)[torch.zeros(200, dtype=torch.long)],
    )
    of_source = replace(
        cf, target=torch.full_like(cf.target, 0), factual_logits=torch.eye(3)[torch.full((200,), 2)]
    )
    agreed = replace(cf, target=parts.judge(cf.counterfactual).argmax(1))
    pairs = {
        "validity": (valid, failed),
        "target_probability": (valid, failed),
        "cout": (cf[cf.valid & (cf.source != cf.target)], failed),
        "judge_agreement": (agreed, cf),
        **dict.fromkeys(("l1", "l2", "linf", "sparsity"), (near, cf)),
        **dict.fromkeys(("fid_judge", "kid_judge"), (real, noise)),
        **dict.fromkeys(("steps", "seconds", "classifier_calls", "peak_memory_mb"), (cf, dear)),
        # the autoencoder of class 2 renders more of an image than that of class 0, and less like that of all
        "im1": (of_target, of_source),
        "im2": (of_source, of_target),
    }
    assert sorted(pairs) == sorted(NAMES)
    for name, (better, worse) in pairs.items():
        values = []
        for counterfactuals in (better, worse):
            metrics[name].reset()
            metrics[name].update(counterfactuals)
            values.append(float(metrics[name].compute()))
        assert (values[0] > values[1]) is metrics[name].higher_is_better, name


def test_undefined_rows_leave_the_mean_but_stay_in_the_values(make):
    metric = Seconds()
    metric.update(replace(make(4), seconds=torch.tensor([1.0, math.nan, 3.0, math.inf])))
    assert float(metric.compute()) == 2.0
    assert len(metric.values) == len(metric.valid) == 4


def test_no_rows_give_nan():
    assert math.isnan(float(Seconds.reduce(torch.zeros(0))))
    assert math.isnan(float(Seconds.reduce(torch.tensor([math.nan]))))


def test_forward_gives_the_batch_value_and_accumulates(make):
    cf, metric = make(10), L1()
    first = metric(cf[:4])
    metric(cf[4:])
    assert float(first) == pytest.approx(float(cf[:4].delta.abs().mean()))
    assert float(metric.compute()) == pytest.approx(float(cf.delta.abs().mean()))


def test_collection_without_compute_groups_keeps_equal_starters_apart(make):
    """Two metrics agree on the first batch; with compute groups the second would report the first's value."""

    class Never(Validity):
        def score(self, cf):
            return torch.zeros(len(cf))

    cf = make(60)
    collection = MetricCollection({"validity": Validity(), "never": Never()}, compute_groups=False)
    for part in (cf[~cf.valid], cf[cf.valid]):
        collection.update(part)
    result = collection.compute()
    assert float(result["never"]) == 0
    assert float(result["validity"]) == pytest.approx(float(cf.valid.double().mean()))


def test_wrong_shape_of_a_score_is_named(make):
    class Wrong(L1):
        def score(self, cf):
            return cf.delta

    with pytest.raises(ValueError, match=r"Wrong.score must return \(3,\)"):
        Wrong().update(make(3))


def test_set_metric_leaves_out_rows_that_are_not_finite(metrics, make):
    cf = make(30)
    broken = replace(
        cf,
        counterfactual=torch.where((torch.arange(30) == 5)[:, None, None, None], math.nan, cf.counterfactual),
    )
    for name in ("fid_judge", "kid_judge"):
        metric = metrics[name]
        assert isinstance(metric, SetMetric)
        metric.update(broken)
        assert int(metric.usable.sum()) == 29
        value = float(metric.compute())
        metric.reset()
        metric.update(cf[torch.arange(30) != 5])
        assert value == pytest.approx(float(metric.compute()), rel=1e-6)


def test_a_failure_is_worst_where_there_is_a_worst_and_no_distance(metrics, make):
    """It shows the factual, which would score 0 in a distance and whatever the judge says of it."""
    cf = make(50, seed=3)
    lost = torch.arange(50) % 5 == 0
    shown = torch.where(lost[:, None, None, None], cf.factual, cf.counterfactual)
    judge = metrics["judge_agreement"]._judge.net
    cf = replace(
        cf,
        counterfactual=shown,
        counterfactual_logits=metrics["cout"]._classifier.net(shown),
        target=torch.where(lost, judge(cf.factual).argmax(1), cf.target),
        failed=lost,
    )
    assert cf.failures == 10
    assert not cf.valid[lost].any()
    worst = {"validity": 0, "target_probability": 0, "judge_agreement": 0, "cout": -1}
    for name, metric in metrics.items():
        metric.update(cf)
        if isinstance(metric, SetMetric):
            assert metric.usable.tolist() == (~lost).tolist(), name
            continue
        plain = metric.score(cf)
        assert torch.equal(metric.values[~lost], plain[~lost].float()), name
        if name in ("steps", "seconds", "classifier_calls", "peak_memory_mb"):
            assert torch.equal(metric.values, plain.float())
        elif name in worst:
            assert metric.values[lost].tolist() == [worst[name]] * 10, name
        else:
            assert metric.values[lost].isnan().all(), name
    assert int((judge(shown).argmax(1) == cf.target)[lost].sum()) == 10, "the judge would have agreed"


def test_a_failure_is_left_out_of_a_set(parts, make):
    from counterfoil.metric.realism import JudgeKID

    cf = make(40)
    lost = torch.arange(40) >= 30
    several, few = (JudgeKID(judge=parts.judge, reference=parts.reference) for _ in range(2))
    several.update(replace(cf, failed=lost))
    few.update(cf[:30])
    torch.testing.assert_close(several.compute(), few.compute())
