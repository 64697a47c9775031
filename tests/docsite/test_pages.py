"""Links hold on GitHub and on the site, every page is in the navigation, and nothing is fetched elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from docsite import pages

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("path", "written", "shown"),
    [
        ("index.md", "[a](docs/start.md) [b](RESULTS.md)", "[a](start.md) [b](results.md)"),
        ("index.md", '<img src="docs/a.svg">', '<img src="a.svg">'),
        ("start.md", "[a](../RESULTS.md#speed) [b](options.md)", "[a](results.md#speed) [b](options.md)"),
        ("methods/x.md", "[a](../RESULTS.md)", "[a](../results.md)"),
        ("index.md", "[cite](CITATION.cff)", "cite (`CITATION.cff`)"),
    ],
)
def test_links(path: str, written: str, shown: str) -> None:
    assert pages.relinked(written, path) == shown


def test_methods_in_the_table_lead_to_their_pages() -> None:
    assert pages.linked("| `wachter` | x |\n| `data=` | y |", "methods.md") == (
        "| [`wachter`](methods/wachter.md) | x |\n| `data=` | y |"
    )


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<script src="https://cdn.example/x.js">', ["https://cdn.example/x.js"]),
        ('<link rel="stylesheet" href="//fonts.example/y">', ["//fonts.example/y"]),
        ('<link rel="canonical" href="https://here.example/">', []),
        ('<a href="https://arxiv.org/abs/1">', []),
        ('<img src="../a.png"><script src="assets/x.js">', []),
    ],
)
def test_what_would_be_fetched_elsewhere(html: str, found: list[str]) -> None:
    assert pages.foreign(html) == found


def test_every_written_page_is_in_the_navigation() -> None:
    config: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    listed = yaml.dump(config["nav"])
    for path in (ROOT / "docs").glob("*.md"):
        assert path.name in listed, path.name
    for path in pages.MADE:
        assert path in listed, f"{path}, made of {pages.MADE[path]}, is not in the nav of mkdocs.yml"
