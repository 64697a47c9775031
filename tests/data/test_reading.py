"""One rule for files that differ."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from PIL import Image

from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.data import reading as module
from counterfoil.data.decode import Shape
from counterfoil.data.reading import Rule, read_files, survey


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Pictures 6 x 9, 8 x 8 in colour, 30 x 20, in this order; the last has an alpha channel."""
    (tmp_path / "set").mkdir()
    sizes = (("L", (6, 9)), ("RGB", (8, 8)), ("LA", (30, 20)))
    paths = [tmp_path / "set" / f"{i}.png" for i in range(len(sizes))]
    for path, (mode, size) in zip(paths, sizes, strict=True):
        Image.new(mode, size).save(path)
    return paths


def test_a_survey_does_not_depend_on_the_order(files: list[Path]) -> None:
    seen = survey(files)
    assert seen == survey(files[::-1])
    assert (seen.total, seen.side, seen.smallest, seen.largest) == (3, 8, (6, 9), (30, 20))
    assert (seen.colour, seen.channels, seen.frames, seen.transparent, seen.deep) == (1, 3, 0, 1, ())
    assert survey(files[::2]).channels == 1


def test_notes_say_what_is_done(files: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "counterfoil"):
        assert read_files(files, Rule(crop="pad"), "folder", None, []).shape == (3, 3, 8, 8)
    assert [record.getMessage() for record in caplog.records] == [
        "data=folder: images of 6 x 9 to 30 x 20 pixels are padded to squares and scaled to 8 x 8 "
        "(data.crop=pad, data.size)",
        "data=folder: 1 of 3 images are in colour, the others grey: all are read as colour (data.channels=3)",
        "data=folder: 1 of 3 images have transparency: composed on white (data.background)",
    ]
    caplog.clear()
    with caplog.at_level(logging.INFO, "counterfoil"):
        read_files(files[1:2], Rule(), "folder", None, [])
    assert not caplog.records


def test_a_survey_is_kept_with_the_cache(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CACHE_FROM_FILES", 2)
    first = read_files(files, Rule(), "folder", tmp_path / "cache", ["x"])
    monkeypatch.setattr(module, "survey", None)
    assert torch.equal(read_files(files, Rule(), "folder", tmp_path / "cache", ["x"]), first)
    next((tmp_path / "cache").rglob("survey.json")).write_text("{")
    with pytest.raises(TypeError):
        read_files(files, Rule(), "folder", tmp_path / "cache", ["x"])


def test_dark_pictures_are_warned_of_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CACHE_FROM_FILES", 1)
    Image.new("I;16", (4, 4), 4095).save(tmp_path / "x.png")
    for _ in range(2):
        with pytest.warns(CounterfoilWarning, match="nearly black, their brightest pixel is 15 of 255"):
            read_files([tmp_path / "x.png"], Rule(), "folder", tmp_path / "cache", ["x"])
    assert (
        int(read_files([tmp_path / "x.png"], Rule(white=4095), "folder", tmp_path / "cache", ["x"]).min())
        == 255
    )


def test_options(tmp_path: Path) -> None:
    assert Rule(1, 5).changed == {}
    assert Rule(crop="pad", white=3.5).changed == {"crop": "pad", "white": 3.5}
    assert Rule(background="black").shape(1, 4) == Shape(1, 4, background="black")
    for wrong in ({"crop": "middle"}, {"background": "none"}, {"white": float("nan")}, {"white": "4095"}):
        with pytest.raises(UserError, match=f"data.{next(iter(wrong))}"):
            Rule(**wrong)  # type: ignore[arg-type]
