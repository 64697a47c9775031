"""The audit of one run: which regions, kinds of change and attributes its counterfactuals rest on."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from counterfoil.audit.aspects import aspects
from counterfoil.audit.attributes import Attribute, Shown, read_attributes
from counterfoil.audit.clusters import Cluster, cluster, profile
from counterfoil.audit.insertion import Effects, Interval, Logits, Ranked, insert, interval_of, order, rank
from counterfoil.audit.maps import Direction, Maps, changes, map_changes
from counterfoil.audit.options import AuditOptions
from counterfoil.audit.regions import Region, find_regions, named
from counterfoil.audit.verdict import Verdict, decide
from counterfoil.audit.what_if import Explains, Hidden, freeze, hide
from counterfoil.core.batches import Batches, Rows, regrouped
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.core.whole import whole
from counterfoil.metric.attributes import AttributeReader
from counterfoil.util.record import read_json, write_json

JSON, MAPS = "audit.json", "audit.safetensors"
"""Files of a run folder: figures, and the masks and maps."""
SHAPE = "shape"
"""Not ranked: it is what the other kinds of change leave, whatever its place."""
Place = Callable[[Iterable[Counterfactuals]], Iterator[Counterfactuals]]
"""The same counterfactuals where the networks are."""


@dataclass(frozen=True)
class MethodAudit:
    """What the counterfactuals of one method say.

    Attributes:
        valid, used: how many there are, and how many were taken apart.
        judged: the judge's probability of the target on the valid ones; None without a judge.
        maps: by direction.
        ranked: regions, colour and brightness by direction, the one that moves the classifier most first.
        shape: all that is not colour or brightness, beside them.
        clusters: what groups of them change.
        exemplars: the counterfactuals nearest to the mean of each cluster.
        query: (used,) of the rows that clusters name.
        attributes: as a judge of attributes sees them; () without one.
        frozen: share of `tried` queries that still flip with the first region frozen; None: not tried.
    """

    valid: int
    used: int
    judged: Interval | None
    maps: dict[Direction, Maps]
    ranked: dict[Direction, list[Ranked]]
    shape: Ranked
    clusters: list[Cluster]
    exemplars: list[Counterfactuals]
    query: Tensor
    attributes: list[Attribute]
    frozen: Interval | None = None
    tried: int = 0

    @property
    def first(self) -> Ranked:
        """The first-ranked part of all directions together."""
        return self.ranked[None][0]


@dataclass(frozen=True)
class Audit:
    """What a classifier relies on.

    Attributes:
        regions: named, from the one that matters most.
        methods: those with enough valid counterfactuals.
        hidden: what hiding each region does to the decisions.
        verdict: of all methods.
        class_names: of the classifier.
        left_out: methods with too few valid counterfactuals, and how many they have.
    """

    regions: list[Region]
    methods: dict[str, MethodAudit]
    hidden: list[Hidden]
    verdict: Verdict
    class_names: Sequence[str]
    left_out: Mapping[str, int] = field(default_factory=dict)

    def direction(self, way: Direction) -> str:
        """`3 -> 8`, or all."""
        return "all" if way is None else " -> ".join(str(self.class_names[k]) for k in way)

    def as_dict(self) -> dict[str, Any]:
        """Plain values: the content of audit.json."""
        regions = [
            {"region": one.name, "place": one.place, "box": list(one.box), "area": round(one.area, 4)}
            for one in self.regions
        ]
        return {
            "verdict": self.verdict.as_dict(),
            "regions": regions,
            "hidden": [one.as_dict() for one in self.hidden],
            "methods": {name: self._told(one) for name, one in self.methods.items()},
            "left_out": dict(self.left_out),
        }

    def save(self, folder: Path) -> None:
        """Write audit.json and audit.safetensors: masks by region, and maps by method and direction."""
        tensors = {f"region/{one.name}": one.mask.contiguous() for one in self.regions}
        for name, one in self.methods.items():
            for way, maps in one.maps.items():
                if way in one.ranked:
                    named = {f"{name}/{self.direction(way)}/{key}": v for key, v in maps.means.items()}
                    tensors |= {key: value.contiguous() for key, value in named.items()}
        with whole(folder / MAPS) as partial:
            save_file(tensors, str(partial))
        write_json(folder / JSON, self.as_dict())

    def _told(self, one: MethodAudit) -> dict[str, Any]:
        return {
            "valid": one.valid,
            "used": one.used,
            "judged": one.judged and one.judged.as_list(),
            "directions": {
                self.direction(way): {"n": one.maps[way].n, "ranked": [part.as_dict() for part in parts]}
                for way, parts in one.ranked.items()
            },
            "shape": one.shape.as_dict(),
            "clusters": [part.as_dict(one.query) for part in one.clusters],
            "attributes": [part.as_dict() for part in one.attributes],
            "frozen": one.frozen and {"n": one.tried, "flips": one.frozen.as_list()},
        }


def read_audit(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The figures, and masks and maps, that `Audit.save` wrote; raises UserError where they are not there."""
    told = read_json(
        folder / JSON, "audit of a run; run it again with overwrite=true and without audit=false"
    )
    return told, load_file(folder / MAPS)


