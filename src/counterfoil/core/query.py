"""A batch of independent queries: which change makes the classifier decide for t?"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from counterfoil.core.domain import Domain, domain_of
from counterfoil.core.taps import read

MAJORITY = 0.51
"""A class with more than this probability is the decision, however softmax is rounded."""


@dataclass(frozen=True)
class Query:
    """A batch of B independent queries; every part of a recipe receives one and holds no data itself.

    Attributes:
        factual: (B, C, H, W) in [0, 1].
        target: (B,) int64.
        classifier: the frozen model explained.
        confidence: target probability to reach, in (0, 1].
        generator: a generative model, or None.
        mask: (B, 1, H, W) bool, True where the input must not change, or None.
        repeat: (B,) int64, which of several counterfactuals of the same query this row is; repeat 0 starts
            undisturbed.
    """

    factual: Tensor
    target: Tensor
    classifier: nn.Module
    confidence: float = 0.5
    generator: Any = None
    mask: Tensor | None = None
    repeat: Tensor | None = None

    def __len__(self) -> int:
        return self.factual.shape[0]

    def __getitem__(self, rows: Tensor) -> Query:
        """The queries in `rows` (int64 or bool), with what is cached of them."""
        part = replace(
            self,
            factual=self.factual[rows],
            target=self.target[rows],
            mask=None if self.mask is None else self.mask[rows],
            repeat=None if self.repeat is None else self.repeat[rows],
        )
        if "logits" in self.__dict__:
            part.__dict__["logits"] = self.logits[rows]
        if "remembered" in self.__dict__:
            part.__dict__["remembered"] = {name: value[rows] for name, value in self.remembered.items()}
        if "seeds" in self.__dict__:
            chosen = rows.nonzero()[:, 0] if rows.dtype == torch.bool else rows
            part.__dict__["seeds"] = [self.seeds[int(i)] for i in chosen]
        return part

    @staticmethod
    def join(parts: Sequence[Query]) -> Query:
        """Queries behind queries of the same networks, with what is cached of all of them."""
        first = parts[0]
        if len(parts) == 1:
            return first
        joined = replace(
            first,
            factual=torch.cat([part.factual for part in parts]),
            target=torch.cat([part.target for part in parts]),
            mask=None if first.mask is None else torch.cat([part.mask for part in parts]),  # type: ignore[misc]
            repeat=None if first.repeat is None else torch.cat([part.repeat for part in parts]),  # type: ignore[misc]
        )
        if all("logits" in part.__dict__ for part in parts):
            joined.__dict__["logits"] = torch.cat([part.logits for part in parts])
        if all("seeds" in part.__dict__ for part in parts):
            joined.__dict__["seeds"] = [seed for part in parts for seed in part.seeds]
        joined.__dict__["remembered"] = {
            name: torch.cat([part.remembered[name] for part in parts])
            for name in first.remembered
            if all(name in part.remembered for part in parts)
        }
        return joined

    def over(self, classifier: nn.Module, generator: Any) -> Query:
        """The same queries, with what is cached of them, over other copies of the networks."""
        same = replace(self, classifier=classifier, generator=generator)
        same.__dict__.update(logits=self.logits, remembered=self.remembered)
        if "seeds" in self.__dict__:
            same.__dict__["seeds"] = self.seeds
        return same

    def towards(self, target: Tensor | None) -> Query:
        """The same queries to other targets (B,), with what is cached of the factuals; None: these ones."""
        if target is None:
            return self
        other = replace(self, target=target)
        if "logits" in self.__dict__:
            other.__dict__["logits"] = self.logits
        return other

    @cached_property
    def logits(self) -> Tensor:
        """The classifier's logits (B, K) on the factuals, without gradient."""
        with torch.no_grad():
            logits: Tensor = self.classifier(self.factual)
        return logits

    @cached_property
    def remembered(self) -> dict[str, Tensor]:
        """What `remember` holds."""
        return {}

    def remember(self, name: str, make: Callable[[], Tensor]) -> Tensor:
        """make(), called once: a tensor with a leading B, indexed together with the query."""
        if name not in self.remembered:
            self.remembered[name] = make().detach()
        return self.remembered[name]

    def features(self, layers: Sequence[str]) -> dict[str, Tensor]:
        """The classifier's activations (B, ...) on the factuals by name, without gradient, cached."""
        missing = [name for name in layers if f"features/{name}" not in self.remembered]
        if missing:
            with torch.no_grad():
                _logits, found = read(self.classifier, self.factual, missing)
            self.remembered.update({f"features/{name}": value for name, value in found.items()})
        return {name: self.remembered[f"features/{name}"] for name in layers}

    @property
    def source(self) -> Tensor:
        """The class (B,) that the classifier gives the factuals."""
        return self.logits.argmax(1)

    def reached(self, logits: Tensor) -> Tensor:
        """Whether logits (B, K) give the target at least the requested confidence: bool (B,)."""
        return self.grade(logits)[0]

    def grade(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """`reached` of logits (B, K), and the probability of the target: bool (B,) and (B,)."""
        probability = probability_of(logits, self.target)
        sure = probability >= self.confidence
        decided = _finite(logits) if self.confidence > MAJORITY else _decides(logits, self.target)
        return decided & sure, probability

    @property
    def domain(self) -> Domain:
        """What kind of input the classifier takes."""
        return domain_of(self.classifier)

    def keep(self, x: Tensor) -> Tensor:
        """A candidate (B, C, H, W) as the classifier is shown it and it is returned.

        With the factual's values back where the mask forbids a change.
        """
        shown = self.domain.shown(x)
        if self.mask is None:
            return shown
        return torch.where(self.domain.fixed(self.mask), self.factual, shown)

    @cached_property
    def seeds(self) -> list[int]:
        """One seed per row, from its content, target and repeat: a draw never depends on the batch."""
        pixels = (self.factual.detach().clamp(0, 1) * 255).round().to(torch.uint8).cpu().contiguous().numpy()
        repeats = [0] * len(self) if self.repeat is None else self.repeat.tolist()
        return [
            zlib.crc32(row.tobytes(), zlib.crc32(f"{target} {repeat}".encode()))
            for row, target, repeat in zip(pixels, self.target.tolist(), repeats, strict=True)
        ]

    def randn(self, *shape: int, stream: int = 0) -> Tensor:
        """Standard normal draws (B, *shape), each row from its seed; another `stream` gives other numbers."""
        return self._draw(torch.randn, shape, stream)

    def rand(self, *shape: int, stream: int = 0) -> Tensor:
        """Uniform draws in [0, 1), (B, *shape), each row from its seed; another `stream`, other numbers."""
        return self._draw(torch.rand, shape, stream)

    def _draw(self, draw: Any, shape: tuple[int, ...], stream: int) -> Tensor:
        rows = [
            draw(shape, generator=torch.Generator().manual_seed(seed * 65_537 + stream), dtype=torch.float32)
            for seed in self.seeds
        ]
        return torch.stack(rows).to(self.factual)


def probability_of(logits: Tensor, target: Tensor) -> Tensor:
    """The probability (B, ...) that logits (B, ..., K) give each row's target (B,)."""
    return logits.softmax(-1).gather(-1, _along(target, logits)[..., None])[..., 0]


def reaches(logits: Tensor, target: Tensor, confidence: float = 0.0) -> Tensor:
    """Whether logits (B, ..., K) decide for each row's target (B,), at `confidence` or more: bool (B, ...).

    Logits that are not finite decide for nothing.
    """
    return _decides(logits, target) & (probability_of(logits, target) >= confidence)


def _decides(logits: Tensor, target: Tensor) -> Tensor:
    """Whether finite logits (B, ..., K) are largest at the target (B,): bool (B, ...)."""
    decided: Tensor = logits.argmax(-1) == _along(target, logits)
    return decided & _finite(logits)


def _finite(logits: Tensor) -> Tensor:
    """Whether all of a row's logits (B, ..., K) are finite: bool (B, ...)."""
    return logits.abs().amax(-1) < torch.inf  # NaN is not smaller either


def finite_rows(*values: Tensor | None) -> Tensor:
    """Whether each row of all of these (B, ...) holds neither NaN nor infinite values: bool (B,)."""
    given = [value.isfinite() for value in values if value is not None]
    return torch.stack([part.flatten(1).all(1) if part.ndim > 1 else part for part in given]).all(0)


def _along(target: Tensor, logits: Tensor) -> Tensor:
    return target if logits.ndim == 2 else target.view(-1, *[1] * (logits.ndim - 2)).expand(logits.shape[:-1])
