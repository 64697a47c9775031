"""Tables of any spreadsheet are read alike, or refused with the line and the fix."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from counterfoil.core.errors import UserError
from counterfoil.util.csv_table import note_ignored, read_csv

KNOWN = ("path", "label")


def read(folder: Path, content: bytes | str) -> list[tuple[int, str, str]]:
    """(line number, path, label) of each row."""
    file = folder / "t.csv"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    table = read_csv(file, f"data.csv={file.name}", KNOWN, "path,label")
    return [(line.number, line["path"], line["label"]) for line in table.lines]


TEXT = "path,label\na.png,été\n"


@pytest.mark.parametrize(
    "content",
    [
        TEXT,
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
        TEXT.replace(",", ";"),
        TEXT.replace(",", "\t"),
        TEXT.replace(",", "|"),
        TEXT.replace(",", " , "),
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("\n", "\r"),
        TEXT.rstrip(),
        '"path","label"\n"a.png", "été"\n',
        "Path,LABEL\na.png,été\n",
        "# path,label\na.png,été\n",
        "path,label,\na.png,été,\n",
        "path,label\na.png,été,,\n",
        "path,label,note\na.png,été\n",
        "label,path\nété,a.png\n",
    ],
)
def test_every_usual_form_is_read(tmp_path: Path, content: bytes | str) -> None:
    assert read(tmp_path, content) == [(2, "a.png", "été")]


def test_lines_are_counted_as_an_editor_does(tmp_path: Path) -> None:
    assert read(tmp_path, '\n\n"no\nte",path,label\n,a,b\n') == [(5, "a", "b")]
    text = "\nsep=;\n".lstrip() + 'path;label\n\na.png;"two\nlines; one cell"\n;;\nb.png;"a ""b"""\n'
    assert read(tmp_path, text) == [(4, "a.png", "two\nlines; one cell"), (7, "b.png", 'a "b"')]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "t.csv is empty"),
        ("\n \n", "t.csv is empty"),
        ("path,label\n", "found no rows"),
        ("path,label\n,\n", "found no rows"),
        ("a.png,cat\nb.png,dog\n", "first line is 'a.png, cat', no header; expected the columns path,label"),
        ("path,label,path\na,b,c\n", "the column path twice"),
        ("path,label\na,b\na, b, c\n", "line 3 has 3 cells, the header 2"),
        ('path,label\na,b\n"a,b\nc,d\n', "line 3 opens a quote that nothing closes"),
        ('path,label\n"a"b,c\n', "line 2 cannot be read"),
        (
            TEXT.encode("cp1252"),
            "line 2 has the byte e9, which reads 'a.png,été' in cp1252; save it as UTF-8",
        ),
        (TEXT.encode("latin-1") + b"\x81", "in latin-1"),
        (b"\xff\xfea", "is no UTF-16"),
        (b"path,label\na\0b,c\n", "zero bytes"),
        (b"PK\x03\x04", "a workbook or archive"),
    ],
)
def test_what_cannot_be_read_is_told_on_one_line(tmp_path: Path, content: bytes | str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, content)
    assert said in str(caught.value)
    assert str(caught.value).startswith("data.csv=t.csv")
    assert "\n" not in str(caught.value)


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(UserError, match="cannot be read"):
            read_csv(path, f"queries={path}", KNOWN, "path,label")


def test_what_is_ignored_is_noted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "counterfoil")
    note_ignored("data.csv=t.csv", [])
    assert caplog.text == ""
    note_ignored("data.csv=t.csv", list("abcdefg"))
    assert "data.csv=t.csv: ignored the columns a, b, c, d, e and 2 more" in caplog.text
