"""Modes of Pillow that no file brings; those of files are in tests/inputs/test_pixels.py."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from counterfoil.core.errors import UserError
from counterfoil.data.pixels import channels_of, check_colour, flat, has_transparency, is_deep


@pytest.mark.parametrize(
    ("mode", "colour", "pixel"),
    [
        ("La", (50, 128), (177, 177, 177)),
        ("RGBa", (100, 50, 25, 128), (227, 177, 152)),
        ("RGBX", (1, 2, 3, 0), (1, 2, 3)),
        ("HSV", (0, 255, 255), (255, 0, 0)),
        ("I;16L", 0x8000, (128, 128, 128)),
    ],
)
def test_modes_in_memory(mode: str, colour: object, pixel: tuple[int, ...]) -> None:
    assert flat(Image.new(mode, (2, 2), colour), 3).getpixel((0, 0)) == pixel


def test_grey_and_colour() -> None:
    grey = ["1", "L", "LA", "La", "I", "F", "I;16", "I;16B"]
    colour = ["P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"]
    assert [channels_of(mode) for mode in grey] == [1] * len(grey)
    assert [channels_of(mode) for mode in colour] == [3] * len(colour)
    assert [is_deep(mode) for mode in ("I", "I;16B", "F", "L", "1", "RGB")] == [True] * 3 + [False] * 3
    assert [has_transparency(Image.new(mode, (1, 1))) for mode in ("LA", "RGBA", "L")] == [True, True, False]


def test_every_value_of_8_bits_is_kept_and_of_16_shifted() -> None:
    every = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(np.asarray(flat(Image.fromarray(every), 1)), every)
    assert np.array_equal(np.asarray(flat(Image.fromarray(every.astype(np.uint16) * 257), 1)), every)
    floats = Image.fromarray((every / np.float32(255)).astype(np.float32))
    assert np.array_equal(np.asarray(flat(floats, 1)), every)


def test_colours() -> None:
    check_colour("black")
    for wrong in ("no colour", "#12345678", 255, None):
        with pytest.raises(UserError, match=r"data\.background"):
            check_colour(wrong)  # type: ignore[arg-type]
