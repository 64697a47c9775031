"""Pictures of every mode: the right pixel, or one line."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
from PIL import Image

from counterfoil.data.content import file_digests
from counterfoil.data.folder import Folder
from counterfoil.data.images import Unlabelled
from counterfoil.data.queries import read_mask
from counterfoil.data.reading import Rule, read_files
from tests.inputs.case import At, Case, cases, noted

Act = Callable[[At], Any]
HALF = (200, 100, 50, 128)  # half transparent
ON_WHITE = [227, 177, 152]  # 128/255 of the colour and 127/255 of white
UNREADABLE = ("x.tif", "truncated") if PIL.__version__ < "13" else ()  # Pillow 12 cannot read what it wrote


def read(path: Path, **options: Any) -> list[int]:
    """The top left pixel of a file, each channel, by a rule."""
    pixels = read_files([path], Rule(**options), "folder", path.parent, file_digests([path], path.parent))
    return [int(value) for value in pixels[0, :, 0, 0]]


def one(
    mode: str, colour: Any, name: str = "x.png", saved: dict[str, Any] | None = None, **options: Any
) -> Act:
    """The pixel of a file of one colour in a mode of Pillow."""

    def act(at: At) -> list[int]:
        Image.new(mode, (4, 4), colour).save(at.folder / name, **(saved or {}))
        return read(at.folder / name, **options)

    return act


def values(array: Any, name: str = "x.tif", **options: Any) -> Act:
    """The first pixel of a file of these numbers, 4 times 4 of them."""

    def act(at: At) -> list[int]:
        Image.fromarray(np.resize(array, (4, 4))).save(at.folder / name)
        return read(at.folder / name, **options)

    return act


def palette(
    colours: list[int], name: str = "x.png", saved: dict[str, Any] | None = None, **options: Any
) -> Act:
    """The pixel of a palette image whose pixels are entry 0."""

    def act(at: At) -> list[int]:
        picture = Image.new("P", (4, 4), 0)
        picture.putpalette(colours)
        picture.save(at.folder / name, **(saved or {}))
        return read(at.folder / name, **options)

    return act


def png(width: int, height: int, depth: int, colour: int, pixels: bytes) -> bytes:
    """A PNG by hand: colour 0 is grey, 2 RGB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">2I5B", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


SIXTEEN_BIT_COLOUR = png(4, 4, 16, 2, (b"\0" + struct.pack(">3H", 0xC800, 0x64FF, 0x3200) * 4) * 4)


def turned(orientation: int, suffix: str = "jpg") -> Act:
    """Rows of a picture whose top half is white, by the orientation that its EXIF data say."""

    def act(at: At) -> list[list[bool]]:
        pixels = np.zeros((16, 16), np.uint8)
        pixels[:8] = 255
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(pixels).save(at.folder / f"x.{suffix}", exif=exif)
        image = read_files([at.folder / f"x.{suffix}"], Rule(), "folder", None, [])[0, 0]
        return [[bool(image[y, x] > 127) for x in (2, 13)] for y in (2, 13)]

    return act


def frames(suffix: str) -> Act:
    """The pixel of a file of two frames, and whether that was noted."""

    def act(at: At) -> tuple[list[int], bool]:
        first, second = (Image.new("RGB", (4, 4), (value,) * 3) for value in (10, 200))
        first.save(at.folder / f"x.{suffix}", save_all=True, append_images=[second])
        with noted() as lines:
            return read(at.folder / f"x.{suffix}", channels=1), "1 of 1 files hold several frames" in lines()

    return act


def half(at: At, crop: str) -> list[list[int]]:
    """Two rows of 4 pixels of a picture of 8 x 4, 100 in its left and right quarter, 200 between."""
    pixels = np.full((4, 8), 200, np.uint8)
    pixels[:, :2] = pixels[:, 6:] = 100
    Image.fromarray(pixels).save(at.folder / "x.png")
    return read_files([at.folder / "x.png"], Rule(size=4, crop=crop, background="black"), "x", None, [])[
        0, 0, :2
    ].tolist()


