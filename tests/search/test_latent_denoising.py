"""The way back over a code: what agrees, how far it goes, and what pulls it home."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.core.query import Query
from counterfoil.generative.latent_diffusion.network import LatentDiffusion
from counterfoil.search import L1, Detail, LatentDenoising, Margin, TellsWeight
from counterfoil.search.candidate import Candidate
from counterfoil.search.latent_denoising import agreed


class Flat(nn.Module):
    """Images of 2 x 2 pixels, which are their own code."""

    latent = 4

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return x.flatten(1)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return z.view(-1, 1, 2, 2)


class Constant(LatentDiffusion):
    """Tells no noise without a class, and one known noise given any."""

    def forward(self, noisy: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        return noisy * 0 if label is None else noisy * 0 + torch.tensor([0.0, -1.0, -2.0, 2.0]).to(noisy)


@pytest.fixture
def net() -> LatentDiffusion:
    return Constant(Flat(), 2, width=4, layers=1, timesteps=100).double()


@pytest.fixture
def query(linear: Any, net: LatentDiffusion) -> Query:
    x = torch.rand(3, 1, 2, 2, generator=torch.Generator().manual_seed(0)).double()
    classifier = linear(torch.stack((torch.zeros(4), torch.ones(4))))
    return Query(x, torch.ones(3, dtype=torch.int64), classifier, generator=net)


def pushed(space: LatentDenoising, query: Query, push: list[float], weight: float) -> tuple[Tensor, Tensor]:
    """z_t and z_s of the first step under a push, each moved as by a gradient step of size 1."""
    variables = space.start(query)
    before = variables["noisy"].clone()
    variables["push"] += torch.tensor(push).double()
    variables["weight"] -= weight
    space.project_(query, variables)
    assert not variables["push"].any()
    assert not variables["weight"].any()
    assert variables["step"].tolist() == [1, 1, 1]
    return before, variables["noisy"]


def test_patches_that_leave_the_guide_are_struck_out() -> None:
    push = torch.tensor([[1.0, 0.0, 1.0, 1.0, 2.0]])
    guide = torch.tensor([[1.0, 0.9, 1.0, -1.0, 0.5]])
    assert agreed(push, guide, 45, 1).tolist() == [[1, 0, 1, 0, 2]]
    assert agreed(push, guide, 45, 2).tolist() == [[1, 0, 0, 0, 2]]  # 42 and 90 degrees; the last is alone
    assert agreed(push, guide, 40, 2).tolist() == [[0, 0, 0, 0, 2]]
    assert agreed(push, guide, 91, 2).tolist() == push.tolist()
    assert agreed(-push, guide, 180, 1).tolist() == (-push).tolist()
    odd = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(agreed(odd, -odd / 3, 180, 2), odd), "rounding strikes out what is kept by definition"
    angle = math.degrees(math.acos(float((push * guide).sum() / (guide.norm() * push.norm()))))
    assert not agreed(push, guide, angle - 1, 5).any()
    assert agreed(push, guide, angle + 1, 5).tolist() == push.tolist()


def test_a_step_is_as_long_as_the_guide_times_the_weight(query: Query, net: LatentDiffusion) -> None:
    """d is (0, 1, 2, -2), of length 3; of the push the first and the last coordinate do not agree."""
    space = LatentDenoising(0.5, 4, gamma=45, lambda_=0.0)
    before, after = pushed(space, query, [0.0, 3.0, 4.0, 5.0], weight=2.0)
    levels = space.levels(query)
    t, s = levels[0].expand(3), levels[1].expand(3)
    told = -3 * 2 * torch.tensor([0.0, 0.6, 0.8, 0.0]).double().expand(3, 4)
    torch.testing.assert_close(after, net.back(before, told, t, s))
    none = pushed(space, query, [0.0, -3.0, -4.0, 5.0], weight=2.0)[1]
    torch.testing.assert_close(none, net.back(before, told * 0, t, s))
    free = pushed(LatentDenoising(0.5, 4, gamma=180, lambda_=0.0), query, [0.0, -3.0, -4.0, 0.0], 2.0)[1]
    torch.testing.assert_close(free, net.back(before, -told, t, s))


def test_the_pull_leads_home(query: Query, net: LatentDiffusion) -> None:
    """Images are codes here, so that the gradient of the distance is the sign of the difference."""
    space = LatentDenoising(0.5, 4, lambda_=0.5)
    before, after = pushed(space, query, [0.0] * 4, weight=2.0)
    t, s = (level.expand(3) for level in space.levels(query)[:2])
    image = net.estimate(before, before * 0, t)
    told = -3 * 0.5 * (query.factual.flatten(1) - image).sign() / 2
    torch.testing.assert_close(after, net.back(before, told, t, s))


def test_what_the_mask_keeps_does_not_pull(query: Query, net: LatentDiffusion) -> None:
    """The first two pixels are the factual's whatever the code, so that only the others pull."""
    kept = torch.tensor([[True, True], [False, False]]).expand(3, 1, 2, 2)
    before, after = pushed(LatentDenoising(0.5, 4), replace(query, mask=kept), [0.0] * 4, weight=2.0)
    t, s = (level.expand(3) for level in LatentDenoising(0.5, 4).levels(query)[:2])
    still = net.back(before, before * 0, t, s)
    torch.testing.assert_close(after[:, :2], still[:, :2])
    assert (after[:, 2:] != still[:, 2:]).all()


