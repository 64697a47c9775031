"""Each method of a run gets its picture, and every method has one in docs/methods."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from counterfoil.core.errors import UserError
from counterfoil.testing import counterfactuals
from docsite.methods import methods
from docsite.pictures import FOLDER, draw


def test_a_picture_of_each_method(tmp_path: Path) -> None:
    folder = tmp_path / "counterfactuals" / "mine"
    folder.mkdir(parents=True)
    rows = counterfactuals(3)
    rows.save(folder / "0.safetensors")
    (path,) = draw([tmp_path], tmp_path / "out")
    assert path.name == "mine.png"
    with Image.open(path) as picture:
        assert picture.size[0] > len(rows) * rows.factual.shape[-1]


def test_texts_are_written(tmp_path: Path) -> None:
    (tmp_path / "counterfactuals" / "mine").mkdir(parents=True)
    head = "query,method,source,target,valid,factual,counterfactual"
    lines = [f"{k},mine,a,b,1,a good film,a {'bad ' * k}film" for k in range(1, 4)]
    (tmp_path / "texts.csv").write_text("\n".join([head, *lines]))
    (path,) = draw([tmp_path], tmp_path / "out")
    with Image.open(path) as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert {(184, 78, 20), (31, 95, 191)} <= colours, "words that go and words that come"


def test_no_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no counterfactuals"):
        draw([tmp_path])


def test_every_method_has_a_picture() -> None:
    assert {path.stem for path in FOLDER.glob("*.png")} == {method.name for method in methods()}