def mixed(at: At, *, first: str, **options: Any) -> tuple[list[int], list[bool]]:
    """Shape of a folder whose pictures differ, whichever comes first, and what was noted."""
    for i, (mode, size) in enumerate((("L", (6, 9)), ("RGB", (8, 8)), ("L", (12, 10)))):
        for part in ("train", "test"):
            for label in "ab":
                path = at.folder / part / label / f"{(i + (first == 'RGB')) % 2}{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new(mode, size).save(path)
    with noted() as lines:
        data = Folder(root=at.folder, **options)
        shape = list(data.test.images.shape[1:])
    kinds = ("images of 6 x 9 to 12 x 10 pixels", "4 of 12 images are in colour")
    return shape, [kind in lines() for kind in kinds]


def left_aside(at: At) -> tuple[int, str]:
    """How many images a folder has among other things, and the note of them."""
    for part, label in (("train", "a"), ("train", "b"), ("test", "a"), ("test", "b")):
        folder = at.folder / part / label
        (folder / "deeper").mkdir(parents=True)
        Image.new("L", (4, 4)).save(folder / "x.png")
        Image.new("L", (4, 4)).save(folder / "deeper" / "y.png")
        (folder / "notes.txt").write_text("")
        (folder / "._x.png").write_bytes(b"\0")
    (at.folder / "__MACOSX").mkdir()
    (at.folder / "train" / "empty").mkdir()
    with noted() as lines:
        data = Folder(root=at.folder)
        data.setup()
    return len(data.train) + len(data.val) + len(data.test), lines().split(": ", 2)[2]


def wrapped(at: At) -> object:
    """A folder within a folder, as an unpacked archive has it, with nothing that is an image above."""
    (at.folder / "set" / "cats").mkdir(parents=True)
    Image.new("L", (4, 4)).save(at.folder / "set" / "cats" / "x.png")
    (at.folder / "set" / "cats" / "y.heic").write_text("")
    return Folder(root=at.folder).setup()


def training_and_testing(at: At) -> list[int]:
    """Splits in folders Training and Testing."""
    for part, count in (("Training", 4), ("Testing", 2)):
        for label in "ab":
            for i in range(count):
                path = at.folder / part / label / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("L", (4, 4)).save(path)
    data = Folder(root=at.folder)
    return [len(data.train) + len(data.val), len(data.test)]


def given(name: str, content: bytes) -> Act:
    """The pixel of a file of these bytes."""

    def act(at: At) -> list[int]:
        (at.folder / name).write_bytes(content)
        return read(at.folder / name)

    return act


def mask(mode: str, clear: Any, kept: Any, name: str = "m.png") -> Act:
    """Which pixels of a row a mask keeps: its left half is clear."""

    def act(at: At) -> list[bool]:
        picture = Image.new(mode, (4, 4), clear)
        picture.paste(Image.new(mode, (2, 4), kept), (2, 0))
        picture.save(at.folder / name)
        return read_mask(at.folder / name, 4)[0].tolist()

    return act


def query(at: At) -> list[int]:
    """A transparent image to be explained, for data on a black background."""
    Image.new("RGBA", (4, 4), HALF).save(at.folder / "q.png")
    data = Unlabelled(root=at.folder, background="black")
    return [int(value) for value in data.shape.read(at.folder / "q.png")[:, 0, 0]]


def identities(at: At) -> list[bool]:
    """Whether the identity is as it was: at defaults spelt out, and with each option."""
    for part in ("train", "test"):
        for label in "ab":
            (at.folder / part / label).mkdir(parents=True)
            Image.new("L", (4, 4)).save(at.folder / part / label / "x.png")
    plain = Folder(root=at.folder).identity
    given: list[dict[str, Any]] = [
        {"crop": "centre", "background": "white", "white": None},
        {"crop": "pad"},
        {"background": "black"},
        {"white": 4095},
    ]
    return [Folder(root=at.folder, **each).identity == plain for each in given]


