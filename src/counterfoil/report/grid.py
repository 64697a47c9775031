"""Pictures of images: grids, signed differences, strips, as uint8 arrays at native resolution."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from counterfoil.core.batches import Rows
from counterfoil.util.record import whole

Pixels = NDArray[np.uint8]
"""(H, W, 3) or (H, W, 4): one picture, red green blue (alpha)."""

RED, BLUE = (214, 58, 48), (38, 104, 214)
"""Colours of the largest increase and decrease; both stand out from white and from near black."""
_LOSSLESS_SIDE = 64


def pixels(images: Tensor) -> Pixels:
    """Images (N, C, H, W) in [0, 1], C 1 or 3, as (N, H, W, 3); values outside the range are clamped."""
    levels = (images.detach().cpu().float().clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(levels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy())


def grid(images: Tensor | Pixels, columns: int, pad: int = 1, background: int = 255) -> Pixels:
    """Tile images row by row.

    Args:
        images: (N, C, H, W) in [0, 1], or ready pixels (N, H, W, 3 | 4).
        columns: tiles in a row; the last row is filled with background.
        pad: pixels between tiles; none at the rim.
        background: grey level of padding and empty places, 0 to 255 (transparent black in pictures with
            alpha).

    Returns:
        (rows * (H + pad) - pad, columns * (W + pad) - pad, 3 | 4).
    """
    tiles = pixels(images) if isinstance(images, Tensor) else images
    count, height, width, depth = tiles.shape
    rows = -(-count // columns)
    canvas = np.full(
        (rows * (height + pad), columns * (width + pad), depth), background if depth == 3 else 0, np.uint8
    )
    for place, tile in enumerate(tiles):
        top, left = place // columns * (height + pad), place % columns * (width + pad)
        canvas[top : top + height, left : left + width] = tile
    return canvas[: canvas.shape[0] - pad, : canvas.shape[1] - pad]


def strongest(delta: Tensor) -> Tensor:
    """The change of the channel that changed most, (..., C, H, W) -> (..., H, W); means could cancel."""
    return delta.gather(-3, delta.abs().argmax(-3, keepdim=True)).squeeze(-3)


def difference_layer(delta: Tensor, scale: float = 1.0) -> Pixels:
    """Signed change as a see-through layer: RED for more, BLUE for less, opacity min(|delta| / scale, 1).

    Args:
        delta: (N, C, H, W) in [-1, 1].
        scale: the change drawn fully opaque, > 0; the same for both signs.

    Returns:
        (N, H, W, 4), for any background.
    """
    change = strongest(delta.detach().cpu().float()).numpy() / scale
    colour = np.where(change[..., None] > 0, np.array(RED), np.array(BLUE))
    opacity = np.rint(np.abs(change).clip(0, 1) * 255)[..., None]
    return np.concatenate((colour, opacity), -1).astype(np.uint8)


def signed_difference(delta: Tensor, scale: float = 1.0, background: int = 255) -> Pixels:
    """`difference_layer` on grey: (N, C, H, W) in [-1, 1] -> (N, H, W, 3), blue to background to red."""
    layer = difference_layer(delta, scale).astype(np.float32)
    opacity = layer[..., 3:] / 255
    return np.rint(layer[..., :3] * opacity + background * (1 - opacity)).astype(np.uint8)


def symmetric_scale(largest: Tensor) -> float:
    """One colour scale for differences: the 99th percentile of the largest |change| (N,), at least 0.01."""
    largest = largest.detach().float()
    return max(0.01, float(f"{torch.quantile(largest, 0.99).item():.2g}")) if len(largest) else 1.0


def enlarge(image: Pixels, factor: int) -> Pixels:
    """Nearest-neighbour enlargement by a whole number."""
    return image.repeat(factor, 0).repeat(factor, 1)


def overview(counterfactuals: Rows, limit: int = 16, side: int = 56) -> Pixels:
    """Factual, counterfactual and difference, one column per row; tiles at least `side` pixels wide."""
    part = counterfactuals[:limit]
    tiles = (
        pixels(part.factual),
        pixels(part.counterfactual),
        signed_difference(part.delta, symmetric_scale(part.largest)),
    )
    picture = grid(np.concatenate(tiles), columns=len(part), pad=1)
    return enlarge(picture, max(1, -(-side // part.factual.shape[-1])))


def encode(image: Pixels, lossless: bool = True) -> tuple[str, bytes]:
    """A picture as (media type, bytes): PNG, or WebP at quality 90 where loss is allowed."""
    from PIL import Image

    buffer = io.BytesIO()
    if lossless:
        Image.fromarray(image).save(buffer, "PNG", optimize=True)
    else:
        Image.fromarray(image).save(buffer, "WEBP", quality=90, method=4)
    return ("image/png" if lossless else "image/webp"), buffer.getvalue()


def data_uri(image: Pixels, side: int = 0) -> str:
    """A picture as a `data:` address; lossless where its tiles are at most 64 pixels wide (`side`)."""
    media, content = encode(image, lossless=side <= _LOSSLESS_SIDE)
    return f"data:{media};base64,{base64.b64encode(content).decode()}"


def save_png(path: Path | str, image: Pixels) -> Path:
    """Write a PNG under a temporary name, then rename."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as partial:
        partial.write_bytes(encode(image)[1])
    return path
