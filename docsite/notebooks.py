"""Tutorials: notebooks kept as text in docs/tutorials, run into build/tutorials, and shown on the site.

python -m docsite.notebooks [NAME ...]      runs them, each in a fresh folder, and tells the seconds
"""

from __future__ import annotations

import base64
import json
import os
import re
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SOURCE, BUILT = ROOT / "docs" / "tutorials", ROOT / "build" / "tutorials"
PLAIN = """
import os
os.environ.pop("FORCE_COLOR", None)
os.environ.pop("CLICOLOR_FORCE", None)
os.environ["COLUMNS"] = "100"
"""
"""What is run first: commands write as into a file, not as on a screen."""
BASH = "%%bash\n"
ORDER = ("digits_from_zero", "biased_classifier", "own_method")


def run(name: str) -> float:
    """Run a notebook from its text; returns the seconds.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    import jupytext
    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell

    notebook = jupytext.read(SOURCE / f"{name}.py")
    notebook.cells.insert(0, new_code_cell(PLAIN))
    commands = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}}
        )
        client.execute(env=os.environ | {"PATH": commands})
    del notebook.cells[0]
    BUILT.mkdir(parents=True, exist_ok=True)
    text = jupytext.writes(notebook, fmt="ipynb").replace(f"{folder}/", "")  # no path of this machine
    (BUILT / f"{name}.ipynb").write_text(text)
    return time.perf_counter() - start


def pages() -> Iterator[tuple[str, str, str]]:
    """Path, title and Markdown of each tutorial that was run."""
    for name in ORDER:
        text, _ = rendered(_notebook(name), name)
        (title,) = re.findall(r"^# (.*)$", text, re.MULTILINE)[:1]
        yield f"tutorials/{name}.md", title, text


def pictures() -> Iterator[tuple[str, bytes]]:
    """Path and content of each picture."""
    for name in ORDER:
        _, found = rendered(_notebook(name), name)
        yield from ((f"tutorials/{file}", content) for file, content in found.items())


def rendered(notebook: dict[str, Any], name: str) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and its pictures by their file's name."""
    lines: list[str] = []
    files: dict[str, bytes] = {}
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            lines.append(source)
        elif cell["cell_type"] == "code" and source:
            shell = source.startswith(BASH)
            lines.append(f"```{'bash' if shell else 'python'}\n{source.removeprefix(BASH)}\n```")
            lines += [_output(output, name, files) for output in _joined(cell["outputs"])]
    return "\n\n".join(line for line in lines if line) + "\n", files


def _joined(outputs: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Pieces of one stream as one."""
    for kind, parts in groupby(outputs, lambda output: output.get("name", "")):
        if kind:
            text = "".join(piece for part in parts for piece in part["text"])
            yield {"output_type": "stream", "name": kind, "text": text}
        else:
            yield from parts


def _output(output: dict[str, Any], name: str, files: dict[str, bytes]) -> str:
    """Pictures as files, tables as they are, text as text; what goes to stderr is left out."""
    if output["output_type"] == "stream":
        return _text("".join(output["text"])) if output["name"] == "stdout" else ""
    data = output.get("data", {})
    if "image/png" in data:
        file = f"{name}-{len(files)}.png"
        files[file] = base64.b64decode("".join(data["image/png"]))
        return f"![What the cell above draws]({file})"
    if "text/html" in data:
        return (
            '<div class="output" markdown="0">'
            + re.sub(r"\n\s*\n", "\n", "".join(data["text/html"]))
            + "</div>"
        )
    return _text("".join(data.get("text/plain", "")))


def _text(text: str) -> str:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text).strip("\n")
    return f"```text\n{plain}\n```" if plain.strip() else ""


def _notebook(name: str) -> dict[str, Any]:
    path = BUILT / f"{name}.ipynb"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; make tutorials runs the notebooks")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


if __name__ == "__main__":
    for asked in sys.argv[1:] or ORDER:
        print(f"{asked}: {run(asked):.0f} s", flush=True)
