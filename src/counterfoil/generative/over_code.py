"""Networks over the code of a generative model that is trained already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from counterfoil.core.bounds import checks_options
from counterfoil.core.errors import UserError
from counterfoil.core.generator import Decodes, Encodes, require


@checks_options
class OverCode(nn.Module):
    """Holds a generative model frozen beside a network over its code; it is no part of the weights.

    Args:
        generator: encodes to codes (B, Z) and decodes, without a condition.
        method: the explainer that the network is for, which errors name.

    Raises:
        UserError: a generative model that cannot encode and decode, or wants a condition.
    """

    def __init__(self, generator: nn.Module | None, *, method: str) -> None:
        super().__init__()
        require(generator, Encodes, Decodes, method=method)
        if getattr(generator, "classes", 0) or not isinstance(getattr(generator, "latent", None), int):
            raise UserError(
                f"explainer {method} needs a generator with a plain code, found {type(generator).__name__}; "
                "choose one without a condition, such as generative=vae"
            )
        self.held: Any = (generator.eval().requires_grad_(False),)  # type: ignore[union-attr]

    @property
    def generator(self) -> Any:
        """The frozen generative model."""
        return self.held[0]

    @property
    def latent(self) -> int:
        """Z, length of its code."""
        return int(self.generator.latent)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> OverCode:
        self.generator._apply(fn, recurse)  # goes where the network goes, in its precision
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self
