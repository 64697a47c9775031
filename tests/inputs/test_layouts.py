"""Data sets in the layouts in which they are published, and damaged ones."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from counterfoil.data.celeba import CelebA
from counterfoil.data.emnist import Emnist
from counterfoil.data.idx import FILES, FashionMnist, Mnist, read_idx
from tests.inputs.case import At, Case, cases, noted

Act = Callable[[At], Any]
FACES = 8
SPLIT = [0, 0, 0, 1, 2, 0, 2, 0]
SMILING = [i % 2 for i in range(FACES)]
IN_TEST = [4, 6]


def idx(values: Any) -> bytes:
    """An IDX file of bytes."""
    array = np.asarray(values, np.uint8)
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes((0, 0, 8, array.ndim)) + sizes + array.tobytes()


def write(path: Path, content: bytes | str) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def corner(i: int) -> list[list[int]]:
    """A picture of 4 x 4 of value i, whose top right pixel is 9."""
    pixels = np.full((4, 4), i)
    pixels[0, 3] = 9
    return pixels.tolist()


def digits(
    names: Sequence[str] = FILES,
    *,
    folder: str = "",
    packed: bool = False,
    first: int = 0,
    data: Any = Mnist,
    root: str = "",
    **options: Any,
) -> Act:
    """Labels, values and corners of a set of 12 + 3 pictures whose labels are counted from `first`."""

    def act(at: At) -> tuple[list[int], list[int], list[int]]:
        for name, count in zip(names, (12, 12, 3, 3), strict=True):
            labels = [i % 3 for i in range(count)]
            content = idx([corner(i) for i in labels] if "images" in name else [i + first for i in labels])
            path = at.folder / folder / (f"{name}.gz" if packed else name)
            write(path, gzip.compress(content) if packed else content)
        test = data(root=at.folder / root, **options).test
        x = test.images[:, 0]
        return test.labels.tolist(), x[:, 2, 2].tolist(), [int(x[0, 0, 3]), int(x[0, 3, 0])]

    return act


def emnist(split: str = "balanced") -> list[str]:
    """EMNIST's names of the four files."""
    return [
        f"emnist-{split}-{part}-{kind}-ubyte"
        for part in ("train", "test")
        for kind in ("images-idx3", "labels-idx1")
    ]


DOTTED = [name.replace("-idx", ".idx") for name in FILES]
UPRIGHT = ([0, 1, 2], [0, 1, 2], [9, 0])
TURNED = ([0, 1, 2], [0, 1, 2], [0, 9])


def damaged(images: bytes, labels: bytes | None = None, packed: bool = False) -> Act:
    """MNIST whose training files hold these bytes."""

    def act(at: At) -> object:
        good = {"images": idx([corner(0)] * 3), "labels": idx([0, 1, 2])}
        for name in FILES:
            kind = "images" if "images" in name else "labels"
            write(at.folder / name, good[kind])
        write(at.folder / FILES[0], gzip.compress(images) if packed else images)
        write(at.folder / FILES[1], good["labels"] if labels is None else labels)
        return Mnist(root=at.folder).setup()

    return act


def bomb(at: At) -> object:
    """A gzip of 30 kB that unpacks to 30 MB behind a header of 48 bytes."""
    path = at.folder / "bomb.gz"
    path.write_bytes(gzip.compress(idx(np.zeros((3, 4, 4))) + bytes(30_000_000)))
    return read_idx(path, ndim=3)


def text_list(rows: Sequence[str], values: Sequence[int]) -> str:
    """CelebA's list of attributes."""
    lines = [f"{name}  -1 {'1' if value else '-1'}" for name, value in zip(rows, values, strict=True)]
    return "\n".join([str(len(lines)), "Bald Smiling ", *lines]) + "\n"


def csv_list(rows: Sequence[str], values: Sequence[int]) -> str:
    """Kaggle's list of attributes."""
    lines = [f"{name},-1,{1 if value else -1}" for name, value in zip(rows, values, strict=True)]
    return "\r\n".join(["image_id,Bald,Smiling", *lines]) + "\r\n"


NAMES = [f"{i + 1:06d}.jpg" for i in range(FACES)]
PARTS = {
    "attributes.txt": text_list(NAMES, SMILING),
    "attributes.csv": csv_list(NAMES, SMILING),
    "partition.txt": "".join(f"{name} {part}\n" for name, part in zip(NAMES, SPLIT, strict=True)),
    "partition.csv": "image_id,partition\n"
    + "".join(f"{name},{part}\n" for name, part in zip(NAMES, SPLIT, strict=True)),
}