def cached(at: At) -> list[list[int]]:
    """One file, read by the cache on two backgrounds and again on the first."""
    from counterfoil.data import reading

    Image.new("RGBA", (4, 4), HALF).save(at.folder / "x.png")
    patch = at.request.getfixturevalue("monkeypatch")
    patch.setattr(reading, "_CACHE_FROM_FILES", 1)
    return [read(at.folder / "x.png", background=colour) for colour in ("white", "black", "white")]


@cases(
    Case("1 bit, white", one("1", 1), right=[255]),
    Case("1 bit, black", one("1", 0), right=[0]),
    Case("grey", one("L", 77), right=[77]),
    Case("grey as colour", one("L", 77, channels=3), right=[77, 77, 77]),
    Case("colour", one("RGB", (1, 2, 3)), right=[1, 2, 3]),
    Case("grey, half transparent", one("LA", (100, 128)), right=[177]),
    Case("grey, one value transparent", one("L", 7, saved={"transparency": 7}), right=[255]),
    Case("1 bit, black transparent", one("1", 0, saved={"transparency": 0}), right=[255]),
    Case("colour, half transparent, on white", one("RGBA", HALF), right=ON_WHITE),
    Case("colour, half transparent, on black", one("RGBA", HALF, background="black"), right=[100, 50, 25]),
    Case(
        "colour, half transparent, on #0000ff", one("RGBA", HALF, background="#0000ff"), right=[100, 50, 152]
    ),
    Case("black below full transparency", one("RGBA", (0, 0, 0, 0)), right=[255, 255, 255]),
    Case("opaque alpha changes nothing", one("RGBA", (9, 99, 199, 255)), right=[9, 99, 199]),
    Case("half transparent as grey", one("RGBA", (80, 80, 80, 128), channels=1), right=[167]),
    Case("premultiplied alpha", one("RGBA", HALF, "x.webp", {"lossless": True}), right=ON_WHITE),
    Case("one colour transparent", one("RGB", (1, 2, 3), saved={"transparency": (1, 2, 3)}), right=[255] * 3),
    Case("palette", palette([9, 8, 7, 0, 0, 0]), right=[9, 8, 7]),
    Case(
        "palette, index transparent", palette([9, 8, 7, 0, 0, 0], saved={"transparency": 0}), right=[255] * 3
    ),
    Case(
        "palette, alpha per entry",
        palette([200, 100, 50, 0, 0, 0], saved={"transparency": b"\x80\xff"}),
        right=ON_WHITE,
    ),
    Case("palette with alpha", one("PA", (0, 0), "x.tif"), right=[255] * 3),
    Case(
        "GIF, index transparent", palette([9, 8, 7, 0, 0, 0], "x.gif", {"transparency": 0}), right=[255] * 3
    ),
    Case("CMYK", one("CMYK", (255, 0, 0, 0), "x.tif"), right=[0, 255, 255]),
    Case("CMYK as grey", one("CMYK", (0, 0, 0, 255), "x.tif", channels=1), right=[0]),
    Case(
        "YCbCr",
        one("YCbCr", (128, 128, 128), "x.tif"),
        right=[128, 128, 128],
        says=UNREADABLE,
    ),
    Case("LAB", one("LAB", (255, 128, 128), "x.tif"), right=[254, 255, 254]),
    Case("16 bits", values(np.uint16(0x8000)), right=[128]),
    Case("16 bits as PNG", values(np.uint16(0xFFFF), "x.png"), right=[255]),
    Case("16 bits, big endian", values(np.array([0x8000], ">u2")), right=[128]),
    Case(
        "16 bits, white is zero",
        one("I;16", 0x2000, "x.tif", {"tiffinfo": {262: 0}}),
        right=[255 - 0x20],
    ),
    Case("16 bits as PGM", values(np.uint16(0x8000), "x.pgm"), right=[128]),
    Case("16 bits as colour", values(np.uint16(0x8000), channels=3), right=[128, 128, 128]),
    Case("16 bits, one value transparent", one("I;16", 700, saved={"transparency": 700}), right=[255]),
    Case("16 bits of colour", given("x.png", SIXTEEN_BIT_COLOUR), right=[200, 100, 50]),
    Case(
        "12 bits in 16",
        values(np.uint16(2048)),
        right=[8],
        warns=("nearly black", "8 of 255", "data.white=4095"),
    ),
    Case("12 bits in 16, white named", values(np.uint16([4095, 0]), white=4095), right=[255]),
    Case("12 bits in 16, middle", values(np.uint16([2048, 0]), white=4095), right=[128]),
    Case(
        "beyond white",
        values(np.uint16(5000), white=4095),
        says=("5000", "4095", "data.white=VALUE", "x.tif"),
    ),
    Case(
        "32 bits",
        values(np.int32([7, 70_000])),
        says=("x.tif", "32-bit integers", "7 to 70000", "data.white="),
    ),
    Case("32 bits, white named", values(np.int32([50_000, 0]), white=100_000), right=[128]),
    Case("32 bits, negative", values(np.int32([-5, 0]), white=9), says=("x.tif", "-5 to 0", "expected 0")),
    Case("floats to 1", values(np.float32([0.5, 1, 0])), right=[128]),
    Case("floats to 1 as colour", values(np.float32([0.2, 1]), channels=3), right=[51, 51, 51]),
    Case(
        "floats to 255", values(np.float32([51, 255])), says=("x.tif", "floats from 51 to 255", "data.white=")
    ),
    Case("floats to 255, white named", values(np.float32([51, 255]), white=255), right=[51]),
    Case("floats below 0", values(np.float32([-1, 1])), says=("x.tif", "-1 to 1", "expected 0 (black) to 1")),
    Case("floats that are no numbers", values(np.float32([0.5, np.nan])), says=("x.tif", "not finite")),
    Case("JPEG upright", turned(1), right=[[True, True], [False, False]]),
    Case("JPEG turned by 180", turned(3), right=[[False, False], [True, True]]),
    Case("JPEG turned left", turned(6), right=[[False, True], [False, True]]),
    Case("JPEG turned right", turned(8), right=[[True, False], [True, False]]),
    Case("PNG turned by 180", turned(3, "png"), right=[[False, False], [True, True]]),
    Case("GIF of two frames", frames("gif"), right=([10], True)),
    Case("TIFF of two pages", frames("tif"), right=([10], True)),
    Case("PNG of two frames", frames("png"), right=([10], True)),
    Case("JPEG named .png", one("L", 255, saved={"format": "JPEG"}), right=[255]),
    Case("JPEG named .jfif", one("L", 255, "x.jfif"), right=[255]),
)
def test_modes(case: Case, at: At) -> None:
    case.settle(at)


