"""The abilities of generative models, as protocols; a method names those it needs."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from counterfoil.core.errors import UserError


@runtime_checkable
class Encodes(Protocol):
    """Maps images to a latent code."""

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Codes (B, Z) of images (B, C, H, W) in [0, 1], under conditions (B, A) if conditional."""
        ...


@runtime_checkable
class Decodes(Protocol):
    """Maps a latent code to images."""

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Images (B, C, H, W) in [0, 1] of codes (B, Z), under conditions (B, A) if conditional."""
        ...


@runtime_checkable
class Conditional(Protocol):
    """Is conditioned on the class: `encode` and `decode` want a one-hot condition (B, classes)."""

    classes: int


@runtime_checkable
class Edits(Protocol):
    """Decodes a code under named attributes (B, A) in [0, 1], and reads them off images."""

    attribute_names: tuple[str, ...]

    def attributes(self, x: Tensor) -> Tensor:
        """Attributes (B, A) in [0, 1] of images (B, C, H, W) in [0, 1]."""
        ...


@runtime_checkable
class Denoises(Protocol):
    """Draws images out of noise step by step; t = 0 ... T says how noisy x_t is, T pure noise, 0 none."""

    def levels(self, share: float, steps: int) -> Tensor:
        """t from share * T down to 0: (steps + 1,) int64."""
        ...

    def signal(self, t: Tensor) -> Tensor:
        """sqrt(a_t), the share of the image in x_t at t (B,): (B, 1, 1, 1)."""
        ...

    def noised(self, x: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """x_t of images (B, C, H, W) in [0, 1] at t (B,), with standard normal noise (B, C, H, W)."""
        ...

    def clean(self, noisy: Tensor, t: Tensor) -> Tensor:
        """The images (B, C, H, W) that x_t at t >= 1 (B,) are estimated to show, near [0, 1]."""
        ...

    def before(self, noisy: Tensor, clean: Tensor, t: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (B, C, H, W) and standard deviation (B, 1, 1, 1) of x_s, s < t, given x_t and the image."""
        ...


_PROVIDERS = {
    "Encodes": "vae, cvae",
    "Decodes": "vae, cvae",
    "Conditional": "cvae",
    "Edits": "attgan",
    "Denoises": "diffusion",
}


def require(generator: Any, *abilities: type, method: str) -> None:
    """Refuse a generator that lacks an ability, naming the config groups that have it."""
    for ability in abilities:
        if not isinstance(generator, ability):
            found = "none" if generator is None else type(generator).__name__
            raise UserError(
                f"explainer {method} needs a generator that can do {ability.__name__}, found {found}; "
                f"choose generative={_PROVIDERS[ability.__name__].replace(', ', ' or generative=')}"
            )


def attribute_names(generator: Any, classifier: Any) -> tuple[str, ...]:
    """Names of a generator's attributes; else of the classes it is conditioned on; else ()."""
    if isinstance(generator, Edits):
        return tuple(generator.attribute_names)
    classes = int(getattr(generator, "classes", 0))
    known = getattr(classifier, "class_names", None)
    return tuple(known) if known and len(known) == classes else tuple(str(k) for k in range(classes))
