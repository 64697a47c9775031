"""The leaderboard as a table for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from counterfoil.report import format as fmt

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

_SHORT = {
    "validity": "Valid", "judge_agreement": "Judge", "target_probability": "Target", "l1_valid": "L1", "l2_valid": "L2",
    "sparsity_valid": "Spars.", "fid_judge": "FID", "seconds": "Time",
}  # fmt: skip
_STYLE = {"best": "bold green", "tied": "bold"}


def leaderboard(
    summary: Mapping[str, Any], metrics: Sequence[str] | None = None, title: str | None = None
) -> Table:
    """A table for the terminal; the main metrics fit 80 columns.

    Args:
        summary: the content of metrics.json.
        metrics: columns to show; None for the main ones.
        title: a line above the table.

    Returns:
        A row a method: value over the half-width of its 95 % interval. Bold: the interval overlaps the best one's; green: the best.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    methods: fmt.Methods = summary["methods"]
    chosen = list(metrics) if metrics is not None else fmt.columns(methods, main_only=True)
    table = Table(
        title=title,
        box=box.SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
        caption=_caption(chosen),
        caption_justify="left",
    )
    table.add_column("Method\nvalid of all", overflow="fold", min_width=10)
    for metric in chosen:
        table.add_column(Text(_head(methods, metric)), justify="right", no_wrap=True)
    ranks = {metric: fmt.standing(methods, metric) for metric in chosen}
    for name, row in methods.items():
        cells = [
            _cell(row.get(metric), metric, _STYLE.get(ranks[metric].get(name, ""), "")) for metric in chosen
        ]
        table.add_row(Text.assemble((name, "bold"), (f"\n{_counts(row)}", "dim")), *cells)
    return table


def to_markdown(summary: Mapping[str, Any], metrics: Sequence[str] | None = None) -> str:
    """The leaderboard in Markdown: `value [low, high]`, bold where the interval overlaps the best one's; None for the main metrics."""
    methods: fmt.Methods = summary["methods"]
    chosen = list(metrics) if metrics is not None else fmt.columns(methods, main_only=True)
    ranks = {metric: fmt.standing(methods, metric) for metric in chosen}
    heads = [
        " ".join(filter(None, (fmt.label(m), fmt.unit(m), fmt.arrow(fmt.direction(methods, m)))))
        for m in chosen
    ]
    lines = [["method", "valid of all", *heads], ["---"] + ["---:"] * (len(chosen) + 1)]
    for name, row in methods.items():
        cells = (
            f"{fmt.number((row.get(m) or {}).get('value'), m)} {fmt.interval(row.get(m), m)}".strip()
            for m in chosen
        )
        marked = [f"**{cell}**" if name in ranks[m] else cell for cell, m in zip(cells, chosen, strict=True)]
        lines.append([name.replace("|", "\\|"), _counts(row), *marked])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _head(methods: fmt.Methods, metric: str) -> str:
    second = f"{fmt.unit(metric)} {fmt.arrow(fmt.direction(methods, metric))}".strip()
    return f"{_SHORT.get(metric, fmt.label(metric))}\n{second}"


def _cell(entry: fmt.Entry | None, metric: str, style: str) -> Text:
    """The value over the half-width of its interval, both with the value's decimals and without a leading zero, to save room."""
    from rich.text import Text

    if not entry or not fmt.finite(entry.get("value")):
        return Text(fmt.MISSING)
    low, high = entry.get("low"), entry.get("high")
    factor = 100 if fmt.unit(metric) == "%" else 1
    places = fmt.decimals(entry["value"] * factor, metric)
    spread = f"\n±{(high - low) / 2 * factor:,.{places}f}" if fmt.finite(low) and fmt.finite(high) else ""  # type: ignore[operator]
    return Text.assemble((_short(fmt.number(entry["value"], metric)), style), (_short(spread), "dim"))


def _short(text: str) -> str:
    return text.replace("±0.", "±.").replace("-0.", "-.").removeprefix("0") if "." in text else text


def _counts(row: Mapping[str, fmt.Entry]) -> str:
    """`97/100`, the valid counterfactuals of all, read off the validity and its n."""
    entry = row.get("validity") or {}
    total, share = entry.get("n"), entry.get("value")
    return f"{round(share * total)}/{total}" if fmt.finite(total) and fmt.finite(share) else fmt.MISSING  # type: ignore[operator]


def _caption(metrics: Sequence[str]) -> str:
    over = (
        " Distances are over the valid counterfactuals."
        if any(metric.endswith("_valid") for metric in metrics)
        else ""
    )
    return f"± half of the 95 % interval over queries; bold: it overlaps the best one's.{over}"
