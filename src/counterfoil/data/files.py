"""Files as tables name them: with either slash, either spelling of accents, with or without a suffix."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from counterfoil.core.errors import UserError
from counterfoil.data.listing import SUFFIXES

_DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_PLAIN = re.compile(r"[\w./ -]*\.\w+", re.ASCII)
"""Names that can be written in one way only."""


def find_file(text: str, folders: Sequence[Path], where: str) -> Path:
    """The file that a cell names, relative to the first of `folders` that has it.

    Where none has it, the path in the first folder, for its reader to refuse.

    Raises:
        UserError: a path on a drive that this machine does not have.
    """
    if len(folders) == 1 and _PLAIN.fullmatch(text):
        return folders[0] / text
    if _DRIVE.match(text) and not Path(text).exists():
        raise UserError(
            f"{where}: {text} is a path of another machine; write it relative to {folders[0]}, or name the "
            "folder by data.root="
        )
    found = (folder / each for each in _spellings(text) for folder in folders)
    return next((each for each in found if _is_file(each)), folders[0] / Path(text).expanduser())


def file_names(paths: Sequence[Path], root: Path) -> tuple[str, ...]:
    """What files are called where people read: the path below `root`, of a file elsewhere all of it."""
    start = f"{root}{os.sep}"
    return tuple(_printable(str(path).removeprefix(start).replace(os.sep, "/")) for path in paths)


def _spellings(text: str) -> Iterator[Path]:
    for slashes in dict.fromkeys((text, text.replace("\\", "/"))):
        for form in dict.fromkeys((slashes, *(unicodedata.normalize(f, slashes) for f in ("NFC", "NFD")))):
            path = Path(form).expanduser()
            yield path
            if not path.suffix:
                yield from (path.with_name(path.name + suffix) for suffix in SUFFIXES if path.name)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long, or with a zero byte
        return False


def _printable(text: str) -> str:
    """Bytes of a name that are no UTF-8 as backslashed hex digits."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
