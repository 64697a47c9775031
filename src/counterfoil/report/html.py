"""report.html: one page of queries, methods, figures and counterfactuals; it asks nothing of a network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from counterfoil.audit.audit import Audit
from counterfoil.core.batches import Rows
from counterfoil.core.domain import IMAGES, Domain
from counterfoil.core.entry import Entry
from counterfoil.core.errors import UserError
from counterfoil.data.vocabulary import written
from counterfoil.report import format as fmt
from counterfoil.report import table as tab
from counterfoil.report.audit import audit_section
from counterfoil.report.browse import browser
from counterfoil.report.gallery import Gallery, common_queries, shrink
from counterfoil.report.page import page_template
from counterfoil.report.plot import DARK_SERIES, LIGHT_SERIES, inline_svg, scatter
from counterfoil.report.sheets import COLUMNS
from counterfoil.report.strips import strip_view
from counterfoil.report.words import FIRST, MOST, texts_by_query
from counterfoil.util.record import write_text

_FACTS = ("data", "classifier", "judge", "n", "target", "confidence", "count", "seed")


def write_report(
    path: Path | str,
    summary: Mapping[str, Any],
    methods: Mapping[str, Rows],
    tables: Mapping[str, Mapping[str, Tensor]],
    class_names: Sequence[str],
    descriptions: Mapping[str, str],
    title: str,
    command: str,
    judge_probabilities: Mapping[str, Tensor] | None = None,
    facts: Mapping[str, Any] | None = None,
    names: Mapping[int, str | int] | None = None,
    audit: Audit | None = None,
    domain: Domain = IMAGES,
) -> Path:
    """Write the page under a temporary name, then rename.

    Args:
        path: where report.html goes; thumbnails of many queries lie beside it, in a folder called report.
        summary: the content of metrics.json; the plain values of `queries`, then of `config`, fill the page's
            head.
        methods: the graded counterfactuals by method.
        tables: method -> metric -> one value a counterfactual (N,), NaN where it does not apply.
        class_names: names of the K classes.
        descriptions: metric -> one line with its formula, for the glossary.
        title: the page's heading.
        command: what reproduces the run.
        judge_probabilities: method -> the judge's probability (N,) of the target on the counterfactual.
        facts: what stands in the head instead of what is found in `summary`, in this order.
        names: of the image of each query: its file's, or its place in the published order.
        audit: what the classifier relies on.
        domain: what the inputs are: images are shown, texts are written with what differs marked.

    Returns:
        The path written. Raises UserError where there is no counterfactual to show.
    """
    explained = {name: counterfactuals for name, counterfactuals in methods.items() if len(counterfactuals)}
    if not explained:
        raise UserError(
            "the report needs at least one method with counterfactuals, found none; "
            "run an evaluation with an explainer first"
        )
    path, judged = Path(path), judge_probabilities or {}
    texts = texts_by_query(explained, domain)
    queries = common_queries(explained, FIRST) if texts else common_queries(explained)
    views = [
        Gallery(name, counterfactuals, tables.get(name, {}), class_names, judged.get(name), domain).view(
            summary["methods"], queries
        )
        for name, counterfactuals in explained.items()
    ]
    page = page_template("template.html").render(
        title=title,
        command=command,
        facts=facts or _facts(summary),
        board=_board(summary, descriptions),
        queries=[
            (query, next((view.by_query[query] for view in views if query in view.by_query), None))
            for query in queries
        ],
        views=views,
        called=partial(fmt.called, names or {}),
        audit=audit_section(audit, partial(fmt.called, names or {})),
        strips=[
            strip_view(
                v.name,
                explained[v.name],
                queries,
                class_names,
                summary["methods"],
                v.scale,
                f"strips{place}",
            )
            for place, v in enumerate(views)
        ],
        pixels=_display(explained),
        texts=texts,
        most=MOST,
        written=written,
        browser=None
        if texts
        else browser(
            explained, tables, judged, summary["methods"], class_names, names or {}, path.with_suffix("")
        ),
        tiles={"columns": COLUMNS},
        judged=any(view.confirmed is not None for view in views),
        lost=any(view.failed for view in views),
        plots=_plots(summary["methods"]),
        glossary=_glossary(summary["methods"], tables, descriptions),
        versions=summary.get("versions") or {},
        config=json.dumps(summary.get("config") or {}, indent=2, default=str, ensure_ascii=False),
        series=(LIGHT_SERIES, DARK_SERIES),
    )
    return _write(path, page)


def _facts(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The head's figures: plain values of `queries`, then the well-known ones of `config`."""
    plain = (str, int, float)
    queried = {
        name: value for name, value in (summary.get("queries") or {}).items() if isinstance(value, plain)
    }
    config = summary.get("config") or {}
    told = {
        name: config[name] for name in _FACTS if isinstance(config.get(name), plain) and name not in queried
    }
    words = {"n": "queries"}
    return {
        words.get(name, name).replace("_", " ").capitalize(): value
        for name, value in {**queried, **told}.items()
    }


