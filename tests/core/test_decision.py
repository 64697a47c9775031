"""Every rule gives K-way logits whose softmax is the probability that the network means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from counterfoil.core.decision import RULES, Attribute, Classes, Decision, Probabilities, Sigmoid, Threshold
from counterfoil.core.errors import UserError

RAW = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_classes_are_taken_as_they_are() -> None:
    assert Classes()(RAW) is RAW


def test_one_logit_is_that_of_the_second_class() -> None:
    torch.testing.assert_close(Classes()(RAW[:, :1]).softmax(1)[:, 1], RAW[:, 0].sigmoid())


def test_log_probabilities_are_logits() -> None:
    torch.testing.assert_close(Classes()(RAW.log_softmax(1)).softmax(1), RAW.softmax(1))


def test_a_sigmoid_is_undone() -> None:
    """Of classes, of one of two, and of an attribute; also where single precision rounds p to 0 or 1."""
    p = RAW.sigmoid()
    torch.testing.assert_close(Sigmoid()(p), RAW)
    torch.testing.assert_close(Sigmoid()(p[:, :1]).softmax(1)[:, 1], p[:, 0])
    torch.testing.assert_close(Sigmoid("B").bind(("A", "B"))(p[:, :2]).softmax(1)[:, 1], p[:, 1])
    torch.testing.assert_close(Sigmoid(index=3)(p).softmax(1)[:, 1], p[:, 3])
    assert Sigmoid()(torch.tensor([[0.0, 1.0]])).isfinite().all()
    assert (Sigmoid().class_names, Sigmoid("B").class_names) == (None, ("not B", "B"))


def test_every_rule_has_its_yaml() -> None:
    folder = Path(__file__).parents[2] / "conf" / "decision"
    written = {path.stem: yaml.safe_load(path.read_text())["_target_"] for path in folder.glob("*.yaml")}
    assert written == {name: f"{rule.__module__}.{rule.__name__}" for name, rule in RULES.items()}


def test_probabilities_come_back_from_a_softmax() -> None:
    p = RAW.softmax(1)
    torch.testing.assert_close(Probabilities()(p).softmax(1), p)
    assert Probabilities()(torch.tensor([[0.0, 1.0]])).isfinite().all()


@pytest.mark.parametrize(("decision", "column"), [(Attribute("Smiling", 2), 2), (Attribute(index=1), 1)])
def test_attribute_is_the_sigmoid_of_its_column(decision: Decision, column: int) -> None:
    torch.testing.assert_close(decision(RAW).softmax(1)[:, 1], RAW[:, column].sigmoid())
    torch.testing.assert_close(decision(RAW).sum(1), torch.zeros(5, dtype=torch.float64))


def test_attribute_of_a_network_with_one_output_needs_no_column() -> None:
    """Also where the name is the data's fourth attribute."""
    for outputs in (RAW[:, 0], RAW[:, :1]):
        for decision in (
            Attribute(),
            Attribute("Smiling"),
            Attribute("Smiling").bind(("A", "B", "C", "Smiling")),
        ):
            torch.testing.assert_close(decision(outputs).softmax(1)[:, 1], RAW[:, 0].sigmoid())


def test_attribute_finds_its_column_by_name() -> None:
    bound = Attribute("Smiling").bind(("Beard", "Smiling"))
    torch.testing.assert_close(bound(RAW[:, :2]).softmax(1)[:, 1], RAW[:, 1].sigmoid())
    assert bound.class_names == ("not Smiling", "Smiling")
    with pytest.raises(UserError, match=r"4 outputs, the attributes known are 2; name .*class_names"):
        bound(RAW)
    for given in (Attribute("Smiling", 3), Attribute(index=3)):
        torch.testing.assert_close(given.bind(("Smiling",))(RAW).softmax(1)[:, 1], RAW[:, 3].sigmoid())


def test_names_of_columns_are_told_from_those_of_the_two_classes() -> None:
    smiling = Attribute("Smiling")
    assert smiling.among(("Beard", "Smiling"))
    assert not smiling.among(("Smiling", "not Smiling"))
    assert not smiling.among(("Beard", "Hat"))
    assert not Attribute("Smiling", 2).among(("Beard", "Smiling"))
    assert Attribute("Hat+Beard").among(("Beard", "Smiling", "Hat"))
    assert not Attribute().among(("Beard", "Smiling"))


@pytest.mark.parametrize(("known", "shown"), [(("Beard", "Pale_Skin"), "Beard, Pale_Skin"), ((), "none")])
def test_unknown_attribute_names_the_known_ones(known: tuple[str, ...], shown: str) -> None:
    with pytest.raises(UserError, match=f"attribute=Smiling .*{shown}"):
        Attribute("Smiling").bind(known)


def test_threshold_scales_and_shifts() -> None:
    logits = Threshold(3.0, scale=2.0)(torch.tensor([3.0, 5.0, -1.0]))
    torch.testing.assert_close(logits.softmax(1)[:, 1], torch.tensor([0.0, 1.0, -2.0]).sigmoid())
    assert Threshold(3.0).class_names == ("below 3", "above 3")


@pytest.mark.parametrize(
    ("decision", "outputs"),
    [
        (Classes(), RAW[:, 0]),
        (Classes(), RAW[:, :, None]),
        (Probabilities(), RAW[:, :1]),
        (Attribute("Smiling"), RAW),
        (Attribute("Smiling", 4), RAW),
        (Attribute("Smiling", -1), RAW),
        (Threshold(0.0), RAW),
    ],
)
def test_outputs_of_another_kind_are_refused(decision: Decision, outputs: torch.Tensor) -> None:
    with pytest.raises(UserError, match=r"decision \w+"):
        decision(outputs)


@pytest.mark.parametrize("scale", [0.0, -1.0])
def test_threshold_without_a_scale_is_refused(scale: Any) -> None:
    with pytest.raises(UserError, match="scale"):
        Threshold(0.0, scale)
