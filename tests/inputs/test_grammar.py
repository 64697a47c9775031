"""Odd words on the command line: what Hydra cannot read is told with the form that works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.core.target import class_index
from counterfoil.util.cli import explain_error
from tests.inputs.case import At, Case, cases

QUOTES = "a text with such signs needs two pairs of quotes: "


def line(*words: str, config: str = "evaluate") -> Callable[[At], Any]:
    """An act: the config of a command line; an error of Hydra's as the one line that the scripts print."""

    def act(at: At) -> Any:
        try:
            return at.request.getfixturevalue("compose")(config, "logger=none", "run_dir=x", *words)[0]
        except Exception as error:
            told = explain_error(error)
            raise UserError(told or f"no line for {error!r}\n") from error

    return act


def value(option: str) -> Callable[[At], Any]:
    """An act: what an option is read as."""
    return lambda at: OverridesParser.create().parse_override(option).value()


def wanted(target: str, *names: str) -> Callable[[At], Any]:
    """An act: the class that a target from a command line stands for."""
    return lambda at: names[class_index(str(value(f"target={target}")(at)), names, len(names))]


REFUSED = {
    "classifier.checkpoint=epoch=3-step=10.ckpt": (
        "classifier.checkpoint: epoch=3-step=10.ckpt",
        QUOTES + "classifier.checkpoint='\"epoch=3-step=10.ckpt\"'",
    ),
    "data.root=~/faces": ("data.root: ~/faces", QUOTES + "data.root='\"~/faces\"'"),
    "data.root=/a[1]/x": ("data.root: ", "data.root='\"/a[1]/x\"'"),
    "data.root=/a (copy)/x": ("data.root: ", "data.root='\"/a (copy)/x\"'"),
    "data.root=/a{1}": ("data.root: ", "data.root='\"/a{1}\"'"),
    "data.root=/été": ("data.root: ", "data.root='\"/été\"'"),
    "data.root=/a&b": ("data.root: ", "data.root='\"/a&b\"'"),
    "data.root=/it's": ("data.root: ", "data.root="),
    "data.root=/a,b": ("data.root: /a,b holds a comma", "'\"/a,b\"'", "data.root='[/a,b]'", "--multirun"),
    "n=10,20": ("n: 10,20 holds a comma", "--multirun"),
    "target=Smiling=yes": ("target: ", "target='\"Smiling=yes\"'"),
    "classifier.layers=[pool": ("classifier.layers: ", "closing bracket"),
    "--n=3": ("--n=3", "write n=3"),
    "n:3": ("n:3", "write n=3"),
    "n": ("n is no option", "NAME=VALUE"),
    "nn=3": ("nn does not exist", "did you mean n?", "--help"),
    "data.limt=3": ("data.limt does not exist", "did you mean data.limit?"),
    "data.zzz=3": ("data.zzz does not exist", "the options there: ", "limit"),
    "explainer.revise.step=3": ("explainer.revise.step does", "did you mean explainer.revise.steps?"),
    "classifer.seed=3": ("classifer.seed does not exist", "did you mean classifier?"),
    "explainer=wachtre": ("explainer=wachtre does not exist", "did you mean wachter?"),
    "data=mnits": ("data=mnits does not exist", "did you mean mnist?"),
    "~nothing": ("nothing", "does not exist"),
    "generative=null": ("~GROUP",),
}
ACCEPTED = [
    Case("a quoted checkpoint", value('data.name="epoch=3-step=10"'), right="epoch=3-step=10"),
    Case("a path with spaces", value("store=/a b/c"), right="/a b/c"),
    Case("a path with a colon", value("store=/a:b"), right="/a:b"),
    Case("a path with a percent sign", value("store=/a%20b"), right="/a%20b"),
    Case("a path of Windows", value("store=C:\\x\\y"), right="C:\\x\\y"),
    Case("an attribute that begins with a digit", value("attribute=5_o_Clock"), right="5_o_Clock"),
    Case("yes is text", value("target=yes"), right="yes"),
    Case("no is text", value("target=no"), right="no"),
    Case("leading zeros are text", value("target=007"), right="007"),
    Case("a pair of classes", value("target=3:8"), right="3:8"),
    Case("a class of two words", value("target=New York"), right="New York"),
    Case("an exponent", value("n=1e3"), right=1000),
    Case("a class named 10", wanted("10", "1", "10", "2"), right="10"),
    Case("a class named 1", wanted("1", "1", "10", "2"), right="1"),
    Case("a class by its index", wanted("1", "cat", "dog"), right="dog"),
    Case("a class named no", wanted("no", "no", "yes"), right="no"),
    Case("a quoted class named true", wanted('"true"', "false", "true"), right="true"),
]


@cases(
    *(Case(name, line(name), says=says) for name, says in REFUSED.items()),
    Case("a reference to nothing", lambda at: reference(at), says=("${zzz}", "refers to no option")),
    *ACCEPTED,
)
def test_grammar(case: Case, at: At) -> None:
    case.settle(at)


def reference(at: At) -> Any:
    """A path that holds what reads as a reference."""
    config: Any = line("store=/a/${zzz}")(at)
    try:
        return config.store
    except Exception as error:
        raise UserError(str(explain_error(error))) from error


class Three(nn.Module):
    """Decides for the third class."""

    class_names = ("1", "10", "2")

    def forward(self, x: Tensor) -> Tensor:
        return torch.tensor([[0.0, 1.0, 2.0]]).expand(len(x), 3)


@pytest.mark.parametrize(("target", "index"), [("10", 1), ("1", 0)])
def test_queries_ask_for_a_class_by_its_name_before_its_index(target: str, index: int, toy: Any) -> None:
    from counterfoil.data.queries import sample

    assert sample(toy, Three(), 3, 0, target).target.tolist() == [index] * 3
