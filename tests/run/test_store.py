"""The folder of models, and the one that is published in weights/."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from counterfoil.data.base import ImageData
from counterfoil.run.address import Seen, differences, recipe, stem
from counterfoil.run.readdress import data_kinds, up_to_date
from counterfoil.run.store import read_manifest
from counterfoil.util.digest import file_digest

PUBLISHED = sorted((Path(__file__).parents[2] / "weights").glob("*.safetensors"))
published = pytest.mark.parametrize("file", PUBLISHED, ids=lambda path: path.stem)


@published
def test_published_weights_lie_at_the_address_of_their_own_recipe(file: Path) -> None:
    noted = read_manifest(file)
    data = noted["data"]
    seen = Seen(data["name"], data, data_kinds(None).get(data["name"], ImageData))
    node = up_to_date(noted["node"])
    assert stem(node, seen) == file.stem
    assert not list(differences(noted["recipe"], recipe(node, seen, whole=True)))


@published
def test_published_weights_are_those_of_their_manifest(file: Path) -> None:
    assert file_digest(file) == json.loads(file.with_suffix(".json").read_text())["sha256"]
