"""The model explained: a frozen network with its normalisation, decision rule and named layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from counterfoil.core.bounds import Positive, checks_options
from counterfoil.core.decision import Classes, Decision
from counterfoil.core.domain import IMAGES, Domain
from counterfoil.core.errors import UserError
from counterfoil.core.outputs import per_image, pick
from counterfoil.core.taps import read


@checks_options
class Classifier(nn.Module):
    """A network as every method sees it: inputs in [0, 1], K logits out, frozen, always in eval mode.

    f(x) = decision(net((x - mean) / std)), its columns in the order of the classes

    Args:
        net: maps normalised inputs (B, C, H, W) to raw outputs, a tensor or what holds one.
        mean, std: per-channel normalisation, a number or C numbers.
        decision: reads class logits off the raw outputs.
        layers: names of sub-modules of `net` whose activations `features` returns; the last one serves
            `embed`.
        class_names: K names; default "0", "1", ... or those of the decision.
        output: the one of several outputs that decides, see `counterfoil.core.outputs.pick`.
        order: (K,) which column of the decision each class is, where these stand in another order or are
            more; None: as they come.
        columns: how many the decision must have; None: whatever it has.
    """

    mean: Tensor
    std: Tensor
    domain: Domain = IMAGES
    """What kind of input it takes: that of its data."""
    given: bool = False
    """Whether its weights are the user's own, so that another classifier is no advice."""
    order: Tensor | None

    def __init__(
        self,
        net: nn.Module,
        mean: float | Sequence[float] = 0.0,
        std: Positive | Sequence[Positive] = 1.0,
        decision: Decision | None = None,
        layers: Sequence[str] = (),
        class_names: Sequence[str] | None = None,
        output: str | int | None = None,
        order: Sequence[int] | None = None,
        columns: int | None = None,
    ) -> None:
        super().__init__()
        self.net = net
        self.decision = decision or Classes()
        self.layers = tuple(layers)
        self.class_names = tuple(class_names) if class_names is not None else self.decision.class_names
        self.output = output
        self.columns = columns
        self.register_buffer("order", None if order is None else torch.tensor(order), persistent=False)
        self.register_buffer("mean", per_channel(mean), persistent=False)
        self.register_buffer("std", per_channel(std, "std"), persistent=False)
        _check_layers(net, self.layers)
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> Classifier:
        """Stay in eval mode, whatever `mode` says: a model must not change while it is explained."""
        super().train(False)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, K) of inputs (B, C, H, W) in [0, 1]."""
        return self.decide(self.outputs(x))

    def outputs(self, x: Tensor) -> Tensor:
        """The network's own outputs (B, K'), before the decision: one number per class or attribute."""
        return per_image(pick(self.net(self._normalised(x)), self.output), len(x))

    def decide(self, outputs: Tensor) -> Tensor:
        """Logits (B, K) from the network's own outputs (B, K')."""
        logits = self.decision(outputs)
        if self.columns is not None and logits.shape[1] != self.columns:
            raise UserError(
                f"classifier.class_names: {self.columns} names for {logits.shape[1]} outputs of the "
                "classifier; give one each, in the order of its outputs"
            )
        return logits if self.order is None else logits[:, self.order]

    def features(self, x: Tensor) -> dict[str, Tensor]:
        """Activations (B, ...) of each of `layers`, by name, for inputs (B, C, H, W) in [0, 1]."""
        return self.read(x, self.layers)[1]

    def read(self, x: Tensor, layers: Sequence[str]) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits (B, K) and the activations (B, ...) of sub-modules by name, from one pass."""
        return read(self, x, layers)

    def embed(self, x: Tensor) -> Tensor:
        """The last of `layers` as one vector (B, D) per input, averaged over positions where it has any."""
        if not self.layers:
            raise UserError(
                "this classifier names no layers; set classifier.layers=[NAME, ...] to use its features"
            )
        activation = self.features(x)[self.layers[-1]]
        return activation.flatten(2).mean(2) if activation.ndim > 2 else activation

    def _normalised(self, x: Tensor) -> Tensor:
        for name, value in (("mean", self.mean), ("std", self.std)):
            if len(value) not in (
                1,
                x.shape[1],
            ):  # a longer one would broadcast, and make a colour image of a grey one
                raise UserError(
                    f"classifier.{name} has {len(value)} numbers, the images {x.shape[1]} channel(s); "
                    "give one number, or one per channel"
                )
        return (x - self.mean) / self.std


def per_channel(value: float | Sequence[float], name: str = "mean") -> Tensor:
    """A number or C numbers as a tensor (C, 1, 1) that broadcasts over images.

    Raises:
        UserError: NaN, infinite, or a std that is not positive.
    """
    numbers = torch.as_tensor(value, dtype=torch.get_default_dtype()).reshape(-1, 1, 1)
    if not bool(numbers.isfinite().all()) or (name == "std" and bool((numbers <= 0).any())):
        found = ", ".join(f"{number:g}" for number in numbers.flatten().tolist())
        kind = "positive numbers" if name == "std" else "finite numbers"
        raise UserError(f"classifier.{name} holds {found}, expected {kind}, one or one per channel")
    return numbers


def _check_layers(net: nn.Module, layers: Sequence[str]) -> None:
    known = [name for name, _ in net.named_modules() if name]
    for layer in layers:
        if layer not in known:
            raise UserError(
                f"classifier.layers: no layer {layer!r} in {type(net).__name__}; its layers: "
                f"{', '.join(known[:40])}"
            )
