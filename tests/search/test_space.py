"""Where a search starts and what its variables stand for."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from counterfoil.core.query import Query
from counterfoil.generative.cvae import CVAE
from counterfoil.search import Ball, Latent, Pixels


def query_of(
    x: torch.Tensor, classifier: nn.Module, generator: Any = None, repeat: list[int] | None = None
) -> Query:
    target = torch.zeros(len(x), dtype=torch.int64)
    return Query(
        x, target, classifier, generator=generator, repeat=None if repeat is None else torch.tensor(repeat)
    )


def test_pixels_start_at_the_factual_and_stay_in_range(tiny_classifier: nn.Module, toy: Any) -> None:
    query = query_of(toy.test[range(3)].x.double(), tiny_classifier)
    space = Pixels()
    variables = space.start(query)
    assert torch.equal(variables["x"], query.factual)
    variables = {"x": variables["x"] * 3 - 1}
    space.project_(query, variables)
    assert torch.equal(space.decode(query, variables), (query.factual * 3 - 1).clamp(0, 1))


def test_only_further_counterfactuals_start_elsewhere(tiny_classifier: nn.Module, toy: Any) -> None:
    x = toy.test[[0, 0, 0, 1]].x.double()
    start = Pixels(spread=0.1).start(query_of(x, tiny_classifier, repeat=[0, 1, 2, 0]))["x"]
    moved = (start - x).flatten(1).abs().amax(1)
    assert moved[[0, 3]].tolist() == [0, 0]
    assert (moved[1:3] > 0.05).all()
    assert not torch.equal(start[1], start[2])
    assert torch.equal(
        start, Pixels(spread=0.1).start(query_of(x, tiny_classifier, repeat=[0, 1, 2, 0]))["x"]
    )
    assert torch.equal(Pixels(spread=0.0).start(query_of(x, tiny_classifier, repeat=[0, 1, 2, 0]))["x"], x)


def test_latent_starts_at_the_code(tiny_classifier: nn.Module, tiny_vae: Any, toy: Any) -> None:
    query = query_of(toy.test[range(3)].x.double(), tiny_classifier, tiny_vae)
    space = Latent()
    variables = space.start(query)
    assert torch.equal(variables["z"], tiny_vae.encode(query.factual))
    assert not variables["z"].requires_grad
    assert torch.equal(space.decode(query, variables), tiny_vae.decode(variables["z"]))
    assert space.kept == ("z",)


def test_a_conditional_model_encodes_under_the_decision_and_decodes_under_the_target(
    tiny_classifier: nn.Module, toy: Any
) -> None:
    torch.manual_seed(0)
    model = CVAE(1, 16, classes=3, latent=4, width=4).double().eval()
    query = query_of(toy.test[range(4)].x.double(), tiny_classifier, model)
    space = Latent()
    code = space.start(query)["z"]
    decision = F.one_hot(tiny_classifier(query.factual).argmax(1), 3)
    assert torch.equal(code, model.encode(query.factual, decision))
    assert torch.equal(space.decode(query, {"z": code}), model.decode(code, F.one_hot(query.target, 3)))


def test_a_ball_is_never_left_and_further_starts_are_drawn_from_it(
    tiny_classifier: nn.Module, toy: Any
) -> None:
    x = toy.test[[0, 0, 1]].x.double()
    query, space = query_of(x, tiny_classifier, repeat=[0, 1, 0]), Ball(0.1)
    start = space.start(query)["x"]
    assert torch.equal(start[[0, 2]], x[[0, 2]])
    assert 0.05 < float((start[1] - x[1]).abs().max()) <= 0.1
    variables = {"x": x + 0.5}
    space.project_(query, variables)
    torch.testing.assert_close(variables["x"], (x + 0.1).clamp(max=1))
