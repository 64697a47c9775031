"""Which files of a folder are images, and what is left aside."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from counterfoil.data.content import NAME as CONTENT

SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".bmp",
    ".gif",
    ".tif",
    ".tiff",
    ".webp",
    ".ppm",
    ".pgm",
)
_SYSTEM = "__MACOSX"  # what macOS puts into its zip archives


def image_files(folder: Path, skipped: Counter[str] | None = None) -> list[Path]:
    """The image files right in a folder, by name; whatever else is there is counted by its kind."""
    return [folder / name for name in image_names(folder, skipped)]


def image_names(folder: Path, skipped: Counter[str] | None = None) -> list[str]:
    """The names of `image_files`, for folders of so many that a Path of each would take its time."""
    images = []
    with os.scandir(folder) as entries:  # an entry mostly knows its kind, which Path asks the disk for
        for entry in entries:
            if kind := _kind(entry):
                _count(skipped, kind, entry.name)
            else:
                images.append(entry.name)
    return sorted(images)


def sub_folders(folder: Path, skipped: Counter[str] | None = None) -> list[Path]:
    """The folders right in a folder, by name; hidden ones, and files, are counted by their kind."""
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir() and not _hidden(entry.name):
                folders.append(entry.name)
            else:
                _count(skipped, _kind(entry) or "images beside the folders", entry.name)
    return [folder / name for name in sorted(folders)]


def counted(skipped: Counter[str]) -> str:
    """What was left aside, the most frequent first: ".txt (12), hidden (3)"."""
    found = sorted((+skipped).items(), key=lambda each: (-each[1], each[0]))
    return ", ".join(f"{kind} ({number})" for kind, number in found)


def _count(skipped: Counter[str] | None, kind: str, name: str) -> None:
    if skipped is not None and name != CONTENT:
        skipped[kind] += 1


def _kind(entry: os.DirEntry[str]) -> str:
    """What an entry of a folder is where it is no image; '' for an image."""
    if _hidden(entry.name):
        return "hidden"
    if not entry.is_file():
        return "nested folders" if entry.is_dir() else "broken links"
    name = entry.name.lower()
    return "" if name.endswith(SUFFIXES) else os.path.splitext(name)[1] or "without a suffix"


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == _SYSTEM