def test_it_ends_at_an_image_and_stays_there(query: Query, net: LatentDiffusion) -> None:
    space = LatentDenoising(0.5, 3)
    variables = space.start(query)
    for _ in range(4):
        space.project_(query, variables)
    last = variables["noisy"].clone()
    assert (variables["step"] == 3).all()
    torch.testing.assert_close(space.decode(query, variables), net.image(last))
    space.project_(query, variables)
    assert torch.equal(variables["noisy"], last)


def test_rows_at_different_steps_move_as_alone(query: Query) -> None:
    space = LatentDenoising(0.5, 3)
    states = [space.start(query)]
    for _ in range(2):
        now = {name: value.clone() for name, value in states[-1].items()}
        space.project_(query, now)
        states.append(now)
    mixed = {name: torch.stack((value[0], states[1][name][1], value[2])) for name, value in states[0].items()}
    space.project_(query, mixed)
    for row, place in ((0, 1), (1, 2), (2, 1)):
        torch.testing.assert_close(mixed["noisy"][row], states[place]["noisy"][row])


def test_the_flip_tells_its_weight_and_keeps_its_value(query: Query) -> None:
    weight = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    candidate = Candidate({"weight": weight}, query.factual, query.logits, 0.0)
    value = TellsWeight(Margin())(query, candidate)
    assert torch.equal(value, Margin()(query, candidate))
    (torch.tensor([1.0, 2.0, 3.0]) * value).sum().backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [1, 2, 3]


def test_detail_gives_the_factual_back_where_nothing_changes(query: Query, net: LatentDiffusion) -> None:
    net.generator.decode = lambda z, condition=None: z.view(-1, 1, 2, 2) * 0.5
    space = LatentDenoising(0.5, 2, detail=Detail())
    space.prepare(query)
    end = torch.full((3,), 2.0).double()
    code = net.code(query.factual)
    variables = {"push": code * 0, "weight": end * 0, "noisy": code, "step": end}
    torch.testing.assert_close(space.decode(query, variables), query.factual)
    assert float(L1()(query, Candidate({}, space.decode(query, variables), query.logits, 1.0)).sum()) < 1e-12


def test_other_classes_are_refused(query: Query) -> None:
    query.generator.classes = 3
    with pytest.raises(UserError, match="its generator has 3 classes, the classifier 2; train one"):
        LatentDenoising().prepare(query)
