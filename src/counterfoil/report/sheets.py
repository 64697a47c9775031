"""Thumbnails of many images as sprite sheets: inside the page, or in a folder beside it, read when shown."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np

from counterfoil.report.grid import Pixels, grid
from counterfoil.util.record import whole

COLUMNS, TILES = 10, 100
"""Tiles in a row of a sheet and, at most, in a sheet."""
_LOSSLESS = 32
"""Pixels; wider tiles are written with a little loss, which keeps a page small."""


class Sheets:
    """A series of equally large tiles, `TILES` per sheet; the last sheet may be shorter.

    Args:
        name: of the series, for its files and the page's style rules.
        folder: where sheets go; None: they are `data:` addresses.
    """

    def __init__(self, name: str, folder: Path | None = None) -> None:
        self.name, self.folder = name, folder
        self.addresses: list[str] = []
        self._waiting: list[Pixels] = []

    def add(self, tiles: Pixels) -> None:
        """Append tiles (N, H, W, 3 | 4)."""
        self._waiting += list(tiles)
        while len(self._waiting) >= TILES:
            self._write(self._waiting[:TILES])
            del self._waiting[:TILES]

    def close(self) -> list[str]:
        """Write what is left; returns the address of each sheet, in a folder relative to the page."""
        if self._waiting:
            self._write(self._waiting)
            self._waiting = []
        return self.addresses

    def _write(self, tiles: list[Pixels]) -> None:
        content = _encode(grid(np.stack(tiles), columns=COLUMNS, pad=0), tiles[0].shape[1] <= _LOSSLESS)
        if self.folder is None:
            self.addresses.append(f"data:image/webp;base64,{base64.b64encode(content).decode()}")
            return
        path = self.folder / f"{self.name}-{len(self.addresses)}.webp"
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as partial:
            partial.write_bytes(content)
        self.addresses.append(f"{self.folder.name}/{path.name}")


def _encode(sheet: Pixels, lossless: bool) -> bytes:
    """WebP: of small tiles half as large as PNG and as quick."""
    from PIL import Image

    buffer = io.BytesIO()
    quality = 50 if lossless else 90  # how hard it tries, and how much is kept
    Image.fromarray(sheet).save(buffer, "WEBP", lossless=lossless, quality=quality, method=2)
    return buffer.getvalue()
