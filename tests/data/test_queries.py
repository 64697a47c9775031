"""The frozen queries: drawn alike for everybody, read from a table or a folder, refused where senseless."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.data.corruption import Noise
from counterfoil.data.queries import differs, from_csv, from_folder, sample, stratified_order

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


@pytest.mark.parametrize(
    ("n", "target", "said"), [(0, "runner_up", "n=0"), (3, "cat", "left, middle"), (3, "7", "left, middle")]
)
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
    sample(toy, Knows(), 5, 0, "all").save(path)
    assert differs(path, noted=True) == ""
    assert len(from_csv(path, toy, NAMES)) == 10
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    assert "not the file of 10 rows that set.json notes" in differs(path)
    with pytest.raises(UserError, match=r"set\.csv: it is not .*; get it anew, or delete set\.json"):
        from_csv(path, toy, NAMES)
    for note in ("{", "[]", "{}"):
        path.with_suffix(".json").write_text(note)
        assert "not noted" in differs(path, noted=True)
        assert len(from_csv(path, toy, NAMES)) == 9, "a JSON of another tool's"


def test_batches_cover_all_rows_in_order(toy: Any) -> None:
    queries = sample(toy, Knows(), 5, 0, "all")
    parts = list(queries.batches(4))
    assert [len(target) for _, target, _ in parts] == [4, 4, 2]
    assert torch.equal(torch.cat([query for _, _, query in parts]), queries.query)
    x = torch.cat([x for x, _, _ in parts])
    torch.testing.assert_close(x, queries.images[queries.query].float() / 255)


def test_a_saved_set_is_read_back(toy: Any, tmp_path: Path) -> None:
    queries = sample(toy, Knows(), 5, 0, "all")
    queries.save(tmp_path / "new" / "query_set.csv")
    read = from_csv(tmp_path / "new" / "query_set.csv", toy, NAMES)
    assert read.names == queries.names
    for name in ("images", "query", "target"):
        assert torch.equal(getattr(read, name), getattr(queries, name)), name


def test_classes_by_name_or_number(toy: Any, tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text("target,index,note\nright,3,a\n0,3,b\nmiddle,0,c\n")
    read = from_csv(path, toy, NAMES)
    assert read.target.tolist() == [2, 0, 1]
    assert read.names == (3, 0)
    assert read.query.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "index,target"),
        ("index,target\n", "no rows"),
        ("image,class\n1,2\n", "index,target"),
        ("index,target\n1,left\n99,left\n", "line 3.*99"),
        ("index,target\n-1,left\n", "line 2"),
        ("index,target\nx,left\n", "line 2"),
        ("index,target\n1,cat\n", "line 2.*cat.*left, middle, right"),
        ("index,target\n1,3\n", "line 2.*3"),
        ("index,target\n1\n", "line 2"),
        ("target,index\nleft\n", "line 2"),
        ("index,target\n²,left\n", "line 2"),
    ],
)
def test_bad_tables_name_the_line(toy: Any, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "q.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=said) as caught:
        from_csv(path, toy, NAMES)
    assert "\n" not in str(caught.value)


def test_a_table_that_is_not_there_or_no_text(toy: Any, tmp_path: Path) -> None:
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x80")
    for name in ("none.csv", "binary.csv"):
        with pytest.raises(UserError, match=name):
            from_csv(tmp_path / name, toy, NAMES)


def test_a_folder_of_pictures(toy: Any, tmp_path: Path) -> None:
    for i in range(3):
        Image.fromarray(toy.test.images[i, 0].numpy()).save(tmp_path / f"{i}.png")
    read = from_folder(tmp_path, toy, Knows(), "left")
    assert read.names == ("0.png", "1.png", "2.png")
    assert torch.equal(read.images, toy.test.images[:3])
    assert read.target.tolist() == [0, 0, 0]
    assert from_folder(tmp_path, toy, Knows(), "all").query.tolist() == [0, 0, 1, 1, 2, 2]
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "small.png")
    with pytest.raises(UserError, match=r"small\.png has 8 x 8"):
        from_folder(tmp_path, toy, Knows(), "left")


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
