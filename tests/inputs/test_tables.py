"""Odd tables of images and labels: `data=folder data.csv=table.csv`."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from counterfoil.data.folder import Folder
from tests.inputs.case import At, Case, cases, noted

FILES = ("b.png", "a.png", "sub/d.png", "sub/c.png", "caf\u00e9.png", "x, y.png", "ISIC_01.jpg")
ROWS = "path,label,split\nb.png,cat,train\na.png,dog,train\nsub/d.png,dog,test\nsub/c.png,cat,test\n"
RIGHT = (("cat", "dog"), [("sub/d.png", "dog", 2), ("sub/c.png", "cat", 3)])
"""Classes; name, label and pixel of each test image, in the order of the table."""

Act = Callable[[At], Any]


def folder(at: At, content: str | bytes, **options: Any) -> Folder:
    """Data of a table beside images whose pixels are their places in FILES."""
    for value, name in enumerate(FILES):
        path = at.folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), value).save(path.with_suffix(".png"))
        path.with_suffix(".png").rename(path)
    table = at.folder / "images" / "table.csv"
    table.write_bytes(content.encode() if isinstance(content, str) else content)
    return Folder(csv=table, **options)


def read(content: str | bytes, **options: Any) -> Act:
    """Classes, and name, label and pixel of each test image."""

    def act(at: At) -> Any:
        data = folder(at, content, **options)
        pixels = data.test.images[:, 0, 0, 0].tolist()
        labels = [data.class_names[k] for k in data.test.labels.tolist()]
        return data.class_names, list(zip(data.test.names, labels, pixels, strict=True))

    return act


def attributes(content: str, **options: Any) -> Act:
    """Names and values of the attributes of the test images, and what is said."""

    def act(at: At) -> Any:
        with noted() as lines:
            data = folder(at, content, **options)
            values = None if data.test.attributes is None else data.test.attributes.tolist()
        return data.attribute_names, values, lines().replace(str(at.folder / "images"), "")

    return act


def told(content: str) -> Callable[[At], str]:
    """What is said of the columns."""
    found = attributes(content)
    return lambda at: str(found(at)[2])


def cell(path: str, label: str = "dog") -> str:
    """A table whose last test image is named by this cell."""
    return f"path,label,split\nb.png,cat,train\na.png,dog,train\n{path},{label},test\n"


def one(name: str, pixel: int, label: str = "dog") -> Any:
    return (("cat", "dog"), [(name, label, pixel)])


def labelled(*labels: str) -> str:
    """Two training images and a test image of each of two labels."""
    a, b, *_ = labels
    return f"path,label,split\nb.png,{a},train\na.png,{b},train\nsub/d.png,{a},test\nsub/c.png,{b},test\n"


def names(*classes: str) -> Any:
    """What comes of `labelled` where the first class stands first."""
    return classes, [("sub/d.png", classes[0], 2), ("sub/c.png", classes[1], 3)]


NFD = unicodedata.normalize("NFD", "caf\u00e9.png")
WITH = "path,label,split,{}\nb.png,cat,train,{}\na.png,dog,train,{}\nsub/d.png,dog,test,{}\n"


@cases(
    Case("the order of the table", read(ROWS), right=RIGHT),
    Case("a byte-order mark", read(ROWS.encode("utf-8-sig")), right=RIGHT),
    Case("UTF-16", read(ROWS.encode("utf-16")), right=RIGHT),
    Case("UTF-16 without a mark", read(ROWS.encode("utf-16-le")), right=RIGHT),
    Case("semicolons", read(ROWS.replace(",", ";")), right=RIGHT),
    Case("tabs", read(ROWS.replace(",", "\t")), right=RIGHT),
    Case("a spreadsheet's own first line", read("sep=;\n" + ROWS.replace(",", ";")), right=RIGHT),
    Case("lines of Windows", read(ROWS.replace("\n", "\r\n")), right=RIGHT),
    Case("lines of an old Mac", read(ROWS.replace("\n", "\r")), right=RIGHT),
    Case("no last line end", read(ROWS.rstrip()), right=RIGHT),
    Case("blank lines", read(ROWS.replace("\n", "\n\n") + ",,\n"), right=RIGHT),
    Case("spaces around cells", read(ROWS.replace(",", " , ")), right=RIGHT),
    Case("no-break spaces", read(ROWS.replace(",", "\u00a0,\u00a0")), right=RIGHT),
    Case(
        "names of columns in capitals",
        read(ROWS.replace("path,label,split", "Path,LABEL,Split")),
        right=RIGHT,
    ),
    Case("splits in capitals", read(ROWS.replace("test", "TEST").replace("train", "Train")), right=RIGHT),
    Case(
        "a column of numbers from pandas",
        read(ROWS.replace("\n", "\n7,").replace("path", ",path")[:-2]),
        right=RIGHT,
    ),
    Case("quotes around cells", read(ROWS.replace("sub/d.png", '"sub/d.png"')), right=RIGHT),
    Case("slashes of Windows", read(ROWS.replace("/", "\\")), right=RIGHT),
    Case("./ before paths", read(ROWS.replace("sub", "./sub")), right=RIGHT),
    Case(
        "rows that stand twice",
        read(ROWS + "sub/d.png,dog,test\n"),
        right=RIGHT,
        warns=("1 of 5 rows", "once"),
    ),
    Case("a comma in a name", read(cell('"x, y.png"')), right=one("x, y.png", 5)),
    Case("an accent in two signs", read(cell(NFD)), right=one("caf\u00e9.png", 4)),
    Case("no suffix", read(cell("ISIC_01")), right=one("ISIC_01.jpg", 6)),
    Case("a line end in a label", read(labelled('"a\nb"', "cat")), right=names("a\nb", "cat")),
    Case("a quote in a label", read(labelled('"a ""b"""', "cat")), right=names('a "b"', "cat")),
    Case("numbers with decimals", read(labelled("3.0", "10.0")), right=names("3", "10")),
    Case("3 and 3.0", read(labelled("3.0", "4") + "ISIC_01.jpg,3,train\n"), right=names("3", "4")),
    Case("numbers below zero", read(labelled("-1", "1")), right=names("-1", "1")),
    Case("grades", read(labelled("1.5", "2.0")), right=names("1.5", "2.0")),
    Case("leading zeros", read(labelled("07", "cat")), right=names("07", "cat")),
    Case(
        "attributes",
        attributes(WITH.format("big,old", "1,0", "-1,1", "yes,0.0")),
        right=(("big", "old"), [[1, 0]], ""),
    ),
    Case(
        "columns of text",
        told(WITH.format("age,site", "63,Bonn", "1,", "0,Ulm")),
        right="data.csv=/table.csv: ignored the columns age ('63' in line 2 is not 0 or 1), "
        "site ('Bonn' in line 2 is not 0 or 1)",
    ),
    Case(
        "an attribute that is asked for and not told",
        attributes(WITH.format("big", "1", "", "0"), attribute="big"),
        says=("table.csv, line 3", "big is ''", "expected 0 or 1"),
    ),
    Case(
        "cp1252",
        read(ROWS.replace("cat", "ch\u00e9ri").encode("cp1252")),
        says=("line 2", "e9", "chéri", "cp1252", "iconv"),
    ),
    Case(
        "latin-1",
        read(ROWS.replace("cat", "\u0081\u00e9").encode("latin-1")),
        says=("line 2", "latin-1", "UTF-8"),
    ),
    Case(
        "no header",
        read("b.png,cat\na.png,dog\n"),
        says=("table.csv", "'b.png, cat'", "no header", "path,label"),
    ),
    Case(
        "other columns",
        read("image,diagnosis\nb.png,cat\n"),
        says=("no header", "image, diagnosis", "path,label"),
    ),
    Case(
        "no column of labels", read("path,diagnosis\nb.png,cat\n"), says=("diagnosis", "rename one to label")
    ),
    Case(
        "a column twice", read("path,label,label\nb.png,cat,dog\n"), says=("label twice", "rename or remove")
    ),
    Case("an empty file", read(""), says=("table.csv is empty", "path,label")),
    Case("a header alone", read("path,label\n"), says=("table.csv", "found no rows")),
    Case("no label", read("path,label\nb.png,cat\na.png,\n"), says=("line 3 has no label",)),
    Case("no path", read("path,label\nb.png,cat\n,dog\n"), says=("line 3 has no path",)),
    Case("a comma too many", read("path,label\nx, y.png,cat\n"), says=("line 2 has 3 cells", "quotes")),
    Case(
        "an open quote",
        read('path,label\nb.png,cat\n"a.png,dog\n'),
        says=("line 3 opens a quote", "close it"),
    ),
    Case("another split", read(ROWS.replace("test", "dev")), says=("line 4", "'dev'", "train, val or test")),
    Case(
        "one label after the other",
        read(ROWS + "sub/d.png,cat,test\n"),
        says=("d.png stands twice", "label", "remove one"),
    ),
    Case(
        "in two splits", read(ROWS + "b.png,cat,test\n"), says=("b.png stands twice", "split", "remove one")
    ),
    Case(
        "a drive of another machine",
        read(cell("C:\\\\study\\\\b.png")),
        says=("line 4", "another machine", "data.root="),
    ),
    Case("a file that is not there", read(cell("none.png")), says=("none.png is missing",)),
    Case("a workbook", read(b"PK\x03\x04rest"), says=("table.csv", "workbook", "export it as CSV")),
    Case("zero bytes", read(b"path,label\nb.png,c\0t\n"), says=("zero bytes", "UTF-8")),
)
def test_tables(case: Case, at: At) -> None:
    case.settle(at)


def test_a_table_is_named_by_its_option(at: At) -> None:
    """A path is spelt as it was given, wherever the table lies."""
    Case(
        "absent", lambda at: Folder(csv=at.folder / "absent.csv").setup(), says=("data.csv=", "absent.csv")
    ).settle(at)
    assert Path(folder(at, ROWS).csv or "").name == "table.csv"
