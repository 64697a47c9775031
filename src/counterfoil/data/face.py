"""One cartoon face: its parts by attribute, and its drawing. Without torch: worker processes start faster."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

SIZE = 64
DRAWING = 2
"""Raise this where the same attributes and seed come to give other pixels: it is part of the cache's key."""

ATTRIBUTES = (
    "Smiling",
    "Mouth_Open",
    "Eyeglasses",
    "Sunglasses",
    "Blond_Hair",
    "Long_Hair",
    "Beard",
    "Mustache",
    "Pale_Skin",
    "Dark_Clothes",
)
EXCLUSIVE = (("Eyeglasses", "Sunglasses"),)
"""Pairs that one picture cannot show together."""

# Names of python_avatars' enum members, without parts of a fixed colour and those that hide another
# attribute.
_MOUTH = {
    # (Smiling, Mouth_Open)
    (True, True): ("SMILE", "BIG_SMILE", "DEFAULT"),
    (True, False): ("TWINKLE",),
    (False, True): ("CONCERNED", "SCREAM_OPEN", "DISBELIEF"),
    (False, False): ("SAD", "SERIOUS"),
}
_GLASSES = {
    "Eyeglasses": ("PRESCRIPTION_2", "ROUND"),
    "Sunglasses": ("SUNGLASSES", "WAYFARERS", "SUNGLASSES_2", "WAYFARERS_2", "KURT"),
}
_HAIR = {
    True: ("STRAIGHT_1", "STRAIGHT_STRAND", "LONG_NOT_TOO_LONG", "TWIST_LONG_HAIR", "CURVY"),
    False: (
        "CAESAR",
        "CAESAR_SIDE_PART",
        "SHORT_FLAT",
        "SHORT_ROUND",
        "SHORT_WAVED",
        "SHORT_CURLY",
        "SHORT_DREADS_1",
        "ELVIS",
        "QUIFF",
    ),
}
_HAIR_COLOUR = {
    True: ("#D6B370", "#E6C15C", "#ECDCBF", "#DDBB66"),
    False: ("#2C1B18", "#4A312C", "#724133", "#A55728", "#C93305"),
}
_SKIN = {True: ("#FFDBB4", "#F9D5BA", "#F3D0B0"), False: ("#C68642", "#AE5D29", "#8D5524", "#7A5240")}
_CLOTHES = ("SHIRT_CREW_NECK", "SHIRT_SCOOP_NECK", "SHIRT_V_NECK", "HOODIE")
_CLOTHES_COLOUR = {
    True: ("#262E33", "#1F2A44", "#3A1F2B", "#24402F", "#3C2A4D"),
    False: ("#E6E6E6", "#FFFFB1", "#B1E2FF", "#A7FFC4", "#FFDEB5", "#FFB3C7"),
}
# By Pale_Skin and not by hair colour: facial hair must stand out from the skin it grows on.
_BEARD_COLOUR = {True: ("#2C1B18", "#4A312C", "#724133"), False: ("#1A0F0D", "#E0DAD5")}
_BEARD = ("beard_light", "beard_medium", "wick_beard")
_MUSTACHE = ("moustache_fancy", "moustache_magnum")
_EYES = ("DEFAULT", "SIDE", "SQUINT", "SURPRISED", "HAPPY")
_EYEBROWS = (
    "DEFAULT",
    "DEFAULT_NATURAL",
    "FLAT_NATURAL",
    "RAISED_EXCITED",
    "UP_DOWN",
    "ANGRY_NATURAL",
    "SAD_CONCERNED_NATURAL",
)
_NOSE = ("DEFAULT", "SMALL", "WIDE")
_BACKGROUND = ("#9CC9E8", "#9AD1B3", "#C3A6E0", "#B0BEC5", "#E59AA8", "#7FB7BE")

_DIALS = (
    "background",
    "beard",
    "beard_colour",
    "clothes",
    "clothes_colour",
    "eyebrows",
    "eyes",
    "glasses",
    "hair",
    "hair_colour",
    "mouth",
    "mustache",
    "nose",
    "skin",
)
"""What varies beside the attributes."""

_CANVAS = 'width="264px" height="280px" viewBox="0 0 264 280"'
_CROPPED = 'width="{side}" height="{side}" viewBox="30 20 204 204"'
# A third larger about its middle, features darker: else a mouth is nine pixels of low contrast on dark skin.
_MOUTH_AT = 'Mouth" transform="translate(2.000000, 52.000000)"'
_LARGER_MOUTH_AT = 'Mouth" transform="translate(-16.9, 44.3) scale(1.35)"'
_FAINT = re.compile(r'fill-opacity="0\.[67]\d*"')
_FACE = '<g id="transparent_Face"'
# The package's beards come with a mustache; outside this box around the upper lip they have none.
_BARE_LIP = (
    '<clipPath id="bare-lip"><path clip-rule="evenodd" d="M0,0H168V152H0Z M44,50H124V82H44Z"/></clipPath>'
)


