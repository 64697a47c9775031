"""What every method shares: it explains, and the classifier grades the counterfactual."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor, nn

from counterfoil.core.bounds import Count, Probability
from counterfoil.core.counterfactuals import Counterfactuals, Found, unknown
from counterfoil.core.domain import Domain, require_domain
from counterfoil.core.options import shows_options
from counterfoil.core.query import Query, finite_rows
from counterfoil.core.strip import Strip
from counterfoil.core.target import Target, resolve_targets
from counterfoil.explainer.inputs import as_inputs, as_mask, first_logits
from counterfoil.search.refine import Refine
from counterfoil.util.meter import Meter


@shows_options
class Explainer(nn.Module, ABC):
    """A counterfactual method over a frozen classifier; subclasses write `explain` and nothing else of this.

    Args:
        classifier: maps inputs in [0, 1] to logits (B, K); frozen here.
        generator: a generative model, or None; frozen here.
        confidence: probability of the target that a counterfactual shall reach, in (0, 1].
        count: counterfactuals per query, >= 1.

    Raises:
        UserError: a classifier whose inputs the method cannot move.
    """

    inputs: type[Domain] = Domain
    """The kind of input that the method can move; it refuses classifiers of others."""
    needs_gradients = True
    """Whether the method differentiates the classifier; one that does not explains black boxes."""
    asks_all = False
    """Whether queries that reach their target already are explained too, not returned as they are."""
    any_class = False
    """Whether a query is led to whichever other class is nearest, and not to its target; the row's target is
    then the class it was led to."""
    refine: Refine | None = None
    """What the method ends with; None: with what it finds."""
    refills = False
    """Whether `stream` explains several batches side by side, rows of the next in place of finished ones."""

    def __init__(
        self,
        classifier: nn.Module,
        generator: nn.Module | None = None,
        *,
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        super().__init__()
        require_domain(classifier, self.inputs, method=_called(self))
        self.classifier = classifier.eval().requires_grad_(False)
        self.generator = generator.eval().requires_grad_(False) if generator is not None else None
        self.confidence = confidence
        self.count = count

    @abstractmethod
    def explain(self, query: Query) -> Found:
        """Explain a batch of open queries, raw and ungraded; gradients are on, networks frozen."""

    def fit(self, data: Any) -> None:
        """Prepare what needs training data (an `ImageData`); nothing by default."""
        return

    def train(self, mode: bool = True) -> Explainer:
        """Stay in eval mode: the networks inside are frozen."""
        super().train(False)
        return self

    @final  # type: ignore[misc]
    def forward(
        self, x: Tensor | Any, target: Target = None, *, mask: Tensor | Any = None
    ) -> Counterfactuals:
        """Counterfactuals of the queries, graded by the classifier exactly as they are returned.

        Args:
            x: (B, C, H, W) floats in [0, 1], a tensor or an array; one image (C, H, W) is a batch of one.
            target: one class by index or name; or a list, array or tensor of B of them; or "all" (every class
                but the decision, one row each); or None, "runner_up" (the second most probable class).
            mask: bool, broadcastable to (B, 1, H, W), True where the input must not change.

        Returns:
            rows ordered by query, then target, then counterfactual. A query whose factual already reaches the
            target is returned as it is, in 0 steps, unless the method explains all (`asks_all`). Each row's
            `classifier_calls` hold two beside the method's own: of the factual and of the counterfactual.
            Grading a strip, which only measures and shows it, counts as no cost. A row whose images, strip,
            code or logits are not finite shows the factual and is marked as `failed`.

        Raises:
            UserError: for inputs of the wrong shape, type or range, and for unknown targets.
        """
        ((_place, counterfactuals),) = self.stream([(x, target)], mask=mask)
        return counterfactuals

    @final
    @torch.inference_mode(False)
    @torch.enable_grad()
    def stream(
        self, batches: Iterable[tuple[Tensor | Any, Target]], *, mask: Tensor | Any = None
    ) -> Iterator[tuple[int, Counterfactuals]]:
        """Counterfactuals of batch after batch, each with the number of its batch, as soon as it is finished.

        A batch is taken when there is room for it: a search that refills its places, see `Search`, takes the
        next one while others are at work, and they may finish in any order. A row is then charged its own
        seconds of the search; all others are shared equally by the rows of a batch.

        Args:
            batches: x and target of each, see `forward`.
            mask: see `forward`.
        """
        at_work: dict[int, _Asked] = {}
        unmoved: list[_Asked] = []

        def queries() -> Iterator[Query]:
            number = 0
            for place, (x, target) in enumerate(batches):
                asked = self._begin(place, x, target, mask, next(iter(at_work.values()), None))
                if bool(asked.todo.any()):
                    at_work[number] = asked
                    number += 1
                    yield asked.open
                else:
                    unmoved.append(asked)

        for number, part in self.explain_each(queries()):
            asked = at_work.pop(number)
            yield asked.place, self._finish(asked, part)
            while unmoved:
                asked = unmoved.pop(0)
                yield asked.place, self._finish(asked, None)
        for asked in unmoved:
            yield asked.place, self._finish(asked, None)

    def explain_each(self, queries: Iterable[Query]) -> Iterator[tuple[int, Found]]:
        """What `explain` finds for each batch, with its number; one after the other by default."""
        for place, query in enumerate(queries):
            yield place, self.explain(query)

    def _begin(self, place: int, x: Any, target: Target, mask: Any, beside: _Asked | None) -> _Asked:
        x = as_inputs(x, self.classifier)
        own = Meter(x.device) if beside is None else None
        since = time.perf_counter()
        query, index = self._ask(x.clone(), target, mask)
        reached = query.reached(query.logits)
        todo = torch.ones_like(reached) if self.asks_all else ~reached
        meter = own or beside.meter  # type: ignore[union-attr]
        return _Asked(place, query, index, todo, meter, time.perf_counter() - since)

    def _finish(self, asked: _Asked, part: Found | None) -> Counterfactuals:
        """Graded counterfactuals of what was found for the open rows; None: there were none."""
        query, since = asked.query, time.perf_counter()
        if part is not None and self.refine is not None:
            part = self.refine(asked.open.towards(part.target), part)
        found, failed = asked.whole(part)
        query = query.towards(found.target)
        image, logits = self._graded(query, found)
        seconds, memory = asked.meter.read()
        if found.seconds is not None:
            seconds = asked.seconds + time.perf_counter() - since
        strip = None if found.strip is None else found.strip.graded(self.classifier)
        said = finite_rows(logits, None if strip is None else strip.logits)
        if not bool(said.all()):
            found, failed = _settled(found, query, said if failed is None else said & ~failed)
            image, logits = self._graded(query, found)
            strip = None if found.strip is None else found.strip.graded(self.classifier)
        like = logits.new_ones(len(query), dtype=torch.float64)
        own = 0.0 if found.seconds is None else found.seconds.to(like)
        return Counterfactuals(
            factual=query.factual,
            counterfactual=image,
            target=query.target,
            factual_logits=query.logits,
            counterfactual_logits=logits,
            query=asked.index,
            steps=found.steps.to(like),
            seconds=like * seconds / max(len(query), 1) + own,
            classifier_calls=found.classifier_calls.to(like) + 2,
            peak_memory_mb=like * memory,
            strip=strip,
            changes={name: value.detach() for name, value in found.changes.items()},
            extra={name: value.detach() for name, value in found.extra.items()},
            failed=failed,
            method=_called(self),
        )

    def _ask(self, x: Tensor, target: Target, mask: Tensor | None) -> tuple[Query, Tensor]:
        """One row for each query, target and counterfactual; and the query index of each row."""
        logits = first_logits(self.classifier, x)
        targets, index = resolve_targets(logits, target, getattr(self.classifier, "class_names", None))
        index = index.repeat_interleave(self.count)
        query = Query(
            factual=x[index],
            target=targets.repeat_interleave(self.count),
            classifier=self.classifier,
            confidence=self.confidence,
            generator=self.generator,
            mask=None if mask is None else as_mask(mask, x)[index],
            repeat=torch.arange(self.count, device=x.device).repeat(len(targets)),
        )
        query.__dict__["logits"] = logits[index]
        return query, index

    def _graded(self, query: Query, found: Found) -> tuple[Tensor, Tensor]:
        """The images exactly as they are returned, and the classifier's logits (B, K) on them."""
        image = query.keep(query.domain.hard(found.counterfactual.detach()))
        with torch.no_grad():
            return image, self.classifier(image)


