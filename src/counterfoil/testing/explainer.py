"""What every method promises, as functions that any method can be tried on."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from counterfoil.core.counterfactuals import Counterfactuals, Found
from counterfoil.core.domain import Continuous, domain_of
from counterfoil.core.query import Query
from counterfoil.explainer.base import Explainer
from counterfoil.testing.broken import broken, hold, tell
from counterfoil.testing.toys import queries

CLOSE = {torch.float64: 1e-8, torch.float32: 1e-3}
"""How far a row may be from the same one explained alone: what rounding makes of a search."""
ROUNDING = 1e-6
"""Beyond [0, 1], of images before they are clamped."""


def check_explainer(
    explainer: Explainer, x: Tensor | None = None, *, dtype: torch.dtype | None = None
) -> None:
    """Try every promise of a method on a copy of it, which should be quick: few steps, small networks.

    Args:
        explainer: the method as constructed, and fitted if it needs data.
        x: a few queries (B, C, H, W) in [0, 1]; None: four pictures of `counterfoil.testing.Bars`, which suit
            `TinyClassifier` and `tiny_vae`.
        dtype: of the search; None: float64, where rounding hides nothing.

    Raises:
        Broken: an AssertionError with one plain sentence for each promise that is broken.
    """
    dtype = dtype or torch.float64
    given = (queries() if x is None else x).to(dtype)

    def told(*promises: Callable[..., None]) -> list[str]:
        return broken(promises, copy.deepcopy(explainer).to(dtype), given)

    first = told(left_as_they_were)
    if any(sentence.startswith("changes") for sentence in first):  # what comes after would follow from it
        tell(explainer, first)
    first += told(deterministic)
    alike = () if any("not deterministic" in sentence for sentence in first) else ALIKE
    tell(explainer, first + told(*PROMISES, *alike))


def fields_of(cf: Counterfactuals) -> dict[str, Tensor]:
    """Every field that does not measure the machine."""
    return {name: value for name, value in cf.tensors().items() if name not in ("seconds", "peak_memory_mb")}


@contextmanager
def noted(explainer: Explainer) -> Iterator[list[tuple[Query, Tensor]]]:
    """Within, each query that is explained is noted, with its finite images before they are clamped."""
    asked: dict[int, Query] = {}
    seen: list[tuple[Query, Tensor]] = []
    explain_each = explainer.explain_each

    def beside(queries: Iterable[Query]) -> Iterator[tuple[int, Found]]:
        def passed() -> Iterator[Query]:
            for place, query in enumerate(queries):
                asked[place] = query
                yield query

        for place, found in explain_each(passed()):
            sound = found.counterfactual.isfinite().flatten(1).all(1)
            seen.append((asked[place][sound], found.counterfactual[sound].detach()))
            yield place, found

    vars(explainer)["explain_each"] = beside
    try:
        yield seen
    finally:
        del vars(explainer)["explain_each"]


def gap(first: Tensor, second: Tensor) -> float:
    """The largest difference of two tensors; NaN beside NaN is none."""
    if first.shape != second.shape:
        return float("inf")
    difference = (first.double() - second.double()).nan_to_num().abs()
    return float(difference.amax()) if difference.numel() else 0.0


def left_as_they_were(explainer: Explainer, x: Tensor) -> None:
    """Networks, inputs and the caller's random stream are as they were before."""
    networks: dict[str, nn.Module | None] = {
        "classifier": explainer.classifier,
        "generator": explainer.generator,
    }
    held = {name: net for name, net in networks.items() if net is not None}
    before = {name: copy.deepcopy(net.state_dict()) for name, net in held.items()}
    given, draws = x.clone(), torch.get_rng_state()
    explainer(x)
    for name, net in held.items():
        training = any(module.training for module in net.modules())
        hold(not training, f"changes the {name}: it is left in training mode")
    explainer.train()
    for name, net in held.items():
        for key, value in net.state_dict().items():
            hold(torch.equal(value, before[name][key]), f"changes the {name}: {key} is not what it was")
        training = any(module.training for module in net.modules())
        hold(not training, f"changes the {name}: train() puts it into training mode")
        kept = all(p.grad is None and not p.requires_grad for p in net.parameters())
        hold(kept, f"changes the {name}: its parameters are left with gradients")
    hold(torch.equal(x, given), "changes the images that it is given")
    hold(
        torch.equal(draws, torch.get_rng_state()),
        "draws from the caller's random stream; draw from a generator of its own, seeded by query.seeds",
    )


