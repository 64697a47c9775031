"""Texts, which are images of one-hot rows to all else."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch

from counterfoil.core.domain import PADDING, UNKNOWN
from counterfoil.core.errors import UserError
from counterfoil.data.base import Images
from counterfoil.data.queries import sample
from counterfoil.data.texts import OneHot, TextData, Texts, Written
from counterfoil.testing.data import check_data

WORDS = ("good", "fine", "bad", "dull")


class Toy(TextData):
    """32 training texts of two classes, told by their second word."""

    name = "toy"

    def written(self) -> tuple[list[Written], tuple[str, ...], tuple[str, ...]]:
        rows = []
        for i in range(32 + 16):
            word = WORDS[i % 4]
            text = f"{'very' if i % 3 else 'never'} {word} film a{i % 7} b{i // 7} !"[: None if i % 5 else -2]
            rows.append(
                Written(text, int(i % 4 < 2), "train" if i < 32 else "val" if i < 40 else "test", (i % 2,))
            )
        rows += [Written("never bad at all", 1, "apart", (0,)), Written("", 1, "train", (0,))]
        return rows, ("blame", "praise"), ("odd",)


def toy(**options: Any) -> Toy:
    return Toy(length=6, tokens=60, **options)


def test_rows_are_made_on_access_and_are_one_hot() -> None:
    ids = torch.tensor([[2, 1, 0], [3, 0, 0]])
    rows = OneHot(ids, 5)
    assert (rows.shape, len(rows), rows.ids.dtype) == ((2, 1, 3, 5), 2, torch.int32)
    for index, shape in (
        (0, (1, 3, 5)),
        (slice(0, 2), (2, 1, 3, 5)),
        (torch.tensor([1, 0, 1]), (3, 1, 3, 5)),
    ):
        found = rows[index]
        assert found.shape == shape
        assert found.dtype == torch.uint8
        assert torch.equal(found.argmax(-1).squeeze(-2), ids[index])
        assert torch.equal(found.sum(-1), torch.full(shape[:-1], 255))


def test_a_split_of_texts_is_one_of_images() -> None:
    texts = Texts(torch.tensor([[2, 1, 0], [3, 0, 0], [4, 4, 0]]), 5, torch.tensor([0, 1, 1]))
    batch = texts[[0, 2]]
    assert batch.x.shape == (2, 1, 3, 5)
    assert batch.x.unique().tolist() == [0.0, 1.0]
    part = texts.take(torch.tensor([2, 0]))
    assert isinstance(part, Texts)
    assert part.ids.tolist() == [[4, 4, 0], [2, 1, 0]]
    assert list(part.names) == [2, 0]
    assert texts.labelled(torch.tensor([1, 0, 0])).labels.tolist() == [1, 0, 0]
    soft = Images((texts[[1]].x * 200).to(torch.uint8), torch.tensor([0]), names=["new"])
    assert texts.take(slice(0, 2)).joined(soft).ids.tolist() == [[2, 1, 0], [3, 0, 0], [3, 0, 0]]
    assert next(one.ids.tolist() for one in texts.cut([1, 2])) == [[2, 1, 0]]


def test_the_data_keep_every_promise() -> None:
    data = toy()
    check_data(data)
    assert data.input_shape == (1, 6, len(data.vocabulary))
    assert data.class_names == ("blame", "praise")
    assert data.attribute_names == ("praise", "odd", "negation", "exclamation")
    assert [len(part) for part in (data.train, data.val, data.test, data.apart)] == [32, 8, 8, 1]
    row = data.train[0]
    assert data.vocabulary.decode(data.train.ids[0]) == "never good film a0 b0"  # type: ignore[attr-defined]
    assert row.a is not None
    assert row.a.tolist() == [1, 0, 1, 0]


def test_the_vocabulary_is_that_of_the_training_texts() -> None:
    data = toy()
    assert "b4" in data.vocabulary.tokens
    assert "b5" not in data.vocabulary.tokens
    assert int(data.test.ids[0, 4]) == UNKNOWN  # type: ignore[attr-defined]


def test_content_follows_texts_and_vocabulary() -> None:
    assert toy().identity == toy().identity
    assert toy().content() != Toy(length=6, tokens=20).content()
    other = toy()
    other.written = lambda: (Toy.written(other)[0][1:], *Toy.written(other)[1:])  # type: ignore[method-assign]
    assert other.content() != toy().content()


def test_texts_that_are_cut_or_left_aside_are_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "counterfoil")
    data = Toy(length=4, tokens=60, unknown=0.3)
    data.setup()
    assert len(caplog.messages) == 1
    assert "data=toy: of 50 texts 48 longer than 4 tokens and cut; 2 with too many" in caplog.messages[0]
    assert "7 that stand twice and are taken once; 0.0% of the tokens kept" in caplog.messages[0]
    strange = (data.test.ids == UNKNOWN).sum(1) / (data.test.ids != PADDING).sum(1)  # type: ignore[attr-defined]
    assert float(strange.max()) <= 0.3


def test_an_attribute_can_be_the_label_and_a_class_can_be_left_out() -> None:
    data = toy(attribute="negation")
    assert data.class_names == ("not negation", "negation")
    assert isinstance(data.train, Texts)
    assert toy(limit=4).train.ids.shape == (4, 6)  # type: ignore[attr-defined]


def test_queries_are_texts() -> None:
    data = toy()
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6 * len(data.vocabulary), 2))
    found = sample(data, net, 4, 0, "runner_up")
    assert found.clean.shape == (4, 1, 6, len(data.vocabulary))
    assert set(found.clean.sum(-1).unique().tolist()) == {1.0}


def test_what_is_made_for_images_is_refused() -> None:
    with pytest.raises(UserError, match=r"data\.tint plants a cause into images; data=toy holds texts"):
        toy(tint={"strength": 1.0})
    with pytest.raises(UserError, match="data=toy holds texts, no images"):
        _ = toy().shape


def test_a_split_without_texts_is_refused() -> None:
    data = toy()
    rows, *names = Toy.written(data)
    data.written = lambda: ([row for row in rows if row.part != "test"], *names)  # type: ignore
    with pytest.raises(UserError, match="data=toy: none of its 42 texts is in the test split"):
        data.setup()


def test_a_classifier_of_texts_is_shown_hard_tokens() -> None:
    data = toy()
    soft = torch.rand(2, *data.input_shape).softmax(-1)
    assert torch.equal(data.domain.hard(soft).argmax(-1), soft.argmax(-1))
    assert data.domain.words(data.test[:1].x) == [data.vocabulary.decode(data.test.ids[0]).split()]  # type: ignore
