"""All queries on the page: what each method gave for each of them, to be filtered, sorted and looked at."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from counterfoil.core.batches import Batches, Rows, regrouped
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.query import probability_of
from counterfoil.report import format as fmt
from counterfoil.report.gallery import shrink, verdicts
from counterfoil.report.grid import Pixels, difference_layer, pixels, symmetric_scale
from counterfoil.report.sheets import COLUMNS, TILES, Sheets
from counterfoil.report.strips import read_strips

WITHIN = 300
"""Counterfactuals of a method up to which their thumbnails lie within the page."""
MOST = 5000
"""Queries that can be looked at; queries.csv holds the figures of all."""
_ROWS = 128


@dataclass(frozen=True)
class Browser:
    """What the page needs for it.

    Attributes:
        records: JSON, safe inside a script element.
        rules: (class, address) of each sprite sheet.
        beside: whether thumbnails lie in a folder beside the page.
        queries, total: how many queries can be looked at, and how many there are.
        sources, targets: names of the classes that occur, by number.
        judged: whether there is a judge's verdict.
    """

    records: str
    rules: list[tuple[str, str]]
    beside: bool
    queries: int
    total: int
    sources: dict[int, str]
    targets: dict[int, str]
    judged: bool


@dataclass
class _Sprites:
    """Where the tiles of all methods go, and the style rules that show them."""

    folder: Path | None
    rules: list[tuple[str, str]] = field(default_factory=list)

    def draw(self, name: str, tiles: Iterable[Pixels]) -> None:
        """Write a series of tiles, and note the class of each of its sheets: `s-name-0`, ..."""
        sheets = Sheets(name, self.folder)
        for part in tiles:
            sheets.add(part)
        self.rules += [(f"s-{name}-{place}", address) for place, address in enumerate(sheets.close())]


def browser(
    methods: Mapping[str, Rows],
    tables: Mapping[str, Mapping[str, Tensor]],
    judge_probabilities: Mapping[str, Tensor],
    entries: fmt.Methods,
    class_names: Sequence[str],
    names: Mapping[int, str | int],
    folder: Path,
) -> Browser:
    """Collect the figures of every counterfactual, and draw its thumbnails.

    Args:
        methods: the counterfactuals by method, at least one each.
        tables: method -> metric -> (N,), NaN where it does not apply.
        judge_probabilities: method -> the judge's probability (N,) of the target.
        entries: the "methods" part of metrics.json.
        class_names: of the K classes.
        names: of the image of each query.
        folder: for the sprite sheets of more than `WITHIN` counterfactuals; whatever it holds is removed.
    """
    every = list(dict.fromkeys(query for cf in methods.values() for query in cf.query.tolist()))
    shown = {query: place for place, query in enumerate(every[:MOST])}
    beside = max(map(len, methods.values())) > WITHIN
    shutil.rmtree(folder, ignore_errors=True)
    sprites = _Sprites(folder if beside else None)
    sprites.draw("f", _factuals(methods, shown))
    columns = _columns(entries, methods, tables)
    told = [
        _method(name, place, cf, tables.get(name, {}), judge_probabilities.get(name), columns, shown, sprites)
        for place, (name, cf) in enumerate(methods.items())
    ]
    sources = _sources(methods, shown)
    records = {
        "classes": [*map(str, class_names)],
        "query": list(shown),
        "name": [fmt.called(names, query) for query in shown],
        "source": sources,
        "columns": columns,
        "methods": told,
        "tiles": {"columns": COLUMNS, "sheet": TILES},
    }
    return Browser(
        json.dumps(records, separators=(",", ":")).replace("<", "\\u003c"),
        sprites.rules,
        beside,
        len(shown),
        len(every),
        _named(sources, class_names),
        _named((target for method in told for target in method["target"]), class_names),
        any(method["judge"] is not None for method in told),
    )


def _named(classes: Iterable[int], class_names: Sequence[str]) -> dict[int, str]:
    return {k: str(class_names[k]) if k < len(class_names) else str(k) for k in sorted(set(classes))}


def _parts(counterfactuals: Rows) -> Iterator[Counterfactuals]:
    return regrouped(counterfactuals if isinstance(counterfactuals, Batches) else [counterfactuals], _ROWS)


def _kept(cf: Rows, shown: Mapping[int, int]) -> Tensor:
    return torch.tensor([query in shown for query in cf.query.tolist()], dtype=torch.bool)


def _factuals(methods: Mapping[str, Rows], shown: Mapping[int, int]) -> Iterator[Pixels]:
    """The factual of each query shown, once, in their order."""
    waiting = set(shown)
    for cf in methods.values():
        if not waiting & set(cf.query.tolist()):
            continue
        for part in _parts(cf.bare):
            first = []
            for row, query in enumerate(part.query.tolist()):
                if query in waiting:
                    waiting.remove(query)
                    first.append(row)
            if first:
                yield pixels(shrink(part.factual[torch.tensor(first)]))


def _sources(methods: Mapping[str, Rows], shown: Mapping[int, int]) -> list[int]:
    found: dict[int, int] = {}
    for cf in methods.values():
        for query, source in zip(cf.query.tolist(), cf.source.tolist(), strict=True):
            found.setdefault(query, source)
    return [found[query] for query in shown]


def _columns(
    entries: fmt.Methods, methods: Mapping[str, Rows], tables: Mapping[str, Mapping[str, Tensor]]
) -> list[dict[str, Any]]:
    """The measures of a counterfactual; those that tell distance, and own ones, are shown at first."""
    metrics = list(dict.fromkeys(metric for table in tables.values() for metric in table))
    changed = list(dict.fromkeys(name for cf in methods.values() for name in cf.changes))
    columns = []
    for metric in metrics:
        entry, over_valid = fmt.fact(entries, metric), fmt.fact(entries, f"{metric}_valid")
        main = (entry.main or over_valid.main) and "success" not in (entry.role, over_valid.role)
        columns.append(
            {
                "key": metric,
                "label": fmt.title(entries, metric),
                "unit": entry.unit,
                "higher": entry.higher_is_better,
                "shown": main,
            }
        )
    return columns + [
        {"key": f"changes.{name}", "label": f"Change of {name}", "unit": "", "higher": None, "shown": False}
        for name in changed
    ]


def _method(
    name: str,
    place: int,
    cf: Rows,
    table: Mapping[str, Tensor],
    judge_probability: Tensor | None,
    columns: Sequence[Mapping[str, Any]],
    shown: Mapping[int, int],
    sprites: _Sprites,
) -> dict[str, Any]:
    """The columns of one method's counterfactuals, a number per row."""
    kept = _kept(cf, shown)
    judge = verdicts(table, judge_probability, cf.failed)
    values = dict(table) | {f"changes.{key}": value for key, value in cf.changes.items()}
    chosen = cf.only(kept) if isinstance(cf, Batches) else cf[kept]
    scale = symmetric_scale(cf.largest)
    logits: list[tuple[list[int], list[Any], list[Any]]] = []
    sprites.draw(str(place), _pairs(chosen.bare, scale, logits))
    return {
        "name": name,
        "scale": scale,
        "query": [shown[query] for query in chosen.query.tolist()],
        "target": chosen.target.tolist(),
        "valid": chosen.valid.int().tolist(),
        "failed": [0] * len(chosen) if chosen.failed is None else chosen.failed.int().tolist(),
        "judge": None if judge is None else _numbers(judge[kept]),
        "judged": None if judge_probability is None else _numbers(judge_probability.cpu()[kept]),
        "said": [k for part in logits for k in part[0]],
        "before": [p for part in logits for p in part[1]],
        "after": [p for part in logits for p in part[2]],
        "values": [
            _numbers(values[column["key"]].detach().cpu()[kept]) if column["key"] in values else None
            for column in columns
        ],
        "walk": _walks(chosen, place, scale, sprites),
    }


