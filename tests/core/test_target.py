"""Which class is requested, in every form that a person may write."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.core.target import class_index, resolve_targets

LOGITS = torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, -1.0]])
NAMES = ("cat", "dog", "7")


@pytest.mark.parametrize("target", [None, "runner_up"])
def test_runner_up_is_the_second_most_probable(target: Any) -> None:
    chosen, index = resolve_targets(LOGITS, target, NAMES)
    assert chosen.tolist() == [2, 0]
    assert index.tolist() == [0, 1]


def test_all_are_all_but_the_decision() -> None:
    chosen, index = resolve_targets(LOGITS, "all", NAMES)
    assert chosen.tolist() == [1, 2, 0, 2]
    assert index.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(("target", "expected"), [("dog", 1), (2, 2), ("7", 2), (0, 0)])
def test_one_class_for_all(target: Any, expected: int) -> None:
    assert resolve_targets(LOGITS, target, NAMES)[0].tolist() == [expected] * 2


def test_without_names_numbers_are_names() -> None:
    assert class_index("2", None, 3) == 2


@pytest.mark.parametrize("target", ["cow", "3", 3, -1, True, 1.0, [0, 1]])
def test_unknown_class_names_the_known(target: Any) -> None:
    with pytest.raises(UserError, match="cat, dog, 7"):
        resolve_targets(LOGITS, target, NAMES)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_one_each(dtype: torch.dtype) -> None:
    chosen, _ = resolve_targets(LOGITS, torch.tensor([2, 0], dtype=dtype), NAMES)
    assert chosen.tolist() == [2, 0]
    assert chosen.dtype == torch.int64


@pytest.mark.parametrize(
    "target", [torch.tensor([0]), torch.tensor([0.0, 1.0]), torch.tensor([True, False]), torch.tensor([0, 3])]
)
def test_bad_tensors_are_refused(target: Any) -> None:
    with pytest.raises(UserError, match="target: expected"):
        resolve_targets(LOGITS, target, NAMES)
