"""Parts show the options they were made with."""

from __future__ import annotations

import copy
from functools import partial

import pytest
from torch import nn
from torch.optim import Adam

from counterfoil.classifier.score import DropoutEntropy, Energy
from counterfoil.core.decision import Classes, Threshold
from counterfoil.core.options import shows_options
from counterfoil.explainer.wachter import Wachter
from counterfoil.search import L1, Attributes, CrossEntropy, Objective, Paced, Pixels, Search, Stop


@shows_options
class Base:
    def __init__(self, net: nn.Module, first: int, *, second: object = "b", **more: float) -> None:
        self.first = first


class Derived(Base):
    def __init__(self, *, third: float = 0.5) -> None:
        super().__init__(nn.Identity(), 7)


class Bare(Base):
    pass


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (Base(nn.Identity(), 1), "Base(first=1, second='b')"),
        (Base(nn.Identity(), 1, second=Adam, other=2.0), "Base(first=1, second=Adam, other=2.0)"),
        (Derived(), "Derived(third=0.5)"),
        (Bare(nn.Identity(), 3), "Bare(first=3, second='b')"),
        (Classes(), "Classes()"),
        (Threshold(2.5), "Threshold(value=2.5, scale=1.0)"),
        (Energy(), "Energy()"),
        (Pixels(), "Pixels(spread=0.05)"),
        (Paced((1, 2), adam=True), "Paced(rates=(1, 2), decay=1.0, adam=True, alternate=False)"),
        (
            Attributes(["A", "B"], frozen=["A"]),
            "Attributes(names=['A', 'B'], free=None, frozen=['A'], overshoot=0.5, spread=0.25)",
        ),
        (
            Search(200, partial(Adam, lr=0.1)),
            "Search(steps=200, optimizer=Adam(lr=0.1), stop=Stop(patience=0), "
            "tradeoff=Tradeoff(initial=1.0, factor=10.0, rounds=1, bisect=False), crowd=0.1, last=False, "
            "refill=None, every=None, precision='float32')",
        ),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_every_option_is_shown_with_its_default(part: object, text: str) -> None:
    assert repr(part) == text


def test_parts_inside_parts_and_methods(tiny_classifier: nn.Module) -> None:
    assert "distance=L1(weight=0.5)" in repr(Objective(CrossEntropy(), distance=L1(0.5)))
    method = Wachter(tiny_classifier, steps=9)
    assert repr(method).startswith("Wachter(lambda_=1.0, rounds=3, ")
    assert "steps=9" in repr(copy.deepcopy(method))
    assert "stop=Stop(patience=20)" in repr(method.search)


def test_a_wrong_call_is_refused_by_the_constructor_itself() -> None:
    with pytest.raises(TypeError, match="steps"):
        Search(optimizer=Adam)  # type: ignore[call-arg]
    assert "samples" in repr(DropoutEntropy())
    assert repr(Stop(3)) == "Stop(patience=3)"