def deterministic(explainer: Explainer, x: Tensor) -> None:
    """Two calls with the same queries are bitwise equal, whatever the caller draws in between."""
    first = fields_of(explainer(x))
    torch.rand(7)
    second = fields_of(explainer(x))
    for name, value in first.items():
        same = torch.equal(value.nan_to_num(), second[name].nan_to_num())
        hold(same, f"is not deterministic: two calls with the same queries give a different {name}")


def independent_of_the_batch(explainer: Explainer, x: Tensor) -> None:
    """Each row's counterfactual is the one it gets alone, down to its cost."""
    whole, count = explainer(x), explainer.count
    for i in range(len(x)):
        alone = fields_of(explainer(x[i : i + 1]))
        for name, value in fields_of(whole[count * i : count * (i + 1)]).items():
            found = gap(alone[name], value) if name != "query" else 0.0
            hold(
                found < CLOSE.get(x.dtype, 1e-2),
                f"depends on the batch: the {name} of row {i} is {found:.2g} from what it is alone",
            )


def finds_something(explainer: Explainer, x: Tensor) -> None:
    """Counterfactuals are finite, and some reach their target."""
    cf = explainer(x)
    hold(
        cf.failures == 0 and bool(cf.counterfactual.isfinite().all()),
        f"returns values that are not finite (NaN or infinite) for {cf.failures or 'some'} of {len(cf)} rows",
    )
    hold(
        cf.valid.any(), f"reaches the target of none of {len(cf)} queries; give it more steps, or other ones"
    )


def shape_type_and_range(explainer: Explainer, x: Tensor) -> None:
    """Images come back with shape, type and device of the query, within [0, 1], detached."""
    with noted(explainer) as seen:
        cf = explainer(x)
    shape = (len(cf), *x.shape[1:])
    for image in (cf.factual, cf.counterfactual):
        found = f"{tuple(image.shape)} {image.dtype} on {image.device}"
        kept = image.shape == shape and image.dtype == x.dtype and image.device == x.device
        hold(kept, f"returns images {found}, expected {shape} {x.dtype} on {x.device}")
    for images, least in ((cf.counterfactual, 0.0), *((found, -ROUNDING) for _query, found in seen)):
        if not images.numel():
            continue
        low, high = float(images.min()), float(images.max())
        kept = low >= least and high <= 1 - least
        hold(kept, f"leaves [0, 1]: its images go from {low:.3g} to {high:.3g}")
    hold(torch.equal(cf.factual, x[cf.query]), "returns other factuals than the queries")
    hold(cf.counterfactual_logits.dtype == x.dtype, f"returns logits of {cf.counterfactual_logits.dtype}")
    kept = not any(value.requires_grad for value in fields_of(cf).values())
    hold(kept, "returns tensors that require gradients")
    if cf.strip is not None:
        images = cf.strip.images
        kept = images.shape == (len(cf), images.shape[1], *x.shape[1:]) and images.dtype == x.dtype
        hold(kept, f"returns a strip of images {tuple(images.shape)} {images.dtype}")


def graded_by_the_classifier(explainer: Explainer, x: Tensor) -> None:
    """The logits are the classifier's on exactly the images returned."""
    cf = explainer(x)
    pairs = {
        "counterfactual": (cf.counterfactual, cf.counterfactual_logits),
        "factual": (cf.factual, cf.factual_logits),
    }
    if cf.strip is not None:
        pairs["strip"] = (cf.strip.images.flatten(0, 1), cf.strip.logits.flatten(0, 1))
    for name, (images, logits) in pairs.items():
        with torch.no_grad():
            graded = explainer.classifier(images)
        far = gap(graded, logits)
        hold(
            far <= 1e-5 * max(1.0, float(graded.abs().max())),
            f"grades itself: the logits of its {name} are {far:.2g} from the classifier's on these images",
        )


def moves_nothing_needlessly(explainer: Explainer, x: Tensor) -> None:
    """A factual that already reaches its target comes back as it is, also where others do not."""
    decisions = explainer.classifier(x).argmax(1)
    classes = explainer.classifier(x).shape[1]
    targets = decisions.clone()
    targets[0] = (decisions[0] + 1) % classes
    probability = explainer.classifier(x).softmax(1).amax(1)
    for asked in (targets, decisions):
        cf = explainer(x, asked)
        still = ((asked == decisions) & (probability >= explainer.confidence))[cf.query]
        kept = torch.equal(cf.counterfactual[still], cf.factual[still])
        hold(kept, "moves a factual that already reaches its target")
        hold(not cf.steps[still].any(), "takes steps for a factual that already reaches its target")
        hold(cf.valid[still].all(), "calls a factual that already reaches its target not valid")