def _called(method: Explainer) -> str:
    """What counterfactuals say that they are by: the file's name, as `explainer=`; else that of the class."""
    package, _, stem = type(method).__module__.rpartition(".")
    own = type(method).__name__
    return stem if package == __package__ or stem.replace("_", "") == own.lower() else own


@dataclass(frozen=True)
class _Asked:
    """A batch that is being explained.

    Attributes:
        place: its number.
        query, index: one row for each query, target and counterfactual; the query index of each row.
        todo: (B,) bool, the rows to explain; the others need no change.
        meter: since the batch was asked about, or another one beside which it is explained.
        seconds: what asking took.
    """

    place: int
    query: Query
    index: Tensor
    todo: Tensor
    meter: Meter
    seconds: float

    @property
    def open(self) -> Query:
        """The rows to explain."""
        return self.query if bool(self.todo.all()) else self.query[self.todo]

    def whole(self, part: Found | None) -> tuple[Found, Tensor | None]:
        """What was found for the open rows, the others beside them; and which rows failed."""
        query, todo = self.query, self.todo
        if part is None:
            zeros = query.target.new_zeros(len(query))
            return Found(query.factual, zeros, zeros), None
        if bool(todo.all()):
            return _settled(part, query, part.finite)
        return _settled(_beside(part, todo, query), query, (~todo).masked_scatter(todo, part.finite))


