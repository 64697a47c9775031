"""Which class is requested, in every form that a person may write."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.core.target import class_index, resolve_targets, whole_number

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


@pytest.mark.parametrize("target", ["cow", "3", 3, -1, True, 1.0, "1"])
def test_unknown_class_names_the_known(target: Any) -> None:
    with pytest.raises(UserError, match="cat, dog, 7"):
        resolve_targets(LOGITS, target, NAMES)


@pytest.mark.parametrize(
    "target",
    [
        torch.tensor([2, 0]),
        torch.tensor([2, 0], dtype=torch.int32),
        torch.tensor([2, 0], dtype=torch.uint8),
        np.array([2, 0]),
        [2, 0],
        (np.int64(2), "cat"),
        ["7", "cat"],
        np.array(["7", "cat"]),
        ["runner_up", None],
    ],
)
def test_one_each(target: Any) -> None:
    chosen, index = resolve_targets(LOGITS, target, NAMES)
    assert chosen.tolist() == [2, 0]
    assert index.tolist() == [0, 1]
    assert chosen.dtype == torch.int64


@pytest.mark.parametrize("target", [1, np.int32(1), np.array(1), torch.tensor(1), np.str_("dog"), " dog "])
def test_one_for_all_in_any_form(target: Any) -> None:
    assert resolve_targets(LOGITS, target, NAMES)[0].tolist() == [1, 1]


def test_each_may_ask_for_several() -> None:
    chosen, index = resolve_targets(LOGITS, ["all", "own"], NAMES)
    assert chosen.tolist() == [1, 2, 1]
    assert index.tolist() == [0, 0, 1]


@pytest.mark.parametrize("target", [None, "dog", "all"])
def test_no_queries_have_no_targets(target: Any) -> None:
    chosen, index = resolve_targets(LOGITS[:0], target, NAMES)
    assert (chosen.tolist(), index.tolist()) == ([], [])
    assert chosen.dtype == torch.int64


def test_the_runner_up_is_never_the_decision_itself() -> None:
    logits = torch.zeros(4, 3)
    assert (resolve_targets(logits, None, NAMES)[0] != logits.argmax(1)).all()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (torch.tensor([0]), "2 of them (one per query), found 1"),
        ([0, 1, 2], "found 3"),
        (torch.tensor([[0], [1]]), "target.flatten()"),
        (torch.eye(3)[:2], "target.argmax(1)"),
        (torch.tensor([0.0, 1.0]), "target[0]=0 (a float; take whole numbers"),
        (torch.tensor([True, False]), "target[0]=True"),
        (torch.tensor([0, 3]), "target[1]=3"),
        (np.array([0, -1]), "target[1]=-1"),
        (["cat", "cow"], "target[1]=cow"),
    ],
)
def test_bad_lists_are_refused(target: Any, said: str) -> None:
    with pytest.raises(UserError) as caught:
        resolve_targets(LOGITS, target, NAMES)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_text_is_a_name_first_and_an_index_where_no_name_is_a_number() -> None:
    assert class_index("1", ("2", "1"), 2) == 1
    assert class_index("1.0", ("2", "1"), 2) == 1
    assert class_index("1", ("cat", "dog"), 2) == 1
    with pytest.raises(UserError, match="2, 1"):
        class_index("0", ("2", "1"), 2)


@pytest.mark.parametrize(
    ("text", "number"),
    [("3", 3), (" 3.0 ", 3), ("-1", -1), ("3.", 3), ("3.5", None), ("", None), ("²", None)],
)
def test_whole_numbers(text: str, number: int | None) -> None:
    assert whole_number(text) == number