def _board(summary: Mapping[str, Any], descriptions: Mapping[str, str]) -> dict[str, Any]:
    """The leaderboard: its columns, and one row of cells per method."""
    methods: fmt.Methods = summary["methods"]
    metrics, main = fmt.columns(methods), set(fmt.columns(methods, main_only=True))
    heads = [_named(methods, m) | {"main": m in main, "about": descriptions.get(m, "")} for m in metrics]
    ranks = summary["standing"]
    rows = [
        (name, [_cell(row.get(m), m in main, ranks.get(m, {}).get(name, "")) for m in metrics])
        for name, row in methods.items()
    ]
    labels = {head["metric"]: head["label"] for head in heads}
    extra, told = len(metrics) - len(main), tab.doubts(methods)
    return {"heads": heads, "rows": rows, "extra": extra, "labels": labels, "doubts": told}


def _named(methods: fmt.Methods, metric: str) -> dict[str, Any]:
    """A metric's declared facts, for a head or the glossary."""
    entry, better = fmt.fact(methods, metric), fmt.fact(methods, metric).higher_is_better
    named = {"metric": metric, "name": metric, "label": fmt.title(methods, metric), "unit": entry.unit}
    return named | {"arrow": tab.arrow(better), "higher": better}


def _cell(entry: Entry | None, main: bool, rank: str) -> dict[str, Any]:
    entry = entry or Entry(None)
    text = {
        "value": tab.number(entry.value, entry.unit),
        "interval": tab.interval(entry),
        "n": f"{entry.n} in {entry.measured} measurements" if entry.measured else entry.n or None,
    }
    rank = "doubted" if entry.doubt else rank
    sort = repr(entry.value) if entry.known else ""
    return {"sort": sort, "rank": rank, "main": main, "doubt": entry.doubt, **text}


def _display(methods: Mapping[str, Rows]) -> dict[str, Any]:
    """Width of a picture on the page: a multiple of its pixels, near 96 in grids, near 120 else."""
    height, width = shrink(next(iter(methods.values()))[:1].factual).shape[-2:]
    return {
        "width": width * max(1, round(96 / width)),
        "large": width * max(1, round(120 / width)),
        "ratio": round(height / width, 4),
    }


def _plots(methods: fmt.Methods) -> Iterator[tuple[str, str, Any]]:
    """Each main metric that tells success against the first one that tells distance."""
    from markupsafe import Markup

    def of(role: str) -> list[str]:
        found = [m for m in fmt.columns(methods) if fmt.fact(methods, m).role == role]
        return [m for m in found if fmt.fact(methods, m).main] or found

    for distance in of("distance")[:1]:
        for metric in of("success"):
            names = [fmt.title(methods, m) for m in (metric, distance)]
            about = f"{names[0]} against {names[1]}, one point per method, lines are 95 % intervals"
            yield (
                f"{names[0]} against proximity",
                about,
                Markup(inline_svg(scatter(methods, distance, metric), metric)),
            )


def _glossary(
    methods: fmt.Methods, tables: Mapping[str, Mapping[str, Tensor]], descriptions: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Every metric on the page once, with its direction and formula; `x_valid` is explained by x."""
    names = dict.fromkeys([*fmt.columns(methods), *(metric for table in tables.values() for metric in table)])
    return [
        _named(methods, n) | {"about": descriptions.get(n) or _over_valid(methods, n, descriptions)}
        for n in names
    ]


def _over_valid(methods: fmt.Methods, name: str, descriptions: Mapping[str, str]) -> str:
    base = name.removesuffix("_valid")
    return (
        f"{fmt.title(methods, base)} over the valid counterfactuals only."
        if base != name
        else descriptions.get(base, "")
    )


def _write(path: Path, page: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page)
    return path
