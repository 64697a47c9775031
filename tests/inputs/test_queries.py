"""Odd questions: `queries=` a CSV, an image or a folder; `target=`; `only_correct=`."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from counterfoil.data.base import ImageData, Images, Splits
from counterfoil.data.counterfactuals import read_names
from counterfoil.data.queries import sample
from counterfoil.data.query_file import read_queries
from counterfoil.testing import Bars as Toy
from tests.data.test_queries import NAMES, Knows
from tests.inputs.case import At, Case, cases, noted

Act = Callable[[At], Any]


class Filed(Toy):
    """Toy data whose test images are files; the last of them is labelled wrongly."""

    def load(self) -> Splits:
        found = super().load()
        names, labels = [f"pics/{i}.png" for i in range(30)], found.test.labels.clone()
        labels[29] = 0
        return Splits(found.train, Images(found.test.images, labels, None, names), found.class_names)


def asked(
    content: str | bytes, *, target: str = "runner_up", data: type[ImageData] = Filed, correct: bool = False
) -> Act:
    """Name and target of each question of a CSV beside an image of a bar at the right, 48 x 32 pixels."""

    def act(at: At) -> list[tuple[int | str, str]]:
        bar = torch.zeros(32, 48, dtype=torch.uint8)
        bar[:, 32:38] = 255
        (at.folder / "mine").mkdir(exist_ok=True)
        Image.fromarray(bar.numpy()).save(at.folder / "mine" / "bar.png")
        path = at.folder / "q.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return questions(path, target, data, correct)

    return act


def questions(
    path: Path, target: str, data: type[ImageData] = Filed, correct: bool = False
) -> list[tuple[int | str, str]]:
    """Name and target of each question of a file or folder."""
    found = read_queries(path, data(), Knows(), target, correct)
    asked = zip(found.query.tolist(), found.target.tolist(), strict=True)
    return [(found.names[query], NAMES[k]) for query, k in asked]


def pictures(*names: str, kind: str = "RGB") -> Callable[[At], Path]:
    """A folder of images."""

    def made(at: At) -> Path:
        for name in names:
            Image.new(kind, (20, 30), "white").save(at.folder / name)
        return at.folder

    return made


def said(at: At) -> tuple[list[tuple[int | str, str]], str]:
    """Only those classified rightly, and what is said of the others."""
    with noted() as lines:
        found = asked("index,target\n29,left\n28,left\n27,right\n", correct=True)(at)
    return found, lines()


def pair(target: str) -> Act:
    """The first questions of a sample, by label and target."""

    def act(_at: At) -> set[tuple[str, str]]:
        found = sample(Filed(), Knows(), 30, 0, target)
        labels = Filed().test.labels[[int(str(name)[5:-4]) for name in found.names]]
        both = zip(labels[found.query].tolist(), found.target.tolist(), strict=True)
        return {(NAMES[label], NAMES[k]) for label, k in both}

    return act


def whole(at: At) -> Any:
    """An evaluation of one large image in colour: what the run folder calls it, and then once more."""
    Image.new("RGB", (60, 40), "black").save(at.folder / "mine.png")
    (at.folder / "q.csv").write_text("path;target\n.\\mine.png;3.0\n")
    options = ("explainer=unchanged", "metric=[validity]", f"queries={at.folder / 'q.csv'}")
    at.bench.evaluate(at.folder / "run", *options)
    stored = f"counterfactuals={at.folder / 'run'}"
    at.bench.evaluate(at.folder / "again", "metric=[validity]", stored)
    rows = [next(csv.DictReader((at.folder / run / "queries.csv").open())) for run in ("run", "again")]
    page = (at.folder / "again" / "report.html").read_text()
    called = [(row["image"], row["target"]) for row in rows]
    return called, read_names(at.folder / "again"), "mine.png" in page


BOTH = [("pics/28.png", "left"), ("pics/3.png", "right")]
PATHS = "path,target\npics/28.png,left\npics/3.png,right\n"


@cases(
    Case("paths of test images", asked(PATHS), right=BOTH),
    Case("places of test images", asked("index,target\n28,left\n3,right\n"), right=BOTH),
    Case("places of images without files", asked("index,target\n28,left\n", data=Toy), right=[(28, "left")]),
    Case("places as floats", asked("index,target\n28.0,left\n3.0,right\n"), right=BOTH),
    Case("classes by number", asked("index,target\n28,0\n3,2.0\n"), right=BOTH),
    Case("slashes of Windows", asked(PATHS.replace("/", "\\")), right=BOTH),
    Case("semicolons, spaces and a mark", asked(PATHS.replace(",", " ; ").encode("utf-8-sig")), right=BOTH),
    Case("UTF-16", asked(PATHS.encode("utf-16")), right=BOTH),
    Case("further columns", asked(PATHS.replace("\n", ",note\n")), right=BOTH),
    Case("a place beside the path", asked("index," + PATHS.replace("\n", "\n0,", 2)), right=BOTH),
    Case("a question twice", asked(PATHS + "pics/3.png,right\n"), right=BOTH, warns=("1 of 3 rows", "once")),
    Case(
        "two questions of an image", asked(PATHS + "pics/3.png,left\n"), right=[*BOTH, ("pics/3.png", "left")]
    ),
    Case("no target", asked("path\npics/28.png\n", target="left"), right=BOTH[:1]),
    Case(
        "a target here and there",
        asked("path,target\npics/28.png,\npics/3.png,right\n", target="left"),
        right=BOTH,
    ),
    Case(
        "every other class",
        asked("index,target\n3,all\n"),
        right=[("pics/3.png", "middle"), ("pics/3.png", "right")],
    ),
    Case("its own class", asked("index\n3\n", target="own"), right=[("pics/3.png", "left")]),
    Case(
        "a file of another size", asked("path,target\nmine/bar.png,left\n"), right=[("mine/bar.png", "left")]
    ),
    Case(
        "what it is decides", asked("path\nmine/bar.png\n", target="own"), right=[("mine/bar.png", "right")]
    ),
    Case("a run's own table", asked("method,image,target,l1\nr,pics/3.png,right,1\n"), right=BOTH[1:]),
    Case(
        "a run's own table of places",
        asked("method,image,target\nr,3,right\n", data=Toy),
        right=[(3, "right")],
    ),
    Case(
        "one image", lambda at: questions(pictures("a.png")(at) / "a.png", "left"), right=[("a.png", "left")]
    ),
    Case(
        "a folder of images",
        lambda at: questions(pictures("b.png", "a.jpg", kind="L")(at), "left"),
        right=[("a.jpg", "left"), ("b.png", "left")],
    ),
    Case(
        "a whole evaluation of a large image", whole, right=([("mine.png", "3")] * 2, {0: "mine.png"}, True)
    ),
    Case(
        "only those classified rightly",
        said,
        right=(
            [("pics/28.png", "left"), ("pics/27.png", "right")],
            "only_correct=true: 1 of 3 images are left out, as the classifier gets them wrong",
        ),
    ),
    Case("a pair", pair("left:right"), right={("left", "right"), ("right", "left")}),
    Case("a pair by number", pair("0:2"), right={("left", "right"), ("right", "left")}),
    Case("a pair of one", pair("left:left"), says=("target=left:left", "two other classes")),
    Case(
        "a pair of a file's images",
        asked("index\n3\n", target="left:right"),
        says=("target=left:right", "one of: left"),
    ),
    Case(
        "none classified rightly",
        asked("index\n29\n", correct=True),
        says=("only_correct=true", "none of the 1", "q.csv"),
    ),
    Case(
        "rightly, of a file",
        asked("path\nmine/bar.png\n", correct=True),
        says=("mine/bar.png", "no test image", "leave"),
    ),
    Case(
        "an unknown class",
        asked("index,target\n3,cow\n"),
        says=("q.csv, line 2", "target=cow", "left, middle, right"),
    ),
    Case(
        "a class too many", asked("index,target\n3,3\n"), says=("line 2", "target=3", "left, middle, right")
    ),
    Case(
        "a class below zero",
        asked("index,target\n3,-1\n"),
        says=("line 2", "target=-1", "left, middle, right"),
    ),
    Case("an unknown target=", asked("index\n3\n", target="cow"), says=("target=cow", "left, middle, right")),
    Case("a place too many", asked("index\n30\n"), says=("line 2", "'30'", "expected 0..29")),
    Case("a place below zero", asked("index\n-1\n"), says=("line 2", "'-1'", "expected 0..29")),
    Case("half a place", asked("index\n1.5\n"), says=("line 2", "'1.5'", "expected 0..29")),
    Case("no place", asked("index,target\n3,left\n,left\n"), says=("line 3 has no index",)),
    Case("a file that is not there", asked("path\nnone.png\n"), says=("none.png is missing",)),
    Case(
        "a drive of another machine",
        asked("path\nD:\\a.png\n"),
        says=("line 2", "D:\\a.png", "another machine"),
    ),
    Case(
        "no header",
        asked("pics/3.png\n"),
        says=("'pics/3.png'", "no header", "path[,target] or index[,target]"),
    ),
    Case(
        "targets alone",
        asked("target\nleft\n"),
        says=("has the columns target", "path[,target] or index[,target]"),
    ),
    Case(
        "cp1252",
        asked("path\ncaf\u00e9.png\n".encode("cp1252")),
        says=("line 2", "café.png", "cp1252", "iconv"),
    ),
    Case("an empty file", asked(""), says=("queries=", "is empty", "path[,target]")),
    Case(
        "no file",
        lambda at: questions(at.folder / "q.csv", "left"),
        says=("q.csv cannot be read", "path[,target]"),
    ),
    Case("no image", lambda at: questions(at.folder / "q.png", "left"), says=("q.png is missing",)),
    Case(
        "an empty folder", lambda at: questions(at.folder, "left"), says=("no image files", "path[,target]")
    ),
)
def test_queries(case: Case, at: At) -> None:
    case.settle(at)
