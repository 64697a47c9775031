"""Small counterfactuals and small networks whose metrics are known by hand or by brute force."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from counterfoil.classifier.base import Classifier
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.explainer.progressive import Progressive
from counterfoil.generative.exaggeration.network import Exaggerator

CLASSES = 3
SHAPE = (2, 4, 5)


class TinyClassifier(nn.Module):
    """A fixed nonlinear network on (B, 2, 4, 5) with the two calls that metrics make."""

    def __init__(self, seed: int = 0, features: int = 6) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.first = nn.Parameter(torch.randn(40, features, generator=draw), requires_grad=False)
        self.second = nn.Parameter(torch.randn(features, CLASSES, generator=draw), requires_grad=False)
        self.largest = 0

    def embed(self, x: Tensor) -> Tensor:
        self.largest = max(self.largest, len(x))
        return torch.tanh(x.flatten(1) @ self.first)

    def forward(self, x: Tensor) -> Tensor:
        return self.embed(x) @ self.second


class Shrinkers:
    """Class autoencoders that multiply an image: class k by (k + 1) / 4, all classes by 1 / 8."""

    def reconstruct(self, x: Tensor, which: Tensor) -> Tensor:
        factor = torch.where(which == -1, 0.125, (which + 1) / 4)
        return x * factor[:, None, None, None]


class Batch(NamedTuple):
    x: Tensor


class Split:
    def __init__(self, x: Tensor) -> None:
        self.x = x

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: Any) -> Batch:
        return Batch(self.x[rows])


def counterfactuals(
    rows: int, seed: int = 0, per_query: int = 1, classifier: nn.Module | None = None
) -> Counterfactuals:
    """Random counterfactuals, graded by the classifier."""
    draw = torch.Generator().manual_seed(seed)
    classifier = classifier or TinyClassifier()
    factual, other = torch.rand(rows, *SHAPE, generator=draw), torch.rand(rows, *SHAPE, generator=draw)
    changed = torch.rand(rows, 1, *SHAPE[1:], generator=draw) < 0.4
    counterfactual = torch.where(changed, other, factual)
    cost = torch.rand(4, rows, generator=draw)
    return Counterfactuals(
        factual=factual,
        counterfactual=counterfactual,
        target=torch.randint(CLASSES, (rows,), generator=draw),
        factual_logits=classifier(factual),
        counterfactual_logits=classifier(counterfactual),
        query=torch.arange(rows) // per_query,
        steps=(cost[0] * 100).long(),
        seconds=cost[1],
        classifier_calls=(cost[2] * 1000).long(),
        peak_memory_mb=cost[3] * 500,
    )


@pytest.fixture
def make():
    """Factory of random counterfactuals."""
    return counterfactuals


@pytest.fixture
def parts() -> SimpleNamespace:
    """The networks and data that metrics read, by the name of their constructor arguments."""
    real = torch.rand(60, *SHAPE, generator=torch.Generator().manual_seed(9))
    return SimpleNamespace(
        classifier=TinyClassifier(0),
        judge=TinyClassifier(1),
        autoencoders=Shrinkers(),
        reference=SimpleNamespace(queried=Split(real)),
    )


@pytest.fixture
def metrics(parts: SimpleNamespace) -> dict[str, Any]:
    """One of each metric, by name."""
    from counterfoil.metric import agreement, cost, cout, manifold, proximity, realism, validity

    made = [
        validity.Validity(),
        validity.TargetProbability(),
        proximity.L1(),
        proximity.L2(),
        proximity.LInf(),
        proximity.Sparsity(),
        agreement.JudgeAgreement(judge=parts.judge),
        manifold.IM1(autoencoders=parts.autoencoders),
        manifold.IM2(autoencoders=parts.autoencoders),
        realism.JudgeFID(judge=parts.judge, reference=parts.reference),
        realism.JudgeKID(judge=parts.judge, reference=parts.reference),
        cout.COUT(classifier=parts.classifier),
        cost.Steps(),
        cost.Seconds(),
        cost.ClassifierCalls(),
        cost.PeakMemory(),
    ]
    return {metric.name: metric for metric in made}


class Mean(nn.Module):
    """Logits (0, s), s = 8 * (mean - 1/2)."""

    def forward(self, x: Tensor) -> Tensor:
        s = 8 * (x.mean((1, 2, 3)) - 0.5)
        return torch.stack((torch.zeros_like(s), s), dim=1)


@pytest.fixture
def classifier() -> Classifier:
    return Classifier(Mean())


@pytest.fixture
def generator() -> Exaggerator:
    torch.manual_seed(0)
    return Exaggerator(1, 8, 2, bins=4, width=4).eval()


@pytest.fixture
def strips(classifier: Classifier, generator: Exaggerator) -> Counterfactuals:
    x = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    x[0] = 0.9  # already class 1 with confidence: needs no change
    return Progressive(classifier, generator)(x, torch.tensor([1, 0, 1, 0, 1, 0]))


class Judge(nn.Module):
    """Three attributes: is the first, second, third pixel bright?"""

    def outputs(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :3] - 0.5

    def embed(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :3]


def attribute_counterfactuals() -> tuple[Counterfactuals, SimpleNamespace]:
    factual = torch.zeros(4, 1, 2, 2)
    counterfactual = factual.clone()
    counterfactual[:, 0, 0, 0] = 1
    counterfactual[:2, 0, 0, 1] = 1
    logits = torch.tensor([[0.0, 1.0]]).expand(4, -1)
    zeros = torch.zeros(4)
    target, query = torch.ones(4, dtype=torch.long), torch.arange(4)
    cf = Counterfactuals(factual, counterfactual, target, -logits, logits, query, zeros, zeros, zeros, zeros)
    truth = torch.tensor([[0, 0, 0], [1, 1, 0], [0, 1, 1], [1, 0, 1]])
    data = SimpleNamespace(
        attribute_names=("a", "b", "c"), attribute="a", name="toy", train=SimpleNamespace(attributes=truth)
    )
    return cf, data


@pytest.fixture
def attributed() -> tuple[Counterfactuals, SimpleNamespace]:
    """Counterfactuals of four images, and data, with three attributes."""
    return attribute_counterfactuals()


@pytest.fixture
def pixel_judge() -> Judge:
    return Judge()