def faces(
    attributes: str,
    partition: str | None,
    pictures: str,
    *,
    changed: dict[str, Any] | None = None,
    size: tuple[int, int] = (178, 218),
    suffix: str = ".jpg",
    names: Sequence[str] = NAMES,
    **options: Any,
) -> Act:
    """Which pictures the test split holds, told by their grey, and whether they smile.

    Args:
        attributes: where the list of attributes lies.
        partition: where the list of splits lies.
        pictures: where the pictures lie.
        changed: contents of further files, or of these; None: it is not there.
    """

    def act(at: At) -> tuple[list[int], list[int]]:
        contents: dict[str, Any] = {attributes: PARTS[f"attributes{Path(attributes).suffix}"]}
        if partition:
            contents[partition] = PARTS[f"partition{Path(partition).suffix}"]
        for path, content in {**contents, **(changed or {})}.items():
            if content is not None:
                write(at.folder / path, content)
        for i, name in enumerate(names):
            path = (at.folder / pictures / name).with_suffix(suffix)
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = Image.new("RGB", size, (255, 0, 0))
            picture.paste((20 * i,) * 3, (4, 24, size[0] - 4, size[1] - 24))
            picture.save(path, quality=95)
        data = CelebA(root=at.folder, size=8, cache_dir=at.folder / "cache", **options)
        middle = data.test.images[:, 1, 4, 4].float() / 20
        return middle.round().int().tolist(), data.test.labels.tolist()

    return act


RIGHT = (IN_TEST, [0, 0])
OFFICIAL = ("Anno/list_attr_celeba.txt", "Eval/list_eval_partition.txt", "Img/img_align_celeba")
KAGGLE = ("list_attr_celeba.csv", "list_eval_partition.csv", "img_align_celeba/img_align_celeba")
PLAIN = ("list_attr_celeba.txt", "list_eval_partition.txt", "img_align_celeba")
HQ_NAMES = [f"{i}.jpg" for i in range(FACES)]
HQ_LIST = {"CelebAMask-HQ-attribute-anno.txt": text_list(HQ_NAMES, SMILING)}
MAPPING = "idx\torig_idx\torig_file\n" + "".join(f"{i} {7 - i} {NAMES[7 - i]}\n" for i in range(FACES))


def high_quality(changed: dict[str, Any], partition: str | None = None, base: str = "") -> Act:
    """CelebAMask-HQ's layout; picture i is CelebA's 7 - i where a mapping says so."""
    listed = f"{base}CelebAMask-HQ-attribute-anno.txt"
    return faces(
        listed,
        partition,
        f"{base}CelebA-HQ-img",
        names=HQ_NAMES,
        size=(64, 64),
        changed={listed: HQ_LIST["CelebAMask-HQ-attribute-anno.txt"], **changed},
    )


def hq_drawn(at: At) -> tuple[int, bool, list[int]]:
    """CelebAMask-HQ without splits: how many of 30 faces test, whether again the same, a column of one."""
    names = [f"{i}.jpg" for i in range(30)]
    write(at.folder / "CelebAMask-HQ-attribute-anno.txt", text_list(names, [i % 2 for i in range(30)]))
    (at.folder / "CelebA-HQ-img").mkdir()
    for name in names:
        picture = Image.new("RGB", (400, 400), (0, 0, 0))
        picture.paste((200,) * 3, (0, 0, 400, 100))
        picture.save(at.folder / "CelebA-HQ-img" / name)
    first, second = (CelebA(root=at.folder, size=8, cache_dir=at.folder / "cache") for _ in range(2))
    rows = (first.test.images[0, 0, :, 4] > 100).int().tolist()
    return len(first.test), first.test.labels.tolist() == second.test.labels.tolist(), rows


def counted(at: At) -> tuple[list[int], str]:
    """A list of attributes without its last two pictures, and the note of it."""
    listed = PARTS["attributes.csv"].splitlines(keepends=True)[:-2]
    with noted() as lines:
        test, _ = faces(*KAGGLE, changed={KAGGLE[0]: "".join(listed)})(at)
    return test, lines().split("; ")[1]


