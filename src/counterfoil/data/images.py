"""Unlabelled images: the files of one folder, for a classifier that was trained elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from counterfoil.core.errors import UserError
from counterfoil.data.base import ImageData, Images, Splits
from counterfoil.data.content import file_digests
from counterfoil.data.decode import image_files
from counterfoil.data.files import file_names
from counterfoil.data.folder import check_shape, final_shape, read_files
from counterfoil.util.digest import digest


class Unlabelled(ImageData):
    """The image files right in a folder, any size, 1 or 3 channels, without labels.

    All are the test split; the validation split is the same images, as a sample of them; the training split
    is empty. Every label is 0 and says nothing. Every image is cut to its middle square and scaled to `size`.

    Args:
        root: the folder.
        size: side of the images in pixels; None: the shorter side of the first image.
        channels: 1 or 3; None: as the first image.
        class_names: of the classifier's classes, in its order; None: () here, as the classifier alone knows
            how many there are.
        cache_dir: where a large set's decoded images are kept; None: COUNTERFOIL_CACHE, else
            ~/.cache/counterfoil.

    Raises:
        UserError: no folder, no images in it, an unreadable one, or fewer than two names of classes.
    """

    name = "images"
    labelled = False

    def __init__(
        self,
        *,
        root: str | Path | None = None,
        size: int | None = None,
        channels: int | None = None,
        class_names: Sequence[str] | None = None,
        cache_dir: str | Path | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        check_shape(channels, size)
        self._given_names = tuple(str(name) for name in class_names or ())
        if class_names is not None and len(set(self._given_names)) < max(2, len(class_names)):
            raise UserError(
                f"data.class_names={list(class_names)}: "
                "expected at least two different names, one per class of the classifier"
            )
        self._root = root
        self._shape = (channels, size)
        self.cache_dir = cache_dir

    def options(self) -> dict[str, Any]:
        """What is made of the images."""
        return {"shape": self._shape}

    def content(self) -> str:
        """Names and content of the files, wherever the folder lies."""
        return digest([[path.name for path in self._files], self._digests], 32)

    def load(self) -> Splits:
        """Decode the images, or open the cache."""
        shape = final_shape(self._files[0], *self._shape)
        images = read_files(self._files, shape, self.name, self.cache_dir, self._digests)
        names = file_names(self._files, self._files[0].parent)
        whole = Images(images, torch.zeros(len(images), dtype=torch.int64), names=names)
        return Splits(whole.take(slice(0, 0)), whole, self._given_names, whole)

    @cached_property
    def _digests(self) -> list[str]:
        """What each file holds."""
        return file_digests(self._files, self._files[0].parent, self.cache_dir)

    @cached_property
    def _files(self) -> list[Path]:
        if self._root is None:
            raise UserError(f"data={self.name} needs data.root=FOLDER, a folder of image files")
        root = Path(self._root).expanduser().resolve()
        if not root.is_dir():
            raise UserError(f"data.root={root} is not a folder")
        files = image_files(root)
        if not files:
            nested = any(path.is_dir() and image_files(path) for path in root.iterdir())
            fix = (
                "choose data=folder for one sub-folder per class"
                if nested
                else "put the images to explain right into it"
            )
            raise UserError(f"data.root={root} holds no image files; {fix}")
        return files
