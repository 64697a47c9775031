"""What Hydra cannot read is told with the form that works."""

from __future__ import annotations

import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from counterfoil.util.grammar import ambiguous, quoted, reads, unknown, unknown_reference, unreadable

TEXTS = [
    "epoch=3-step=10.ckpt", "~/x", "/a[1]/x", "/a(copy)/b", "/a{b}", "/a'b", '/a"b', "/é/ü", "a&b;c!d", "#x",
    "a,b", "[a,b", "yes", "/a b/c", "C:\\x=1",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_proposed_is_read_as_the_text(text: str) -> None:
    written = quoted("data.root", text)
    assert written is not None
    (typed,) = shlex.split(written)
    assert OverridesParser.create().parse_override(typed).value() == text
    assert reads(typed, text)


def test_a_text_that_no_quotes_hold() -> None:
    assert quoted("data.root", "a=\\") is None
    assert "set it in a file of configs" in unreadable("data.root=a=\\")


@pytest.mark.parametrize(
    ("option", "line"),
    [
        (
            "x=a=b",
            "option x: a=b cannot be read; a text with such signs needs two pairs of quotes",
        ),
        ("+x.y=(", "+x.y='\"(\"'; a list or a dict needs its closing bracket"),
        ("--n=3", "--n=3 cannot be read as an option; write n=3"),
        ("n: 3", "write n=3"),
        ("n", "n is no option; write NAME=VALUE"),
        ("x=a\nb=", "option x: its value has a line break"),
    ],
)
def test_unreadable(option: str, line: str) -> None:
    assert line in unreadable(option)
    assert "\n" not in unreadable(option)


def test_a_comma_is_a_text_a_list_or_several_runs() -> None:
    line = ambiguous("n=1,2")
    assert all(part in line for part in ("""n='"1,2"'""", "n='[1,2]'", "--multirun"))


def test_a_reference_to_nothing() -> None:
    assert unknown_reference("a", "target").startswith("option target: ${a} refers to no option")
    assert unknown_reference("a", "").startswith("${a} refers to no option")


def test_an_option_that_is_not_there() -> None:
    assert "does not exist; did you mean net.width?; see" in unknown("net.widht", ["width", "depth"], "net")
    assert "the options there: depth, width; see" in unknown("net.zzz", ["width", "depth"], "net")
    assert unknown("zzz", ()).startswith("option zzz does not exist; see --help")
    assert "does not exist: the same command goes on with" in unknown("ckpt_path", ["data", "store"])


def test_a_key_with_dots_is_told_how_to_be_set() -> None:
    line = unknown("sweep.space.explainer.revise.lr", ["explainer.revise.lr", "confidence"], "sweep.space")
    assert line.endswith("is one key of sweep.space; write sweep.space='{explainer.revise.lr: VALUE}'")
