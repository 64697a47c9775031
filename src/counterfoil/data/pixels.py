"""What the pixels of a picture mean: any mode as grey or colour bytes, nothing clipped or left black."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from counterfoil.core.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

_SIXTEEN_BITS = 65535
_WHITE_IS_ZERO = 262, 0  # TIFF's PhotometricInterpretation, which Pillow heeds up to 8 bits alone


def channels_of(mode: str) -> int:
    """1 where a mode of Pillow is grey, 3 where it can hold colour."""
    return 1 if mode in ("1", "L", "LA", "La", "F") or is_deep(mode) else 3


def is_deep(mode: str) -> bool:
    """Whether a mode holds more than 8 bits per pixel and channel."""
    return mode == "F" or mode == "I" or mode.startswith("I;")


def has_transparency(picture: Image) -> bool:
    """Whether a picture has an alpha channel, or one colour or palette entries declared transparent."""
    return picture.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info


def check_colour(background: str, option: str = "data.background") -> None:
    """Raise a UserError where a background is no opaque colour."""
    from PIL import ImageColor

    try:
        opaque = isinstance(background, str) and len(ImageColor.getrgb(background)) == 3
    except ValueError:
        opaque = False
    if not opaque:
        raise UserError(
            f"{option}={background}: expected an opaque colour by name or in hex, "
            "such as white, black or '#808080'"
        )


def flat(picture: Image, channels: int, background: str = "white", white: float | None = None) -> Image:
    """A picture of any mode as grey (mode L) or colour (RGB) bytes.

    Transparent pixels are composed on the background. 1-bit, 8-bit, palette, CMYK, YCbCr and LAB pictures are
    turned by Pillow. Above 8 bits black is 0 and white is `white`, else the end of the mode's range: 65535
    for 16 bits, 1 for floats.

    Args:
        picture: loaded.
        channels: 1 or 3.
        background: a colour by name or in hex.
        white: the value of white in pictures of 16 or 32 bits and floats; None: as above.

    Raises:
        ValueError: values below 0, above white or not finite, and 32-bit integers without `white`; the
            message goes on after the file's name.
    """
    from PIL.Image import Image as Picture
    from PIL.Image import alpha_composite, fromarray, new

    goal = "L" if channels == 1 else "RGB"
    if is_deep(picture.mode):
        values = np.asarray(picture)
        grey: Picture = fromarray(_scaled(values, *_range(picture, white)))
        if isinstance(key := picture.info.get("transparency"), int):
            grey.putalpha(fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
        picture = grey
    if has_transparency(picture):
        layer = picture.convert("LA") if picture.mode == "La" else picture
        layer = layer.convert("RGBA")
        picture = alpha_composite(new("RGBA", layer.size, background), layer)
    if picture.mode == "LAB":
        picture = picture.convert("RGB")
    return picture.convert(goal)


def _range(picture: Image, white: float | None) -> tuple[str, float, bool]:
    """What to call the values, the value of white, and whether black and white are exchanged."""
    # Pillow before 11 reads 16-bit PNGs, and every version 16-bit PGMs, in the mode of 32 bits.
    sixteen = picture.mode != "F" and (picture.mode != "I" or picture.format in ("PNG", "PPM"))
    kind = "16-bit integers" if sixteen else "floats" if picture.mode == "F" else "32-bit integers"
    if white is None:
        white = _SIXTEEN_BITS if sixteen else 1.0 if picture.mode == "F" else None
    if white is None:
        low, high = picture.getextrema()
        raise ValueError(
            f"holds 32-bit integers, here {low} to {high}, of which none is known to be white; "
            "name it by data.white=VALUE or save 8 or 16 bits"
        )
    tag, inverted = _WHITE_IS_ZERO
    return kind, white, getattr(picture, "tag_v2", {}).get(tag) == inverted


def _scaled(values: NDArray[Any], kind: str, white: float, inverted: bool) -> NDArray[np.uint8]:
    if not np.isfinite(values).all():
        raise ValueError(f"holds {kind} that are not finite; save it with numbers alone")
    if values.min() < 0 or values.max() > white:
        raise ValueError(
            f"holds {kind} from {values.min():g} to {values.max():g}, expected 0 (black) to {white:g} "
            "(white); name the value of white by data.white=VALUE, or scale the pictures"
        )
    if white == _SIXTEEN_BITS and values.dtype.kind in "iu":
        pixels = (values >> 8).astype(np.uint8)
    else:
        pixels = np.rint(values.astype(np.float64) * (255 / white)).astype(np.uint8)
    return 255 - pixels if inverted else pixels
