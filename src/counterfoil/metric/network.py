"""Networks that a metric reads but does not own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from counterfoil.core.errors import UserError
from counterfoil.data.base import Images

CHUNK = 64
"""Largest number of inputs per call of a network."""
_said: ContextVar[Any] = ContextVar("said", default=None)


@contextmanager
def evaluated_once() -> Iterator[None]:
    """Within, every `Borrowed` network is evaluated once on the same tensor, for all metrics.

    An output is kept as long as its input lives, and at most until `forget` is called or the outermost of
    these blocks ends. Neither networks nor inputs may change meanwhile.
    """
    token = _said.set(WeakTensorKeyDictionary() if _said.get() is None else _said.get())
    try:
        yield
    finally:
        _said.reset(token)


def forget() -> None:
    """Drop the outputs kept so far: a batch is done, and none of its tensors is asked about again."""
    if (held := _said.get()) is not None:
        held.clear()


def over(images: Images, call: Callable[[Tensor], Tensor]) -> Tensor:
    """Outputs (N, ...) of `call` for all images of a split, at most CHUNK at a time."""
    return torch.cat([call(images[rows].x) for rows in torch.arange(len(images)).split(CHUNK)])


class Borrowed:
    """A shared network, hidden from nn.Module: never moved, counted, saved or copied with the metric.

    Args:
        net: any object with methods that map tensors to a tensor.
        metric, option: the metric that needs it and the option that provides it, for the error.

    Raises:
        UserError: `net` is None.
    """

    def __init__(self, net: Any, metric: str, option: str) -> None:
        if net is None:
            raise UserError(
                f"metric={metric} needs {option}=, found none; set {option}= or leave {metric} out of metric="
            )
        self.net = net

    def __deepcopy__(self, memo: dict[int, Any]) -> Borrowed:
        return self

    def __call__(self, *inputs: Tensor, method: str = "__call__") -> Tensor:
        """Call `method` on inputs (B, ...), without gradient; see `evaluated_once`.

        At most CHUNK rows are taken at a time; the result is where the inputs are, and not to be written to.
        """
        held = _said.get()
        if held is None or len(inputs) > 1:
            return self._ask(*inputs, method=method)
        known: dict[Any, tuple[Any, Tensor]] = held.setdefault(inputs[0], {})
        key = id(self.net), method
        if key not in known:
            known[key] = self.net, self._ask(*inputs, method=method)
        return known[key][1]

    def _ask(self, *inputs: Tensor, method: str) -> Tensor:
        call = getattr(self.net, method)
        home = inputs[0].device
        with torch.no_grad():
            chunks = zip(*(torch.split(x, CHUNK) for x in inputs), strict=True)
            parts = [call(*(self._fit(part) for part in chunk)).to(home) for chunk in chunks]
        return torch.cat(parts)

    def _fit(self, x: Tensor) -> Tensor:
        parameters = getattr(self.net, "parameters", None)
        like = next((p for p in parameters() if p.is_floating_point()), None) if parameters else None
        if like is None:
            return x
        return x.to(like.device, like.dtype) if x.is_floating_point() else x.to(like.device)
