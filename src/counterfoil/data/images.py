"""Unlabelled images: the files of one folder, for a classifier that was trained elsewhere."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from counterfoil.core.bounds import Count, Positive, Side
from counterfoil.core.errors import UserError
from counterfoil.data.base import ImageData, Images, Splits
from counterfoil.data.content import file_digests
from counterfoil.data.decode import Shape
from counterfoil.data.files import file_names
from counterfoil.data.folder import check_channels
from counterfoil.data.listing import counted, image_files, sub_folders
from counterfoil.data.reading import Rule, read_files
from counterfoil.util.digest import digest

log = logging.getLogger("counterfoil")


class Unlabelled(ImageData):
    """The image files right in a folder, any size, 1 or 3 channels, without labels.

    All are the test split; the validation split is the same images, as a sample of them; the training split
    is empty. Every label is 0 and says nothing. Every image becomes a square by `crop` and is scaled to
    `size`; what is no image, hidden or in a deeper folder is left aside and counted.

    Args:
        root: the folder.
        size: side of the images in pixels; None: the median of the images' shorter sides.
        channels: 1 or 3; None: 3 where any image can hold colour, else 1.
        crop: "centre" cuts out the middle square, "pad" adds background, "stretch" scales both sides.
        background: the colour below transparent and beside padded pixels.
        white: the value of white in images above 8 bits; None: 65535 for 16 bits, 1 for floats.
        class_names: of the classifier's classes, in its order; None: () here, as the classifier alone knows
            how many there are.
        cache_dir: where a large set's decoded images are kept; None: COUNTERFOIL_CACHE, else
            ~/.cache/counterfoil.

    Raises:
        UserError: no folder, no images in it, one that is unreadable, too large or whose white is not known,
            or fewer than two names of classes.
    """

    name = "images"
    labelled = False

    def __init__(
        self,
        *,
        root: str | Path | None = None,
        size: Side | None = None,
        channels: Count | None = None,
        crop: str = "centre",
        background: str = "white",
        white: Positive | None = None,
        class_names: Sequence[str] | None = None,
        cache_dir: str | Path | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        check_channels(channels)
        self.rule = Rule(channels, size, crop, background, white)
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
        return {"shape": self._shape, **self.rule.changed}

    def content(self) -> str:
        """Names and content of the files, wherever the folder lies."""
        return digest([[path.name for path in self._files], self._digests], 32)

    @property
    def shape(self) -> Shape:
        """How an image file becomes an image of these data."""
        return self.rule.shape(self.channels, self.size)

    def load(self) -> Splits:
        """Decode the images, or open the cache."""
        images = read_files(self._files, self.rule, self.name, self.cache_dir, self._digests)
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
        skipped: Counter[str] = Counter()
        files = image_files(root, skipped)
        found = counted(skipped)
        if not files:
            nested = any(image_files(path) for path in sub_folders(root))
            fix = (
                "choose data=folder for one sub-folder per class"
                if nested
                else "put the images to explain right into it"
            )
            raise UserError(f"data.root={root} holds no image files; {fix}{found and f', found {found}'}")
        if found:
            log.info(f"data={self.name}: {len(files)} images; left aside in {root}: {found}")
        return files
