"""What every method promises, tried on every method of the package; a new file is tested at once."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import counterfoil.explainer
import counterfoil.generative
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.domain import Images as IMAGES
from counterfoil.core.errors import UserError
from counterfoil.explainer.again import again
from counterfoil.explainer.base import Explainer
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.explainer.unchanged import Unchanged
from counterfoil.generative.vae import VAE
from counterfoil.testing import explainer as promises
from counterfoil.testing.explainer import fields_of

SMALL = {"channels": 1, "size": 16, "classes": 3, "latent": 4, "width": 4}
"""Arguments that make any generative model tiny, where its constructor takes them."""
QUICK = {"steps": 20, "n": 40, "groups": 8, "frames": 3, "tries": 1, "ahead": 2, "filter_steps": 3}
"""Arguments that make any method quick, where its constructor takes them."""
MORE: dict[str, dict[str, float]] = {"RegionSearch": {"share": 0.6, "lr": 0.5}}
"""Arguments under which few steps find something, of a method that else needs many."""
ROWS = 4


def classes_in(package: Any, base: type) -> list[type]:
    """Every concrete subclass of `base` defined in a package's files, by name."""
    found: dict[str, type] = {}
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            defined_here = (
                inspect.isclass(value) and value.__module__ == module.__name__ and not name.startswith("_")
            )
            if defined_here and issubclass(value, base) and not inspect.isabstract(value):
                found[name] = value
    return [found[name] for name in sorted(found)]


METHODS = [
    cls
    for cls in classes_in(counterfoil.explainer, Explainer)
    if cls not in (OptimisedExplainer, Unchanged)  # neither is a method that looks for anything
    and issubclass(IMAGES, cls.inputs)  # others are tried on texts
]


def fitting(target: Callable[..., Any], offered: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in offered.items() if name in inspect.signature(target).parameters}


def generators(method: type, classifier: nn.Module) -> Iterator[nn.Module | None]:
    """Tiny random generative models of every kind, for methods that take one."""
    if "generator" not in inspect.signature(method).parameters:
        yield None
        return
    for kind in classes_in(counterfoil.generative, nn.Module):
        offered = fitting(
            kind, {**SMALL, "classifier": classifier, "generator": VAE(1, 16, latent=4, width=4)}
        )
        required = [
            p.name
            for p in inspect.signature(kind).parameters.values()
            if p.default is p.empty and p.kind is not p.VAR_KEYWORD
        ]
        if set(required) <= set(offered):
            torch.manual_seed(0)
            with contextlib.suppress(UserError):  # a model that needs more than sizes
                yield shaken(kind(**offered).double().eval())


def shaken(net: nn.Module) -> nn.Module:
    """Move every parameter a little: some start at values under which a condition changes nothing."""
    with torch.no_grad():
        for value in net.parameters():
            value += 0.1 * torch.randn_like(value)
    return net


@pytest.fixture
def make(tiny_classifier: nn.Module, toy: Any) -> Callable[..., Explainer]:
    """make(method, confidence=, count=) builds a method with tiny networks in float64, fitted."""

    def made(method: type, *, classifier: nn.Module = tiny_classifier, **options: Any) -> Explainer:
        refusals = []
        for generator in generators(method, classifier):
            given = {} if generator is None else {"generator": generator}
            try:
                explainer = method(classifier, **given, **{**fitting(method, QUICK), **options})
            except UserError as error:
                if generator is None or " needs " not in str(
                    error
                ):  # a refusal of the generator says what the method needs
                    raise
                refusals.append(str(error))
                continue
            explainer.fit(toy)
            return explainer
        raise AssertionError(f"no generative model in the package suits {method.__name__}: {refusals}")

    return made


@pytest.fixture
def x(toy: Any) -> Tensor:
    return toy.test[range(ROWS)].x.double()


each_method = pytest.mark.parametrize("method", METHODS, ids=lambda cls: cls.__name__)


def test_the_mirror_finds_methods() -> None:
    assert len(METHODS) >= 5


@each_method
def test_every_promise_is_kept(method: type, make: Any, x: Tensor) -> None:
    """The check for anyone's method, on each of ours."""
    promises.check_explainer(make(method, confidence=0.8, **MORE.get(method.__name__, {})), x)


@each_method
def test_a_batch_is_independent_problems(method: type, make: Any, x: Tensor) -> None:
    """Of two counterfactuals too, in float64: each row's is the one it gets alone, down to its cost."""
    promises.independent_of_the_batch(make(method, confidence=0.8, count=2), x)