@dataclass(frozen=True)
class Subject:
    """What is audited.

    Attributes:
        logits: of the classifier explained, without gradient.
        class_names: of its classes.
        place: brings counterfactuals to where the networks are.
        judged: the judge's probability (N,) of the targets, by method.
        read: a judge of attributes; None: there is none.
        shown: attributes that the queries have by the data; None: not known.
        explainers: the methods, to explain again with a region frozen; those that are missing are not.
        seed: of the intervals.
    """

    logits: Logits
    class_names: Sequence[str]
    place: Place
    judged: Mapping[str, Tensor] = field(default_factory=dict)
    read: AttributeReader | None = None
    shown: Shown | None = None
    explainers: Mapping[str, Explains] = field(default_factory=dict)
    seed: int = 0


def audit(counterfactuals: Mapping[str, Rows], subject: Subject, options: AuditOptions) -> Audit | None:
    """Take the counterfactuals of all methods apart; None where no method has enough valid ones."""
    valid = {name: int(cf.valid.sum()) for name, cf in counterfactuals.items()}
    kept = {name: cf for name, cf in counterfactuals.items() if valid[name] >= options.fewest}
    if not kept:
        return None
    mapped = {name: map_changes(_rows(cf, cf.valid)) for name, cf in kept.items()}
    image = next(iter(mapped.values())).maps[None].means["image"]
    kinds = aspects(len(image))
    found = find_regions(
        [one.cells for one in mapped.values()], (image.shape[-2], image.shape[-1]), options.regions
    )
    numbered = [Region(one.mask, one.name or str(place)) for place, one in enumerate(found)]
    chosen = {name: _spread(cf.valid, options.rows) for name, cf in kept.items()}
    effects = {
        name: insert(subject.place(_rows(cf, chosen[name])), subject.logits, numbered, kinds)
        for name, cf in kept.items()
    }
    places = order(effects, [one.name for one in numbered])
    regions = named(found, places)
    renamed = {numbered[i].name: one.name for i, one in zip(places, regions, strict=True)}
    methods = {
        name: _method(
            name,
            kept[name],
            chosen[name],
            mapped[name].maps,
            _called(effect, renamed),
            regions,
            subject,
            options,
        )
        for name, effect in effects.items()
    }
    first = next(iter(kept))
    hidden = hide(
        subject.place(_rows(kept[first], _once(kept[first], chosen[first]))), subject.logits, regions, image
    )
    judged = {name: one.judged.value for name, one in methods.items() if one.judged}
    verdict = decide({name: one.ranked[None] for name, one in methods.items()}, judged)
    left = {name: n for name, n in valid.items() if name not in kept}
    return Audit(regions, methods, hidden, verdict, subject.class_names, left)


