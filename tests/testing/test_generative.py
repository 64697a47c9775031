"""`check_generative` passes for the house's models, and finds broken ones out in the right sentence."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.generative.attgan.network import AttGAN
from counterfoil.generative.cvae import CVAE
from counterfoil.generative.vae import VAE
from counterfoil.testing import Broken, check_generative, tiny_vae

SIZES: dict[str, Any] = {"latent": 4, "width": 4}


@pytest.mark.parametrize(
    "make",
    [
        partial(VAE, 1, 16, **SIZES),
        partial(CVAE, 1, 16, 3, **SIZES),
        partial(AttGAN, 1, 16, attributes=("a", "b"), width=4),
    ],
    ids=lambda make: make.func.__name__,
)
def test_sound_models_pass(make: Callable[[], nn.Module]) -> None:
    check_generative(make())


class Wrapped(nn.Module):
    """A sound model, for others to break."""

    def __init__(self) -> None:
        super().__init__()
        self.vae = tiny_vae()

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.vae.encode(x)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.vae.decode(z)


class Samples(Wrapped):
    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        z = super().encode(x)
        return z + torch.randn_like(z)


class EncodesByTheBatch(Wrapped):
    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        z = super().encode(x)
        return z - z.mean(0)


class Signed(Wrapped):
    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return 2 * super().decode(z) - 1


class Detached(Wrapped):
    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return super().decode(z).detach()


class Flat(Wrapped):
    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return super().decode(z).flatten(1)


class Counts(Wrapped):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        self.calls += 1
        return super().encode(x)


BROKEN: dict[type[nn.Module], str] = {
    Samples: "encodes otherwise each time",
    EncodesByTheBatch: "encodes by the batch: the code of row 0 is",
    Signed: "leaves [0, 1]: it decodes to -",
    Detached: "passes no gradient from the image to the code",
    Flat: "decodes images (4, 256), expected (4, 1, 16, 16)",
    Counts: "changes while it is used: calls is not what it was",
    nn.Identity: "can do nothing that a method asks for",
}


@pytest.mark.parametrize("model", BROKEN, ids=lambda cls: cls.__name__)
def test_a_broken_model_is_told_what_it_breaks(model: type[nn.Module]) -> None:
    with pytest.raises(Broken) as caught:
        check_generative(model())
    assert str(caught.value).splitlines()[0].startswith(f"{model.__name__} {BROKEN[model]}"), caught.value
