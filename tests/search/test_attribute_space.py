from dataclasses import replace

import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.core.query import Query
from counterfoil.generative.attgan.network import AttGAN
from counterfoil.generative.cvae import CVAE
from counterfoil.search import AttributeLatent, Attributes
from counterfoil.search.attribute_space import free_attributes

NAMES = ("A", "B", "C")


@pytest.fixture
def query(tiny_classifier):
    torch.manual_seed(0)
    net = AttGAN(1, 16, NAMES, width=4).double().eval().requires_grad_(False)
    return Query(
        torch.rand(4, 1, 16, 16).double(), torch.tensor([0, 1, 2, 0]), tiny_classifier, generator=net
    )


def test_starts_at_the_reconstruction_under_the_attributes_read(query):
    space = Attributes(NAMES)
    start = space.start(query)
    assert torch.equal(start["a"], query.generator.attributes(query.factual))
    assert torch.equal(space.decode(query, start), start["reconstruction"])


def test_frozen_attributes_do_not_move(query):
    space = Attributes(NAMES, frozen=["B"])
    variables = space.start(query)
    variables["a"] = (variables["a"] + 0.3).requires_grad_()
    assert torch.equal(space.changes(variables)["B"], torch.zeros(4).double())
    torch.testing.assert_close(space.changes(variables)["C"], torch.full((4,), 0.3).double())
    space.decode(query, variables).sum().backward()
    assert torch.equal(variables["a"].grad[:, 1], torch.zeros(4).double())
    assert (variables["a"].grad[:, 0] != 0).all()


def test_further_counterfactuals_start_with_frozen_attributes_as_they_are(query):
    other = replace(query, repeat=torch.ones(4, dtype=torch.int64))
    start = Attributes(NAMES, frozen=["B"]).start(other)
    assert torch.equal(start["a"][:, 1], start["a0"][:, 1])
    assert (start["a"][:, 0] != start["a0"][:, 0]).all()


def test_attributes_stay_in_range(query):
    variables = {"a": torch.tensor([[-3.0, 0.5, 3.0]])}
    Attributes(NAMES, overshoot=0.25).project_(query, variables)
    assert variables["a"].tolist() == [[-0.25, 0.5, 1.25]]


def test_the_code_moves_and_its_share_is_told(query):
    space = AttributeLatent(NAMES)
    variables = space.start(query)
    assert list(variables)[:2] == ["z", "a"]
    assert not {"z", "a"} & set(space.held)
    variables["z"] = variables["z"] * 1.5
    torch.testing.assert_close(space.extra(variables)["latent_perturbation"], torch.full((4,), 0.5).double())


def test_a_class_conditional_model_starts_at_the_decision(tiny_classifier):
    generator = CVAE(1, 16, 3, width=4).double().eval()
    query = Query(
        torch.rand(4, 1, 16, 16).double(), torch.zeros(4).long(), tiny_classifier, generator=generator
    )
    assert torch.equal(Attributes(("0", "1", "2")).start(query)["a"].argmax(1), query.source)


def test_free_and_frozen():
    assert free_attributes(NAMES, None, ["B"]) == (True, False, True)
    assert free_attributes(NAMES, ["A", "B"], ["B"]) == (True, False, False)
    with pytest.raises(UserError, match="Hat is no attribute of this generator; its attributes: A, B, C"):
        free_attributes(NAMES, ["Hat"], [])
    with pytest.raises(UserError, match="all 3 attributes are frozen"):
        free_attributes(NAMES, ["A"], ["A"])
