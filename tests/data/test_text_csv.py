"""A person's own texts."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from counterfoil.core.errors import UserError
from counterfoil.data.text_csv import TextCsv
from counterfoil.testing.data import check_data


def written(folder: Path, *lines: str) -> TextCsv:
    path = folder / "texts.csv"
    path.write_text("\n".join(lines))
    return TextCsv(csv=path)


def many(split: bool = True) -> list[str]:
    parts = ["train"] * 8 + ["val", "test"]
    return [
        f"{'ham' if i % 2 else 'spam'} w{i % 5} x{i // 5},{'ok' if i % 2 else 'bad'}"
        + (f",{parts[i // 2 % 10]}" if split else "")
        for i in range(40)
    ]


def test_a_table_is_read(tmp_path: Path) -> None:
    data = written(tmp_path, "text,label,split", *many())
    check_data(data)
    assert data.class_names == ("bad", "ok")
    assert [len(part) for part in (data.train, data.val, data.test)] == [32, 4, 4]
    assert data.attribute_names == ("ok",)
    assert data.apart is data.train
    assert data.name == "text_csv"


def test_without_a_split_a_hash_of_the_text_gives_one(tmp_path: Path) -> None:
    whole = written(tmp_path, "text,label", *many(False))
    before = {row.text: row.part for row in whole.written()[0]}
    assert {"train", "test"} <= set(before.values())
    fewer = written(tmp_path, "text,label", *many(False)[:30])
    assert {row.text: row.part for row in fewer.written()[0]}.items() <= before.items()


def test_columns_of_yes_and_no_are_attributes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "counterfoil")
    lines = [f"{line},{i // 2 % 2},w{i}" for i, line in enumerate(many())]
    data = written(tmp_path, "text,label,split,Polite,note", *lines)
    assert data.attribute_names == ("ok", "Polite")
    assert data.train[2].a.tolist() == [0, 1]  # type: ignore[union-attr]
    assert any("ignored the columns note" in line for line in caplog.messages)


def test_numbers_are_classes_by_their_value(tmp_path: Path) -> None:
    lines = [f"text n{i},{i % 3 * 5},{'test' if i > 20 else 'train'}" for i in range(30)]
    data = written(tmp_path, "text,label,split", *lines)
    assert data.class_names == ("0", "5", "10")
    assert data.attribute_names == ("0", "5", "10")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("text,label", "good,1", ",0"), r"line 3 has no text; fill it in, or remove the row"),
        (("text,label", "good,"), r"line 2 has no label"),
        (("words,label", "good,1"), r"has the columns words, label; expected text,label.*rename one to text"),
        (("text,label", "good,1", "fine,1"), r"all labels are '1'; expected texts of two or more classes"),
        (("text,label,split", "good,1,train", "bad,0,test"), r"no training text of the class 0; add texts"),
        (("text,label,split", "good,1,dev", "bad,0,test"), r"line 2: split is 'dev', expected train, val or"),
        (("text,label,split", "good,1,train", "bad,0,train"), r"none of its 2 texts is in the test split"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, lines: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        written(tmp_path, *lines).setup()
    assert "\n" not in str(caught.value)


def test_a_table_must_be_given() -> None:
    with pytest.raises(UserError, match=r"data=text_csv needs data\.csv=FILE, a table with the columns text"):
        TextCsv().setup()
