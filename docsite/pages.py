"""The events of MkDocs: pages that are made, links that hold on GitHub and here, and what is refused."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docsite import api, methods, notebooks

ROOT = Path(__file__).parents[1]
MADE = {
    "index.md" if path.stem == "README" else f"{path.stem.lower()}.md": path.name
    for path in sorted(ROOT.glob("*.md"))
}
"""Pages of the site that lie in the root of the repository."""
log = logging.getLogger("mkdocs.counterfoil")  # a warning of it fails a strict build


def made() -> Iterator[tuple[str, str, str]]:
    """Path, title and Markdown of all pages that do not lie in docs/."""
    for page, source in MADE.items():
        yield page, "", (ROOT / source).read_text()
    yield from methods.pages()
    yield from api.pages()
    yield from notebooks.pages()


def on_config(config: Any) -> Any:
    """Put the pages that are made into the navigation, below the sections that wait for them."""
    groups = {"methods/": methods.pages(), "api/": api.pages(), "tutorials/": notebooks.pages()}
    for entries in (part for section in config.nav for part in section.values() if isinstance(part, list)):
        for place in groups.keys() & {entry for entry in entries if isinstance(entry, str)}:
            at = entries.index(place)
            entries[at : at + 1] = [{name: path} for path, name, _ in groups[place]]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made; name what has no docstring."""
    from mkdocs.structure.files import File

    for path, _, text in made():
        files.append(File.generated(config, path, content=text))
    for path, picture in notebooks.pictures():
        files.append(File.generated(config, path, content=picture))
    for name in api.undocumented():
        log.warning("%s has no docstring", name)
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links that hold on GitHub, made to hold on the site; methods in tables lead to their pages."""
    path = page.file.src_uri
    text = relinked(markdown, path)
    return linked(text, path) if path in ("index.md", "methods.md") else text


def relinked(markdown: str, path: str) -> str:
    """Links to files of the root lead to the pages made of them; of these pages, links lead from docs/ on."""
    if path in MADE:
        markdown = re.sub(r'(\]\(|"|, )docs/', r"\1", markdown)
    up = "../" * path.count("/")
    for page, source in MADE.items():
        markdown = re.sub(rf"\]\((?:\.\./)*{re.escape(source)}(#[\w-]*)?\)", rf"]({up}{page}\1)", markdown)
    return re.sub(r"\[([^]]*)\]\((?:\.\./)*(CITATION\.cff|LICENSE)\)", r"\1 (`\2`)", markdown)


def linked(markdown: str, path: str) -> str:
    """Names in the first column of the table of methods as links."""
    known = {method.name for method in methods.methods()}

    def link(row: re.Match[str]) -> str:
        return f"| [`{row[1]}`](methods/{row[1]}.md) |" if row[1] in known else row[0]

    return re.sub(r"^\| `(\w+)` \|", link, markdown, flags=re.MULTILINE)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Refuse what a browser would fetch from elsewhere."""
    for address in foreign(output):
        log.warning("%s would fetch %s", page.file.src_uri, address)
    return output


def foreign(html: str) -> list[str]:
    """Addresses of scripts, styles, fonts and pictures that are not the site's own."""
    tags = re.findall(r"<(?:script|img|iframe|source|link)\b[^>]*>", html)
    kept = [tag for tag in tags if not re.search(r'rel="?(?:canonical|next|prev|alternate)', tag)]
    return [
        found for tag in kept for found in re.findall(r'(?:src|srcset|href)="?((?:https?:)?//[^"\s>]+)', tag)
    ]
