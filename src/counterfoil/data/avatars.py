"""Cartoon faces with known attributes and known true counterfactuals; nothing to download."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray

from counterfoil.core.bounds import LARGEST, Bounds, Share, Side, checked
from counterfoil.core.errors import UserError
from counterfoil.data.base import ImageData, Images, Splits
from counterfoil.data.cache import cache_root, open_cached, write_cached
from counterfoil.data.face import ATTRIBUTES, DRAWING, EXCLUSIVE, SIZE, draw_many
from counterfoil.util.cores import cores
from counterfoil.util.digest import digest
from counterfoil.util.record import write_text

_CHUNK = 100
Faces = Annotated[int, Bounds(least=20, most=LARGEST)]
"""How many faces fill three splits."""
_SHARES = (0.8, 0.1, 0.1)


class Avatars(ImageData):
    """Colour faces, 64 x 64 unless told otherwise, drawn from ten binary attributes.

    80 % are for training, 10 % each for validation and test.
    Each attribute is drawn independently with probability 1/2, save that Eyeglasses (clear lenses) and
    Sunglasses (dark lenses) exclude each other: Sunglasses is drawn among the faces without Eyeglasses, so
    that its probability is 1/4. The mouth shows Smiling and Mouth_Open, four shapes of mouth in all. Beard
    is a beard below the lip, Mustache what is above it. Everything else (styles, colours, eyes, eyebrows,
    nose, background) is random and independent of the attributes, save that the colour of facial hair is
    chosen to stand out from the skin.

    Args:
        n: number of faces in all splits together.
        spurious: {first, second, strength, test}: make attribute `second` equal to `first` with probability
            `strength` in the training and validation faces, and in the test faces too where `test` is true
            (default: independent there). A planted Sunglasses wins over Eyeglasses. A list of such pairs
            plants several correlations at once; no attribute stands in two of them.
        size: side of the images in pixels.
        cache_dir: where the drawn faces are kept, under a hash of the recipe; None: COUNTERFOIL_CACHE, else
            ~/.cache/counterfoil.
        attribute: which attribute the labels tell, "Smiling" by default.
        seed: also of the faces.

    Raises:
        UserError: the packages that draw are missing, or an option is out of range.
    """

    name = "avatars"

    def __init__(
        self,
        *,
        n: Faces = 20_000,
        spurious: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        size: Side = SIZE,
        cache_dir: str | Path | None = None,
        attribute: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(attribute=attribute or "Smiling", **options)
        self.n = n
        self.pairs = _pairs(spurious)
        self.side = size
        self.cache_dir = cache_dir

    def options(self) -> dict[str, Any]:
        """The recipe of the faces."""
        several = None if not self.pairs else self.pairs[0] if len(self.pairs) == 1 else self.pairs
        own_side = {} if self.side == SIZE else {"size": self.side}
        return {"n": self.n, "spurious": several, "drawing": DRAWING, **own_side}

    def content(self) -> None:
        """The recipe tells all of it."""

    def load(self) -> Splits:
        """Open the cached faces, or draw them."""
        attributes = self._attributes()
        images = self._images(attributes)
        labels = torch.from_numpy(attributes)
        train, val, test = (
            Images(images[rows], labels[rows, ATTRIBUTES.index("Smiling")], labels[rows])
            for rows in _split_rows(self.n)
        )
        return Splits(train, test, ("not Smiling", "Smiling"), val, ATTRIBUTES)

    def twins(self, attribute: str, n: int) -> Images:
        """True counterfactuals: the first `n` faces of `queried` drawn anew with this one attribute turned.

        Labels are those of the turned faces. A pair that excludes each other is never shown together: what is
        turned on takes the other off.
        """
        _require_packages()
        if self.limit is not None:
            raise UserError(
                "data.limit: twins are drawn of all test faces; "
                "leave the limit out, or set data.n for fewer faces"
            )
        rows = self.queried.attributes
        assert rows is not None
        turned = rows[:n].clone().numpy()
        column = ATTRIBUTES.index(attribute)
        turned[:, column] = 1 - turned[:, column]
        for pair in EXCLUSIVE:
            if attribute in pair:
                other = ATTRIBUTES.index(pair[1 - pair.index(attribute)])
                turned[turned[:, column] == 1, other] = 0
        first = _split_rows(self.n)[("train", "val", "test").index(self.query_split)].start
        pixels = draw_many(turned, self.seed, first, self.side)
        labels = [ATTRIBUTES.index(part) for part in str(self.attribute).split("+")]
        truth = torch.from_numpy(turned)
        return Images(torch.from_numpy(pixels), truth[:, labels].amin(1), truth)

    def export_celeba(self, folder: str | Path, n: int | None = None) -> None:
        """Write the first `n` faces of each split (None: all) as JPEGs and lists in CelebA's layout."""
        from PIL import Image

        folder = Path(folder)
        pictures = folder / "img_align_celeba"
        pictures.mkdir(parents=True, exist_ok=True)
        rows = [row for part in _split_rows(self.n) for row in range(*part.indices(self.n))[:n]]
        attributes = self._attributes()
        images = self._images(attributes)
        names = [f"{i:06d}.jpg" for i in range(1, len(rows) + 1)]
        for name, row in zip(names, rows, strict=True):
            Image.fromarray(images[row].permute(1, 2, 0).numpy()).save(
                pictures / name, quality=97, subsampling=0
            )
        part_of = [next(p for p, part in enumerate(_split_rows(self.n)) if row < part.stop) for row in rows]
        signs = [" ".join(f"{2 * int(value) - 1:2d}" for value in attributes[row]) for row in rows]
        lists = {
            "list_attr_celeba.txt": [
                str(len(rows)),
                " ".join(ATTRIBUTES),
                *(f"{name} {sign}" for name, sign in zip(names, signs, strict=True)),
            ],
            "list_eval_partition.txt": [f"{name} {part}" for name, part in zip(names, part_of, strict=True)],
            "identity_CelebA.txt": [f"{name} {i}" for i, name in enumerate(names, start=1)],
        }
        for name, lines in lists.items():
            (folder / name).write_text("\n".join(lines) + "\n")

    def _attributes(self) -> NDArray[np.uint8]:
        """The ground truth, uint8 (n, A)."""
        rng = np.random.default_rng(self.seed)
        drawn = rng.random((self.n, len(ATTRIBUTES))) < 0.5
        column = {name: drawn[:, i] for i, name in enumerate(ATTRIBUTES)}
        planted = [name for pair in self.pairs for name in (pair["first"], pair["second"])]
        for pair in self.pairs:
            agrees = rng.random(self.n) < pair["strength"]
            rows = slice(None if pair["test"] else _split_rows(self.n)[-1].start)
            column[pair["second"]][rows] = column[pair["first"]][rows] == agrees[rows]
        for one, other in EXCLUSIVE:
            winner, loser = (other, one) if other in planted else (one, other)
            column[loser][column[winner]] = False
        return drawn.astype(np.uint8)

    def _images(self, attributes: NDArray[np.uint8]) -> torch.Tensor:
        recipe = {**self.options(), "seed": self.seed}
        path = cache_root(self.cache_dir) / f"avatars-{digest(recipe, 12)}" / "images.npy"
        shape = (self.n, 3, self.side, self.side)
        images = open_cached(path, shape)
        if images is None:
            _require_packages()
            images = write_cached(path, shape, _draw(attributes, self.seed, self.side), "Drawing avatars")
            write_text(path.with_name("recipe.json"), json.dumps(recipe, indent=1))
        return images


