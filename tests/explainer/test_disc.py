"""DISC: what its options build, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.explainer.disc import DISC
from counterfoil.generative.prior.dip import DIP
from counterfoil.generative.prior.inr import INR
from counterfoil.search import (
    Candidate,
    Dropping,
    FeaturePreservation,
    Unfrozen,
)

SMALL = INR(frequencies=8, width=8, depth=2, steps=30, psnr=20.0)


@pytest.fixture
def x(toy: Any) -> torch.Tensor:
    pixels: torch.Tensor = toy.test[range(3)].x.double()
    return pixels


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda c: DISC(c, layers=["body.9"]), ["body.9", "body.0, body.1"]),
        (lambda c: DISC(c, score="kernel"), ["classifier=duq"]),
        (lambda c: DISC(c, score="error"), ["classifier=dep"]),
        (lambda c: DISC(c, score="entropy"), ["choose auto or one of"]),
        (lambda c: DISC(c, prior="vae"), ["prior=vae", "inr, dip"]),
        (lambda c: DISC(c, schedule="fast"), ["preservation, parameters, none"]),
        (lambda c: DISC(c, T_s=0), ["T_s=0"]),
    ],
)
def test_bad_options_name_their_fix(
    make: Callable[[nn.Module], Any], words: list[str], tiny_classifier: nn.Module
) -> None:
    with pytest.raises(UserError) as caught:
        make(tiny_classifier)
    assert all(word in str(caught.value) for word in words)


def test_images_too_small_for_the_prior(tiny_classifier: nn.Module, x: torch.Tensor) -> None:
    with pytest.raises(UserError, match="too small for 4 halvings"):
        DISC(tiny_classifier, prior=DIP(channels=(4, 4, 4, 4)))(x)


@pytest.mark.parametrize("prior", ["inr", "dip"])
def test_priors_by_name(prior: str, tiny_classifier: nn.Module) -> None:
    assert isinstance(DISC(tiny_classifier, prior=prior).space.prior, {"inr": INR, "dip": DIP}[prior])


def test_schedules(tiny_classifier: nn.Module) -> None:
    def preservation(method: DISC) -> FeaturePreservation:
        term = method.objective.terms["preservation"]
        assert isinstance(term, FeaturePreservation)
        return term

    kept = DISC(tiny_classifier, schedule="preservation", T_s=30, steps=300)
    assert preservation(kept).curriculum == Dropping(0.1)
    freed = DISC(tiny_classifier, schedule="parameters", T_s=30, prior=INR(depth=1))
    assert preservation(freed).curriculum is None
    assert isinstance(freed.search.optimizer, Unfrozen)
    assert (freed.search.optimizer.turns, freed.search.optimizer.every) == ((0, 0, 1, 1), 30)
    none = DISC(tiny_classifier, schedule="none")
    assert preservation(none).curriculum is None
    assert not isinstance(none.search.optimizer, Unfrozen)


@pytest.mark.parametrize("schedule", ["preservation", "parameters", "none"])
def test_counterfactuals_carry_the_psnr_of_their_pre_image(
    schedule: Any, tiny_classifier: nn.Module, x: torch.Tensor
) -> None:
    cf = DISC(tiny_classifier, prior=SMALL, schedule=schedule, T_s=5, steps=60, lr=1e-2)(x)
    assert cf.valid.all()
    assert cf.extra["psnr"].shape == (3,)
    assert (cf.extra["psnr"] > 5).all()


def test_parameters_are_left_alone_until_their_turn(tiny_classifier: nn.Module, x: torch.Tensor) -> None:
    """With a stage longer than the search only the last layer moves."""
    method = DISC(
        tiny_classifier, prior=SMALL, schedule="parameters", T_s=50, steps=10, patience=None, confidence=1.0
    )
    seen: list[dict[str, torch.Tensor]] = []
    term = method.objective.flip
    whole = type(term).__call__

    class Watching(type(term)):  # type: ignore[misc]
        def __call__(self, query: Any, candidate: Candidate) -> torch.Tensor:
            seen.append({name: value.detach().clone() for name, value in candidate.variables.items()})
            return whole(self, query, candidate)

    term.__class__ = Watching
    method(x)
    moved = {name for name in seen[0] if not torch.equal(seen[0][name], seen[-1][name])}
    assert moved == {"w2", "b2"}


def test_manifold_consistency_can_be_left_out(tiny_classifier: nn.Module) -> None:
    assert "manifold" in DISC(tiny_classifier).objective.terms
    assert "manifold" not in DISC(tiny_classifier, lambda_2=0.0).objective.terms


def test_preserves_the_layers_without_regularisers(tiny_classifier: nn.Module) -> None:
    objective = DISC(tiny_classifier).objective
    assert objective.layers(tiny_classifier) == ("body.0", "body.2")
    assert not {"tv", "l2"} & set(objective.terms)


def test_a_score_that_tells_no_outliers_is_warned_of(
    tiny_classifier: nn.Module, toy: Any, recwarn: pytest.WarningsRecorder
) -> None:
    """A random network's energy knows nothing of the data; without manifold consistency it is not read."""
    with pytest.warns(CounterfoilWarning, match="Energy of TinyClassifier"):
        DISC(tiny_classifier.float(), prior=SMALL).fit(toy)
    DISC(tiny_classifier, prior=SMALL, lambda_2=0.0).fit(toy)
    assert not list(recwarn)


def test_the_last_image_is_returned_for_all(tiny_classifier: nn.Module, x: torch.Tensor) -> None:
    own = tiny_classifier(x).argmax(1)
    cf = DISC(tiny_classifier, steps=5, returned="last", lambda_2=0.0)(x, own)
    assert cf.steps.tolist() == [5] * len(x)
    assert not torch.equal(cf.counterfactual, x)
    assert DISC(tiny_classifier, steps=5)(x, own).steps.tolist() == [0] * len(x)
    with pytest.raises(UserError, match="returned=best is not supported; choose one of: nearest, last"):
        DISC(tiny_classifier, returned="best")  # type: ignore[arg-type]
