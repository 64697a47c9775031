"""The leaderboard for the terminal: every metric chosen, in blocks of columns that fit its width."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from counterfoil.core.entry import Entry
from counterfoil.report import format as fmt
from counterfoil.report.table import MISSING, Table, arrow, decimals, doubts, number

if TYPE_CHECKING:
    from rich.table import Table as RichTable
    from rich.text import Text

WIDTH = 80
_STYLE = {"best": "bold green", "tied": "bold"}
NOTE = "Bold: the best, and what its paired difference over the common queries cannot tell from the best."


def leaderboard(
    summary: Mapping[str, Any], metrics: Sequence[str] | None = None, width: int = WIDTH
) -> list[RichTable]:
    """Tables for the terminal, one below the other, each at most `width` wide.

    Args:
        summary: "methods" and "standing" of an evaluation.
        metrics: columns to show; None: all.
        width: of the terminal, in characters.

    Returns:
        One row per method in each: value over the half-width of its 95 % interval; bold: best or tied with
        the best.
    """
    methods: fmt.Methods = summary["methods"]
    chosen = list(metrics) if metrics is not None else fmt.columns(methods)
    blocks = list(_blocks(methods, chosen, width))
    return [_table(summary, block, last=block is blocks[-1]) for block in blocks]


def run_table(summary: Mapping[str, Any]) -> Table:
    """The leaderboard of one run for Markdown, LaTeX and CSV: all metrics, the valid ones in front."""
    methods: fmt.Methods = summary["methods"]
    note = " ".join([f"Intervals: 95 % over queries. {NOTE}", *doubts(methods)])
    return Table(methods, fmt.columns(methods), summary["standing"], note=note)


def _blocks(methods: fmt.Methods, metrics: Sequence[str], width: int) -> Iterator[list[str]]:
    """The metrics cut into parts whose columns fit."""
    first = max((len(name) for name in ("valid of all", *methods)), default=0)
    block: list[str] = []
    used = first
    for metric in metrics:
        wide = 1 + max(
            map(
                len,
                [*_head(methods, metric).split("\n"), *(_plain(row.get(metric)) for row in methods.values())],
            )
        )
        if block and used + wide > width:
            yield block
            block, used = [], first
        block.append(metric)
        used += wide
    yield block


def _table(summary: Mapping[str, Any], metrics: Sequence[str], last: bool) -> RichTable:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    methods: fmt.Methods = summary["methods"]
    failures = summary.get("queries", {}).get("failures", {})
    told = [f"± half of the 95 % interval over queries. {NOTE}", *doubts(methods)]
    caption = Text("\n".join(told)) if last else None
    table = RichTable(
        box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, caption=caption, caption_justify="left"
    )
    table.add_column("Method\nvalid of all", overflow="fold", min_width=10)
    for metric in metrics:
        table.add_column(Text(_head(methods, metric)), justify="right", no_wrap=True)
    for name, row in methods.items():
        standing = {metric: summary["standing"].get(metric, {}).get(name, "") for metric in metrics}
        styles = (
            "dim" if metric in row and row[metric].doubt else _STYLE.get(standing[metric], "")
            for metric in metrics
        )
        cells = [_cell(row.get(metric), style) for metric, style in zip(metrics, styles, strict=True)]
        lost = f"\n{failures[name]} not finite" if failures.get(name) else ""
        table.add_row(Text.assemble((name, "bold"), (f"\n{counts(row)}", "dim"), (lost, "red")), *cells)
    return table


def _head(methods: fmt.Methods, metric: str) -> str:
    """Label over unit and direction; long labels break at a space."""
    entry, words = fmt.fact(methods, metric), fmt.title(methods, metric).split(" ")
    lines = [words[0]]
    for word in words[1:]:
        lines[-1:] = [f"{lines[-1]} {word}"] if len(lines[-1]) + len(word) < 10 else [lines[-1], word]
    return "\n".join([*lines, f"{entry.unit} {arrow(entry.higher_is_better)}".strip()])


def _cell(entry: Entry | None, style: str) -> Text:
    from rich.text import Text

    value, _, spread = _plain(entry).partition("\n")
    return Text.assemble((value, style), (f"\n{spread}" if spread else "", "dim"))


def _plain(entry: Entry | None) -> str:
    """The value over the half-width of its interval, both with the value's decimals."""
    if entry is None or entry.value is None:
        return MISSING
    if entry.low is None or entry.high is None:
        return number(entry.value, entry.unit)
    places = decimals(entry.value * entry.scale, entry.unit)
    return f"{number(entry.value, entry.unit)}\n±{(entry.high - entry.low) / 2 * entry.scale:,.{places}f}"


def counts(row: Mapping[str, Entry]) -> str:
    """`97/100`, the valid counterfactuals of all, read off the validity and its n."""
    entry = row.get("validity")
    return MISSING if entry is None or entry.value is None else f"{round(entry.value * entry.n)}/{entry.n}"
