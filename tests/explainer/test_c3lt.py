"""Learned maps whose every step is known."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.explainer.c3lt import C3LT
from counterfoil.generative.latent_map.network import LatentMaps
from counterfoil.util.fingerprint import fingerprint


@pytest.fixture
def maps(latent: Any, difference: Tensor) -> LatentMaps:
    """Each step moves the code by 0.1 along the classifier's own direction."""
    generator = latent.Affine(latent.orthonormal(4))
    generator.latent = 4
    found = LatentMaps(generator, 2, width=3).double()
    along = generator.rows @ difference
    for value in found.parameters():
        nn.init.zeros_(value)
    with torch.no_grad():
        found.outer_bias[1] = 0.1 * along / along.norm()
        found.outer_bias[2] = -0.1 * along / along.norm()
    return found


def test_the_first_step_that_reaches_is_returned(
    latent: Any, maps: LatentMaps, classifier: nn.Module, difference: Tensor
) -> None:
    x = latent.queries(maps.generator)
    target = 1 - classifier(x).argmax(1)
    cf = C3LT(classifier, maps, steps=12, confidence=latent.confidence)(x, target)
    assert cf.valid.all()
    z = maps.generator.encode(x)
    for row in range(len(x)):
        path = maps.path(z[row : row + 1], cf.source[row : row + 1], target[row : row + 1], 12)[0]
        sure = classifier(maps.generator.decode(path)).softmax(1)[:, target[row]] >= latent.confidence
        first = int(sure.int().argmax())
        assert cf.steps[row] == first
        torch.testing.assert_close(cf.extra["z"][row], path[first])
        torch.testing.assert_close(cf.counterfactual[row], maps.generator.decode(path[first : first + 1])[0])
    assert cf.classifier_calls.tolist() == [12 + 2] * len(x)
    last = C3LT(classifier, maps, steps=12, returned="last")(x, target)
    assert last.steps.tolist() == [12] * len(x)


def test_other_generators_and_classifiers_are_refused(maps: LatentMaps, classifier: nn.Module) -> None:
    with pytest.raises(UserError, match="needs trained LatentMaps, found none"):
        C3LT(classifier, None)
    maps.classifier.copy_(fingerprint(nn.Linear(2, 2)))
    with pytest.raises(UserError, match="trained against another classifier"):
        C3LT(classifier, maps)
