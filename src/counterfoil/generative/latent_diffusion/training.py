"""Trains diffusion over the code of a generative model, on codes that are encoded once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from counterfoil.core.errors import UserError
from counterfoil.data.base import Batch, ImageData, Images, loader
from counterfoil.generative.diffusion.training import DiffusionTraining
from counterfoil.generative.latent_diffusion.network import LatentDiffusion

AT_ONCE = 512
"""Images that are encoded at once."""


class Codes(Dataset[Batch]):
    """Codes z (N, Z) with their labels (N,), as batches whose x are codes."""

    def __init__(self, z: Tensor, labels: Tensor) -> None:
        self.z, self.labels = z, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: list[int]) -> Batch:
        return Batch(self.z[rows], self.labels[rows], None)


class CodeData(LightningDataModule):
    """The codes of three splits: training batches in a new order each epoch, others in order.

    Args:
        splits: codes and labels of "train", "val" and "test".
        batch_size: rows per batch.
        seed: of the order.
    """

    def __init__(self, splits: Mapping[str, Codes], batch_size: int, seed: int) -> None:
        super().__init__()
        self.splits = splits
        self.batch_size, self.seed = batch_size, seed

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled batches, the short last one left out."""
        return loader(self.splits["train"], self.batch_size, self.seed, shuffle=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Validation batches."""
        return loader(self.splits["val"], self.batch_size, self.seed, shuffle=False)

    def test_dataloader(self) -> DataLoader[Batch]:
        """Test batches."""
        return loader(self.splits["test"], self.batch_size, self.seed, shuffle=False)


class LatentDiffusionTraining(DiffusionTraining):
    """Minimises the error of the noise that the network tells in noisy codes of images of known classes.

    The weights that are kept, validated and tested are a moving average of those that are trained.

    Args:
        net: a `LatentDiffusion`.
        others: see `DiffusionTraining`; the pictures are of the classes in turn.

    Source: High-Resolution Image Synthesis with Latent Diffusion Models (Rombach et al., 2022), arXiv
    2112.10752.

    Raises:
        UserError: a net of another kind.
    """

    net: LatentDiffusion  # type: ignore[assignment]

    def __init__(self, net: nn.Module, **options: Any) -> None:
        if not isinstance(net, LatentDiffusion):
            raise UserError(
                f"generative latent_diffusion trains LatentDiffusion, found net {type(net).__name__}; train "
                "it with train.py explainer=ldce"
            )
        super().__init__(net, **options)  # type: ignore[arg-type]

    def prepare(self, data: ImageData) -> CodeData:
        """The codes of the data, standardised by the training split's.

        Raises:
            UserError: labels beyond the net's classes, or a class of which there is no training image.
        """
        data.batch_size = self.batch_size
        splits = {"train": data.train, "val": data.val, "test": data.test}
        self._check_labels(splits)
        codes = {name: self._encoded(split) for name, split in splits.items()}
        for net in (self.net, self.average):
            net.measure(codes["train"])
        told = {name: Codes(self.net.standard(codes[name]), split.labels) for name, split in splits.items()}
        return CodeData(told, self.batch_size, data.seed)

    def loss(self, net: Any, batch: Batch, draw: torch.Generator | None = None) -> dict[str, Tensor]:
        """The terms of a net on a batch of codes."""
        terms: dict[str, Tensor] = net.loss(batch.x, batch.y, draw)
        return terms

    def drawn(self, net: Any, draw: torch.Generator) -> Tensor:
        """Images (N, C, H, W) in [0, 1] that a net draws from noise, of the classes in turn."""
        noise = torch.randn(self.pictures, net.latent, generator=draw).to(self.device)
        label = torch.arange(self.pictures, device=self.device) % net.classes
        images: Tensor = net.sample(noise, self.sampling, label)
        return images

    def _check_labels(self, splits: Mapping[str, Images]) -> None:
        """Refuse labels that would be learned as no class, and classes that nothing would be learned of."""
        classes = self.net.classes
        largest = max(int(split.labels.max()) for split in splits.values() if len(split))
        if largest >= classes:
            raise UserError(
                f"latent_diffusion: net.classes={classes}, but the data have label {largest}; leave it out, "
                "as the data tell how many there are"
            )
        lacking = sorted(set(range(classes)) - set(splits["train"].labels.tolist()))
        if lacking:
            raise UserError(
                f"latent_diffusion: no training image is of class {lacking[0]}, so that nothing would be "
                "learned of it; choose data that show each class"
            )

    @torch.no_grad()
    def _encoded(self, images: Images) -> Tensor:
        """E(x) (N, Z) of a split, float32."""
        net = self.net
        parts = [
            net.generator.encode(images[start : start + AT_ONCE].x.to(net.mean)).cpu()
            for start in range(0, len(images), AT_ONCE)
        ]
        return torch.cat(parts)
