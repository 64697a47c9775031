"""Which counterfactuals the page shows, and what is written by each: chosen by rule, never by looks."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from counterfoil.core.batches import Rows
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.domain import IMAGES, Domain
from counterfoil.report.attributes import Change, changes, ranking, sentence
from counterfoil.report.format import Methods, fact, title
from counterfoil.report.grid import data_uri, difference_layer, grid, pixels, symmetric_scale
from counterfoil.report.table import number
from counterfoil.report.words import Words, rows_of

SHOWN = 8
"""Counterfactuals in each grid and in each list of failures."""
_LARGEST = 128
"""Pixels; wider images are shrunk for the page."""


@dataclass(frozen=True)
class Bar:
    """One class's probability before and after."""

    name: str
    before: float
    after: float


@dataclass(frozen=True)
class Card:
    """One counterfactual: `row` is its place in the method's sheet of pictures; `judge` None without one."""

    row: int
    query: int
    source: str
    target: str
    verdict: str
    valid: bool
    bars: tuple[Bar, ...]
    judge: bool | None
    judge_probability: float | None
    note: str = ""
    changes: tuple[Change, ...] = ()
    failed: bool = False
    words: Words | None = None

    @property
    def sentence(self) -> str:
        """The largest changes of attributes in words, "" where none are declared."""
        return sentence(self.target, self.changes, self.valid)

    @property
    def probability(self) -> float:
        """The target's probability after."""
        return self.bars[-1].after


@dataclass
class MethodView:
    """All that the page shows of one method."""

    name: str
    colour: bool
    scale: float
    total: int
    valid: int
    failed: int
    confirmed: int | None
    unconfirmed_count: int
    cards: list[Card] = field(default_factory=list)
    ranked: dict[str, list[Card]] = field(default_factory=dict)
    failures: list[Card] = field(default_factory=list)
    unconfirmed: list[Card] = field(default_factory=list)
    attributes: dict[str, list[Change]] = field(default_factory=dict)
    sheet: str = ""
    by_query: dict[int, Card] = field(default_factory=dict)


def common_queries(methods: Mapping[str, Rows], count: int = SHOWN) -> list[int]:
    """The queries to show: those that every method explained, in turn the next of each source class."""
    first = next(iter(methods.values()))
    shared = set.intersection(
        *(set(counterfactuals.query.tolist()) for counterfactuals in methods.values())
    ) or set(first.query.tolist())
    by_class: dict[int, list[int]] = defaultdict(list)
    for query, source in zip(first.query.tolist(), first.source.tolist(), strict=True):
        if query in shared and query not in by_class[source]:
            by_class[source].append(query)
    turns = [
        (turn, source, query) for source, queries in by_class.items() for turn, query in enumerate(queries)
    ]
    return [query for _, _, query in sorted(turns)[:count]]


