"""What every metric promises, as functions that any metric can be tried on."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.metric.base import AnyMetric, SampleMetric, SetMetric, describe
from counterfoil.testing.broken import broken, hold, tell
from counterfoil.testing.toys import counterfactuals


def check_metric(metric: AnyMetric, cf: Counterfactuals | None = None) -> None:
    """Try every promise of a metric on a copy of it.

    Args:
        metric: as constructed.
        cf: at least 12 counterfactuals; None: random ones of `counterfoil.testing.Bars`.

    Raises:
        Broken: an AssertionError with one plain sentence for each promise that is broken.
    """
    given = counterfactuals(24) if cf is None else cf
    told = []
    for promise in PROMISES:
        told += broken([promise], copy.deepcopy(metric), given.map(lambda _name, value: value.clone()))
    tell(metric, told)


def rows_of(metric: AnyMetric) -> Tensor:
    """What a metric keeps of each row: (N, ...); of a figure, its value (1,)."""
    if isinstance(metric, SampleMetric):
        return metric.values
    return metric.features if isinstance(metric, SetMetric) else metric.compute()[None]


def value_of(metric: AnyMetric, *parts: Counterfactuals) -> float:
    """The metric of several batches, from a fresh start."""
    metric.reset()
    for part in parts:
        metric.update(part)
    return float(metric.compute())


def batches_do_not_matter(metric: AnyMetric, cf: Counterfactuals) -> None:
    """Rows have the same values in one batch and in several, an empty one among them."""
    whole = value_of(metric, cf)
    rows = rows_of(metric)
    cut = len(cf) // 3
    several = value_of(metric, cf[:cut], cf[cut : cut + 1], cf[:0], cf[cut + 1 :])
    again = rows_of(metric)
    if again.shape != rows.shape:
        hold(False, f"depends on the batches: it keeps {len(again)} rows of several and {len(rows)} of one")
    far = float((again.double() - rows.double()).nan_to_num().abs().amax()) if rows.numel() else 0.0
    size = max(1.0, float(rows.double().nan_to_num().abs().amax())) if rows.numel() else 1.0
    hold(
        far <= 1e-4 * size,
        f"depends on the batches: a row differs by {far:.2g} in several from what it is in one",
    )
    same = math.isclose(whole, several, rel_tol=1e-4, abs_tol=1e-6) or (
        math.isnan(whole) and math.isnan(several)
    )
    hold(same, f"depends on the batches: it is {several:.4g} in several and {whole:.4g} in one")


def starts_again(metric: AnyMetric, cf: Counterfactuals) -> None:
    """`reset` forgets, and the same rows give the same value, bitwise."""
    first = value_of(metric, cf)
    second = value_of(metric, cf)
    hold(first == second or (math.isnan(first) and math.isnan(second)), "is not the same after reset")
    metric.reset()
    if isinstance(metric, SampleMetric | SetMetric):
        hold(len(rows_of(metric)) == 0, "keeps rows after reset")


def networks_stay_outside(metric: AnyMetric, cf: Counterfactuals) -> None:
    """No network, parameter or buffer is part of the metric: it is borrowed, and in no checkpoint."""
    value_of(metric, cf)
    parts = [*metric.state_dict(), *(name for name, _ in metric.named_parameters())]
    parts += [name for name, _ in metric.named_buffers()]
    hold(
        not parts,
        f"holds {', '.join(sorted(set(parts))[:3])} as its own; keep networks outside (metric.network)",
    )
    hold(
        list(metric.modules()) == [metric],
        "holds a network as a module; keep networks outside (metric.network)",
    )


def counterfactuals_stay(metric: AnyMetric, cf: Counterfactuals) -> None:
    """What it measures is left as it is."""
    before = {name: value.clone() for name, value in cf.tensors().items()}
    draws = torch.get_rng_state()
    value_of(metric, cf)
    for name, value in cf.tensors().items():
        hold(
            torch.equal(value.nan_to_num(), before[name].nan_to_num()), f"changes the {name} that it measures"
        )
    hold(torch.equal(draws, torch.get_rng_state()), "draws from the caller's random stream")


def facts_are_declared_and_true(metric: AnyMetric, cf: Counterfactuals) -> None:
    """Name, direction and range are declared, and no value leaves the range."""
    name = getattr(metric, "name", None)
    hold(isinstance(name, str) and str(name).isidentifier(), f"declares no name, found {name!r}")
    hold(
        metric.higher_is_better in (True, False, None),
        "declares no direction: higher_is_better=True, False or None",
    )
    hold(
        "\n" not in describe(metric) and describe(metric) != type(metric).__name__, "has no docstring to show"
    )
    value = value_of(metric, cf)
    least = -math.inf if metric.minimum is None else metric.minimum
    most = math.inf if metric.maximum is None else metric.maximum
    values = [value]
    if isinstance(metric, SampleMetric):
        values += metric.values.double().tolist()
        hold(len(metric.values) == len(cf), f"keeps {len(metric.values)} values of {len(cf)} rows")
        if metric.boolean:
            hold(
                {v for v in values[1:] if math.isfinite(v)} <= {0.0, 1.0},
                "says boolean, but has values other than 0 and 1",
            )
    out = [v for v in values if math.isfinite(v) and not least - 1e-6 <= v <= most + 1e-6]
    hold(
        not out, f"leaves its declared range [{metric.minimum}, {metric.maximum}]: {out[0] if out else 0:.4g}"
    )


def failures_do_not_flatter(metric: AnyMetric, cf: Counterfactuals) -> None:
    """A row that failed has the worst value or none: it shows its factual, which is no distance of 0."""
    if not isinstance(metric, SampleMetric) or metric.failure is None:
        return
    from dataclasses import replace

    lost = torch.arange(len(cf)) % 4 == 0
    shown = torch.where(lost[:, None, None, None], cf.factual, cf.counterfactual)
    value_of(metric, replace(cf, counterfactual=shown, failed=lost))
    found = metric.values[lost]
    worst = found.isnan() | (found == metric.failure)
    hold(
        worst.all(), f"gives rows that failed {found[~worst][:1].tolist()}, expected {metric.failure} or NaN"
    )


PROMISES = (
    counterfactuals_stay,
    batches_do_not_matter,
    starts_again,
    networks_stay_outside,
    facts_are_declared_and_true,
    failures_do_not_flatter,
)