def draw(attributes: Mapping[str, bool], rng: np.random.Generator, side: int = SIZE) -> NDArray[np.uint8]:
    """Draw a face that has exactly these attributes; everything else about it is drawn from `rng`.

    The same generator state with other attributes gives the same face with only those attributes changed: its
    true counterfactual.

    Returns:
        uint8 (3, side, side).
    """
    import resvg_py
    from PIL import Image

    dials = dict(zip(_DIALS, rng.random(len(_DIALS)), strict=True))

    def pick(dial: str, options: tuple[str, ...]) -> str:
        return options[int(dials[dial] * len(options))]

    png = resvg_py.svg_to_bytes(
        svg_string=_svg(attributes, pick, side),
        background=pick("background", _BACKGROUND),
        skip_system_fonts=True,
    )
    pixels: NDArray[np.uint8] = np.asarray(
        Image.open(io.BytesIO(bytes(png))).convert("RGB"), dtype=np.uint8
    ).transpose(2, 0, 1)
    return pixels


def draw_many(attributes: NDArray[np.uint8], seed: int, start: int, side: int = SIZE) -> NDArray[np.uint8]:
    """The faces `start`, `start` + 1, ... with attributes (n, A), each from its own generator.

    Returns:
        uint8 (n, 3, side, side).
    """
    rows = (dict(zip(ATTRIBUTES, row, strict=True)) for row in attributes.astype(bool).tolist())
    return np.stack([draw(row, np.random.default_rng((seed, start + i)), side) for i, row in enumerate(rows)])


def _svg(has: Mapping[str, bool], pick: Callable[[str, tuple[str, ...]], str], side: int) -> str:
    import python_avatars as pa

    glasses = next((pick("glasses", styles) for name, styles in _GLASSES.items() if has[name]), "NONE")
    svg: str = pa.Avatar(
        style=pa.AvatarStyle.TRANSPARENT,
        top=pa.HairType[pick("hair", _HAIR[has["Long_Hair"]])],
        hair_color=pick("hair_colour", _HAIR_COLOUR[has["Blond_Hair"]]),
        eyebrows=pa.EyebrowType[pick("eyebrows", _EYEBROWS)],
        eyes=pa.EyeType[pick("eyes", _EYES)],
        nose=pa.NoseType[pick("nose", _NOSE)],
        mouth=pa.MouthType[pick("mouth", _MOUTH[has["Smiling"], has["Mouth_Open"]])],
        facial_hair=pa.FacialHairType.NONE,
        skin_color=pick("skin", _SKIN[has["Pale_Skin"]]),
        accessory=pa.AccessoryType[glasses],
        clothing=pa.ClothingType[pick("clothes", _CLOTHES)],
        clothing_color=pick("clothes_colour", _CLOTHES_COLOUR[has["Dark_Clothes"]]),
    ).render()
    colour = pick("beard_colour", _BEARD_COLOUR[has["Pale_Skin"]])
    beard = _facial_hair(pick("beard", _BEARD), colour, 72, "url(#bare-lip)") if has["Beard"] else ""
    # Six units higher than the package draws it, so that it leaves the mouth in sight.
    mustache = _facial_hair(pick("mustache", _MUSTACHE), colour, 66, "none") if has["Mustache"] else ""
    for old, new in (
        (_CANVAS, _CROPPED.format(side=side)),
        (_MOUTH_AT, _LARGER_MOUTH_AT),
        (_FACE, _BARE_LIP + beard + _FACE),
        ("</svg>", mustache + "</svg>"),
    ):
        svg = svg.replace(old, new, 1)
    return _FAINT.sub('fill-opacity="0.85"', svg)


@cache
def _facial_hair(part: str, colour: str, y: int, clip: str) -> str:
    """A part of the package as an SVG group; the package itself can draw a beard or a mustache, not both."""
    from importlib.resources import files

    from python_avatars.svg_parser import SVGParser

    svg = SVGParser(str(files("python_avatars") / "avatar_parts" / "facial_hair" / f"{part}.svg"))
    svg.get_element_by_id("Facial-Hair-Color").set_attr("fill", colour)
    content = "".join(str(child) for child in svg.children())
    return f'<g transform="translate(49,{y})"><g clip-path="{clip}">{content}</g></g>'
