"""Pictures to arrays of one size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from counterfoil.core.errors import UserError
from counterfoil.data.content import file_digests
from counterfoil.data.decode import Shape, decode, decode_cached, decode_in_memory, open_image
from counterfoil.data.listing import image_files


def gradient(width: int, height: int) -> Image.Image:
    rows, columns = np.mgrid[:height, :width]
    return Image.fromarray(np.stack((rows, columns, rows + columns), -1).astype(np.uint8))


def test_middle_square_is_cut_out() -> None:
    pixels = Shape(channels=3, size=4, crop=4).of(gradient(10, 6))
    assert pixels.shape == (3, 4, 4)
    assert pixels[0, :, 0].tolist() == [1, 2, 3, 4]
    assert pixels[1, 0].tolist() == [3, 4, 5, 6]


def test_crop_never_exceeds_the_picture() -> None:
    assert np.array_equal(Shape(3, 6, crop=178).of(gradient(10, 6)), Shape(3, 6).of(gradient(10, 6)))


def test_channels_and_scaling() -> None:
    flat = Image.new("RGB", (20, 20), (100, 100, 100))
    assert Shape(1, 5).of(flat).shape == (1, 5, 5)
    assert (Shape(3, 5).of(flat) == 100).all()
    assert Shape(3, 8).of(Image.new("L", (8, 8), 7)).shape == (3, 8, 8)


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    deep = Image.fromarray(np.full((4, 4), 0x8000, dtype=np.uint16))
    assert (Shape(1, 4).of(deep) == 128).all()


def test_order_of_files_is_kept(tmp_path: Path) -> None:
    for value in range(7):
        Image.new("L", (3, 3), value).save(tmp_path / f"{value}.png")
    (tmp_path / "notes.txt").write_text("")
    files = image_files(tmp_path)
    assert np.concatenate(list(decode(files, Shape(1, 3))))[:, 0, 0, 0].tolist() == list(range(7))
    assert decode_in_memory(files[::-1], Shape(1, 3))[:, 0, 0, 0].tolist() == list(range(6, -1, -1))


def test_cache_follows_files_and_shape(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("L", (3, 3), 5).save(path)

    def value() -> int:
        found = file_digests([path], tmp_path)
        return int(decode_cached([path], Shape(1, 3), "set", tmp_path / "cache", found)[0, 0, 0, 0])

    assert value() == value() == 5
    assert len(list((tmp_path / "cache").iterdir())) == 1
    Image.new("L", (3, 4), 9).save(path)
    assert value() == 9
    decode_cached([path], Shape(3, 3), "set", tmp_path / "cache", file_digests([path], tmp_path))
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_unreadable_pictures_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.png is missing"):
        open_image(tmp_path / "absent.png")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(UserError, match=r"text\.png cannot be read"):
        open_image(tmp_path / "text.png")
    gradient(60, 60).save(tmp_path / "cut.jpg")
    whole = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"cut\.jpg cannot be read .*[Tt]runcated"):
        open_image(tmp_path / "cut.jpg")
