"""Image and IDX files that are cut off, changed in their head, or made to fill the memory."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from counterfoil.data.decode import Shape
from counterfoil.data.idx import read_idx
from tests.faults.conftest import Fault
from tests.faults.fault import share

SIDE = 24
SUFFIXES = {"png": {}, "jpg": {}, "gif": {}, "tif": {}, "webp": {"lossless": True}, "bmp": {}, "ppm": {}}
CUTS = [0, 1, 9, 30, 60, 100, 200, 400, -200, -50, -9, -3]
PIXELS = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
IDX = bytes((0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 4)) + bytes(range(48))


def picture(suffix: str) -> bytes:
    """A picture of noise in a format."""
    stream = io.BytesIO()
    kind = Image.registered_extensions()[f".{suffix}"]
    Image.fromarray(PIXELS).save(stream, kind, **SUFFIXES[suffix])
    return stream.getvalue()


def read(path: Path) -> Any:
    return Shape(3, SIDE).read(path).tolist()


@pytest.mark.parametrize("cut", share(CUTS, quick=4))
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_cut_off_pictures(suffix: str, cut: int, fault: Fault, tmp_path: Path) -> None:
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(picture(suffix))
    right = read(path)
    path.write_bytes(picture(suffix)[:cut])
    fault("corruption", lambda: read(path), right)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("cut", share([0, 1, 3, 4, 5, 15, 16, 17, 40, -9, -8, -1], quick=3))
def test_cut_off_idx(cut: int, packed: bool, fault: Fault, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes((gzip.compress(IDX) if packed else IDX)[:cut])
    fault("corruption", lambda: read_idx(path, 3), None)


@pytest.mark.parametrize("bit", share(list(range(16 * 8)), quick=8))
def test_a_bit_in_the_head_of_an_idx(bit: int, fault: Fault, tmp_path: Path) -> None:
    content = bytearray(IDX)
    content[bit // 8] ^= 1 << bit % 8
    (tmp_path / "x").write_bytes(content)
    fault("corruption", lambda: read_idx(tmp_path / "x", 3), None)


def png(width: int, height: int) -> bytes:
    """A PNG that says how large it is, with few pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


def bmp(width: int, height: int) -> bytes:
    """A BMP that says how large it is, without pixels."""
    return (
        b"BM"
        + struct.pack("<IHHI", 54, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, *[0] * 6)
    )


def text_bomb() -> bytes:
    """A PNG whose compressed note unpacks to 80 MB."""
    note = b"iTXt" + b"k\0\1\0\0\0" + zlib.compress(bytes(80_000_000), 9)
    whole = png(4, 4)
    chunk = struct.pack(">I", len(note) - 4) + note + struct.pack(">I", zlib.crc32(note))
    return whole[:33] + chunk + whole[33:]


BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "huge PNG": ("x.png", lambda: png(2**31 - 1, 2**31 - 1)),
    "large PNG": ("x.png", lambda: png(10_000, 9_000)),
    "PNG without pixels": ("x.png", lambda: png(0, 5)),
    "huge BMP": ("x.bmp", lambda: bmp(2**30, 2**30)),
    "huge PGM": ("x.pgm", lambda: b"P5 1000000000 1000000000 255\n"),
    "huge GIF": ("x.gif", lambda: b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\2\0;"),
    "note of a PNG": ("x.png", text_bomb),
    "script named .png": ("x.png", lambda: b"#!/bin/sh\nexit 1\n"),
    "pickle named .tif": ("x.tif", lambda: b"\x80\x04cos\nsystem\n(S'true'\ntR."),
}


@pytest.mark.parametrize("name", BOMBS)
def test_malicious_pictures(name: str, fault: Fault, tmp_path: Path) -> None:
    file, made = BOMBS[name]
    (tmp_path / file).write_bytes(made())
    fault("malicious file", lambda: read(tmp_path / file), None)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_a_program_in_postscript_is_not_run(
    suffix: str, fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow knows formats by their content, and has Ghostscript run EPS."""
    marker, ghostscript, path = tmp_path / "ran", tmp_path / "gs", tmp_path / f"x.{suffix}"
    ghostscript.write_text(f"#!/bin/sh\ntouch {marker}\n")
    ghostscript.chmod(0o755)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", str(ghostscript))
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nshowpage\n%%EOF\n")
    fault("malicious file", lambda: read(path), None)
    assert not marker.exists()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("sizes", [(2**32 - 1,) * 3, (2**31, 28, 28), (60_000, 28, 28)])
def test_malicious_idx(sizes: tuple[int, ...], packed: bool, fault: Fault, tmp_path: Path) -> None:
    content = bytes((0, 0, 8, 3)) + struct.pack(">3I", *sizes) + bytes(100)
    (tmp_path / "x").write_bytes(gzip.compress(content) if packed else content)
    fault("malicious file", lambda: read_idx(tmp_path / "x", 3), None)


def test_an_idx_that_unpacks_for_ever(fault: Fault, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(gzip.compress(IDX) + gzip.compress(bytes(10_000_000)))
    fault("malicious file", lambda: read_idx(tmp_path / "x", 3), None)
