"""The frozen queries: drawn alike for everybody, read from a table or a folder, refused where senseless."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.data.corruption import Noise
from counterfoil.data.queries import check_labels, differs, sample, stratified_order
from counterfoil.data.query_file import read_queries

NAMES = ("left", "middle", "right")


class Knows(nn.Module):
    """The class of a toy picture, by the place of its bar."""

    class_names = NAMES

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x[:, 0, 2:14, 2 + 5 * k : 5 + 5 * k].mean((1, 2)) for k in range(3)], 1) * 10


def test_a_sample_takes_classes_in_turn_and_is_the_same_for_the_same_seed(toy: Any) -> None:
    queries = sample(toy, Knows(), 12, 0, "runner_up")
    labels = toy.test.labels[list(queries.names)]
    assert labels.bincount().tolist() == [4, 4, 4]
    assert torch.equal(queries.images, toy.test.images[list(queries.names)])
    again, other = sample(toy, Knows(), 12, 0, "runner_up"), sample(toy, Knows(), 12, 1, "runner_up")
    assert again.names == queries.names
    assert other.names != queries.names
    assert len(set(queries.names)) == 12
    assert sample(toy, Knows(), 6, 0, "runner_up").names == queries.names[:6], (
        "more queries keep the first ones"
    )
    logits = Knows()(toy.test[list(queries.names)].x)
    assert torch.equal(queries.target, logits.topk(2).indices[:, 1])


def test_more_than_there_are_gives_all(toy: Any) -> None:
    assert len(sample(toy, Knows(), 10_000, 0, "runner_up").names) == len(toy.test)


def test_all_other_classes_and_one_class(toy: Any) -> None:
    every = sample(toy, Knows(), 5, 0, "all")
    assert len(every) == 10
    assert every.query.tolist() == [i for i in range(5) for _ in range(2)]
    for target in ("middle", "1"):
        one = sample(toy, Knows(), 5, 0, target)
        assert one.target.tolist() == [1] * 5
        assert (Knows()(one.images.float() / 255).argmax(1) != 1).all()


@pytest.mark.parametrize(("n", "target", "said"), [(3, "cat", "left, middle"), (3, "7", "left, middle")])
def test_samples_that_cannot_be_drawn(toy: Any, n: int, target: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        sample(toy, Knows(), n, 0, target)


def test_order_lasts_until_the_largest_class_is_spent(toy: Any) -> None:
    order = stratified_order(toy.test.take(torch.tensor([0, 1, 2, 3, 6, 9])), 0)
    assert sorted(order) == list(range(6))
    assert {int(toy.test.labels[[0, 1, 2, 3, 6, 9]][i]) for i in order[:3]} == {0, 1, 2}


def test_rows_that_ask_for_what_is_there_are_left_out_and_counted(toy: Any) -> None:
    every = sample(toy, Knows(), 5, 0, "all")
    assert every.asking(Knows()) is every
    decided = Knows()(every.clean).argmax(1)
    some = replace(every, query=torch.tensor([0, 1, 1, 4, 2]), target=torch.tensor([-1, 0, 2, -1, 1]))
    some.target[[0, 3]] = decided[[0, 4]]
    kept = some.asking(Knows())
    right = [i for i in (1, 2, 4) if int(some.target[i]) != int(decided[some.query[i]])]
    assert kept.left_out == 5 - len(right)
    assert [kept.names[q] for q in kept.query] == [some.names[int(some.query[i])] for i in right]
    assert kept.target.tolist() == some.target[right].tolist()
    assert torch.equal(kept.images[kept.query], some.images[some.query[right]])
    assert (Knows()(kept.clean).argmax(1)[kept.query] != kept.target).all()


def test_queries_that_all_ask_for_what_is_there_are_refused(toy: Any) -> None:
    with pytest.raises(UserError, match=r"each of the 4 queries .* target= \(own is for .*corruption="):
        sample(toy, Knows(), 4, 0, "own").asking(Knows())


def test_a_file_carries_its_count_and_hash(toy: Any, tmp_path: Path) -> None:
    path = tmp_path / "set.csv"
    sample(toy, Knows(), 5, 0, "all").save(path, NAMES)
    assert differs(path, noted=True) == ""
    assert len(read_queries(path, toy, Knows(), "left")) == 10
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    assert "not the file of 10 rows that set.json notes" in differs(path)
    with pytest.raises(UserError, match=r"set\.csv: it is not .*; get it anew, or delete set\.json"):
        read_queries(path, toy, Knows(), "left")
    for note in ("{", "[]", "{}"):
        path.with_suffix(".json").write_text(note)
        assert "not noted" in differs(path, noted=True)
        assert len(read_queries(path, toy, Knows(), "left")) == 9, "a JSON of another tool's"


def test_batches_cover_all_rows_in_order(toy: Any) -> None:
    queries = sample(toy, Knows(), 5, 0, "all")
    parts = list(queries.batches(4))
    assert [len(target) for _, target, _ in parts] == [4, 4, 2]
    assert torch.equal(torch.cat([query for _, _, query in parts]), queries.query)
    x = torch.cat([x for x, _, _ in parts])
    torch.testing.assert_close(x, queries.images[queries.query].float() / 255)


def test_a_saved_set_is_read_back(toy: Any, tmp_path: Path) -> None:
    queries = sample(toy, Knows(), 5, 0, "all")
    queries.save(tmp_path / "new" / "query_set.csv", NAMES)
    assert (tmp_path / "new" / "query_set.csv").read_text().splitlines()[0] == "index,target"
    read = read_queries(tmp_path / "new" / "query_set.csv", toy, Knows(), "runner_up")
    assert read.names == queries.names
    for name in ("images", "query", "target"):
        assert torch.equal(getattr(read, name), getattr(queries, name)), name


class Misled(Knows):
    """Takes pictures with a dark corner for the class after their own."""

    def forward(self, x: Tensor) -> Tensor:
        dim = x[:, 0, 0, 0] < DIM
        return torch.where(dim[:, None], super().forward(x).roll(1, 1), super().forward(x))


DIM = 0.15


@pytest.fixture
def misled(toy: Any) -> Tensor:
    """Whether `Misled` gets each test image wrong."""
    wrong = toy.test.images[:, 0, 0, 0].float() / 255 < DIM
    assert 3 <= int(wrong.sum()) <= 27
    return wrong


def test_only_those_that_are_classified_right(
    toy: Any, misled: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "counterfoil")
    order = stratified_order(toy.test, 0)
    right = [i for i in order if not misled[i]]
    queries = sample(toy, Misled(), 3, 0, "runner_up", only_correct=True)
    assert list(queries.names) == right[:3]
    passed = order.index(right[2]) + 1 - 3
    assert queries.wrong == passed
    assert f"only_correct=true: {passed} of {passed + 3} images are left out" in caplog.text
    every = sample(toy, Misled(), 1000, 0, "left", only_correct=True)
    assert list(every.names) == [i for i in right if toy.test.labels[i] != 0]
    assert every.wrong == int(misled.sum())
    assert sample(toy, Misled(), 3, 0, "runner_up").wrong == 0


def test_a_pair_asks_about_those_in_their_own_class(toy: Any, misled: Tensor) -> None:
    queries = sample(toy, Misled(), 1000, 0, "left:right")
    labels = toy.test.labels[list(queries.names)]
    assert set(labels.tolist()) == {0, 2}
    assert len(queries) == int((~misled & (toy.test.labels != 1)).sum())
    assert torch.equal(queries.target, 2 - labels)


def test_labels_must_be_there_and_the_classifiers_own(toy: Any) -> None:
    check_labels(toy, NAMES, "only_correct=true")
    with pytest.raises(UserError, match=r"only_correct=true.*those of data=toy are left, middle, right"):
        check_labels(toy, ("cat", "dog"), "only_correct=true")
    toy.labelled = False
    with pytest.raises(UserError, match=r"only_correct=true needs labels, which data=toy does not have"):
        sample(toy, Knows(), 3, 0, "runner_up", only_correct=True)


def test_nothing_is_right(toy: Any) -> None:
    class Wrong(Knows):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).roll(1, 1)

    with pytest.raises(UserError, match="no test image is left that the classifier gets right"):
        sample(toy, Wrong(), 3, 0, "runner_up", only_correct=True)


def test_own_class_is_what_the_clean_image_is(toy: Any) -> None:
    queries = sample(toy, Knows(), 6, 0, "own")
    assert torch.equal(queries.target, Knows()(queries.clean).argmax(1))


def test_corrupted_queries_keep_their_targets_and_are_the_same_for_the_same_seed(toy: Any) -> None:
    clean = sample(toy, Knows(), 7, 0, "runner_up")
    noisy = clean.corrupt(Noise(0.2), 5)
    assert torch.equal(noisy.target, clean.target)
    assert torch.equal(noisy.clean, clean.clean)
    shown = torch.cat([x for x, _target, _query in noisy.batches(3)])
    drawn = Noise(0.2)(clean.clean, torch.Generator().manual_seed(5))
    assert torch.equal(shown, drawn)
    assert torch.equal(torch.cat([x for x, _target, _query in clean.batches(3)]), clean.clean)
