"""Trains maps in the code of a generative model against a frozen classifier."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfoil.core.bounds import Count, Weight, Whole
from counterfoil.core.errors import UserError
from counterfoil.data.base import Batch, ImageData
from counterfoil.generative.latent_map.network import LatentMaps
from counterfoil.util.fingerprint import fingerprint
from counterfoil.util.pictures import log_grid
from counterfoil.util.training import Training


class LatentMapTraining(Training):
    """Maps from the classifier's decision s to a class t drawn for each image, and back.

    L = CE(f(x'), t) + alpha (|x - x'| + p_1 smooth(m) + p_2 H(m)) + beta (|x - x''| + |z - z''|) / 2
    z = E(x),  z' = g_st^n(z),  z'' = g_ts^n(z'),  x' = G(z'),  x'' = G(z'')

    Distances are means over pixels and over the code. m = (x - x')^2 is scaled to [0, 1] in each image;
    smooth(m) is the mean squared difference of neighbours, H(m) the mean of min(m, 1 - m).

    Args:
        net: `LatentMaps`.
        classifier: frozen; images in [0, 1] -> logits (B, K).
        alpha, beta: weights of nearness and of the cycle; 0 leaves them out.
        p_1, p_2: weights of the mask's smoothness and decidedness, within alpha.
        steps: n, steps of the same map from one class to the other.
        pictures: validation images shown with their counterfactuals and with the way back.
        others: see `Training`.

    Departures: all pairs of classes at once; no discriminator, which a VAE has not, and no distance between
    the classifier's activations in the cycle; weights are ours; AdamW with a one-cycle schedule.
    Source: Cycle-Consistent Counterfactuals by Latent Transformations (Khorram and Fuxin, CVPR 2022), arXiv
    2203.15064.

    Raises:
        UserError: no classifier, or a net of another kind.
    """

    net: LatentMaps

    def __init__(
        self,
        net: nn.Module,
        *,
        classifier: nn.Module | None,
        alpha: Weight = 1.0,
        beta: Weight = 0.1,
        p_1: Weight = 0.0,
        p_2: Weight = 0.0,
        steps: Count = 1,
        pictures: Whole = 8,
        **options: object,
    ) -> None:
        super().__init__(net, **options)  # type: ignore[arg-type]
        if classifier is None or not isinstance(net, LatentMaps):
            found = "no classifier" if classifier is None else f"net {type(net).__name__}"
            raise UserError(
                f"generative latent_map is LatentMaps trained against a classifier, found {found}; choose "
                "one, such as classifier=cnn, and train it with train.py explainer=c3lt"
            )
        self.explained = (classifier.eval().requires_grad_(False),)  # no part of what is kept
        self.alpha, self.beta, self.p_1, self.p_2 = alpha, beta, p_1, p_2
        self.steps, self.pictures = steps, pictures

    def prepare(self, data: ImageData) -> ImageData:
        """The data; notes in the net which classifier it is for."""
        self.net.classifier.copy_(fingerprint(self.explained[0]))
        data.batch_size = self.batch_size
        return data

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """One step on all terms, to targets drawn evenly among the other classes."""
        source = self._decided(batch.x)
        ahead = torch.randint(1, self.net.classes, source.shape, device=source.device)
        terms = self.terms(batch.x, source, (source + ahead) % self.net.classes)
        self.report("train", {key: value.detach() for key, value in terms.items()}, len(batch.x))
        return terms["loss"]

    def validation_step(self, batch: Batch, index: int) -> None:
        """The terms, and the share of images that reach the class after their own; pictures of a batch."""
        self._evaluate("val", batch)
        if index == 0 and self.pictures:
            x = batch.x[: self.pictures]
            source = self._decided(x)
            log_grid(
                self,
                f"{self.name}/images, counterfactuals, back",
                torch.cat([x, *self.there_and_back(x, source, (source + 1) % self.net.classes)[:2]]),
                columns=len(x),
            )

    def test_step(self, batch: Batch, _index: int) -> None:
        """The same on the test split."""
        self._evaluate("test", batch)

    def there_and_back(
        self, x: Tensor, source: Tensor, target: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """x' and x'' (B, C, H, W), z and z'' (B, Z)."""
        generator = self.net.generator
        with torch.no_grad():
            z = generator.encode(x)
        there = self.net.path(z, source, target, self.steps)[:, -1]
        back = self.net.path(there, target, source, self.steps)[:, -1]
        return generator.decode(there), generator.decode(back), z, back

    def terms(self, x: Tensor, source: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The unweighted terms, `loss` their weighted sum, and the share `flipped` to the target."""
        image, again, z, back = self.there_and_back(x, source, target)
        logits = self.explained[0].to(x.device)(image)
        mask = scaled((x - image).square())
        near = {"l1": (x - image).abs().mean(), "smooth": smoothness(mask), "undecided": undecided(mask)}
        cycle = ((x - again).abs().mean() + (z - back).abs().mean()) / 2
        ce = F.cross_entropy(logits, target)
        nearness = near["l1"] + self.p_1 * near["smooth"] + self.p_2 * near["undecided"]
        loss = ce + self.alpha * nearness + self.beta * cycle
        flipped = (logits.argmax(1) == target).to(x).mean()
        return {"loss": loss, "ce": ce, "cycle": cycle, "flipped": flipped, **near}

    def _evaluate(self, stage: str, batch: Batch) -> None:
        source = self._decided(batch.x)
        terms = self.terms(batch.x, source, (source + 1) % self.net.classes)
        self.report(stage, terms, len(batch.x))

    @torch.no_grad()
    def _decided(self, x: Tensor) -> Tensor:
        source: Tensor = self.explained[0].to(x.device)(x).argmax(1)
        return source


def scaled(mask: Tensor) -> Tensor:
    """Masks (B, C, H, W), each moved and scaled to [0, 1]; a constant one is 0."""
    low, high = mask.amin((1, 2, 3), keepdim=True), mask.amax((1, 2, 3), keepdim=True)
    return (mask - low) / (high - low).clamp(min=1e-12)


def smoothness(mask: Tensor) -> Tensor:
    """The mean squared difference of neighbouring pixels of masks (B, C, H, W)."""
    return (mask.diff(dim=2).square().mean() + mask.diff(dim=3).square().mean()) / 2


def undecided(mask: Tensor) -> Tensor:
    """The mean of min(m, 1 - m): 0 for masks of 0 and 1 alone."""
    return torch.minimum(mask, 1 - mask).mean()
