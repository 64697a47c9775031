"""One page per method, out of its docstring, yaml, row in docs/methods.md, docsite/when.yaml and results/."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined

from counterfoil.report.published import Published
from docsite.docstring import Parts, parts_of

ROOT = Path(__file__).parents[1]
TABLE = "| method |"
COSTS = {"seconds": "seconds", "classifier calls": "classifier_calls"}


@dataclass(frozen=True)
class Method:
    """What is known of a method: the cells of its row, its yaml and its class."""

    name: str
    paper: str
    needs: str
    departures: str
    recipe: str

    @property
    def target(self) -> str:
        """The class as its yaml names it."""
        return str(yaml.safe_load(self.recipe)["_target_"])

    @property
    def preset(self) -> bool:
        """Whether it is options of a class that is named after another method."""
        return self.target.split(".")[-2] != self.name

    @property
    def parts(self) -> Parts:
        """Of its docstring; what a preset is stands in the first lines of its yaml."""
        module, cls = self.target.rsplit(".", 1)
        parts = parts_of(inspect.getdoc(getattr(import_module(module), cls)) or "")
        if not self.preset:
            return parts
        told = [line[2:] for line in self.recipe.splitlines()[1:] if line.startswith("# ")]
        summary = " ".join(told)
        return Parts(summary[:1].upper() + summary[1:], parts.text, "", parts.source)


def methods(root: Path = ROOT) -> list[Method]:
    """All methods, in the order of the table in docs/methods.md."""
    found = []
    table = (root / "docs" / "methods.md").read_text().split(TABLE, 1)[1].split("\n\n", 1)[0]
    for line in table.splitlines()[2:]:
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        name, paper, needs, departures = cells[0].strip("`"), *cells[1:]
        recipe = (root / "conf" / "explainer" / f"{name}.yaml").read_text()
        found.append(Method(name, paper, needs, departures, recipe))
    return found


def pages(root: Path = ROOT) -> Iterator[tuple[str, str, str]]:
    """Path, title and Markdown of each page."""
    use = when(root)
    for method in methods(root):
        yield f"methods/{method.name}.md", method.name, page(method, use[method.name], root)


def page(method: Method, use: dict[str, str], root: Path = ROOT) -> str:
    """The page of a method."""
    parts = method.parts
    lines = [f"# {method.name}", parts.summary, *parts.text]
    if (root / "docs" / "methods" / f"{method.name}.png").is_file():
        told = f"Queries, below each its counterfactual by {method.name}, and what changed"
        lines += [f"![{told}]({method.name}.png)", f"*{use.get('picture', PICTURE)}*"]
    lines += [_facts(method, parts), "## When to use it", use["use"], "## When not", use["not"]]
    lines += [FIGURES] if re.search(r"\d (%|on|calls)", use["use"] + use["not"]) else []
    lines += ["## Cost", costs(method.name, root / "results")]
    departed = parts.departures or method.departures.strip("– ")
    if departed:
        lines += ["## Departures from the paper", departed[:1].upper() + departed[1:].rstrip(".") + "."]
    lines += ["## Options", f"```yaml\n{method.recipe.strip()}\n```", "## In Python"]
    lines += [f"::: {method.target}\n    options:\n      heading_level: 3\n      skip_local_inventory: true"]
    return "\n\n".join(lines) + "\n"


def _facts(method: Method, parts: Parts) -> str:
    facts = (
        ("needs", method.needs),
        ("paper", method.paper),
        ("source", parts.source),
        ("try it", f"`python evaluate.py explainer={method.name} train_missing=true`"),
    )
    lines = [f"| {head} | {text} |" for head, text in facts if text.strip("– ")]
    return "\n".join([lines[0], "|---|---|", *lines[1:]])


FIGURES = (
    "Figures of MNIST, where no study is named, are of `frontier_mnist` and `frontier_mnist_more`: "
    "confidence 0.95, 200 queries, three seeds, three judges; their intervals stand in "
    "[Results](../results.md)."
)
PICTURE = (
    "From above: the first test image of each digit, what is returned for the class that comes second at a "
    "confidence of 0.95, valid or not, and what changed, red for brighter and blue for darker."
)


def when(root: Path = ROOT) -> dict[str, dict[str, str]]:
    """What docsite/when.yaml says of each method, its figures filled in from results/."""
    text = (root / "docsite" / "when.yaml").read_text()
    filled = (
        Environment(undefined=StrictUndefined).from_string(text).render(Published(root / "results").macros)
    )
    return {name: dict(told) for name, told in yaml.safe_load(filled).items()}


def costs(name: str, results: Path) -> str:
    """A table of the studies that measured what a counterfactual costs, by this method under its own name."""
    published = Published(results)
    lines = []
    for study in studies(results):
        content = published.study(study)
        for view, table in content["views"].items():
            row: dict[str, Any] = next((part["rows"].get(name, {}) for part in table["tables"].values()), {})
            given = {head: row[column] for head, column in COSTS.items() if column in row}
            if given:
                cells = [
                    published.cell(study, view, name, COSTS[head]) if head in given else "–" for head in COSTS
                ]
                asked = ", ".join(map(str, content["n"]))
                lines.append(f"| `{study}` | {asked} | {len(content['seeds'])} | {' | '.join(cells)} |")
                break
    if not lines:
        return "No published table has its cost."
    head = f"| study | queries | seeds | {' | '.join(COSTS)} |\n|---|---:|---:|---:|---:|\n"
    return (
        "Per counterfactual, with 95 % intervals; settings and machine of each study stand in "
        "[Results](../results.md).\n\n" + head + "\n".join(lines)
    )


@cache
def studies(results: Path) -> list[str]:
    """The published studies whose figures were made by their command as it stands."""
    return sorted(path.stem for path in results.glob("*.json") if "views" in _read(path))


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content
