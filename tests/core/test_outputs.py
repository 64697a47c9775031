"""Whatever form a network's outputs have, the right tensor is found, or one line says how to choose it."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.core.outputs import per_image, pick

Y = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
F = torch.zeros(5, 7)
Pair = namedtuple("Pair", "logits aux_logits")


@dataclass
class Output:
    logits: Any
    hidden_states: Any = None


class ModelOutput(OrderedDict[str, Any]):
    """As HuggingFace's: a dict whose keys are attributes too."""


@pytest.mark.parametrize(
    ("outputs", "key"),
    [
        (Y, None),
        ({"logits": Y, "features": F}, None),
        (ModelOutput(loss=F, logits=Y), None),
        (Output(Y, (F, F)), None),
        (SimpleNamespace(logits=Y, loss=None), None),
        (Pair(Y, F), None),
        ((Y,), None),
        ([Y], None),
        ({"out": Y}, None),
        ({"out": {"logits": Y, "aux": F}}, None),
        ((Y, None), None),
        ((F, Y), 1),
        ((F, Y), "1"),
        ({"features": F, "scores": Y}, "scores"),
        ({0: F, 1: Y}, 1),
        ({"head": {"cls": Y, "box": F}, "x": F}, "head.cls"),
        ({"head.cls": Y, "x": F}, "head.cls"),
        ({"a": (F, Y), "x": F}, "a.1"),
        (Pair(F, Y), "aux_logits"),
        (SimpleNamespace(class_scores=Y, boxes=F), "class_scores"),
    ],
)
def test_the_output_that_decides_is_found(outputs: Any, key: Any) -> None:
    assert pick(outputs, key) is Y


@pytest.mark.parametrize(
    ("outputs", "key", "message"),
    [
        ((Y, F), None, r"a tuple of 0 \(5, 3\), 1 \(5, 7\); set classifier\.output="),
        ({"a": Y, "b": F}, None, r"a dict of a \(5, 3\), b \(5, 7\); set .*such as classifier\.output=a"),
        (SimpleNamespace(scores=Y, boxes=F), None, r"SimpleNamespace of scores .*classifier\.output=scores"),
        (None, None, "puts out a NoneType without tensors"),
        (Y.numpy(), None, "puts out a ndarray without tensors"),
        ({}, None, "puts out a dict without tensors"),
        (Y.argmax(1), None, r"torch\.int64, which are decisions and no scores"),
        (Y > 0, None, r"torch\.bool, which are decisions"),
        (Y, 0, r"classifier\.output=0: .* one tensor alone without it; set classifier\.output=null"),
        ((Y, F), 2, r"classifier\.output=2: .* a tuple without it; choose of 0 \(5, 3\), 1 \(5, 7\)"),
        ({"a": Y}, "b", r"classifier\.output=b: .*choose of a \(5, 3\)"),
    ],
)
def test_what_is_not_clear_is_refused(outputs: Any, key: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        pick(outputs, key)


@pytest.mark.parametrize(
    "outputs", [Y, Y[:, :, None, None], Y[:, None], Y[:, None, :, None]], ids=lambda y: str(tuple(y.shape))
)
def test_shapes_that_hold_one_row_per_image(outputs: torch.Tensor) -> None:
    assert torch.equal(per_image(outputs, 5), Y)


def test_one_number_per_image() -> None:
    for outputs in (Y[:, 0], Y[:, :1], Y[:, :1, None, None]):
        assert torch.equal(per_image(outputs, 5), Y[:, :1])


def test_a_batch_of_one_that_the_network_squeezed() -> None:
    assert torch.equal(per_image(Y[0], 1), Y[:1])
    assert torch.equal(per_image(Y[0, 0], 1), Y[:1, :1])
    assert torch.equal(per_image(Y[:1, 0], 1), Y[:1, :1])


@pytest.mark.parametrize(
    ("outputs", "images", "message"),
    [
        (torch.rand(5, 3, 2, 2), 5, r"\(3, 2, 2\) per image.*average over the positions"),
        (torch.rand(10, 3), 5, r"shape \(10, 3\) for 5 images"),
        (torch.tensor(1.0), 5, r"shape \(\) for 5 images"),
    ],
)
def test_other_shapes_are_refused(outputs: torch.Tensor, images: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        per_image(outputs, images)