def extremes(values: Tensor, rows: Tensor, higher_is_better: bool) -> list[int]:
    """Rows of the best, median (the lower of two) and worst finite value; [] if fewer than three differ."""
    rows = rows[values[rows].isfinite()]
    if len(set(values[rows].tolist())) < 3:
        return []
    order = rows[values[rows].argsort(descending=higher_is_better, stable=True)]
    return [int(order[i]) for i in (0, (len(order) - 1) // 2, len(order) - 1)]


def verdicts(
    table: Mapping[str, Tensor], judge_probability: Tensor | None, failed: Tensor | None
) -> Tensor | None:
    """Whether the judge agrees (N,): 1, 0 or NaN; by its metric, else by a probability above 1/2.

    None without a judge.
    """
    if "judge_agreement" in table:
        return table["judge_agreement"].detach().cpu().float()
    if judge_probability is None:
        return None
    agrees = judge_probability.detach().cpu() > 0.5
    return (agrees if failed is None else agrees & ~failed.cpu()).float()


class Gallery:
    """Collects one method's counterfactuals for the page; each picture is stored once, in a sheet.

    Rows are chosen by their numbers; the images of those chosen alone are read.

    Args:
        name: the method's name.
        counterfactuals: its N counterfactuals.
        table: metric -> (N,), NaN where it does not apply.
        class_names: names of the K classes.
        judge_probability: the judge's probability (N,) of the target on the counterfactual, or None.
        domain: what the inputs are; those that have words are read, and no sheet is drawn.
    """

    def __init__(
        self,
        name: str,
        counterfactuals: Rows,
        table: Mapping[str, Tensor],
        class_names: Sequence[str],
        judge_probability: Tensor | None,
        domain: Domain = IMAGES,
    ) -> None:
        self.domain = domain
        self.name, self.counterfactuals, self.class_names = name, counterfactuals.bare, class_names
        self.table = {metric: values.detach().cpu().float() for metric, values in table.items()}
        self.judge_probability = judge_probability
        self.judge = verdicts(self.table, judge_probability, self.counterfactuals.failed)

    def view(self, methods: Methods, queries: Sequence[int]) -> MethodView:
        """Choose, label and draw: the shared queries, best, median and worst by each metric, failures."""
        valid = self.counterfactuals.valid.cpu()
        doubted = valid & (self.judge == 0) if self.judge is not None else torch.zeros_like(valid)
        confirmed = None if self.judge is None else int((valid & (self.judge == 1)).sum())
        order = self.counterfactuals.query.tolist()
        firsts = [order.index(query) for query in queries if query in order]
        failures, unconfirmed = (part.nonzero()[:SHOWN, 0].tolist() for part in (~valid, doubted))
        ranked = self._ranked(methods, valid)
        groups = [firsts, *ranked.values(), failures, unconfirmed]
        self.rows = {row: place for place, row in enumerate(dict.fromkeys(chain(*groups)))}
        self.shown = self.counterfactuals[torch.tensor(list(self.rows), dtype=torch.long)]
        self.texts = _words(self.shown, self.domain)
        view = MethodView(
            self.name,
            self.shown.factual.shape[1] > 1,
            symmetric_scale(self.counterfactuals.largest),
            len(valid),
            int(valid.sum()),
            self.counterfactuals.failures,
            confirmed,
            int(doubted.sum()),
        )
        view.cards = [self._card(row) for row in firsts]
        view.by_query = {card.query: card for card in view.cards}
        view.ranked = {metric: self._noted(methods, metric, rows) for metric, rows in ranked.items()}
        view.failures = [self._card(row) for row in failures]
        view.unconfirmed = [self._card(row) for row in unconfirmed]
        view.attributes = ranking(self.counterfactuals, self.class_names)
        if self.texts is None:
            view.sheet = self._sheet(view.scale)
        return view

    def _card(self, row: int, note: str = "") -> Card:
        place, shown = self.rows[row], self.shown
        source, target, verdict = (
            int(part[place]) for part in (shown.source, shown.target, shown.counterfactual_logits.argmax(1))
        )
        before, after = (
            logits[place].float().softmax(0).tolist()
            for logits in (shown.factual_logits, shown.counterfactual_logits)
        )
        bars = tuple(Bar(self._class(k), before[k], after[k]) for k in dict.fromkeys((source, target)))
        judged = None if self.judge is None or math.isnan(self.judge[row]) else bool(self.judge[row])
        probability = None if self.judge_probability is None else float(self.judge_probability[row])
        return Card(
            place,
            int(shown.query[place]),
            self._class(source),
            self._class(target),
            self._class(verdict),
            bool(shown.valid[place]),
            bars,
            judged,
            probability,
            note,
            changes(shown, place),
            shown.failed is not None and bool(shown.failed[place]),
            None if self.texts is None else self.texts[place],
        )

    def _class(self, index: int) -> str:
        return str(self.class_names[index]) if index < len(self.class_names) else str(index)

    def _ranked(self, methods: Methods, valid: Tensor) -> dict[str, list[int]]:
        """The best, median and worst row by each metric that has them."""
        rows = (valid if valid.any() else ~valid).nonzero()[:, 0]
        better = {metric: fact(methods, metric).higher_is_better for metric in self.table}
        found = {
            metric: extremes(self.table[metric], rows, up) for metric, up in better.items() if up is not None
        }
        return {metric: chosen for metric, chosen in found.items() if chosen}

    def _noted(self, methods: Methods, metric: str, rows: Sequence[int]) -> list[Card]:
        """Cards of the best, median and worst row, with the metric's value."""
        name, unit = title(methods, metric), fact(methods, metric).unit
        figures = (f"{name} {number(self.table[metric][row].item(), unit)} {unit}".strip() for row in rows)
        return [
            self._card(row, f"{rank} · {figure}")
            for row, rank, figure in zip(rows, ("Best", "Median", "Worst"), figures, strict=True)
        ]

    def _sheet(self, scale: float) -> str:
        """All chosen rows below one another: factual, counterfactual, signed difference (see-through)."""
        factual, counterfactual = shrink(self.shown.factual), shrink(self.shown.counterfactual)
        layers = [torch.from_numpy(pixels(images)) for images in (factual, counterfactual)]
        opaque = [torch.cat((layer, torch.full_like(layer[..., :1], 255)), -1) for layer in layers]
        change = torch.from_numpy(difference_layer(counterfactual - factual, scale))
        tiles = torch.stack((*opaque, change), 1).flatten(0, 1).numpy()
        return data_uri(grid(tiles, columns=3, pad=0), factual.shape[-1])


def _words(cf: Counterfactuals, domain: Domain) -> list[Words] | None:
    found = [row.words for row in rows_of(cf, domain)]
    return found or None


def shrink(images: Tensor) -> Tensor:
    """Images (N, C, H, W) no wider or higher than the page needs."""
    height, width = images.shape[-2:]
    factor = _LARGEST / max(height, width)
    if factor >= 1:
        return images
    size = (round(height * factor), round(width * factor))
    return interpolate(images.detach().float(), size=size, mode="bilinear", antialias=True).clamp(0, 1)
