"""CycleGAN: two generators that turn images of one class into images of another, without a classifier."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from counterfoil.core.bounds import Count, Whole, checks_options
from counterfoil.core.errors import UserError
from counterfoil.core.target import class_index


@checks_options
class CycleGAN(nn.Module):
    """Turns an image of either class of a pair into one of the other: x' = G_t(x).

    Args:
        channels, size: of the images; the size is halved twice.
        classes, class_names: of the data.
        targets: the classes, by name or number; None: all.
        width: channels of the first layer; two halvings double them.
        blocks: residual blocks between the halvings and the doublings.

    Departures: fewer channels and blocks, for small images; more than two classes share a generator each.
    Source: Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks (Zhu et al.,
    2017), arXiv 1703.10593.

    Raises:
        UserError: fewer than two classes, a size that cannot be halved twice.
    """

    def __init__(
        self,
        channels: Count = 1,
        size: Count = 28,
        classes: Count = 2,
        class_names: tuple[str, ...] | None = None,
        *,
        targets: Sequence[int | str] | None = None,
        width: Count = 10,
        blocks: Whole = 2,
    ) -> None:
        super().__init__()
        chosen = range(classes) if targets is None else targets
        self.targets = tuple(class_index(one, class_names, classes, "targets") for one in chosen)
        if len(set(self.targets)) != len(self.targets) or len(self.targets) < 2:
            raise UserError(f"cyclegan: targets={list(chosen)}: expected at least two different classes")
        if size % 4:
            raise UserError(
                f"cyclegan: images of {size} px cannot be halved twice; choose a data.size that 4 divides"
            )
        self.generators = nn.ModuleList(_generator(channels, width, blocks) for _ in self.targets)

    def draw(self, x: Tensor, place: int) -> Tensor:
        """Images (B, C, H, W) in (0, 1) of the class at a place among `targets`, from images in [0, 1]."""
        image: Tensor = (self.generators[place](2 * x - 1) + 1) / 2
        return image

    def translate(self, x: Tensor, target: Tensor) -> Tensor:
        """Images (B, C, H, W) of the target classes (B,), from images of other ones in [0, 1].

        Raises:
            UserError: a target that there is no generator for.
        """
        known = torch.tensor(self.targets, device=target.device)
        strange = target[~torch.isin(target, known)]
        if len(strange):
            raise UserError(
                f"cyclegan: target class {int(strange[0])} is not among those that it was trained for "
                f"({', '.join(map(str, self.targets))}); choose one of those with target=, or set net.targets"
            )
        found = x.clone()
        for place, label in enumerate(self.targets):
            rows = target == label
            if bool(rows.any()):
                found[rows] = self.draw(x[rows], place).to(found)
        return found


class Critic(nn.Sequential):
    """Scores (B, 1, h, w), one per patch, of images (B, C, H, W) in [-1, 1].

    Args:
        channels: of the images.
        width: channels of the first layer.
    """

    def __init__(self, channels: Count, width: Count = 32) -> None:
        super().__init__(
            nn.Conv2d(channels, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.InstanceNorm2d(2 * width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 1, 3, padding=1),
        )


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_layer(nn.Conv2d(width, width, 3, padding=1, padding_mode="reflect"), width),
            nn.Conv2d(width, width, 3, padding=1, padding_mode="reflect"),
            nn.InstanceNorm2d(width),
        )

    def forward(self, h: Tensor) -> Tensor:
        total: Tensor = h + self.body(h)
        return total


def _generator(channels: int, width: int, blocks: int) -> nn.Sequential:
    """The source's layers: c7s1-w, d2w, d4w, residual blocks, u2w, uw, c7s1-channels."""
    return nn.Sequential(
        *_layer(nn.Conv2d(channels, width, 7, padding=3, padding_mode="reflect"), width),
        *_layer(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), 2 * width),
        *_layer(nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1), 4 * width),
        *(_Residual(4 * width) for _ in range(blocks)),
        *_layer(_doubling(4 * width, 2 * width), 2 * width),
        *_layer(_doubling(2 * width, width), width),
        nn.Conv2d(width, channels, 7, padding=3, padding_mode="reflect"),
        nn.Tanh(),
    )


def _doubling(inputs: int, outputs: int) -> nn.Module:
    return nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)


def _layer(convolution: nn.Module, width: int) -> list[nn.Module]:
    return [convolution, nn.InstanceNorm2d(width), nn.ReLU()]