def _settled(found: Found, query: Query, sound: Tensor) -> tuple[Found, Tensor | None]:
    """The same with the factual in rows that are not sound (B,); and which these are, None for none."""
    if bool(sound.all()):
        return found, None
    shown = _beside(found[sound], sound, query)
    calls, seconds, target = found.classifier_calls, found.seconds, found.target
    return replace(shown, steps=found.steps, classifier_calls=calls, seconds=seconds, target=target), ~sound


def _beside(part: Found, rows: Tensor, query: Query) -> Found:
    """What was found in some rows (bool (B,)), with the factual and no change in the others."""
    zeros = query.target.new_zeros(len(query))
    return Found(
        _spread(part.counterfactual.detach(), rows, query.factual),
        _spread(part.steps, rows, zeros),
        _spread(part.classifier_calls, rows, zeros),
        None if part.strip is None else _spread_strip(part.strip, rows, query),
        {
            name: _spread(value.detach(), rows, query.logits.new_zeros(len(query)))
            for name, value in part.changes.items()
        },
        {
            name: _spread(value.detach(), rows, unknown(value, len(query)))
            for name, value in part.extra.items()
        },
        None if part.seconds is None else _spread(part.seconds, rows, part.seconds.new_zeros(len(rows))),
        None if part.target is None else _spread(part.target, rows, query.target),
    )


def _spread_strip(strip: Strip, rows: Tensor, query: Query) -> Strip:
    """The strips of some rows, beside the factuals of the others."""
    still = query.factual[:, None].expand(-1, *strip.images.shape[1:])
    return Strip.of(
        {
            name: _spread(value.detach(), rows, still if name == "images" else unknown(value, len(query)))
            for name, value in strip.tensors().items()
        }
    )


def _spread(part: Tensor, rows: Tensor, filler: Tensor) -> Tensor:
    whole = filler.clone().to(part.dtype)
    whole[rows] = part
    return whole
