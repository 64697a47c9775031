"""The section of the page that tells what the classifier relies on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from counterfoil.audit.audit import Audit, MethodAudit
from counterfoil.audit.insertion import Interval, Ranked
from counterfoil.audit.maps import Direction, Maps
from counterfoil.audit.regions import Region
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.report.gallery import shrink
from counterfoil.report.grid import data_uri, difference_layer, grid, pixels, symmetric_scale
from counterfoil.report.page import page_template

COLOURS = 8
"""Colours of a page's series, one a region."""
WAYS = 3
"""Directions of a method that are shown beside all of them, those with the most counterfactuals."""
ATTRIBUTES = 6
PARTS = 6
"""Parts that are shown at once; the others are unfolded."""
DIM = 0.45
"""How bright the mean image is under a map of changes."""


def audit_section(audit: Audit | None, called: Callable[[int], str]) -> Any:
    """The section as HTML; "" where there was no audit.

    Args:
        audit: of the run.
        called: names the image of a query.
    """
    from markupsafe import Markup

    if audit is None:
        return ""
    colours = {one.name: k % COLOURS for k, one in enumerate(audit.regions) if one.name != "rest"}
    first = next(iter(audit.methods.values()))
    height, width = audit.regions[0].mask.shape
    parts = _parts(audit)
    told = page_template("audit.html").render(
        headline=headline(audit),
        warnings=audit.verdict.warnings,
        left_out=audit.left_out,
        picture=_uri(first.maps[None].means["image"][None]),
        height=height,
        width=width,
        outlines=[_outline(one, colours) for one in audit.regions if one.name != "rest"],
        first=audit.verdict.part,
        names=list(audit.methods),
        parts=parts[:PARTS],
        more=parts[PARTS:],
        shape={name: share(one.shape.flipped) for name, one in audit.methods.items()},
        hidden=_hidden(audit),
        methods=[_method(audit, name, one, called) for name, one in audit.methods.items()],
        colours=colours,
    )
    return Markup(told)


def headline(audit: Audit) -> tuple[str, str]:
    """What comes first, and how sure that is: two sentences."""
    verdict = audit.verdict
    turned = [100 * interval.value for interval in verdict.turned.values()]
    span = (
        f"{min(turned):.0f}"
        if round(min(turned)) == round(max(turned))
        else f"{min(turned):.0f} to {max(turned):.0f}"
    )
    several = len(audit.methods) > 1
    by = f", as {_listed(verdict.agree)} say{'s' if len(verdict.agree) == 1 else ''}" if several else ""
    what, also = _called(audit, verdict.part), _attribute(audit)
    proof = f"hat part of the change alone turns {span} % of the queries{by}.{also}"
    if verdict.decides:
        return f"It relies on {what}.", f"T{proof}"
    return "No single part of the image decides.", f"What moves it most is {what}; t{proof}"


def _attribute(audit: Audit) -> str:
    """The attribute that all believed methods change most, in a sentence; "" where they differ."""
    known = [audit.methods[name].attributes for name in audit.verdict.agree]
    first = {found[0].name for found in known if found and found[0].moved.value == found[0].moved.value}
    return (
        f" The attribute that changes most to the judge’s eyes is {first.pop()}." if len(first) == 1 else ""
    )


def share(interval: Interval) -> dict[str, Any]:
    """A share in per cent with its interval, as a cell shows it."""
    if interval.value != interval.value:
        return {"value": 0, "text": "–", "interval": ""}
    bounds = [interval.low, interval.high]
    known = all(bound == bound for bound in bounds)
    text = f"[{100 * bounds[0]:.0f}, {100 * bounds[1]:.0f}]" if known else ""
    return {"value": 100 * interval.value, "text": f"{100 * interval.value:.0f} %", "interval": text}


def outline(mask: Tensor) -> str:
    """The border of a mask (H, W) as an SVG path, in pixels."""
    padded = torch.nn.functional.pad(mask.int(), (1, 1, 1, 1))
    across, down = padded.diff(dim=0)[:, 1:-1] != 0, padded.diff(dim=1)[1:-1] != 0
    lines = [f"M{start} {row}h{length}" for row, start, length in _runs(across)]
    lines += [f"M{column} {start}v{length}" for column, start, length in _runs(down.T)]
    return "".join(lines)


def _runs(edges: Tensor) -> Iterator[tuple[int, int, int]]:
    """Row, start and length of each run of true values of (R, N)."""
    for row, line in enumerate(edges.int()):
        steps = torch.nn.functional.pad(line, (1, 1)).diff()
        starts, ends = (steps == 1).nonzero()[:, 0].tolist(), (steps == -1).nonzero()[:, 0].tolist()
        yield from ((row, start, end - start) for start, end in zip(starts, ends, strict=True))


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _called(audit: Audit, part: str) -> str:
    """`region A, top left`; `the colour`."""
    region = next((one for one in audit.regions if one.name == part), None)
    if region is None:
        return {"colour": "the colour of the image", "brightness": "the brightness of the image"}[part]
    return region.place if part == "rest" else f"region {part} ({region.place})"


def _outline(region: Region, colours: dict[str, int]) -> dict[str, Any]:
    at = region.mask.nonzero().double()
    row, column = at[(at - at.mean(0)).norm(dim=1).argmin()].tolist()
    return {
        "name": region.name,
        "path": outline(region.mask),
        "colour": colours[region.name],
        "x": column + 0.5,
        "y": row + 0.5,
        "place": region.place,
    }