def identities(at: At) -> list[Any]:
    """The crop in the identity of aligned pictures, of a part of them, and of CelebAMask-HQ."""
    for folder, listed in (("plain", PLAIN[0]), ("high", "CelebAMask-HQ-attribute-anno.txt")):
        write(at.folder / folder / listed, PARTS["attributes.txt"])
    write(at.folder / "plain" / PLAIN[1], PARTS["partition.txt"])
    for folder in (f"plain/{PLAIN[2]}", "high/CelebA-HQ-img"):
        (at.folder / folder).mkdir()
    sets: list[tuple[str, dict[str, Any]]] = [("plain", {}), ("plain", {"crop": 90}), ("high", {})]
    return [CelebA(root=at.folder / folder, **options).identity["crop"] for folder, options in sets]


@cases(
    Case("MNIST as ever", digits(), right=UPRIGHT),
    Case("MNIST packed", digits(packed=True), right=UPRIGHT),
    Case("MNIST with dots", digits(DOTTED), right=UPRIGHT),
    Case("MNIST with dots, packed", digits(DOTTED, packed=True), right=UPRIGHT),
    Case("MNIST with dots, a folder per file", digits([f"{name}/{name}" for name in FILES]), right=UPRIGHT),
    Case("torchvision's root of MNIST", digits(folder="MNIST/raw"), right=UPRIGHT),
    Case("torchvision's MNIST", digits(folder="MNIST/raw", root="MNIST"), right=UPRIGHT),
    Case("torchvision's Fashion-MNIST", digits(folder="FashionMNIST/raw", data=FashionMnist), right=UPRIGHT),
    Case(
        "another set's folder",
        digits(folder="MNIST/raw", data=FashionMnist),
        says=("data=fashion_mnist", "has no train-images-idx3-ubyte", "data.root=FOLDER"),
    ),
    Case("EMNIST, balanced", digits(emnist(), data=Emnist), right=TURNED),
    Case("EMNIST in gzip/", digits(emnist(), folder="gzip", packed=True, data=Emnist), right=TURNED),
    Case(
        "EMNIST of torchvision",
        digits(emnist("digits"), folder="EMNIST/raw", data=Emnist, split="digits"),
        right=TURNED,
    ),
    Case(
        "EMNIST's letters are counted from 1",
        digits(emnist("letters"), first=1, data=Emnist, split="letters"),
        right=TURNED,
    ),
    Case(
        "EMNIST's letters with a 0",
        digits(emnist("letters"), data=Emnist, split="letters"),
        says=("emnist-letters-train-labels", "label 0", "expected 1 to 26"),
    ),
    Case(
        "EMNIST, another split",
        digits(emnist(), data=Emnist, split="digits"),
        says=("data=emnist", "has no emnist-digits-train-images-idx3-ubyte", "data.root=FOLDER"),
    ),
    Case("EMNIST, no split", lambda at: Emnist(split="all"), says=("data.split=all", "balanced, bymerge")),
    Case(
        "EMNIST nowhere",
        lambda at: Emnist(cache_dir=at.folder).setup(),
        says=("data=emnist split=balanced", "data.root=FOLDER"),
    ),
    Case(
        "a header that promises 4 billion images",
        damaged(idx([])[:3] + b"\3" + b"\xff" * 12),
        says=("too large", "4,294,967,296", "train-images"),
    ),
    Case(
        "a header that promises 2 GB",
        damaged(b"\0\0\x08\3" + b"\0\1\0\0" + b"\0\0\0\xb0" * 2 + bytes(50)),
        says=("damaged", "2030043152 bytes expected", "found 66;"),
    ),
    Case("a bomb", bomb, says=("damaged", "64 bytes expected", "or more")),
    Case(
        "a byte too few",
        damaged(idx([corner(0)] * 3)[:-1], packed=True),
        says=("damaged", "64 bytes expected", "found 63"),
    ),
    Case(
        "no images",
        damaged(idx(np.zeros((0, 4, 4))), idx([])),
        says=("train-images", "0 images", "at least one"),
    ),
    Case(
        "images that are no squares",
        damaged(idx(np.zeros((3, 4, 5)))),
        says=("train-images", "4 x 5 pixels", "squares"),
    ),
    Case(
        "images of two sizes",
        damaged(idx(np.zeros((3, 5, 5)))),
        says=("t10k-images", "4 x 4 pixels", "5 x 5 pixels"),
    ),
    Case(
        "a label too high",
        damaged(idx([corner(0)] * 3), idx([0, 1, 10])),
        says=("train-labels", "label 10", "0 to 9"),
    ),
    Case(
        "a gzip cut off",
        damaged(gzip.compress(idx([corner(0)] * 3))[:-9]),
        says=("train-images", "cannot be read", "get it again"),
    ),
)
def test_idx(case: Case, at: At) -> None:
    case.settle(at)


