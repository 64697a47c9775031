import math

import pytest
import torch

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.metric import attribute
from counterfoil.metric.evaluation import evaluate_metrics

NAN = math.nan


@pytest.fixture
def cf(make):
    """Four counterfactuals that declare changes of three attributes; the last was returned as it came."""
    plain = make(4)
    declared = torch.tensor([[1.0, -0.5, 0.0], [0.0, 0.2, -0.3], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    changes = {name: declared[:, i] for i, name in enumerate("ABC")}
    extra = {"latent_perturbation": torch.tensor([0.5, 0.1, 0.0, NAN])}
    extra["reconstruction"] = torch.cat(
        (plain.factual[:2], 1 - plain.factual[2:3], torch.full_like(plain.factual[:1], NAN))
    )
    return Counterfactuals(**{**vars(plain), "changes": changes, "extra": extra})


def test_values_by_hand(cf):
    same = torch.testing.assert_close
    same(attribute.AttributeChange("B").score(cf), torch.tensor([0.5, 0.2, 0.0, 0.0]))
    same(attribute.AttributeL1().score(cf), torch.tensor([1.5, 0.5, 0.0, 0.0]))
    same(attribute.AttributesMoved().score(cf), torch.tensor([2.0, 1.0, 0.0, 0.0]))
    same(attribute.CausalScore(["B"]).score(cf), torch.tensor([1 / 3, 0.4, NAN, NAN]), equal_nan=True)
    same(attribute.CausalScore(["A+B"]).score(cf), torch.tensor([1.0, 0.4, NAN, NAN]), equal_nan=True)
    same(attribute.LatentPerturbation().score(cf), torch.tensor([0.5, 0.1, 0.0, 0.0]))


def test_the_classes_own_attributes_are_not_others(cf):
    class Smile(torch.nn.Module):
        class_names = ("not A+C", "A+C")

    assert attribute.AttributesMoved(classifier=Smile()).score(cf).tolist() == [1, 0, 0, 0]


def test_flips_are_counted_over_open_queries(cf):
    score = attribute.FlippingRatio().score(cf)
    assert torch.equal(score.isnan(), cf.source == cf.target)
    rows = ~score.isnan()
    assert torch.equal(score[rows], cf.valid[rows].float())


def test_gate_asks_the_classifier_about_the_reconstruction(cf, parts):
    score = attribute.ReconstructionGate(parts.classifier).score(cf)
    kept = (parts.classifier(1 - cf.factual[2:3]).argmax(1) == cf.source[2:3]).float()
    torch.testing.assert_close(score, torch.tensor([1.0, 1.0, float(kept), NAN]), equal_nan=True)


def test_an_entry_for_each_declared_attribute(cf, parts):
    entries, table, _ = evaluate_metrics(attribute.declared_metrics(cf, parts.classifier), cf)
    assert list(entries) == [
        "reconstruction_gate",
        "attribute_change/A",
        "attribute_change/B",
        "attribute_change/C",
    ]
    assert entries["attribute_change/A"].value == pytest.approx(0.25)
    assert entries["attribute_change/A"].n == 4
    assert set(table) == set(entries)


def test_methods_that_declare_nothing_have_no_value(make, parts):
    plain = make(3)
    assert attribute.declared_metrics(plain, parts.classifier) == {}
    for metric in (
        attribute.AttributeL1(),
        attribute.AttributesMoved(),
        attribute.CausalScore(["A"]),
        attribute.LatentPerturbation(),
    ):
        assert metric.score(plain).isnan().all(), metric.name


def test_unknown_causes_are_named(cf):
    with pytest.raises(UserError, match="Hat is not among the attributes that change: A, B, C"):
        attribute.CausalScore(["Hat"]).score(cf)
    with pytest.raises(UserError, match="names no attribute"):
        attribute.CausalScore([None])