@pytest.mark.parametrize("method", [cls for cls in METHODS if issubclass(cls, OptimisedExplainer)], ids=str)
@pytest.mark.parametrize("width", [1, 3])
def test_refilled_places_change_nothing(method: type, width: int, make: Any, x: Tensor) -> None:
    """In float64: the same counterfactuals and costs where queries take each other's places."""
    explainer = make(method, confidence=0.8, count=2)
    together = fields_of(explainer(x))
    explainer.search.refill, explainer.search.crowd = width, 0.0
    for name, value in fields_of(explainer(x)).items():
        difference = (together[name].double() - value.double()).nan_to_num().abs()
        assert float(difference.amax()) < 1e-8, name


@each_method
def test_two_calls_are_bitwise_equal(method: type, make: Any, x: Tensor) -> None:
    promises.deterministic(make(method, confidence=0.8, count=2), x)


@each_method
def test_every_method_explains_a_second_time(method: type, make: Any, x: Tensor) -> None:
    """Back, beside noise and to the own class; and it is asked as before afterwards."""
    explainer = make(method, confidence=0.8, count=2)
    cf, asked = explainer(x[:2]), (explainer.asks_all, explainer.confidence)
    found = again(explainer, cf, ("back", "noise", "own"))
    for image in (found.extra[name] for name in ("back", "noise", "own")):
        assert 0 <= image[::2].min() <= image[::2].max() <= 1
        assert image[1::2].isnan().all()
    assert (explainer.asks_all, explainer.confidence) == asked


@each_method
def test_counterfactuals_tell_their_method(method: type, make: Any, x: Tensor) -> None:
    assert make(method)(x[:1]).method == method.__module__.rpartition(".")[2]


@each_method
def test_single_precision_stays_single(method: type, make: Any, x: Tensor) -> None:
    explainer = make(method).float()
    assert explainer(x.float()).counterfactual.dtype == torch.float32


@each_method
def test_what_is_valid_already_comes_back_unchanged(method: type, make: Any, x: Tensor) -> None:
    """The promise of the check, and at the cost of asking alone."""
    explainer = make(method)
    every = explainer(x, explainer.classifier(x).argmax(1))
    assert every.steps.tolist() == [0] * ROWS
    assert every.classifier_calls.tolist() == [2] * ROWS


@each_method
def test_reached_or_not_found_but_never_pretended(method: type, make: Any, x: Tensor) -> None:
    """The returned image has the probability given; a failed query takes as many steps as any other."""
    confidence = 0.8
    explainer = make(method, confidence=confidence, **fitting(method, {"steps": 100}))
    cf = explainer(x)
    graded = explainer.classifier(cf.counterfactual).softmax(1).gather(1, cf.target[:, None])[:, 0]
    torch.testing.assert_close(cf.target_probability, graded)
    reached = graded >= confidence - 1e-9
    assert reached.any(), "no query solved: this test would say nothing"
    assert cf.valid[reached].all()
    if not reached.all():
        assert cf.steps[~reached].min() >= cf.steps[reached].max(), "gave up early"


@each_method
def test_count_gives_ordered_counterfactuals(method: type, make: Any, x: Tensor) -> None:
    """The first is the one that comes alone, but for methods whose counterfactuals are told of each other."""
    explainer = make(method, count=3)
    one, three = make(method, count=1)(x, "all"), explainer(x, "all")
    assert three.query.tolist() == [i for i in range(ROWS) for _ in range(2 * 3)]
    assert torch.equal(three.target, one.target.repeat_interleave(3))
    if not (isinstance(explainer, OptimisedExplainer) and explainer.objective.siblings):
        torch.testing.assert_close(three.counterfactual[::3], one.counterfactual, rtol=0, atol=1e-8)
    moved = one.delta.flatten(1).abs().amax(1) > 0
    several = three.counterfactual.unflatten(0, (-1, 3))[moved]
    assert ((several[:, 0] - several[:, 1]).flatten(1).abs().amax(1) > 0).any(), (
        "further counterfactuals are the first again"
    )


@each_method
def test_a_target_by_its_name(method: type, make: Any, x: Tensor) -> None:
    explainer = make(method)
    explainer.classifier.class_names = ("left", "middle", "right")
    named, numbered = explainer(x, "middle"), explainer(x, 1)
    assert torch.equal(named.counterfactual, numbered.counterfactual)
    assert numbered.target.dtype == torch.int64


def nan(x: Tensor) -> Tensor:
    return x.clone().index_fill_(0, torch.tensor([1]), torch.nan)