def keeps_what_is_masked(explainer: Explainer, x: Tensor) -> None:
    """Pixels where the mask is True are those of the factual, and others change."""
    mask = torch.zeros(len(x), 1, *x.shape[2:], dtype=torch.bool)
    if isinstance(domain_of(explainer.classifier), Continuous):
        mask[..., : x.shape[-1] // 2 - 1] = True
    else:
        mask[..., : x.shape[-2] // 2 - 1, :] = True
    each = mask.clone()
    each[::2] = ~each[::2]
    for given, rows in ((mask[0, 0], mask), (each, each)):
        with noted(explainer) as seen:
            cf = explainer(x, mask=given)
        for query, images in seen:
            found = gap(query.keep(images), images)
            hold(found <= ROUNDING, f"ignores the mask: pixels where it is True change by {found:.2g}")
        held = rows[cf.query].expand_as(cf.factual)
        kept = torch.equal(cf.counterfactual[held], cf.factual[held])
        hold(kept, "ignores the mask: it returns other pixels where it is True")
        moved = cf.failures == len(cf) or not torch.equal(cf.counterfactual, cf.factual)
        hold(moved, "changes nothing where a mask leaves half free")


def takes_targets_in_every_form(explainer: Explainer, x: Tensor) -> None:
    """A class by index or name, one for each query, "all", "runner_up" and None."""
    logits = explainer.classifier(x)
    decisions, classes, count = logits.argmax(1), logits.shape[1], explainer.count
    every = explainer(x, "all")
    rows = [i for i in range(len(x)) for _ in range((classes - 1) * count)]
    hold(every.query.tolist() == rows, 'gives target="all" other rows than one per other class')
    if not explainer.any_class:
        others = [k for d in decisions.tolist() for k in range(classes) if k != d for _ in range(count)]
        hold(every.target.tolist() == others, 'gives target="all" other targets than the other classes')
        runner_up = logits.topk(2).indices[:, 1].repeat_interleave(count)
        for target in (None, "runner_up"):
            hold(
                torch.equal(explainer(x, target).target, runner_up),
                f"takes target={target} for another class",
            )
    numbered = explainer(x, 1)
    given = explainer(x, torch.ones(len(x), dtype=torch.int32))
    same = torch.equal(numbered.counterfactual, given.counterfactual)
    hold(same, "explains a target for all otherwise than the same one for each")


def charges_each_image(explainer: Explainer, x: Tensor) -> None:
    """`classifier_calls` are the images the classifier is shown for a query alone; a strip's are free."""
    shown = 0

    def count(_module: nn.Module, inputs: tuple[Any, ...], _output: Any) -> None:
        nonlocal shown
        shown += len(inputs[0])

    handle = explainer.classifier.register_forward_hook(count)
    try:
        for row in x.split(1):
            shown = 0
            cf = explainer(row)
            free = 0 if cf.strip is None else cf.strip.images.shape[:2].numel()
            told = float(cf.classifier_calls.sum())
            hold(
                told == shown - free,
                f"charges {told:g} classifier_calls where the classifier is shown {shown - free} images",
            )
    finally:
        handle.remove()


def needs_no_gradients_around_it(explainer: Explainer, x: Tensor) -> None:
    """It explains the same under inference_mode and no_grad."""
    outside = explainer(x)
    for mode in (torch.inference_mode, torch.no_grad):
        with mode():
            inside = explainer(x.clone(), outside.target[:: explainer.count].clone())
        same = torch.equal(inside.counterfactual, outside.counterfactual)
        hold(same, f"explains otherwise under torch.{mode.__name__}")
        factor = torch.ones(1, dtype=x.dtype, requires_grad=True)
        (inside.counterfactual * factor).sum().backward()  # no inference tensors are returned


def explains_no_rows(explainer: Explainer, x: Tensor) -> None:
    """No queries have no counterfactuals."""
    hold(len(explainer(x[:0])) == 0, "returns counterfactuals of no queries")


PROMISES = (
    finds_something,
    shape_type_and_range,
    graded_by_the_classifier,
    moves_nothing_needlessly,
    keeps_what_is_masked,
    charges_each_image,
    explains_no_rows,
)
ALIKE = (independent_of_the_batch, takes_targets_in_every_form, needs_no_gradients_around_it)
"""Promises that compare two calls."""