@cases(
    Case("crop=centre", lambda at: half(at, "centre"), right=[[200] * 4] * 2),
    Case("crop=pad", lambda at: half(at, "pad"), right=[[0] * 4, [105, 195, 195, 105]]),
    Case("crop=stretch", lambda at: half(at, "stretch"), right=[[105, 195, 195, 105]] * 2),
    Case(
        "crop=center",
        lambda at: Folder(root=at.folder, crop="center"),
        says=("data.crop=center", "centre, pad, stretch"),
    ),
    Case(
        "background without a name",
        lambda at: Folder(root=at.folder, background="wite"),
        says=("data.background=wite", "white, black or '#808080'"),
    ),
    Case(
        "background transparent",
        lambda at: Folder(root=at.folder, background="#00000000"),
        says=("data.background=#00000000", "opaque"),
    ),
    Case("white=0", lambda at: Folder(root=at.folder, white=0), says=("white=0", "a number above 0")),
    Case(
        "white=true",
        lambda at: Unlabelled(root=at.folder, white=True),
        says=("white=true", "a number above 0"),
    ),
    Case("mixed, grey first", lambda at: mixed(at, first="L"), right=([3, 8, 8], [True, True])),
    Case("mixed, colour first", lambda at: mixed(at, first="RGB"), right=([3, 8, 8], [True, True])),
    Case(
        "mixed, shape given",
        lambda at: mixed(at, first="L", size=5, channels=1),
        right=([1, 5, 5], [True, True]),
    ),
    Case(
        "what is no image",
        left_aside,
        right=(4, "hidden (5), .txt (4), nested folders (4), folders without images (1)"),
    ),
    Case(
        "a folder too deep",
        wrapped,
        says=("holds no images", "one sub-folder of image files per class", "nested folders (1)"),
    ),
    Case("splits named Training and Testing", training_and_testing, right=[8, 4]),
    Case("identity", identities, right=[True, False, False, False]),
    Case("the cache knows the background", cached, right=[ON_WHITE, [100, 50, 25], ON_WHITE]),
    Case("a query on the data's background", query, right=[100, 50, 25]),
)
def test_rules(case: Case, at: At) -> None:
    case.settle(at)