def _pairs(
    counterfactuals: Rows, scale: float, logits: list[tuple[list[int], list[Any], list[Any]]]
) -> Iterator[Pixels]:
    """Counterfactual and signed difference of each row as tiles; notes what the classifier says of it."""
    for part in _parts(counterfactuals):
        said = part.counterfactual_logits.argmax(1).tolist()
        before, after = (
            _numbers(probability_of(part_of, part.target))
            for part_of in (part.factual_logits, part.counterfactual_logits)
        )
        logits.append((said, before, after))
        yield _tiles(shrink(part.factual), shrink(part.counterfactual), scale)


def _tiles(factual: Tensor, made: Tensor, scale: float) -> Pixels:
    """Each image made and its signed difference from the factual, in turn: (2 N, H, W, 4)."""
    images = torch.from_numpy(pixels(made))
    opaque = torch.cat((images, torch.full_like(images[..., :1], 255)), -1)
    change = torch.from_numpy(difference_layer(made - factual, scale))
    found: Pixels = torch.stack((opaque, change), 1).flatten(0, 1).numpy()
    return found


def _walks(cf: Rows, place: int, scale: float, sprites: _Sprites) -> dict[str, Any] | None:
    """The strips of the rows that have one: their place among them, and what is said of each image.

    Each image is [requested, obtained, own, decided, returned].
    """
    walked = cf.walked
    if not bool(walked.any()):
        return None
    frames: list[list[list[Any]]] = []
    sprites.draw(f"w{place}", _walk_tiles(cf, scale, frames))
    order = torch.where(walked, walked.cumsum(0) - 1, -1)
    return {"place": order.tolist(), "frames": frames}


def _walk_tiles(cf: Rows, scale: float, frames: list[list[list[Any]]]) -> Iterator[Pixels]:
    for part in _parts(cf):
        chosen = part[part.walked]
        if not len(chosen):
            continue
        assert chosen.strip is not None
        for row, walk in enumerate(read_strips(chosen, ())):
            frames.append(
                [
                    [*_rounded((f.requested, f.obtained, f.own)), int(f.decided), int(f.returned)]
                    for f in walk.frames
                ]
            )
            along = shrink(chosen.strip.images[row])
            factual = shrink(chosen.factual[row][None]).expand_as(along)
            yield _tiles(factual, along, scale)


def _numbers(values: Tensor) -> list[float | int | None]:
    return _rounded(values.tolist())


def _rounded(values: Iterable[float | None]) -> list[float | int | None]:
    """Four digits, whole numbers as such, None for what is not known: short, and safe for JSON."""
    return [None if v is None or not math.isfinite(v) else _short(float(f"{v:.4g}")) for v in values]


def _short(value: float) -> float | int:
    return int(value) if value == int(value) else value
