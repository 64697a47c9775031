"""EMNIST: handwritten digits and letters in six splits, the right way up."""

from __future__ import annotations

from pathlib import Path
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Any

from torch import Tensor

from counterfoil.core.errors import UserError
from counterfoil.data.idx import IdxData

_MERGED = digits + ascii_uppercase + "abdefghnqrt"
SPLITS = {
    "balanced": _MERGED,
    "bymerge": _MERGED,
    "byclass": digits + ascii_uppercase + ascii_lowercase,
    "letters": ascii_uppercase,
    "digits": digits,
    "mnist": digits,
}


class Emnist(IdxData):
    """EMNIST, 28 x 28, the files of one split: emnist-balanced-train-images-idx3-ubyte and so on.

    They are looked for as MNIST's, and in gzip/ as the archive has them; nothing is downloaded. The published
    images are transposed: they are turned the right way up, as MNIST's are. "letters" joins both cases.

    Args:
        split: "balanced", "bymerge", "byclass", "letters", "digits" or "mnist".
        root: folder of the files.

    Raises:
        UserError: another split, and files that cannot be found or are no whole IDX files.

    Reference: EMNIST: an extension of MNIST to handwritten letters (Cohen, Afshar, Tapson, van Schaik, 2017),
    arXiv 1702.05373
    """

    name = "emnist"
    torchvision = "EMNIST"

    def __init__(
        self,
        *,
        split: str = "balanced",
        root: str | Path | None = None,
        cache_dir: str | Path | None = None,
        **options: Any,
    ) -> None:
        super().__init__(root=root, cache_dir=cache_dir, **options)
        if split not in SPLITS:
            raise UserError(f"data.split={split} is not supported; choose one of: {', '.join(SPLITS)}")
        self.split = split
        self.labels_named = tuple(SPLITS[split])
        self.first_label = 1 if split == "letters" else 0

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the four files: images and labels of train, then of test."""
        return tuple(
            f"emnist-{self.split}-{part}-{kind}-ubyte"
            for part in ("train", "test")
            for kind in ("images-idx3", "labels-idx1")
        )

    def options(self) -> dict[str, Any]:
        """The split."""
        return {**super().options(), "split": self.split}

    def upright(self, x: Tensor) -> Tensor:
        """Images (N, H, W) the right way up: the files hold them transposed."""
        return x.transpose(1, 2).contiguous()

    def _below(self, folder: Path) -> list[Path]:
        return [*super()._below(folder), folder / "gzip", folder / self.name / "gzip"]

    def _download(self, searched: list[Path]) -> list[Path]:
        places = ", ".join(str(place) for place in searched)
        raise UserError(f"data={self.name} split={self.split} is not in {places}; {self._fix()}")

    def _fix(self) -> str:
        return f"put {', '.join(self.files)} (.gz or not) in a folder and name it by data.root=FOLDER"
