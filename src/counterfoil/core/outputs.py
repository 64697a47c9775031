"""What a network puts out, in whatever form, as one row of numbers per image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from counterfoil.core.errors import UserError

OWN_KEY = "logits"
"""What is taken of several outputs where no key was chosen and one is called so."""


def pick(outputs: Any, key: str | int | None = None) -> Tensor:
    """The one tensor of a network's outputs that decides.

    Args:
        outputs: a tensor; or a dict, tuple, list or object that holds it, perhaps among others.
        key: which one: a key, place or attribute, with dots for one in another ("head.logits"). None: the one
            called "logits", else the only one.

    Raises:
        UserError: several and no key, a key that is not there, or no tensor of real numbers.
    """
    if key is not None:
        return pick(_at(outputs, key))
    if isinstance(outputs, Tensor):
        if not outputs.is_floating_point():
            raise UserError(
                f"classifier: puts out {outputs.dtype}, which are decisions and no scores; have the network "
                "return its logits"
            )
        return outputs
    parts = _parts(outputs)
    if OWN_KEY in parts:
        return pick(parts[OWN_KEY])
    if len(parts) == 1:
        return pick(next(iter(parts.values())))
    kind = type(outputs).__name__
    if not parts:
        raise UserError(f"classifier: puts out a {kind} without tensors, expected logits (B, K)")
    raise UserError(
        f"classifier: puts out a {kind} of {_listed(parts)}; set classifier.output= to the one that decides, "
        f"such as classifier.output={next(iter(parts))}"
    )


def per_image(outputs: Tensor, images: int) -> Tensor:
    """Outputs (B, K), (B,), (B, K, 1, 1) or (B, 1, K) as (B, K); of one image, the batch may be gone.

    Raises:
        UserError: another number of rows than images, or a map of numbers per image.
    """
    if images == 1 and (outputs.ndim == 0 or outputs.shape[0] != 1):
        outputs = outputs[None]
    if outputs.ndim == 0 or outputs.shape[0] != images:
        raise UserError(
            f"classifier: puts out shape {tuple(outputs.shape)} for {images} images, expected ({images}, K)"
        )
    if outputs.ndim == 2:
        return outputs
    if sum(size != 1 for size in outputs.shape[1:]) > 1:
        raise UserError(
            f"classifier: puts out {tuple(outputs.shape[1:])} per image, expected one number per class; "
            "average over the positions in the network, or set classifier.output= to another of its outputs"
        )
    return outputs.reshape(images, -1)


def _at(outputs: Any, key: str | int) -> Any:
    parts = {} if isinstance(outputs, Tensor) else _parts(outputs)
    whole = next((name for name in parts if str(name) == str(key)), None)
    if whole is not None:
        return parts[whole]
    first, _, rest = str(key).partition(".")
    inner = next((name for name in parts if str(name) == first), None)
    if inner is not None and rest:
        return _at(parts[inner], rest)
    found = "one tensor alone" if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"
    fix = f"choose of {_listed(parts)}" if parts else "set classifier.output=null"
    raise UserError(f"classifier.output={key}: the network puts out {found} without it; {fix}")


def _parts(outputs: Any) -> dict[str | int, Any]:
    """What an output holds by key, place or attribute: tensors, and what may hold some."""
    items: dict[str | int, Any]
    if isinstance(outputs, Mapping):
        items = dict(outputs)
    elif hasattr(outputs, "_asdict"):
        items = outputs._asdict()
    elif isinstance(outputs, tuple | list):
        items = dict(enumerate(outputs))
    else:
        items = dict(getattr(outputs, "__dict__", {}))
    return {name: value for name, value in items.items() if isinstance(value, Tensor) or _holds(value)}


def _holds(value: Any) -> bool:
    return isinstance(value, Mapping | tuple | list) and bool(_parts(value))


def _listed(parts: Mapping[str | int, Any]) -> str:
    return ", ".join(f"{name} {_shape(value)}" for name, value in list(parts.items())[:10])


def _shape(value: Any) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else f"({type(value).__name__})"
