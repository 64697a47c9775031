"""The generator of progressive exaggeration: an encoder, and a decoder with batch norms for each bin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfoil.core.bounds import Count, Pair, Weight, Whole, checks_options
from counterfoil.core.errors import UserError
from counterfoil.generative.exaggeration.calibration import Knob


@checks_options
class Exaggerator(nn.Module):
    """Redraws an image so that a classifier's posterior of a target lands in a requested bin.

    x_k = G(E(x), k);   k = slot * bins + bin, the *cell*

    Args:
        channels, size: of the images, padded so that every stage halves them.
        classes, class_names: of the classifier; `targets`, `bins`: see `Knob`.
        width: channels of the first layer; each stage doubles them, up to eight times.
        stages: halvings; None: as many as lead to a code of about 4 x 4.
        pad: pixels added at each side; None: as few as needed.
        conditioned_encoder: the official code's variant, in which the encoder is told the image's own cell.

    Departures: no batch norm and ReLU on the input (they cut half of its range); batch norm with running
    statistics when evaluated, so that a counterfactual does not depend on its batch. With several slots, one
    model serves several targets.
    Source: Explanation by Progressive Exaggeration (Singla et al., ICLR 2020), arXiv 1911.00483; blocks after
    Spectral Normalization for GANs (Miyato et al., 2018), arXiv 1802.05957.

    Raises:
        UserError: a size that cannot be halved `stages` times.
    """

    def __init__(
        self,
        channels: Count = 1,
        size: Count = 28,
        classes: Count = 10,
        class_names: tuple[str, ...] | None = None,
        *,
        targets: Sequence[int | str] | int | str | None = None,
        bins: Pair = 10,
        width: Count = 16,
        stages: Count | None = None,
        pad: Whole | None = None,
        conditioned_encoder: bool = False,
    ) -> None:
        super().__init__()
        self.knob = Knob(classes, targets, bins, class_names)
        self.stages = max(1, round(math.log2(size / 4))) if stages is None else stages
        self.pad = fitting_pad(size, self.stages, pad)
        self.size = size
        self.conditioned_encoder = conditioned_encoder
        widths = [width * min(2**i, 8) for i in range(self.stages + 1)]
        cells = len(self.knob.slots) * bins
        self.stem = nn.Conv2d(channels, width, 3, padding=1)
        self.down = nn.ModuleList(
            _Block(a, b, cells if conditioned_encoder else 0, scale=0.5) for a, b in _pairs(widths)
        )
        self.up = nn.ModuleList(_Block(a, b, cells, scale=2) for a, b in _pairs([*reversed(widths)]))
        self.head = nn.Sequential(
            nn.BatchNorm2d(width, eps=1e-3), nn.ReLU(), nn.Conv2d(width, channels, 3, padding=1)
        )
        self.apply(_glorot)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Codes (B, Z, h, w) of images (B, C, H, W) in [0, 1]; `condition` (B,) is their own cell."""
        h: Tensor = self.stem(F.pad(2 * x - 1, (self.pad,) * 4, value=-1.0))
        for block in self.down:
            h = block(h, condition)
        return h

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Images (B, C, H, W) in (0, 1) of codes, under the cells (B,) int64 requested."""
        if condition is None:
            raise UserError(
                "generative exaggerator draws only under a requested bin; use it with "
                "explainer=progressive, or choose generative=vae"
            )
        for block in self.up:
            z = block(z, condition)
        image: Tensor = (self.head(z).tanh() + 1) / 2
        return image[..., self.pad : self.pad + self.size, self.pad : self.pad + self.size]

    def cell(self, slot: Tensor, bin: Tensor) -> Tensor:
        """The cell (B,) of a slot and a bin."""
        return slot * self.knob.bins + bin

    def own_cell(self, logits: Tensor, slot: Tensor) -> Tensor:
        """The cell (B,) in which the classifier's logits (B, K) put an image."""
        return self.cell(slot, self.knob.bin_of(self.knob.log_odds(logits, slot), slot))


class ConditionalBatchNorm(nn.Module):
    """Batch norm with a scale and a shift of its own for each cell; for 0 cells an ordinary one.

    gamma_k * (h - mean) / sqrt(var + 1e-3) + beta_k,  gamma = 1 and beta = 0 at first
    """

    def __init__(self, channels: Count, cells: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, eps=1e-3, affine=cells == 0)
        self.table = nn.Embedding(cells, 2 * channels) if cells else None
        if self.table is not None:
            with torch.no_grad():
                self.table.weight.copy_(torch.cat((torch.ones(channels), torch.zeros(channels))))

    def forward(self, h: Tensor, cell: Tensor | None) -> Tensor:
        """Normalised activations (B, C, H, W), for cells (B,)."""
        normed: Tensor = self.norm(h)
        if self.table is None:
            return normed
        if cell is None:
            raise ValueError("a conditional batch norm needs the cells of its rows")
        gamma, beta = self.table(cell)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(beta, normed, gamma)


class _Block(nn.Module):
    """Pre-activation residual block that resizes before its first convolution."""

    def __init__(self, inputs: int, outputs: int, cells: int, scale: Weight) -> None:
        super().__init__()
        self.scale = scale
        self.first = ConditionalBatchNorm(inputs, cells)
        self.second = ConditionalBatchNorm(outputs, cells)
        self.one = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.two = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, h: Tensor, cell: Tensor | None) -> Tensor:
        inner = self.one(self._resize(F.relu(self.first(h, cell))))
        total: Tensor = self.two(F.relu(self.second(inner, cell))) + self._short(h)
        return total

    def _resize(self, h: Tensor) -> Tensor:
        return F.avg_pool2d(h, 2) if self.scale < 1 else F.interpolate(h, scale_factor=2.0, mode="nearest")

    def _short(self, h: Tensor) -> Tensor:
        # a 1 x 1 convolution and a resizing commute: do the cheaper first
        short: Tensor = (
            self.shortcut(F.avg_pool2d(h, 2)) if self.scale < 1 else self._resize(self.shortcut(h))
        )
        return short


def fitting_pad(size: int, stages: int, pad: int | None) -> int:
    """The padding per side under which `size` halves `stages` times; raises UserError where none does."""
    step = 2**stages
    fits = (
        [p for p in range(step) if (size + 2 * p) % step == 0]
        if pad is None
        else [pad] * ((size + 2 * pad) % step == 0)
    )
    if not fits:
        found = f"{size} px" if pad is None else f"{size} + 2 * {pad} px"
        raise UserError(
            f"exaggerator: images of {found} cannot be halved {stages} times; choose an even data.size, "
            "net.pad=null or fewer net.stages"
        )
    return fits[0]


def _pairs(widths: list[int]) -> list[tuple[int, int]]:
    return list(pairwise(widths))


def _glorot(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
