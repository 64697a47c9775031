"""Scores of the manifold against values on paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from counterfoil.classifier.base import Classifier
from counterfoil.classifier.cnn import CNN
from counterfoil.classifier.dep import DEP
from counterfoil.classifier.duq import DUQ
from counterfoil.classifier.score import (
    Disagreement,
    DropoutEntropy,
    Energy,
    KernelDistance,
    PredictedError,
    Score,
    default_score,
    entropy,
)
from counterfoil.core.errors import UserError


class Dropped(nn.Module):
    """Two logits that are the dropped-out input itself."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.drop = nn.Dropout(p)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.drop(x.flatten(1))
        return logits


@pytest.fixture
def x() -> torch.Tensor:
    return torch.rand(5, 1, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def made(kind: type[nn.Module], seed: int = 0, **options: Any) -> Classifier:
    torch.manual_seed(seed)
    return Classifier(kind(classes=3, width=4, **options)).double()


def scored(score: Score, classifier: Any, x: torch.Tensor) -> torch.Tensor:
    return score(classifier, x, *classifier.read(x, score.layers(classifier)))


def test_energy_and_distance_by_hand() -> None:
    logits = torch.tensor([[-1.0, -3.0], [-2.0, -2.0]]).log_softmax(1) - 1
    torch.testing.assert_close(Energy()(None, logits, logits, {}), torch.ones(2))
    distances = torch.tensor([[0.5, 3.0], [7.0, 2.0]])
    assert KernelDistance()(None, distances, -distances, {}).tolist() == [0.5, 2.0]


def test_each_network_has_its_best_score() -> None:
    assert isinstance(default_score(made(DUQ)), KernelDistance)
    assert isinstance(default_score(made(DEP)), PredictedError)
    assert isinstance(default_score(made(CNN)), Energy)
    assert isinstance(default_score(nn.Linear(2, 2)), Energy)


def test_predicted_error_reads_its_own_layers(x: torch.Tensor) -> None:
    classifier = made(DEP)
    assert PredictedError().layers(classifier) == ("blocks.0", "blocks.1", "blocks.2")
    torch.testing.assert_close(scored(PredictedError(), classifier, x), classifier.net.both(x)[1])


@pytest.mark.parametrize(
    "score", [PredictedError(), KernelDistance(), DropoutEntropy()], ids=lambda score: type(score).__name__
)
def test_a_score_that_the_network_lacks_names_the_fix(score: Score) -> None:
    with pytest.raises(UserError, match="another score"):
        score.layers(made(CNN, dropout=0.0))


def test_dropout_entropy_is_that_of_the_mean_posterior() -> None:
    """With p = 1/2 the logits (4, 0) become (8, 0) or (0, 0)."""
    score = DropoutEntropy(samples=2000, seed=1)
    value = score(
        Classifier(Dropped(0.5)), x := torch.tensor([[4.0, 0.0]]).view(1, 1, 1, 2), x.flatten(1), {}
    )
    sure = torch.tensor([8.0, 0.0]).softmax(0)
    torch.testing.assert_close(value[0], entropy((sure + 0.5) / 2), atol=0.02, rtol=0)


def test_dropout_masks_do_not_depend_on_the_batch_and_leave_the_classifier_as_it_was(x: torch.Tensor) -> None:
    classifier = made(CNN, dropout=0.5)
    classifier.net.head[1].weight.data.mul_(200)
    before = classifier(x)
    whole = scored(DropoutEntropy(), classifier, x)
    torch.testing.assert_close(whole[2:3], scored(DropoutEntropy(), classifier, x[2:3]))
    assert not torch.allclose(whole, scored(DropoutEntropy(seed=1), classifier, x))
    assert torch.equal(classifier(x), before)
    assert not torch.allclose(whole, entropy(before.softmax(1)))


def test_disagreement_by_hand() -> None:
    """Two members that are each sure of another class disagree by log 2; the same member twice by nothing."""

    def sure(column: int) -> nn.Module:
        net = nn.Linear(1, 2)
        nn.init.zeros_(net.weight)
        with torch.no_grad():
            net.bias.copy_(torch.tensor([50.0, -50.0] if column == 0 else [-50.0, 50.0]))
        return net

    x = torch.ones(3, 1)
    for other, expected in ((1, torch.tensor(2.0).log()), (0, torch.tensor(0.0))):
        first = sure(0)
        value = Disagreement([sure(other)])(first, x, first(x), {})
        torch.testing.assert_close(value, expected.expand(3))


def test_members_are_frozen_in_eval_mode(x: torch.Tensor) -> None:
    """Else a member's batch norm would mix the queries of a batch."""
    classifier, member = made(CNN), CNN(1, 3).double().train()
    score = Disagreement([member])
    whole = scored(score, classifier, x)
    torch.testing.assert_close(scored(score, classifier, x[:1]), whole[:1])
    assert member.training


def test_members_come_from_files(x: torch.Tensor, tmp_path: Path) -> None:
    classifier, other = made(CNN), made(CNN)
    nn.init.normal_(other.net.head[1].weight)
    save_file(other.net.state_dict(), str(tmp_path / "other.safetensors"))
    from_file = scored(Disagreement([str(tmp_path / "other.safetensors")]), classifier, x)
    torch.testing.assert_close(from_file, scored(Disagreement([other]), classifier, x))
    assert (from_file > 0).all()
    with pytest.raises(UserError, match="does not exist"):
        Disagreement(["missing.safetensors"]).layers(classifier)
    with pytest.raises(UserError, match="empty"):
        Disagreement([])


@pytest.mark.parametrize("kind", [CNN, DEP, DUQ])
def test_every_score_has_a_gradient(kind: type[nn.Module], x: torch.Tensor) -> None:
    classifier = made(kind)
    scores = [
        Energy(),
        default_score(classifier),
        Disagreement([made(CNN, seed=1)]),
        *([] if kind is DUQ else [DropoutEntropy()]),
    ]
    for score in scores:
        leaf = x.clone().requires_grad_()
        value = scored(score, classifier, leaf)
        assert value.shape == (5,)
        (gradient,) = torch.autograd.grad(value.sum(), leaf)
        assert (gradient.flatten(1).norm(dim=1) > 0).all(), type(score).__name__
