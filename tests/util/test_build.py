"""Objects of a config: built innermost first, models shared, mistakes told in one line."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from counterfoil.core.errors import UserError
from counterfoil.util.build import accepted, build, locate, plain


class Part:
    def __init__(self, *given: Any, width: int = 1, inner: Any = None) -> None:
        self.given, self.width, self.inner = given, width, inner


class Open:
    def __init__(self, **options: Any) -> None:
        self.options = options


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    import counterfoil.util.build as module

    monkeypatch.setattr(module, "Part", Part, raising=False)
    monkeypatch.setattr(module, "Open", Open, raising=False)


PART, OPEN = "counterfoil.util.build.Part", "counterfoil.util.build.Open"


def test_nested_and_listed_nodes() -> None:
    made = build(
        {
            "_target_": PART,
            "width": 3,
            "inner": [{"_target_": PART}, {"plain": {"_target_": PART, "width": 2}}, 5],
        }
    )
    assert made.width == 3
    assert isinstance(made.inner[0], Part)
    assert made.inner[1]["plain"].width == 2
    assert made.inner[2] == 5


def test_partial_and_positional() -> None:
    make = build({"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.5})
    assert isinstance(make, partial)
    assert make([torch.zeros(1, requires_grad=True)]).param_groups[0]["lr"] == 0.5
    assert build({"_target_": PART, "_args_": [1, 2]}).given == (1, 2)


def test_what_the_config_says_wins_over_what_is_offered() -> None:
    assert build({"_target_": PART, "width": 3}, width=9).width == 3
    assert build({"_target_": PART}, width=9).width == 9


def test_a_recipe_is_what_share_makes_of_it_wherever_it_stands() -> None:
    seen = []

    def share(recipe: Any) -> object:
        seen.append(recipe.name)
        return seen

    vae = SimpleNamespace(role="generative", name="vae", net={"_target_": "does.not.Exist"})
    made = build({"_target_": PART, "inner": {"a": vae, "b": [vae]}}, share)
    assert made.inner["a"] is made.inner["b"][0] is seen
    assert seen == ["vae", "vae"]


def test_the_node_is_left_as_it_was() -> None:
    node = {"_target_": PART, "inner": {"_target_": PART}}
    build(node)
    assert node == {"_target_": PART, "inner": {"_target_": PART}}


@pytest.mark.parametrize(
    "target",
    ["no_such_package.Net", "counterfoil.no_such_file.Net", "counterfoil.util.build.NoSuchClass", "Net"],
)
def test_a_class_that_is_not_there(target: str) -> None:
    with pytest.raises(UserError, match=rf"classifier\.net\._target_={target}.*PYTHONPATH") as caught:
        locate(target, "classifier.net")
    assert "\n" not in str(caught.value)


def test_an_argument_that_is_not_taken_names_place_and_those_that_are() -> None:
    with pytest.raises(UserError, match=r"explainer\.x\.inner\.depth does not exist; .*width, inner"):
        build({"_target_": PART, "inner": {"_target_": PART, "depth": 3}}, where="explainer.x")


def test_accepted_keeps_what_the_signature_names() -> None:
    assert accepted(PART, {"width": 1, "depth": 2}, "x") == {"width": 1}
    assert accepted(OPEN, {"width": 1}, "x") == {}


def test_plain_resolves_and_names_what_is_missing() -> None:
    assert plain(OmegaConf.create({"a": 1, "b": "${a}", "c": ["${a}"]})) == {"a": 1, "b": 1, "c": [1]}
    assert plain(3) == 3
    with pytest.raises(Exception, match="b"):
        plain(OmegaConf.create({"b": "???"}))
