"""Outputs are matched with classes by name; another order is found where, and only where, one fits."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from torch import nn

from counterfoil.classifier.order import (
    columns,
    common,
    fitting,
    listed,
    override,
    own_names,
    read_names,
    unlike,
)
from counterfoil.core.errors import UserError

CAT = ("cat", "dog", "owl")


@pytest.mark.parametrize(
    "given",
    [
        ["cat", "dog", "owl"],
        {0: "cat", 2: "owl", 1: "dog"},
        {"0": "cat", "1": "dog", "2": "owl"},
        {"dog": 1, "cat": 0, "owl": 2},
        {"model_type": "vit", "id2label": {"1": "dog", "0": "cat", "2": "owl"}, "label2id": {"x": 0, "y": 1}},
        {"architecture": "resnet18", "pretrained_cfg": {"mean": [0.5], "label_names": ["cat", "dog", "owl"]}},
        {"class_to_idx": {"owl": 2, "cat": 0, "dog": 1}},
    ],
)
def test_names_in_every_form_inline_and_in_a_file(tmp_path: Path, given: Any) -> None:
    assert read_names(given) == CAT
    (tmp_path / "names.json").write_text(json.dumps(given))
    assert read_names(str(tmp_path / "names.json")) == CAT


@pytest.mark.parametrize("text", ["cat\ndog\nowl\n", "\ufeffcat\r\ndog\r\nowl", "\ncat\n dog \nowl\n\n"])
def test_one_name_a_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "names.txt").write_text(text, encoding="utf-8", newline="")
    assert read_names(tmp_path / "names.txt") == CAT


def test_numbers_are_names() -> None:
    assert read_names([1, 2.0, True]) == ("1", "2.0", "True")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("nowhere.txt", r"classifier\.class_names=nowhere\.txt is not a file; give a list"),
        (["cat"], "at least two, found"),
        ({"0": "cat", "2": "owl"}, r"numbered 0, 2, expected 0\.\.1, each once"),
        ({"cat": 0, "dog": 0}, r"numbered 0, expected 0\.\.1"),
        ({"cat": "a", "dog": "b"}, r"expected \{output: name\}"),
        ({}, r"expected \{output: name\}"),
        (3, "expected the names of the outputs"),
    ],
)
def test_what_holds_no_names_is_refused(given: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_names(given)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00cat", b"{broken"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "names.json").write_bytes(content)
    with pytest.raises(UserError, match=r"names\.json cannot be read"):
        read_names(tmp_path / "names.json")


@pytest.mark.parametrize(
    ("names", "classes", "order"),
    [
        (["dog", "owl", "cat"], CAT, [2, 0, 1]),
        (["1", "10", "2"], ["1", "2", "10"], [0, 2, 1]),
        (["1", "-1"], ["-1", "1"], [1, 0]),
        (["2", "1"], ["1.0", "2.0"], [1, 0]),
        (["No finding", "Pleural-Effusion"], ["pleural_effusion", "no finding"], [1, 0]),
        (["True", "False"], ["false", "true"], [1, 0]),
        (["tench, Tinca tinca", "crane", "goldfish, Carassius auratus"], ["goldfish", "tench"], [2, 0]),
        (["Cat", "cat", "dog"], ["cat", "dog"], [1, 2]),
        ([f"n{i:08}" for i in range(1000)], ["n00000007", "n00000003"], [7, 3]),
    ],
)
def test_classes_find_their_output_by_name(names: list[str], classes: list[str], order: list[int]) -> None:
    assert columns(names, classes) == order


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["cat", "dog", "bird"], r"lacks the class 'owl' of the data; names of outputs: cat, dog, bird;"),
        (["cat", "dog", "owl", "owl"], "has several outputs for 'owl'"),
        (["cat, dog", "owl", "bird"], "the output 'cat, dog' stands for cat and dog"),
    ],
)
def test_classes_without_one_output_of_their_own_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        columns(names, CAT)


def net_with(**noted: Any) -> nn.Module:
    net = nn.Linear(2, 3)
    for name, value in noted.items():
        setattr(net, name, value)
    return net


def test_networks_tell_their_own_names() -> None:
    table = {0: "cat", 1: "dog", 2: "owl"}
    assert own_names(net_with(config=SimpleNamespace(id2label=table))) == CAT
    assert own_names(net_with(config={"id2label": {str(k): name for k, name in table.items()}})) == CAT
    assert own_names(net_with(pretrained_cfg={"label_names": list(CAT)}, num_classes=3)) == CAT
    assert own_names(net_with(pretrained_cfg={"label_names": list(CAT)}, num_classes=5)) is None, (
        "a head of its own, the names are those of the one before"
    )
    assert own_names(net_with(config=SimpleNamespace(id2label={0: "LABEL_0", 1: "LABEL_1"}))) is None
    assert own_names(net_with(config=SimpleNamespace(), pretrained_cfg=None)) is None
    assert own_names(net_with()) is None


def test_small_words_about_names() -> None:
    assert common(["cat", "bird"], CAT)
    assert not common(["bird", "newt"], CAT)
    assert unlike(["crane", "owl", "crane"]) == ("crane (0)", "owl", "crane (2)")
    assert listed(range(3)) == "0, 1, 2"
    assert listed([str(k) for k in range(14)]).endswith("11, ... (14 in all)")


@pytest.mark.parametrize(
    "names",
    [
        ["a", "b c"],
        ["10", "2.0", "-1"],
        ["it's", 'say "x"'],
        ["a\\b", "c\\"],
        ['x\\"y', "[c], {d}"],
        ["null", "é=ü"],
    ],
)
def test_an_override_can_be_pasted(names: list[str]) -> None:
    (argument,) = shlex.split(override(names))
    read = OverridesParser.create().parse_override(argument)
    assert read.key_or_group == "classifier.class_names"
    assert [str(name) for name in read.value()] == names


def decided(order: list[int], n: int, accuracy: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Decisions of a classifier whose output for class k is order[k], right with this probability."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, len(order), (n,), generator=draw)
    guess = torch.randint(0, len(order), (n,), generator=draw)
    seen = torch.where(torch.rand(n, generator=draw) < accuracy, labels, guess)
    return torch.tensor(order)[seen], labels


@pytest.mark.parametrize(
    ("order", "n", "accuracy"),
    [
        ([1, 0], 256, 0.5),
        ([1, 0], 24, 1.0),
        ([2, 0, 1], 60, 0.8),
        ([0, 1, 3, 2, *range(4, 10)], 256, 0.9),
        ([0, 1, 3, 4, 5, 6, 7, 8, 9, 2], 256, 0.8),
    ],
)
def test_the_order_that_fits_is_found(order: list[int], n: int, accuracy: float) -> None:
    for seed in range(5):
        assert fitting(*decided(order, n, accuracy, seed), len(order)) == order


@pytest.mark.parametrize(
    ("classes", "n", "accuracy"),
    [(2, 256, 0.0), (2, 256, 0.9), (10, 256, 0.0), (10, 60, 0.3), (100, 256, 0.3), (1000, 256, 0.7)],
)
def test_no_order_is_read_into_noise(classes: int, n: int, accuracy: float) -> None:
    for seed in range(10):
        assert fitting(*decided(list(range(classes)), n, accuracy, seed), classes) is None


def test_one_answer_for_everything_is_no_other_order() -> None:
    labels = (torch.arange(256) % 5 == 0).long()
    assert fitting(torch.ones(256, dtype=torch.int64), labels, 2) is None


def test_what_an_untrained_network_does_is_no_other_order() -> None:
    """Its answers go with the classes, in three of ten images."""
    for seed in range(5):
        assert fitting(*decided([*range(1, 10), 0], 256, 0.25, seed), 10) is None
