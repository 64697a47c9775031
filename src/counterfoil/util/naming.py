"""Names that become names of files."""

from __future__ import annotations

from counterfoil.core.errors import UserError

LONGEST = 100
"""Characters, as a file system takes 255 bytes with what is put around a name."""


def file_name(name: object, option: str) -> str:
    """The name as it is, if a file may be called so in whatever folder it is put.

    Raises:
        UserError: a name that leads to another folder, that is none, or that no file system takes.
    """
    text = str(name)
    unfit = not text.isprintable() or any(sign in text for sign in '/\\:*?"<>|') or len(text) > LONGEST
    if unfit or text.strip(" .") != text or not text or text.startswith("~"):
        raise UserError(
            f"{option}={text[:LONGEST]!r} cannot be the name of a file; take letters, "
            f"digits, '-', '_' and '.' within, at most {LONGEST}"
        )
    return text