def _parts(audit: Audit) -> list[dict[str, Any]]:
    """A row for each part with a cell for each method, by mean effect."""
    ranked = {name: {part.part: part for part in one.ranked[None]} for name, one in audit.methods.items()}
    names = list(next(iter(ranked.values())))
    names.sort(key=lambda part: -sum(found[part].moved.value for found in ranked.values()))
    names.sort(key=lambda part: part != audit.verdict.part)
    places = {one.name: one.place for one in audit.regions}
    return [
        {
            "name": part,
            "place": places.get(part, "of the whole image") if part != "rest" else "what hardly changes",
            "cells": [_cell(found[part], found) for found in ranked.values()],
        }
        for part in names
    ]


def _cell(part: Ranked, others: dict[str, Ranked]) -> dict[str, Any]:
    about = (
        f"the target’s probability rises by {part.moved.value:.2f} with it alone, and falls by "
        f"{part.lost.value:.2f} without it; first in {100 * part.first:.0f} % of resamples"
    )
    return {**share(part.flipped), "about": about, "first": next(iter(others)) == part.part}


def _hidden(audit: Audit) -> dict[str, Any] | None:
    """The first region hidden, or kept as it is."""
    named = [part.part for part in next(iter(audit.methods.values())).ranked[None]]
    regions = [one.name for one in audit.regions]
    part = audit.verdict.part if audit.verdict.part in regions else next(p for p in named if p in regions)
    found = next((one for one in audit.hidden if one.region == part), None)
    if found is None:
        return None
    frozen = {name: (share(one.frozen), one.tried) for name, one in audit.methods.items() if one.frozen}
    return {
        "region": "the rest" if part == "rest" else f"region {part}",
        "mean": share(found.mean),
        "filled": share(found.filled),
        "frozen": frozen,
    }


def _method(audit: Audit, name: str, one: MethodAudit, called: Callable[[int], str]) -> dict[str, Any]:
    ways = sorted((way for way in one.ranked if way), key=lambda way: -one.maps[way].n)[:WAYS]
    shown: list[Direction] = [None, *ways]
    clusters = [
        {
            "share": f"{100 * part.share:.0f} %",
            "words": part.words,
            "picture": _exemplars(cf),
            "about": ", ".join(called(query) for query in cf.query.tolist()),
            "columns": len(cf),
        }
        for part, cf in zip(one.clusters, one.exemplars, strict=True)
    ]
    return {
        "name": name,
        "valid": one.valid,
        "used": one.used,
        "judged": "" if one.judged is None else f"{one.judged.value:.2f}",
        "maps": [_maps(audit, way, one) for way in shown],
        "clusters": clusters,
        "attributes": [
            {"name": a.name, "moved": share(a.moved), "change": _signed(a.change), "ease": _signed(a.ease, 3)}
            for a in one.attributes[:ATTRIBUTES]
        ],
    }


def _maps(audit: Audit, way: Direction, one: MethodAudit) -> dict[str, Any]:
    maps, first = one.maps[way], one.ranked[way][0]
    return {
        "name": "all" if way is None else audit.direction(way).replace("->", "→"),
        "n": maps.n,
        "mean": _map(maps, maps.means["change"]),
        "share": _map(maps, _share(maps), 1.0),
        "first": f"{first.part} first: alone it turns {share(first.flipped)['text']}",
    }


def _share(maps: Maps) -> Tensor:
    """The share of counterfactuals that brighten a pixel, or minus that which darkens it, if larger."""
    means = maps.means
    return torch.where(means["more"] >= means["less"], means["more"], -means["less"])


def _map(maps: Maps, change: Tensor, scale: float | None = None) -> str:
    """A signed map (H, W) over the dimmed mean image."""
    image, change = shrink(DIM * maps.means["image"][None]), shrink_signed(change)
    scale = scale or max(float(change.abs().max()), 0.01)
    layer = torch.from_numpy(difference_layer(change[None, None], scale)).float()
    opacity = layer[..., 3:] / 255
    ground = torch.from_numpy(pixels(image)).float()
    shown = layer[..., :3] * opacity + ground * (1 - opacity)
    return data_uri(shown.round().to(torch.uint8).numpy()[0], image.shape[-1])


def shrink_signed(change: Tensor) -> Tensor:
    """A map (H, W) in [-1, 1] as small as the page shows it."""
    return 2 * shrink((change[None, None] + 1) / 2)[0, 0] - 1


def _exemplars(cf: Counterfactuals) -> str:
    """Factuals above their counterfactuals above what differs."""
    before, after = shrink(cf.factual), shrink(cf.counterfactual)
    layer = torch.from_numpy(difference_layer(after - before, symmetric_scale(cf.largest)))
    tiles = [torch.from_numpy(pixels(images)) for images in (before, after)]
    opaque = [torch.cat((tile, torch.full_like(tile[..., :1], 255)), -1) for tile in tiles]
    return data_uri(grid(torch.cat((*opaque, layer)).numpy(), columns=len(cf), pad=1), before.shape[-1])


def _uri(image: Tensor) -> str:
    """A picture of one image (1, C, H, W)."""
    return data_uri(pixels(shrink(image))[0], image.shape[-1])


def _signed(interval: Interval, digits: int = 2) -> str:
    if interval.value != interval.value:
        return "–"
    value = f"{interval.value:+.{digits}f}".replace("-", "−")
    if interval.low != interval.low:
        return value
    low, high = (f"{bound:+.{digits}f}".replace("-", "−") for bound in (interval.low, interval.high))
    return f"{value} [{low}, {high}]"