def _method(
    name: str,
    cf: Rows,
    chosen: Tensor,
    maps: dict[Direction, Maps],
    effects: Effects,
    regions: Sequence[Region],
    subject: Subject,
    options: AuditOptions,
) -> MethodAudit:
    """Rank, cluster and ask again, for one method."""
    parts = [part for part in effects.parts if part != SHAPE]
    ranked: dict[Direction, list[Ranked]] = {None: rank(effects.of(parts), subject.seed)}
    for way in sorted(way for way in maps if way is not None):
        rows = (effects.source == way[0]) & (effects.target == way[1])
        if 2 * int(rows.sum()) >= options.fewest:
            ranked[way] = rank(effects[rows].of(parts), subject.seed)
    profiles = torch.cat([profile(changes(part).cpu(), regions) for part in _rows(cf, chosen)])
    clusters = cluster(profiles, regions, options.clusters)
    at = chosen.nonzero()[:, 0]
    judged = subject.judged.get(name)
    seen = (
        None
        if judged is None
        else interval_of(judged.cpu().double()[cf.valid], cf.query[cf.valid], subject.seed)
    )
    attributes: list[Attribute] = []
    if subject.read is not None or subject.shown is not None:
        every = subject.place(_rows(cf, torch.ones_like(cf.valid)))
        attributes = read_attributes(every, subject.read, subject.shown, subject.seed)
    frozen, tried = _frozen(name, cf, chosen, ranked[None], regions, subject, options)
    return MethodAudit(
        int(cf.valid.sum()),
        len(at),
        seen,
        maps,
        ranked,
        rank(effects.of([SHAPE]), subject.seed)[0],
        clusters,
        [cf[at[list(one.rows)]] for one in clusters],
        cf.query[at],
        attributes,
        frozen,
        tried,
    )


def _frozen(
    name: str,
    cf: Rows,
    chosen: Tensor,
    ranked: Sequence[Ranked],
    regions: Sequence[Region],
    subject: Subject,
    options: AuditOptions,
) -> tuple[Interval | None, int]:
    """The share of a few queries that still flip with the first region frozen, and how few."""
    explainer = subject.explainers.get(name)
    if explainer is None or not options.what_if:
        return None, 0
    masks = {region.name: region for region in regions}
    region = next(masks[part.part] for part in ranked if part.part in masks)
    few = _spread(_once(cf, chosen), options.what_if)
    part = next(subject.place([Counterfactuals.cat(list(_rows(cf, few)))]))
    try:
        return freeze(explainer, part.factual, part.target, region), len(part)
    except UserError as problem:  # the run itself is whole
        warnings.warn(f"audit: {name} with a region frozen: {problem}", CounterfoilWarning, stacklevel=2)
        return None, 0


def _called(effects: Effects, names: Mapping[str, str]) -> Effects:
    """The same with other names of regions."""
    return replace(effects, parts=tuple(names.get(part, part) for part in effects.parts))


def _rows(cf: Rows, chosen: Tensor, size: int = 256) -> Iterator[Counterfactuals]:
    """Some rows (N,) bool, a few at a time and without strips."""
    parts = cf.bare.only(chosen) if isinstance(cf, Batches) else [cf.bare[chosen]]
    return regrouped(parts, size)


def _spread(rows: Tensor, most: int) -> Tensor:
    """Of the rows (N,) bool at most so many, drawn by a seed of their number: classes may come in turn."""
    at = rows.nonzero()[:, 0]
    kept = at[torch.randperm(len(at), generator=torch.Generator().manual_seed(len(at)))[:most]]
    return torch.zeros_like(rows).index_fill(0, kept, True)


def _once(cf: Rows, rows: Tensor) -> Tensor:
    """Of the rows (N,) bool the first one of each query."""
    seen = set[int]()
    kept = torch.zeros_like(rows)
    for row in rows.nonzero()[:, 0].tolist():
        query = int(cf.query[row])
        kept[row] = query not in seen
        seen.add(query)
    return kept
