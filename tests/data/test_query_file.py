"""Questions of a person: the image that was meant, the class that was meant, or one line."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.data.base import Images, Splits
from counterfoil.data.decode import Shape
from counterfoil.data.query_file import _read, read_queries
from counterfoil.testing import Bars
from tests.data.test_queries import Knows
from tests.inputs.case import noted


class Filed(Bars):
    """The toy data, their test images called by file names."""

    def load(self) -> Splits:
        found = super().load()
        names = [f"pics/{i}.png" for i in range(len(found.test))]
        test = Images(found.test.images, found.test.labels, None, names)
        return Splits(found.train, test, found.class_names)


@pytest.fixture
def filed() -> Filed:
    return Filed()


def picture(path: Path, pixels: Tensor) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.numpy()).save(path)
    return path


def read(folder: Path, data: Any, text: str, target: str = "runner_up", **options: Any) -> Any:
    (folder / "q.csv").write_text(text)
    return read_queries(folder / "q.csv", data, Knows(), target, **options)


def test_places_and_classes_by_name_or_number(toy: Any, tmp_path: Path) -> None:
    found = read(tmp_path, toy, "target,index,note\nright,3.0,a\n0,3,b\n middle ,0,c\n1.0, 4,d\n")
    assert found.target.tolist() == [2, 0, 1, 1]
    assert found.names == (3, 0, 4)
    assert found.query.tolist() == [0, 0, 1, 2]
    assert torch.equal(found.images, toy.test.images[[3, 0, 4]])


def test_without_a_target_the_option_is_asked(toy: Any, tmp_path: Path) -> None:
    assert read(tmp_path, toy, "index\n3\n1\n", "left").target.tolist() == [0, 0]
    runner_up = Knows()(toy.test[[3, 1]].x).topk(2).indices[:, 1]
    assert torch.equal(read(tmp_path, toy, "index\n3\n1\n").target, runner_up)
    mixed = read(tmp_path, toy, "index,target\n3,\n1,all\n2,left\n", "own")
    assert mixed.query.tolist() == [0, 1, 1, 2]
    assert mixed.target.tolist() == [0, 0, 2, 0]
    assert mixed.names == (3, 1, 2)


def test_paths_of_test_images_are_their_rows(filed: Any, tmp_path: Path) -> None:
    found = read(tmp_path, filed, "path,target\npics/7.png,left\n.\\pics\\2.png,0\n./pics/5.png,1\n")
    assert found.names == ("pics/7.png", "pics/2.png", "pics/5.png")
    assert torch.equal(found.images, filed.test.images[[7, 2, 5]])
    assert read(tmp_path, filed, "index\n7\n").names == ("pics/7.png",)


def test_a_name_that_two_files_have_is_refused(filed: Any, tmp_path: Path) -> None:
    filed.root = tmp_path / "data"
    test, mine = (
        picture(folder / "pics" / "7.png", filed.test.images[i, 0])
        for folder, i in ((filed.root, 7), (tmp_path, 2))
    )
    with pytest.raises(UserError, match=r"line 2: pics/7\.png is a test image, and another file beside"):
        read(tmp_path, filed, "path\npics/7.png\n")
    found = read(tmp_path, filed, f"path\n{test}\n{mine}\n")
    assert found.names == ("pics/7.png", "pics/7.png")
    assert torch.equal(found.images, filed.test.images[[7, 2]])
    assert read(filed.root, filed, "path\npics/7.png\n").names == ("pics/7.png",)


def test_what_is_cut_from_a_question_is_said(toy: Any, tmp_path: Path) -> None:
    large = torch.zeros(40, 40, dtype=torch.uint8)
    large[12:28, 12:28] = 200
    picture(tmp_path / "large.png", large)
    with noted() as lines:
        (found,) = _read([tmp_path / "large.png"], Shape(1, 8, crop=16))
    assert found.unique().tolist() == [200]
    assert "40 x 40 pixels are made 8 x 8 of their middle 16 x 16, as the training images are" in lines()


def test_a_question_that_comes_out_black_is_warned_of(toy: Any, tmp_path: Path) -> None:
    Image.new("I;16", (16, 16), 4095).save(tmp_path / "twelve.png")
    with pytest.warns(CounterfoilWarning, match="queries: images above 8 bits come out nearly black"):
        read_queries(tmp_path / "twelve.png", toy, Knows(), "left")


def test_other_files_become_what_the_training_images_are(toy: Any, tmp_path: Path) -> None:
    large = torch.zeros(32, 48, dtype=torch.uint8)
    large[:, 8:24] = 200
    picture(tmp_path / "mine" / "a.png", large)
    found = read(tmp_path, toy, "path,target\nmine\\a.png,right\n")
    assert found.names == ("mine/a.png",)
    assert found.images.shape == (1, 1, 16, 16)
    assert found.images[0, 0, 8, :5].tolist() == [200] * 5
    assert found.images[0, 0, 8, 12:].tolist() == [0] * 4


def test_a_run_s_own_tables_are_questions(filed: Any, toy: Any, tmp_path: Path) -> None:
    text = "method,query,image,source,target,valid,l1\na,0,{0},left,right,1,0.1\na,1,{1},left,right,0,nan\n"
    with pytest.warns(CounterfoilWarning, match="1 of 3 rows stand twice"):
        found = read(tmp_path, toy, text.format(5, 2) + "b,0,5,left,right,1,0.2\n")
    assert (found.names, found.target.tolist()) == ((5, 2), [2, 2])
    assert read(tmp_path, filed, text.format("pics/5.png", "pics/2.png")).names == (
        "pics/5.png",
        "pics/2.png",
    )


@pytest.mark.parametrize("one", [True, False])
def test_a_folder_and_a_single_image(toy: Any, tmp_path: Path, one: bool) -> None:
    for i in range(3):
        picture(tmp_path / "some" / f"{i}.png", toy.test.images[i, 0])
    asked = tmp_path / "some" / "1.png" if one else tmp_path / "some"
    found = read_queries(asked, toy, Knows(), "left")
    assert found.names == (("1.png",) if one else ("0.png", "1.png", "2.png"))
    assert torch.equal(found.images, toy.test.images[1:2] if one else toy.test.images[:3])
    assert found.target.tolist() == [0] * len(found.names)
    assert read_queries(asked, toy, Knows(), "all").query.tolist() == [
        i for i in range(len(found)) for _ in "ab"
    ]


def test_only_those_that_are_classified_right(
    toy: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "counterfoil")
    toy.test.labels[4] = 0
    found = read(tmp_path, toy, "index,target\n3,right\n4,right\n5,left\n3,middle\n", only_correct=True)
    assert found.names == (3, 5)
    assert found.query.tolist() == [0, 1, 0]
    assert found.target.tolist() == [2, 0, 1]
    assert found.wrong == 1
    assert torch.equal(found.images, toy.test.images[[3, 5]])
    assert "1 of 3 images are left out" in caplog.text
    with pytest.raises(UserError, match="gets none of the 1 images"):
        read(tmp_path, toy, "index\n4\n", only_correct=True)
    picture(tmp_path / "a.png", toy.test.images[0, 0])
    with pytest.raises(UserError, match=r"names a\.png, which is no test image"):
        read(tmp_path, toy, "path\na.png\n", only_correct=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty: expected the columns path[,target] or index[,target]"),
        ("index,target\n", "no rows"),
        ("file,class\n1,2\n", "no header; expected the columns path[,target]"),
        ("target,file\nleft,2\n", "has the columns target, file; expected path[,target]"),
        (
            "index,target\n1,left\n99,left\n",
            "line 3: index '99' is not an image of the test split, expected 0..29",
        ),
        ("index,target\n-1,left\n", "line 2: index '-1'"),
        ("index,target\n1.5,left\n", "line 2: index '1.5'"),
        ("index,target\n²,left\n", "line 2: index '²'"),
        ("index,target\n,left\n", "line 2 has no index"),
        (
            "index,target\n1,cat\n",
            "line 2: target=cat is not a class of this classifier; choose runner_up, own, ",
        ),
        ("index,target\n1,3\n", "line 2: target=3"),
        ("path,target\nnone.png,left\n", "none.png is missing"),
        ("path,target\nC:\\a.png,left\n", "line 2: C:\\a.png is a path of another machine"),
    ],
)
def test_bad_tables_name_the_line(toy: Any, tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, toy, text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_question(toy: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name, said in (("none.csv", "cannot be read"), ("none.png", "missing"), ("empty", "no image files")):
        with pytest.raises(UserError, match=said):
            read_queries(tmp_path / name, toy, Knows(), "left")
    with pytest.raises(UserError, match="target=cat is not a class"):
        read(tmp_path, toy, "index\n1\n", "cat")


def test_places_are_those_of_the_published_order(tmp_path: Path) -> None:
    class Sorted(Bars):
        def load(self) -> Splits:
            found = super().load()
            order = found.test.labels.argsort(stable=True)
            test = Images(found.test.images[order], found.test.labels[order])
            return Splits(found.train, test, found.class_names)

    few = Sorted(limit=6)
    assert few.test.names == (0, 1, 10, 11, 20, 21)
    found = read(tmp_path, few, "index\n10\n")
    assert torch.equal(found.images[0], Sorted().test.images[10])
    with pytest.raises(UserError, match=r"data\.limit=6"):
        read(tmp_path, few, "index\n5\n")
