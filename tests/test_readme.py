"""README and docs are true: their blocks run, their names and links exist, their figures are published."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import hydra
import numpy as np
import pytest
import yaml
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser

from counterfoil.run.config import RunConfig
from counterfoil.util.cli import config_dirs, expand_all
from tests.bench import fewest

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"
README = (ROOT / "README.md").read_text()
DOCS = {path.stem: path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}
SUBMIT = (ROOT / "SUBMIT.md").read_text()
PAGES = "\n\n".join((README, SUBMIT, *DOCS.values()))
MAKEFILE = (ROOT / "Makefile").read_text()
Script = Callable[..., tuple[int, str, str]]


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the path that the last line above it names, if any."""

    language: str
    text: str
    path: str | None


@dataclass(frozen=True)
class Command:
    """`python SCRIPT.py ARGUMENTS` of a shell block."""

    script: str
    arguments: tuple[str, ...]

    @property
    def overrides(self) -> list[str]:
        """Hydra's overrides, `explainer=all` written out; without the options of the command line."""
        given = expand_all(self.arguments, CONF)
        return [part for part in given if "=" in part and not part.startswith("-")]

    @property
    def jobs(self) -> list[Sequence[str]]:
        """The overrides of jobs of a multirun that together show each value, of the only one otherwise."""
        if "-m" not in self.arguments:
            return [self.overrides]
        parsed = OverridesParser.create().parse_overrides(self.overrides)
        (jobs,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
        return fewest(jobs)

    @property
    def quick(self) -> bool:
        """Whether it is about the shipped digits and methods that need no long training."""
        return not re.search(
            r"\b(data|data\.root|study)=|explainer=all|experiment=(demo|attributes)", " ".join(self.arguments)
        )

    def __str__(self) -> str:
        return f"{self.script} {' '.join(self.arguments)}"


def blocks(language: str, page: str = PAGES) -> list[Block]:
    """All blocks of a language, in README and docs or in one of them."""
    found = []
    for fence in re.finditer(r"^```(\w*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        above = page[: fence.start()].rstrip().rsplit("\n", 1)[-1]
        named = re.search(r"`([\w/]+\.yaml)`:?$", above) or re.match(r"# ([\w/]+\.py)\n", fence.group(2))
        found.append(Block(fence.group(1), fence.group(2), named.group(1) if named else None))
    return [block for block in found if block.language == language]


def lines() -> Iterator[list[str]]:
    """Every command of the shell blocks and of the Makefile, as words."""
    written = "\n".join(block.text for block in blocks("bash"))
    made = re.findall(r"^\t\$\(BIN\)/(python .*)", MAKEFILE, re.MULTILINE)
    for line in chain(written.replace("\\\n", " ").splitlines(), made):
        words = shlex.split(line, comments=True)
        while "&&" in words:
            yield words[: words.index("&&")]
            words = words[words.index("&&") + 1 :]
        if words:
            yield words


LINES = list(lines())
COMMANDS = list(
    dict.fromkeys(
        Command(words[1].removesuffix(".py"), tuple(words[2:]))
        for words in LINES
        if words[0] == "python" and words[1] in ("train.py", "evaluate.py")
    )
)
each_command = pytest.mark.parametrize("command", COMMANDS, ids=str)


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    """No block without a language; every line of a shell block is a command that a test below knows."""
    fences = re.findall(r"^```(.*)$", PAGES, re.MULTILINE)[::2]
    assert set(fences) == {"python", "bash", "yaml", "text"}
    for words in LINES:
        known = words[0] == "make" or (
            words[0] == "python" and (words[1] in ("-c", "-m") or (ROOT / words[1]).is_file())
        )
        assert known, words
    assert len(COMMANDS) >= 15


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.path or "example")
def test_python_runs(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    own_files()
    Path("example.py").write_text(block.text)
    names = runpy.run_path("example.py")
    if "cf" in names:
        assert Path("counterfactuals.safetensors").is_file()
        assert len(names["cf"]) == 4


def test_make_targets_exist() -> None:
    named = {words[1] for words in LINES if words[0] == "make"} | set(
        re.findall(r"[`(]make (\w+)[`)]", PAGES)
    )
    assert {"demo", "test", "lint", "results", "benchmark"} <= named
    assert named <= set(re.findall(r"^(\w+):", MAKEFILE, re.MULTILINE))


def test_yamls_name_their_file_and_what_the_python_blocks_define() -> None:
    defined = {block.path.removesuffix(".py"): block.text for block in blocks("python") if block.path}
    for block in blocks("yaml"):
        assert block.path, block.text
        module, name = yaml.safe_load(block.text)["_target_"].split(".")
        assert f"class {name}(" in defined[module]
        assert any(
            "--config-dir my_conf" in " ".join(words) and Path(block.path).stem in str(words)
            for words in LINES
        )


@each_command
def test_commands_compose(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every option exists, and the config becomes the typed one."""
    monkeypatch.chdir(tmp_path)
    own_files()
    places = [f"file://{folder.resolve()}" for folder in config_dirs(command.arguments)]
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        for job in command.jobs:
            search = [f"hydra.searchpath=[{','.join(places)}]"] if places else []
            RunConfig.of(hydra.compose(command.script, overrides=[*job, *search]))


def test_modules_and_one_liners_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    inline = [shlex.split(text) for text in re.findall(r"`(python [^`]+)`", PAGES)]
    for words in (*LINES, *inline):
        if words[:2] == ["python", "-m"]:
            assert find_spec(words[2]), words
        if words[:2] == ["python", "-c"]:
            exec(compile(words[2].replace("Avatars()", "Avatars(n=20)"), "README.md", "exec"), {})
    assert len(list(Path("faces/img_align_celeba").iterdir())) == 20


def own_files() -> None:
    """Write the files of the docs where they say."""
    for block in (*blocks("python"), *blocks("yaml")):
        if block.path:
            Path(block.path).parent.mkdir(parents=True, exist_ok=True)
            Path(block.path).write_text(block.text)


def theirs() -> None:
    """Counterfactuals of another tool."""
    draw = np.random.default_rng(0)
    images = {name: draw.random((4, 1, 28, 28), np.float32) for name in ("factual", "counterfactual")}
    np.savez("theirs.npz", target=np.arange(4), **images)


def tiny(command: Command) -> list[str]:
    """What makes a quick command quicker."""
    asked = " ".join(command.arguments)
    roles = ["classifier", "judge", "generative", "autoencoder"]
    if command.script == "train" and "experiment=" not in asked:
        roles = [role for role in roles if f"{role}=" in asked]
    given = ["logger=none", "data.limit=100"]
    for role in roles:
        small = ["net.stages=2", "layers=[blocks.0,pool]"] if role in ("classifier", "judge") else []
        given += [f"{role}.{option}" for option in ("training.epochs=1", "net.width=4", *small)]
    if command.script == "train":
        return given
    searched = asked.replace("experiment=debug", "wachter revise")
    given += [
        f"explainer.{name}.steps=5" for name in ("iso", "disc", "wachter", "revise") if name in searched
    ]
    given += [] if "metric=" in asked or "experiment=" in asked else ["metric=[success]"]
    return [*given, "train_missing=true", *([] if "counterfactuals=" in asked else ["n=2"])]


@pytest.mark.slow
def test_quick_commands_run(script: Script) -> None:
    """From top to bottom in one folder and one store, each as printed but for a few images and steps."""
    own_files()
    theirs()
    ran = []
    quick = [part for part in COMMANDS if part.quick and "sweep=" not in " ".join(part.arguments)]
    for command in quick:
        run_dir = f"runs/{len(ran)}"
        code, out, err = script(command.script, *command.arguments, *tiny(command), f"run_dir={run_dir}")
        assert code == 0, f"{command}\n{out[-1500:]}\n{err[-1500:]}"
        if command.script == "evaluate" and not Path("runs/demo").exists():
            holds_what_is_promised(Path(run_dir))
            shutil.copytree(run_dir, "runs/demo")
        ran.append(command)
    assert len(ran) >= 8
    code, out, err = script("evaluate", "--config-dir", "my_conf", "explainer=[my_method]", "--cfg", "job")
    assert code == 0
    assert "my_method.MyMethod" in out


def holds_what_is_promised(run_dir: Path) -> None:
    """A run folder has every file of the table, but strips and audit of so few queries."""
    for name in re.findall(r"`([^`]+)`", column("| file |", 0)):
        found = list(run_dir.glob(name.replace("<method>", "*").rstrip("/")))
        assert found or name.startswith(("strips/", "audit.")), name
    assert {path.suffix for path in (run_dir / "tables").iterdir()} == {".md", ".tex", ".csv"}


def rows(header: str) -> list[list[str]]:
    """The cells of the table whose first line starts with this header."""
    assert PAGES.count(header) == 1, header
    body = PAGES.split(header, 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in body]


def column(header: str, place: int) -> str:
    return "\n".join(row[place] for row in rows(header))


def test_every_study_and_no_other_stands_in_the_table() -> None:
    named = re.findall(r"`(\w+)`", column("| `study=` |", 0))
    assert sorted(named) == sorted(path.stem for path in (CONF / "study").glob("*.yaml"))


def test_options_exist_and_every_choice_is_named() -> None:
    """The first column holds options and groups of evaluate.yaml; a group's row names all its yamls."""
    top = yaml.safe_load((CONF / "evaluate.yaml").read_text())
    groups = {path.name for path in CONF.iterdir() if path.is_dir()}
    for first, second in rows("| option of `evaluate.py` |"):
        options = re.findall(r"`([\w@]+)=`", first)
        for option in options:
            assert option in top or option.split("@")[0] in groups, option
        for group in {option.split("@")[0] for option in options} & {
            "data",
            "corruption",
            "classifier",
            "generative",
        }:
            yamls = {path.stem for path in (CONF / group).glob("*.yaml")}
            assert yamls <= set(re.findall(r"`(\w+)`", second)), group


def test_presets_named_are_all_there_are() -> None:
    presets = {
        path.stem
        for path in (CONF / "metric").glob("*.yaml")
        if set(yaml.safe_load(path.read_text())) == {"defaults"}
    }
    (named,) = re.findall(r"chooses by presets: (.*?), each a yaml", DOCS["metrics"], re.DOTALL)
    assert set(re.findall(r"`(\w+)`", named)) == presets


def test_architecture_is_as_the_tree_and_the_contract_say() -> None:
    """Every folder of the tree exists and no package is left out; the layers are import-linter's."""
    (tree,) = blocks("text", DOCS["architecture"])
    for name in re.findall(r"^(?:  )?([\w/]+)/ ", tree.text, re.MULTILINE):
        assert (ROOT / name).is_dir() or (ROOT / "src" / "counterfoil" / name).is_dir(), name
    packages = [path.parent.name for path in (ROOT / "src" / "counterfoil").glob("*/__init__.py")]
    drawn = re.findall(r"^  (\w+)/ ", tree.text, re.MULTILINE)
    assert sorted(drawn) == sorted(packages)
    contract = re.search(
        r"^layers = \[(.*?)\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE | re.DOTALL
    )
    assert contract
    layers = re.findall(r'"(\w+)"', contract.group(1))
    (written,) = re.findall(r"Imports go downward: ([\w\s<]+)\.", DOCS["architecture"])
    assert re.findall(r"\w+", written) == drawn == layers[::-1]


def test_the_caption_tells_the_published_figures() -> None:
    """Seeds, queries, and the judge's agreement in whole percent, from results/mnist.json."""
    told = re.search(
        r"follows `revise` in (\d+) % of cases and `wachter` in (\d+) %", " ".join(README.split())
    )
    assert told
    study = json.loads((ROOT / "results" / "mnist.json").read_text())
    assert (study["seeds"], study["n"]) == ([0, 1, 2], [1000])
    (table,) = study["views"]["methods"]["tables"].values()
    for method, figure in zip(("revise", "wachter"), told.groups(), strict=True):
        cells = {name.lower().replace("_", " "): cell for name, cell in table["rows"][method].items()}
        agreement = next(cell for name, cell in cells.items() if name.startswith("judge agreement"))
        validity = next(cell for name, cell in cells.items() if name.startswith("validity"))
        assert round(100 * agreement["value"]) == int(figure)
        assert round(100 * validity["value"]) == 100


def test_lines_are_short() -> None:
    """Prose and code; rows of tables are one line each."""
    long = [line for line in PAGES.splitlines() if len(line) > 110 and not line.startswith("|")]
    assert not long


@pytest.mark.parametrize(
    "path",
    [ROOT / "README.md", ROOT / "SUBMIT.md", *sorted((ROOT / "docs").glob("*.md"))],
    ids=lambda path: path.name,
)
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text()):
        assert link.startswith("https://") or (path.parent / link).exists(), link


def test_errors_that_the_faq_quotes_are_those_of_the_code() -> None:
    """Strings that stand beside each other in the source are one, whatever breaks its lines."""
    source = "\n".join(path.read_text() for path in (ROOT / "src" / "counterfoil").rglob("*.py"))
    whole = re.sub(r'"\s*\n\s*f?"', "", source)
    quoted = blocks("text", DOCS["faq"])
    assert len(quoted) >= 8
    for block in quoted:
        assert block.text.strip() in whole, block.text