def _draw(attributes: NDArray[np.uint8], seed: int, side: int = SIZE) -> Iterator[NDArray[np.uint8]]:
    starts = range(0, len(attributes), _CHUNK)
    chunks = [attributes[start : start + _CHUNK] for start in starts]
    if len(chunks) <= 5 or cores() == 1:
        yield from map(draw_many, chunks, repeat(seed), starts, repeat(side))
        return
    # spawn: this process has threads of torch, which a fork would not carry over.
    with ProcessPoolExecutor(min(cores(), len(chunks)), mp_context=get_context("spawn")) as pool:
        yield from pool.map(draw_many, chunks, repeat(seed), starts, repeat(side))


def _split_rows(n: int) -> list[slice]:
    """Rows of train, val and test."""
    train, val = (round(n * share) for share in _SHARES[:2])
    return [slice(0, train), slice(train, train + val), slice(train + val, n)]


def _pairs(spurious: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None) -> list[dict[str, Any]]:
    """The planted correlations, none of whose attributes stands in another one."""
    given = [spurious] if isinstance(spurious, Mapping) else spurious or []
    pairs = [_spurious(pair) for pair in given]
    named: set[str] = set()
    for pair in pairs:
        for name in (pair["first"], pair["second"]):
            if named & {name, *(other for pair in EXCLUSIVE if name in pair for other in pair)}:
                raise UserError(
                    f"data.spurious plants {name} twice, or beside what excludes it; "
                    "name each attribute in one pair"
                )
        named |= {pair["first"], pair["second"]}
    return pairs


def _spurious(spurious: Mapping[str, Any]) -> dict[str, Any]:
    known = {"first", "second", "strength", "test"}
    if set(spurious) - known or {"first", "second", "strength"} - set(spurious):
        raise UserError(
            f"data.spurious has the keys {', '.join(map(str, spurious))}; "
            "expected first, second, strength and perhaps test"
        )
    pair = (spurious["first"], spurious["second"])
    for name in pair:
        if name not in ATTRIBUTES:
            raise UserError(
                f"data.spurious names the attribute {name}; known attributes: {', '.join(ATTRIBUTES)}"
            )
    if len(set(pair)) == 1 or any(set(pair) == set(exclusive) for exclusive in EXCLUSIVE):
        raise UserError(
            f"data.spurious: {pair[0]} and {pair[1]} cannot vary together; "
            "name two attributes that one face can show"
        )
    return _correlation(**checked(_correlation, spurious, "data.spurious."))


def _correlation(first: str, second: str, strength: Share, test: bool = False) -> dict[str, Any]:
    return {"first": first, "second": second, "strength": float(strength), "test": test}


def _require_packages() -> None:
    missing = [name for name in ("python_avatars", "resvg_py") if find_spec(name) is None]
    if missing:
        raise UserError(
            f"data=avatars needs the packages {', '.join(missing)}: "
            "pip install 'counterfoil[avatars]', or take data=digits"
        )
