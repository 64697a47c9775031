"""`check_explainer` finds each of these broken methods out, and says so in the right sentence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from counterfoil.core.counterfactuals import Counterfactuals, Found
from counterfoil.core.query import Query
from counterfoil.explainer.base import Explainer
from counterfoil.testing import Broken, TinyClassifier, check_explainer


class Steps(Explainer):
    """A sound method: the way from the factual to one of four fixed images, as far as the decision needs."""

    def start(self, query: Query) -> Tensor:
        draw = torch.Generator().manual_seed(3)
        images = torch.rand(4, *query.factual.shape[1:], generator=draw, dtype=torch.float64)
        return images.to(query.factual)

    def moved(self, query: Query, end: Tensor, share: float) -> Tensor:
        return query.keep(query.factual + share * (end - query.factual))

    def explain(self, query: Query) -> Found:
        found = query.factual.clone()
        done = torch.zeros(len(query), dtype=torch.bool)
        calls = torch.zeros(len(query))
        with torch.no_grad():
            for share in (0.25, 0.5, 0.75, 1.0):
                for end in self.start(query):
                    if bool(done.all()):
                        break
                    image = self.moved(query, end, share)
                    calls += ~done
                    reached = query.reached(self.classifier(image)) & ~done
                    found[reached] = image[reached]
                    done |= reached
        return Found(found, torch.where(done, calls, 16.0), calls)

    def _again(self, cf: Counterfactuals, image: Tensor) -> Counterfactuals:
        return replace(cf, counterfactual=image, counterfactual_logits=self.classifier.forward(image))


class OfTheBatch(Steps):
    def moved(self, query: Query, end: Tensor, share: float) -> Tensor:
        return query.keep(super().moved(query, end, share) * (1 - 0.01 * query.factual.mean()))


class ChangesTheClassifier(Steps):
    def explain(self, query: Query) -> Found:
        with torch.no_grad():
            self.classifier.head.bias += 0.01
        return super().explain(query)


class LeavesItTraining(Steps):
    def explain(self, query: Query) -> Found:
        self.classifier.train(True)
        return super().explain(query)


class NotANumber(Steps):
    def explain(self, query: Query) -> Found:
        found = super().explain(query)
        return replace(found, counterfactual=found.counterfactual / 0)


class IgnoresTheMask(Steps):
    def moved(self, query: Query, end: Tensor, share: float) -> Tensor:
        return query.factual + share * (end - query.factual)


class ReturnsOverTheMask(Steps):
    def forward(self, x: Any, target: Any = None, *, mask: Any = None) -> Counterfactuals:
        return super().forward(x, target)


class GradesItself(Steps):
    def forward(self, x: Any, target: Any = None, *, mask: Any = None) -> Counterfactuals:
        cf = super().forward(x, target, mask=mask)
        return replace(cf, counterfactual_logits=cf.counterfactual_logits + 1)


class LeavesTheRange(Steps):
    def moved(self, query: Query, end: Tensor, share: float) -> Tensor:
        return query.keep(1.5 * super().moved(query, end, share))


class ReturnsOutOfRange(Steps):
    @torch.inference_mode(False)
    def forward(self, x: Any, target: Any = None, *, mask: Any = None) -> Counterfactuals:
        cf = super().forward(x, target, mask=mask)
        return self._again(cf, torch.where(cf.delta == 0, cf.factual, cf.counterfactual + 1))


class Random(Steps):
    def start(self, query: Query) -> Tensor:
        return torch.rand(4, *query.factual.shape[1:]).to(query.factual)


class MovesWhatIsThere(Steps):
    asks_all = True

    def explain(self, query: Query) -> Found:
        found = super().explain(query)
        reached = query.reached(query.logits)[:, None, None, None]
        nudged = query.keep(0.999 * found.counterfactual)
        return replace(found, counterfactual=torch.where(reached, nudged, found.counterfactual))


class Raises(Steps):
    def explain(self, query: Query) -> Found:
        if len(query) == 8:
            raise ValueError("eight are too many")
        return super().explain(query)


BROKEN = {
    OfTheBatch: ["depends on the batch: the counterfactual of row"],
    ChangesTheClassifier: ["changes the classifier: head.bias is not what it was"],
    LeavesItTraining: ["changes the classifier: it is left in training mode"],
    NotANumber: ["returns values that are not finite (NaN or infinite) for"],
    IgnoresTheMask: ["ignores the mask: pixels where it is True change by"],
    ReturnsOverTheMask: ["ignores the mask: it returns other pixels where it is True"],
    GradesItself: ["grades itself: the logits of its counterfactual are 1 from the classifier's"],
    LeavesTheRange: ["leaves [0, 1]: its images go from"],
    ReturnsOutOfRange: ["leaves [0, 1]: its images go from"],
    Random: [
        "draws from the caller's random stream",
        "is not deterministic: two calls with the same queries",
    ],
    MovesWhatIsThere: ["moves a factual that already reaches its target"],
    Raises: ["raises ValueError (eight are too many); promised: A class by index or name"],
}


def test_a_sound_method_passes() -> None:
    check_explainer(Steps(TinyClassifier()))


@pytest.mark.parametrize("method", BROKEN, ids=lambda cls: cls.__name__)
def test_a_broken_method_is_told_what_it_breaks(method: type[Steps]) -> None:
    """In as many sentences as things are broken."""
    with pytest.raises(Broken) as caught:
        check_explainer(method(TinyClassifier()))
    told = str(caught.value).splitlines()
    assert len(told) == len(BROKEN[method]), told
    for line, sentence in zip(told, BROKEN[method], strict=True):
        assert line.startswith(f"{method.__name__} {sentence}"), line


def test_the_method_is_left_as_it_is() -> None:
    explainer = ChangesTheClassifier(TinyClassifier())
    bias = explainer.classifier.head.bias.clone()
    with pytest.raises(AssertionError):
        check_explainer(explainer)
    assert torch.equal(explainer.classifier.head.bias, bias)
    assert bias.dtype == torch.float32
