"""The way back: where images have changed, where it ends, and what a push does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.query import Query
from counterfoil.generative.diffusion.network import Denoiser, kept_of
from counterfoil.search import Changed, Denoising
from counterfoil.search.denoising import denoised, thinned, within


class Grey(nn.Module):
    """Tells of every image that it is grey, whatever it is shown."""

    def forward(self, noisy: Tensor, t: Tensor) -> Any:
        return type("Output", (), {"sample": torch.zeros_like(noisy)})


@pytest.fixture
def grey() -> Denoiser:
    return Denoiser(Grey(), kept_of("linear", 100), 1, 6, prediction="sample")


@pytest.fixture
def query(linear: Any, grey: Denoiser) -> Query:
    x = torch.zeros(2, 1, 6, 6, dtype=torch.float64)
    x[1, :, :3] = 1.0
    classifier = linear(torch.stack((torch.zeros(36), torch.ones(36))))
    return Query(x, torch.ones(2, dtype=torch.int64), classifier, generator=grey)


def test_changes_are_widened_and_measured_against_the_largest() -> None:
    factual, image = torch.zeros(2, 2, 5, 5), torch.zeros(2, 2, 5, 5)
    image[0, 0, 2, 2], image[0, :, 0, 0], image[1, 1, 4, 4] = 0.5, 0.04, 0.1
    found = Changed(0.2, 2)(image, factual)
    assert found[0, 0].count_nonzero() == 9
    assert found[0, 0, 1:4, 1:4].all()
    assert found[1, 0].nonzero().tolist() == [[3, 3], [3, 4], [4, 3], [4, 4]]
    assert Changed(0.0)(factual, factual).all()
    assert not Changed(0.2)(factual, factual).any()


def test_the_way_back_ends_at_what_the_network_tells(grey: Denoiser) -> None:
    noisy = torch.randn(2, 1, 6, 6, dtype=torch.float64)
    levels = grey.levels(0.5, 4)
    for noise in (None, torch.randn(2, 4, 1, 6, 6, dtype=torch.float64)):
        assert (denoised(grey, noisy, levels, noise) == 0.5).all()


def test_a_way_is_thinned_between_its_ends() -> None:
    levels = torch.tensor([50, 40, 30, 20, 10, 0])
    assert thinned(levels, 9).tolist() == levels.tolist()
    assert thinned(levels, 2).tolist() == [50, 30, 0]
    assert thinned(levels, 1).tolist() == [50, 0]


def test_clamping_keeps_the_gradient() -> None:
    x = torch.tensor([-1.0, 0.5, 2.0], requires_grad=True)
    found = within(x, 0, 1)
    found.sum().backward()
    assert found.tolist() == [0.0, 0.5, 1.0]
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 1.0, 1.0]


def walked(space: Denoising, query: Query, push: float) -> list[dict[str, Tensor]]:
    """The variables at each step, pushed as much before each of them."""
    variables = space.start(query)
    found = []
    for _ in range(space.steps):
        variables["push"].fill_(push)
        space.project_(query, variables)
        found.append({name: value.clone() for name, value in variables.items()})
    return found


def test_a_push_moves_the_mean_by_the_variance(query: Query, grey: Denoiser) -> None:
    space = Denoising(0.5, 4)
    still, moved = (walked(space, query, push)[0]["noisy"] for push in (0.0, 2.0))
    levels = grey.levels(0.5, 4)
    _mean, deviation = grey.before(still, still, levels[:1], levels[1:2])
    torch.testing.assert_close(moved - still, (2 * deviation.square()).expand_as(still))


def test_the_gradient_at_the_image_is_scaled_by_the_signal(query: Query, grey: Denoiser) -> None:
    space = Denoising(0.5, 4)
    variables = space.start(query)
    variables["push"].requires_grad_()
    (gradient,) = torch.autograd.grad(space.decode(query, variables).sum(), variables["push"])
    signal = grey.signal(grey.levels(0.5, 4)[:1]).item()
    torch.testing.assert_close(gradient, torch.full_like(gradient, 1 / (2 * signal)))


@pytest.mark.parametrize("ahead", [0, 1, 5])
def test_it_ends_at_an_image_and_stays_there(query: Query, ahead: int) -> None:
    space = Denoising(0.5, 3, ahead=ahead)
    last = walked(space, query, 0.0)[-1]
    assert (last["step"] == 3).all()
    assert (space.decode(query, last) == 0.5).all()
    again = {name: value.clone() for name, value in last.items()}
    space.project_(query, again)
    assert all(torch.equal(again[name], value) for name, value in last.items())


def test_outside_of_the_mask_the_factual_comes_back(query: Query) -> None:
    """All of an image that is all black or white changes alike; a spot that is grey already does not."""
    query.factual[0, 0, 2:, 2:] = 0.5
    last = walked(Denoising(0.5, 4, changed=Changed(0.5, 1), warm=0.5), query, 0.0)[-1]
    assert (last["image"] == 0.5).all()
    query.factual[0, 0, 2:, 2:] = 0.4
    last = walked(Denoising(0.5, 4, changed=Changed(0.5, 1), warm=0.5), query, 0.0)[-1]
    torch.testing.assert_close(last["image"][0, 0, 2:, 2:], torch.full((4, 4), 0.4).double())
    assert (last["image"][0, 0, :2] == 0.5).all()


def test_rows_at_different_steps_move_as_alone(query: Query) -> None:
    space = Denoising(0.5, 3, ahead=2, changed=Changed(0.2))
    after = walked(space, query, 0.0)
    mixed = {name: torch.stack((after[0][name][0], after[1][name][1])) for name in (*space.held, "push")}
    space.project_(query, mixed)
    for name in space.held:
        assert torch.equal(mixed[name][0], after[1][name][0])
        assert torch.equal(mixed[name][1], after[2][name][1])
