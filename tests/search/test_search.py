"""The loop: leaving finished queries out saves time and changes nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.explainer.optimised import OptimisedExplainer
from counterfoil.explainer.revise import Revise
from counterfoil.explainer.wachter import Wachter


class Counting(nn.Module):
    """A classifier that counts the inputs it is shown."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.shown = 0

    def forward(self, x: Tensor) -> Tensor:
        self.shown += len(x)
        logits: Tensor = self.net(x)
        return logits


def ask(explainer: OptimisedExplainer, x: Tensor, crowd: float) -> tuple[Counterfactuals, int]:
    explainer.search.crowd = crowd
    explainer.classifier.shown = 0
    return explainer(x), int(explainer.classifier.shown)


@pytest.mark.parametrize("options", [{"patience": 0}, {"patience": 4, "rounds": 3}, {"patience": None}], ids=str)
@pytest.mark.parametrize("method", ["revise", "wachter"])
def test_leaving_out_changes_no_answer(method: str, options: dict, tiny_classifier: nn.Module, tiny_vae: nn.Module, toy) -> None:
    x = toy.test[range(12)].x.double()
    counting = Counting(tiny_classifier)
    recipe = {"steps": 25, "confidence": 0.8, **options}
    explainer = Revise(counting, tiny_vae, **recipe) if method == "revise" else Wachter(counting, **recipe)
    at_once, _ = ask(explainer, x, crowd=0.0)
    stayed, _ = ask(explainer, x, crowd=1.1)
    assert at_once.valid.any()
    for name in ("counterfactual", "steps", "classifier_calls"):
        torch.testing.assert_close(getattr(at_once, name), getattr(stayed, name), rtol=0, atol=1e-9)
    for name in at_once.extra:
        torch.testing.assert_close(at_once.extra[name], stayed.extra[name], rtol=0, atol=1e-9)


def test_the_classifier_is_shown_open_queries_only(tiny_classifier: nn.Module, toy) -> None:
    """What is charged to the queries is what the classifier saw, where finished ones leave at once; more where they stay."""
    x = toy.test[range(12)].x.double()
    explainer = Wachter(Counting(tiny_classifier), steps=25, confidence=0.8, patience=0, rounds=1)
    answers, shown = ask(explainer, x, crowd=0.0)
    assert answers.steps.min() < answers.steps.max()
    assert shown == int(answers.classifier_calls.sum())
    _, shown_staying = ask(explainer, x, crowd=1.1)
    assert shown_staying > shown
