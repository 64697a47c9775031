"""Networks whose outputs stand in another order than the data's classes, or are more or fewer."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from counterfoil.data.folder import Folder
from tests.inputs.case import At, Case, cases
from tests.inputs.read import Grey, Shades, agreement, checked, classifier, written

ANIMALS = ("cat", "dog", "owl")
TENTHS = tuple(str(k) for k in range(1, 11))
AS_TEXT = sorted(TENTHS)


def asked(
    names: tuple[str, ...], order: list[int], *overrides: str, noted: Any = None
) -> Callable[[At], str]:
    """How often the decision is the label, once the network is read by these overrides and checked."""

    def act(at: At) -> str:
        data, net = Shades(*names, each=60 // len(names)), Grey(order, len(names))
        if noted is not None:
            net.config = SimpleNamespace(id2label=noted)
        made = classifier(at, net, data, *(part.replace("HERE", str(at.folder)) for part in overrides))
        checked(made, data)
        return agreement(made, data)

    return act


def from_file(name: str, content: str, names: tuple[str, ...] = ANIMALS) -> Callable[[At], str]:
    """The same, of a network dog, owl, cat whose names lie in a file."""

    def act(at: At) -> str:
        written(at.folder / name, content)
        return asked(names, [1, 2, 0], f"classifier.class_names=HERE/{name}")(at)

    return act


def text_order(at: At) -> str:
    """Ten folders 1..10, a network trained by ImageFolder, which has 10 before 2."""
    place = [TENTHS.index(name) for name in AS_TEXT]
    return asked(TENTHS, place, f"classifier.class_names=[{','.join(AS_TEXT)}]")(at)


def labels_of(*labels: str) -> Callable[[At], tuple[str, ...]]:
    """The classes of a CSV with these labels."""

    def act(at: At) -> tuple[str, ...]:
        rows = []
        for name, (label, part) in enumerate(product(labels, ("train", "test"))):
            Image.fromarray(np.full((4, 4), name, np.uint8)).save(at.folder / f"{name}.png")
            rows.append(f"{name}.png,{label},{part}")
        table = written(at.folder / "table.csv", "\n".join(["path,label,split", *rows]))
        return Folder(csv=table).class_names

    return act


SWAPPED = "accuracy 0.000 on 60 images, 1.000 in the order that fits"
HF = {"model_type": "vit", "id2label": {"0": "dog", "1": "owl", "2": "cat"}}


@cases(
    Case("the data's order", asked(ANIMALS, [0, 1, 2]), right="60 of 60"),
    Case(
        "another order is told with the names to paste",
        asked(ANIMALS, [1, 2, 0]),
        right="0 of 60",
        warns=(SWAPPED, """set 'classifier.class_names=["dog","owl","cat"]'"""),
    ),
    Case(
        "the pasted names cure it",
        asked(ANIMALS, [1, 2, 0], 'classifier.class_names=["dog","owl","cat"]'),
        right="60 of 60",
    ),
    Case("names bare", asked(ANIMALS, [1, 2, 0], "classifier.class_names=[dog,owl,cat]"), right="60 of 60"),
    Case(
        "names of another order than the outputs'",
        asked(ANIMALS, [1, 2, 0], "classifier.class_names=[owl,cat,dog]"),
        right="0 of 60",
        warns=(SWAPPED, """set 'classifier.class_names=["dog","owl","cat"]'"""),
    ),
    Case(
        "two of ten classes exchanged",
        asked(TENTHS, [0, 1, 2, 4, 3, 5, 6, 7, 8, 9]),
        right="48 of 60",
        warns=("0.800 on 60", "1.000 in the order", '["1","2","3","5","4","6","7","8","9","10"]'),
    ),
    Case("folders 1..10 as text", text_order, right="60 of 60"),
    Case(
        "folders 1..10 as text, unsaid",
        asked(TENTHS, [TENTHS.index(name) for name in AS_TEXT]),
        right="6 of 60",
        warns=("1.000 in the order that fits", '["1","10","2","3","4","5","6","7","8","9"]'),
    ),
    Case(
        "labels -1 and 1, outputs 1 and -1",
        asked(("-1", "1"), [1, 0], "classifier.class_names=[1,-1]"),
        right="60 of 60",
    ),
    Case(
        "labels 1.0 and 2.0 named as whole numbers",
        asked(("1.0", "2.0"), [1, 0], "classifier.class_names=[2,1]"),
        right="60 of 60",
    ),
    Case(
        "labels true and false",
        asked(("false", "true"), [1, 0], "classifier.class_names=[true,false]"),
        right="60 of 60",
    ),
    Case(
        "two classes exchanged",
        asked(("benign", "malign"), [1, 0]),
        right="0 of 60",
        warns=(SWAPPED, '["malign","benign"]'),
    ),
    Case(
        "spelling: case, spaces, underscores",
        asked(
            ("no_finding", "Pleural effusion"), [1, 0], "classifier.class_names=[pleural_effusion,No-Finding]"
        ),
        right="60 of 60",
    ),
    Case(
        "a mapping inline",
        asked(ANIMALS, [1, 2, 0], "classifier.class_names={0:dog,1:owl,2:cat}"),
        right="60 of 60",
    ),
    Case("one name a line", from_file("names.txt", "dog\nowl\ncat\n"), right="60 of 60"),
    Case("with a byte-order mark", from_file("names.txt", "\ufeffdog\r\nowl\r\ncat"), right="60 of 60"),
    Case("id2label alone", from_file("labels.json", json.dumps(HF["id2label"])), right="60 of 60"),
    Case("HuggingFace's config.json", from_file("config.json", json.dumps(HF)), right="60 of 60"),
    Case(
        "timm's config.json",
        from_file("config.json", json.dumps({"pretrained_cfg": {"label_names": ["dog", "owl", "cat"]}})),
        right="60 of 60",
    ),
    Case(
        "torchvision's class_to_idx",
        from_file("classes.json", json.dumps({"cat": 2, "dog": 0, "owl": 1})),
        right="60 of 60",
    ),
    Case(
        "the network's own id2label",
        asked(ANIMALS, [1, 2, 0], noted={0: "dog", 1: "owl", 2: "cat"}),
        right="60 of 60",
    ),
    Case(
        "id2label of placeholders",
        asked(ANIMALS, [0, 1, 2], noted={0: "LABEL_0", 1: "LABEL_1"}),
        right="60 of 60",
    ),
    Case(
        "id2label that knows some classes only",
        asked(ANIMALS, [1, 2, 0], noted={0: "dog", 1: "newt", 2: "cat"}),
        says=("classifier.class_names", "lacks the class 'owl'", "dog, newt, cat"),
    ),
    Case(
        "more outputs than classes, by name",
        asked(ANIMALS, [9, 1, 9, 2, 0], "classifier.class_names=[newt,dog,carp,owl,cat]"),
        right="60 of 60",
    ),
    Case(
        "more outputs than classes, unsaid",
        asked(ANIMALS, [9, 1, 9, 2, 0]),
        says=("puts out (5,) per image, the data have 3 classes", "classifier.class_names=FILE"),
    ),
    Case(
        "ImageNet's synonyms",
        asked(
            ("goldfish", "tench"),
            [1, 9, 0],
            "classifier.class_names=['tench, Tinca tinca',crane,'goldfish, Carassius']",
        ),
        right="60 of 60",
    ),
    Case(
        "fewer outputs than classes",
        asked(ANIMALS, [0, 1]),
        says=("puts out (2,) per image, the data have 3 classes", "choose the data it was trained on"),
    ),
    Case(
        "fewer names than outputs",
        asked(("cat", "dog"), [0, 1, 9], "classifier.class_names=[dog,cat]"),
        says=("classifier.class_names: 2 names for 3 outputs", "give one each"),
    ),
    Case(
        "a class without a name",
        asked(ANIMALS, [1, 2, 0], "classifier.class_names=[dog,eagle,cat]"),
        says=("classifier.class_names", "lacks the class 'owl'", "names of outputs: dog, eagle, cat"),
    ),
    Case(
        "one name twice",
        asked(ANIMALS, [1, 2, 0], "classifier.class_names=[dog,dog,cat,owl]"),
        says=("classifier.class_names", "several outputs for 'dog'"),
    ),
    Case(
        "a file that is not there",
        asked(ANIMALS, [1, 2, 0], "classifier.class_names=HERE/none.txt"),
        says=("classifier.class_names=", "none.txt is not a file", "one per line"),
    ),
    Case(
        "an empty file",
        from_file("names.txt", ""),
        says=("classifier.class_names=", "names.txt", "at least two"),
    ),
    Case("a damaged json", from_file("names.json", "{"), says=("classifier.class_names=", "cannot be read")),
    Case("labels -1, 1", labels_of("1", "-1"), right=("-1", "1")),
    Case("labels 1.0, 2.0, 10.0", labels_of("10.0", "2.0", "1.0"), right=("1", "2", "10")),
    Case("labels 0.5, 2.5, 10.5", labels_of("10.5", "2.5", "0.5"), right=("0.5", "2.5", "10.5")),
    Case("labels -1.5, 0, 1e1", labels_of("1e1", "0", "-1.5"), right=("-1.5", "0", "1e1")),
    Case("labels 1, 2, 10", labels_of("10", "1", "2"), right=("1", "2", "10")),
    Case("labels 001, 010, 002", labels_of("010", "002", "001"), right=("001", "002", "010")),
    Case("labels nan, inf, 3", labels_of("nan", "inf", "3"), right=("3", "inf", "nan")),
    Case("labels 1, 1.0 and 2", labels_of("1", "1.0", "2"), right=("1", "2")),
    Case("labels .5 and 0.5", labels_of(".5", "0.5"), says=("the labels '.5' and '0.5' are one number",)),
)
def test_class_order(case: Case, at: At) -> None:
    case.settle(at)


def test_the_order_of_numbers_is_said(at: At, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="counterfoil"):
        labels_of("10", "1", "2")(at)
    (line,) = [record.message for record in caplog.records]
    assert "order of their value, 1, 2, 10" in line
    assert "classifier.class_names" in line
    caplog.clear()
    with caplog.at_level("INFO", logger="counterfoil"):
        labels_of("1", "2", "b")(at)
    assert not caplog.records, "as text they have the same order"


def test_what_was_matched_by_name_is_said(at: At, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="counterfoil"):
        asked(ANIMALS, [9, 1, 9, 2, 0], "classifier.class_names=[newt,dog,carp,owl,cat]")(at)
    (line,) = [record.message for record in caplog.records]
    assert line == (
        "classifier custom: by name, cat, dog, owl are its outputs 4, 1, 3; "
        "its 2 other outputs are left out of the softmax"
    )