@cases(
    Case("CelebA in one folder", faces(*PLAIN), right=RIGHT),
    Case("CelebA of Kaggle", faces(*KAGGLE), right=RIGHT),
    Case("CelebA of Kaggle, pictures not nested", faces(*KAGGLE[:2], PLAIN[2]), right=RIGHT),
    Case("CelebA, the official archive", faces(*OFFICIAL), right=RIGHT),
    Case(
        "CelebA, the official archive in CelebA/",
        faces(*(f"CelebA/{part}" for part in OFFICIAL)),
        right=RIGHT,
    ),
    Case("CelebA, torchvision's root", faces(*(f"celeba/{part}" for part in PLAIN)), right=RIGHT),
    Case(
        "CelebA's aligned PNGs", faces(*OFFICIAL[:2], "Img/img_align_celeba_png", suffix=".png"), right=RIGHT
    ),
    Case(
        "lists with a byte-order mark and Windows' line ends",
        faces(*PLAIN, changed={PLAIN[0]: "\ufeff" + PARTS["attributes.txt"].replace("\n", "\r\n")}),
        right=RIGHT,
    ),
    Case("CelebAMask-HQ, splits drawn, faces whole", hq_drawn, right=(1, True, [1, 1, 0, 0, 0, 0, 0, 0])),
    Case(
        "CelebAMask-HQ with CelebA's splits",
        high_quality({"CelebA-HQ-to-CelebA-mapping.txt": MAPPING}, "list_eval_partition.txt"),
        right=([1, 3], [1, 1]),
    ),
    Case(
        "CelebAMask-HQ in its folder",
        high_quality(
            {"CelebAMask-HQ/CelebA-HQ-to-CelebA-mapping.txt": MAPPING},
            "list_eval_partition.txt",
            "CelebAMask-HQ/",
        ),
        right=([1, 3], [1, 1]),
    ),
    Case("the crop is in the identity as it is", identities, right=[178, 90, None]),
    Case(
        "no list of splits",
        faces(PLAIN[0], None, PLAIN[2]),
        says=("data.root=", "lacks list_eval_partition.txt"),
    ),
    Case(
        "pictures still packed",
        faces(*PLAIN[:2], "elsewhere", changed={"Img/img_align_celeba.zip": b"PK"}),
        says=("lacks img_align_celeba", "unpack", "Img/img_align_celeba.zip"),
    ),
    Case(
        "a list that is no text",
        faces(*PLAIN, changed={PLAIN[0]: b"\xff\xfe\x00\x80"}),
        says=("list_attr_celeba.txt", "cannot be read as text", "get it again"),
    ),
    Case(
        "an empty csv",
        faces(*KAGGLE, changed={KAGGLE[0]: ""}),
        says=("list_attr_celeba.csv is empty",),
    ),
    Case(
        "a csv cut off within a line",
        faces(*KAGGLE, changed={KAGGLE[0]: PARTS["attributes.csv"][:-8]}),
        says=("list_attr_celeba.csv", "000008.jp has 0 values", "expected 2"),
    ),
    Case("a csv cut off between lines", counted, right=([4], "left aside, as they are in one list alone: 2")),
    Case(
        "a csv of splits with a word",
        faces(*KAGGLE, changed={KAGGLE[1]: PARTS["partition.csv"].replace(",2", ",test")}),
        says=("list_eval_partition.csv", "000005.jpg test", "0 (train), 1 (val) or 2 (test)"),
    ),
    Case(
        "a picture listed twice",
        faces(*PLAIN, changed={PLAIN[0]: text_list([*NAMES[:-1], NAMES[0]], SMILING)}),
        says=("list_attr_celeba.txt", "lists 000001.jpg twice"),
    ),
    Case(
        "a list of nothing",
        faces(*PLAIN, changed={PLAIN[0]: "0\nBald Smiling\n\n"}),
        says=("list_attr_celeba.txt", "lists 0 pictures"),
    ),
    Case(
        "lists of other pictures",
        faces(*PLAIN, changed={PLAIN[1]: "a.jpg 0\nb.jpg 2\n"}),
        says=("list_eval_partition.txt", "no picture", "train (0)"),
    ),
)
def test_celeba(case: Case, at: At) -> None:
    case.settle(at)