BAD_INPUTS = {
    "two dimensions": lambda x: x[0, 0],
    "whole numbers": lambda x: (x * 255).to(torch.uint8),
    "0..255": lambda x: x * 255,
    "-1..1": lambda x: 2 * x - 1,
    "NaN": nan,
    "infinite": lambda x: x / 0,
    "no tensor": lambda x: x.tolist(),
}
BAD_TARGETS = {
    "too few": torch.zeros(ROWS - 1, dtype=torch.int64),
    "a column": torch.zeros(ROWS, 1, dtype=torch.int64),
    "fractions": torch.zeros(ROWS),
    "yes and no": torch.zeros(ROWS, dtype=torch.bool),
    "class 3 of 3": torch.full((ROWS,), 3),
    "negative": torch.full((ROWS,), -1),
    "a number too large": 3,
    "a number below zero": -1,
    "an unknown name": "cat",
    "half": 0.5,
    "a list too short": [0] * (ROWS - 1),
}
BAD_MASKS = {
    "numbers": torch.zeros(16, 16),
    "another size": torch.zeros(15, 16, dtype=torch.bool),
    "too many rows": torch.zeros(ROWS + 1, 1, 16, 16, dtype=torch.bool),
    "two channels": torch.zeros(ROWS, 2, 16, 16, dtype=torch.bool),
    "no tensor": [[True]],
}


def refused(call: Callable[[], Any], word: str) -> None:
    with pytest.raises(UserError) as caught:
        call()
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@each_method
def test_bad_input_is_refused(method: type, make: Any, x: Tensor) -> None:
    explainer = make(method)
    for spoil in BAD_INPUTS.values():
        refused(lambda spoil=spoil: explainer(spoil(x)), "inputs")
    for target in BAD_TARGETS.values():
        refused(lambda target=target: explainer(x, target), "target")
    for mask in BAD_MASKS.values():
        refused(lambda mask=mask: explainer(x, mask=mask), "mask")


@each_method
@pytest.mark.parametrize(
    "options",
    [{"confidence": 0}, {"confidence": 1.5}, {"confidence": float("nan")}, {"count": 0}, {"count": -1}],
)
def test_bad_options_are_refused(method: type, make: Any, options: dict[str, Any]) -> None:
    refused(lambda: make(method, **options), next(iter(options)))


@each_method
def test_a_classifier_without_sense_is_refused(
    method: type, make: Any, x: Tensor, tiny_classifier: nn.Module
) -> None:
    explainer = make(method)
    with torch.no_grad():
        tiny_classifier.head.bias.fill_(torch.nan)
    refused(lambda: explainer(x), "classifier")


class OnGrid(nn.Module):
    """A classifier whose logits are NaN for whatever is no 8-bit image, as every search soon visits."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        eight_bit = ((255 * x - (255 * x).round()).abs() < 1e-4).flatten(1).all(1)
        logits: Tensor = torch.where(eight_bit[:, None], self.net(x), torch.nan)
        return logits


def assert_failed_rows_show_the_factual(cf: Counterfactuals) -> None:
    assert cf.counterfactual.isfinite().all()
    assert cf.counterfactual_logits.isfinite().all()
    if cf.failed is not None:
        assert torch.equal(cf.counterfactual[cf.failed], cf.factual[cf.failed])
        assert not cf.valid[cf.failed].any()
        assert cf.strip is None or not cf.walked[cf.failed].any()
    for value in cf.changes.values():
        assert value.isfinite().all()


@each_method
def test_logits_that_are_not_finite_are_never_valid(
    method: type, make: Any, x: Tensor, tiny_classifier: nn.Module
) -> None:
    explainer = make(method)
    explainer.classifier = OnGrid(tiny_classifier)
    cf = explainer(x)
    assert_failed_rows_show_the_factual(cf)
    assert explainer.classifier(cf.counterfactual[cf.valid]).isfinite().all()
    assert cf.steps.isfinite().all()


@each_method
def test_a_generator_that_has_diverged_gives_failures(method: type, make: Any, x: Tensor) -> None:
    """Whatever the target: argmax of NaN is class 0."""
    explainer = make(method)
    if explainer.generator is None:
        return
    with torch.no_grad():
        for value in explainer.generator.parameters():
            value.fill_(torch.nan)
    with contextlib.suppress(UserError):  # a method that looks first says so
        cf = explainer(x, "all")
        assert_failed_rows_show_the_factual(cf)
        assert cf.failed is not None
        assert cf.failures == len(cf) == 2 * ROWS
        assert not cf.valid.any()