@cases(
    Case(
        "a bomb",
        given("x.png", png(100_000, 100_000, 8, 0, b"\0" * 1000)),
        says=("x.png", "too large", "89,478,485 pixels", "scale it down"),
    ),
    Case(
        "100 million pixels",
        given("x.png", png(10_000, 10_000, 1, 0, b"")),
        says=("x.png", "10000 x 10000", "scale it down"),
    ),
    Case("size=10^6", lambda at: Folder(root=at.folder, size=10**6), says=("size=1000000", "at most 8192")),
    Case(
        "text",
        given("x.png", b"no picture"),
        says=("x.png", "cannot be read as an image", "replace or remove"),
    ),
    Case("empty file", given("x.jpg", b""), says=("x.jpg", "cannot be read as an image")),
    Case("SVG named .png", given("x.png", b"<svg></svg>"), says=("x.png", "cannot be read as an image")),
    Case(
        "a PNG's head alone",
        given("x.png", b"\x89PNG\r\n\x1a\n"),
        says=("x.png", "cannot be read as an image"),
    ),
    Case("mask of grey", mask("L", 0, 255), right=[False, False, True, True]),
    Case(
        "mask white on transparent",
        mask("RGBA", (255, 255, 255, 0), (255,) * 4),
        right=[False, False, True, True],
    ),
    Case("mask of 16 bits", mask("I;16", 300, 65535), right=[False, False, True, True]),
    Case("mask of floats", mask("F", 0.0, 1.0, "m.tif"), right=[False, False, True, True]),
    Case("mask of 32 bits", mask("I", 0, 1, "m.tif"), says=("mask=", "m.tif", "32-bit integers")),
    Case(
        "mask that is no image",
        lambda at: read_mask(at.folder / "m.png", 4),
        says=("mask=", "m.png", "missing"),
    ),
)
def test_refused_or_masked(case: Case, at: At) -> None:
    case.settle(at)


def test_a_folder_alike_in_all_is_read_as_ever(at: At) -> None:
    """Pixels of 8-bit pictures are Pillow's own, cut to the middle and scaled by its LANCZOS."""
    drawn = torch.randint(0, 256, (30, 20, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    picture = Image.fromarray(drawn.numpy())
    picture.save(at.folder / "x.png")
    for channels, mode in ((3, "RGB"), (1, "L")):
        found = read_files([at.folder / "x.png"], Rule(channels, 8), "folder", None, [])[0]
        square = picture.convert(mode).crop((0, 5, 20, 25)).resize((8, 8), Image.Resampling.LANCZOS)
        assert found.permute(1, 2, 0).squeeze(-1).tolist() == np.asarray(square).tolist()
