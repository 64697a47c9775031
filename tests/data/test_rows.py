"""What a CSV of images says: its columns, its labels, and which of its rows cannot be meant."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.data.rows import Row, csv_rows


def read(folder: Path, text: str, *attributes: str) -> tuple[list[Row], tuple[str, ...]]:
    (folder / "table.csv").write_text(text)
    return csv_rows(folder / "table.csv", folder, attributes)


def test_rows_and_attributes(tmp_path: Path) -> None:
    rows, names = read(tmp_path, "path,label,split,Big,round\nb.png,cat,Valid,-1,yes\na.png,dog,test,1,0.0\n")
    assert names == ("Big", "round")
    assert rows == [
        Row(str(tmp_path / "b.png"), "cat", "val", (0, 1)),
        Row(str(tmp_path / "a.png"), "dog", "test", (1, 0)),
    ]


def test_other_columns_are_ignored_with_a_note(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "counterfoil")
    text = ",path,label,age,site,big\n0,a.png,cat,63,Bonn,1\n1,b.png,dog,1,,0\n"
    rows, names = read(tmp_path, text)
    assert names == ("big",)
    assert [row.attributes for row in rows] == [(1,), (0,)]
    assert "ignored the columns age ('63' in line 2 is not 0 or 1), site ('Bonn' in line 2" in caplog.text


def test_an_attribute_that_is_asked_for_must_be_one(tmp_path: Path) -> None:
    text = "path,label,big\na.png,cat,1\nb.png,dog,maybe\n"
    assert read(tmp_path, text)[1] == ()
    with pytest.raises(UserError, match="line 3: big is 'maybe', expected 0 or 1"):
        read(tmp_path, text, "big+round", "big", "round")


@pytest.mark.parametrize(
    ("labels", "read_as"),
    [
        (("3.0", "4"), ["3", "4"]),
        (("-1.0", "1.00"), ["-1", "1"]),
        (("1.5", "2.0"), ["1.5", "2.0"]),
        (("07", "cat"), ["07", "cat"]),
        ((' cat "', "the\ndog"), ['cat "', "the\ndog"]),
    ],
)
def test_labels(tmp_path: Path, labels: tuple[str, str], read_as: list[str]) -> None:
    cells = ['"{}"'.format(label.replace('"', '""')) for label in labels]
    rows, _ = read(tmp_path, f"path,label\na.png,{cells[0]}\nb.png,{cells[1]}\n")
    assert [row.label for row in rows] == read_as


def test_a_label_that_was_not_known_is_no_class(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="line 3: the label is nan, the others are numbers"):
        read(tmp_path, "path,label\na.png,0.0\nb.png,nan\nc.png,1.0\n")
    bread, _ = read(tmp_path, "path,label\na.png,nan\nb.png,roti\n")
    assert [row.label for row in bread] == ["nan", "roti"]


def test_a_row_that_stands_twice_is_taken_once(tmp_path: Path) -> None:
    with pytest.warns(CounterfoilWarning, match="1 of 3 rows stand twice"):
        rows, _ = read(tmp_path, "path,label\nb.png,cat\na.png,dog\nb.png,cat\n")
    assert [Path(row.path).name for row in rows] == ["b.png", "a.png"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\n0.png,a\n", "has the columns file, label; expected path, label.*rename one to path"),
        ("path,class\n0.png,a\n", "rename one to label"),
        ("0.png,a\n1.png,b\n", "no header"),
        ("path,label\n0.png,a\n1.png,\n", r"table\.csv, line 3 has no label"),
        ("path,label\n0.png\n", r"line 2 has no label"),
        ("path,label\n,a\n", r"line 2 has no path"),
        ("path,label,split\n0.png,a,dev\n", "line 2: split is 'dev'"),
        ("path,label\n", "found no rows"),
        ("path,label\na.png,cat\na.png,dog\n", r"a\.png stands twice, its label once cat and once dog"),
        ("path,label,split\na.png,a,train\na.png,a,test\n", "its split once train and once test"),
        ("path,label,x\na.png,a,0\na.png,a,1\n", r"its attributes once \(0,\) and once \(1,\)"),
        ("path,label\nC:\\x\\a.png,cat\n", "line 2: .*another machine"),
    ],
)
def test_bad_tables_are_told(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)
