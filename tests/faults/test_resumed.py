"""What a run reads back is damaged, or is of another run: it is made anew or refused in one line."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from counterfoil.core.batches import Batches
from counterfoil.core.counterfactuals import Found
from counterfoil.core.query import Query
from counterfoil.data import content
from counterfoil.data.content import NAME, file_digests
from counterfoil.data.queries import QuerySet, sample
from counterfoil.explainer.base import Explainer
from counterfoil.run.config import RunConfig
from counterfoil.run.evaluate import query_set
from counterfoil.run.models import Models
from counterfoil.run.searching import Searching, explain_all
from counterfoil.testing import Bars, TinyClassifier
from tests.faults.conftest import Fault
from tests.faults.fault import share

Damage = Callable[[bytes], bytes]


def flipped(place: float, bit: int) -> Damage:
    """One bit turned, at a share of the length."""

    def turn(whole: bytes) -> bytes:
        at = min(int(place * len(whole)), len(whole) - 1)
        return whole[:at] + bytes([whole[at] ^ (1 << bit)]) + whole[at + 1 :]

    return turn


def cut(share: float) -> Damage:
    """The first part of a file."""
    return lambda whole: whole[: int(share * len(whole))]


def digit(place: float) -> Damage:
    """Another digit in place of one, which leaves a text readable."""

    def change(whole: bytes) -> bytes:
        digits = [i for i, byte in enumerate(whole) if 48 <= byte < 58] or [0]
        at = digits[min(int(place * len(digits)), len(digits) - 1)]
        return whole[:at] + bytes([48 + (whole[at] - 47) % 10]) + whole[at + 1 :]

    return change


_draw = random.Random(0)
DAMAGES: dict[str, Damage] = {
    "none": lambda whole: whole,
    "empty": lambda whole: b"",
    "zeros": lambda whole: bytes(len(whole)),
    "noise": lambda whole: random.Random(1).randbytes(len(whole)),
    "doubled": lambda whole: whole + whole,
    "tail lost": lambda whole: whole[:-1],
    "list": lambda whole: b"[1, 2]",
    "halves swapped": lambda whole: whole[len(whole) // 2 :] + whole[: len(whole) // 2],
    **{f"cut {i}": cut(_draw.random()) for i in range(4)},
    **{f"bit {i}": flipped(_draw.random(), _draw.randrange(8)) for i in range(6)},
    **{f"digit {i}": digit(_draw.random()) for i in range(5)},
}
each_damage = pytest.mark.parametrize("damage", share(list(DAMAGES), quick=6))


class Brighter(Explainer):
    """Counterfactuals that are a fixed step away."""

    step = 0.1

    def explain(self, query: Query) -> Found:
        none = torch.zeros(len(query))
        return Found((query.factual + self.step).clamp(0, 1), none, none)


def searching(
    toy: Bars, step: float = 0.1, method: str = "brighter", seed: int = 0, **rest: Any
) -> Searching:
    """A method at work on eight queries."""
    net = TinyClassifier()
    explainer = Brighter(net)
    explainer.step = step
    return Searching(
        explainer, sample(toy, net, 8, seed, "runner_up"), torch.device("cpu"), torch.float32, None,
        **{"method": method, **rest},
    )  # fmt: skip


def told(batches: Batches) -> list[Tensor]:
    """What must be the same: questions and counterfactuals, not the time that they took."""
    cf = batches[:]
    return [cf.factual, cf.counterfactual, cf.target, cf.query]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@each_damage
def test_batches(damage: str, fault: Fault, toy: Bars, tmp_path: Path) -> None:
    search = searching(toy)
    right = told(explain_all(search, "brighter", tmp_path, 3))
    file = tmp_path / "batch-00001.safetensors"
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    fault("batch", lambda: same(told(explain_all(search, "brighter", tmp_path, 3)), right), True)


FOREIGN: dict[str, Callable[[Bars], Searching]] = {
    "another method": lambda toy: searching(toy, 0.3, "darker"),
    "other queries": lambda toy: searching(toy, seed=1),
    "other targets": lambda toy: retargeted(searching(toy)),
    "other factuals": lambda toy: repainted(searching(toy)),
    "clean ones explained too": lambda toy: searching(toy, reference=True),
}


def retargeted(search: Searching) -> Searching:
    queries = search.queries
    return searching_of(
        search, QuerySet(queries.images, queries.names, queries.query, (queries.target + 1) % 3)
    )


def repainted(search: Searching) -> Searching:
    queries = search.queries
    return searching_of(search, QuerySet(255 - queries.images, queries.names, queries.query, queries.target))


def searching_of(search: Searching, queries: QuerySet) -> Searching:
    return Searching(search.explainer, queries, search.device, search.dtype, None, False, search.method)


@pytest.mark.parametrize("foreign", list(FOREIGN))
def test_batches_of_another_run(foreign: str, fault: Fault, toy: Bars, tmp_path: Path) -> None:
    search = searching(toy)
    right = told(explain_all(search, "brighter", tmp_path / "here", 3))
    explain_all(FOREIGN[foreign](toy), "other", tmp_path / "there", 3)
    for name in ("batch-00001.safetensors", "batch-00009.safetensors"):
        shutil.copy(tmp_path / "there" / "batch-00001.safetensors", tmp_path / "here" / name)
    fault("batch", lambda: same(told(explain_all(search, "brighter", tmp_path / "here", 3)), right), True)
    assert len(list((tmp_path / "here").iterdir())) == 3


def test_batches_in_another_order(fault: Fault, toy: Bars, tmp_path: Path) -> None:
    search = searching(toy)
    right = told(explain_all(search, "brighter", tmp_path, 3))
    first, second = (tmp_path / f"batch-0000{i}.safetensors" for i in range(2))
    first.rename(tmp_path / "kept")
    second.rename(first)
    (tmp_path / "kept").rename(second)
    fault("batch", lambda: same(told(explain_all(search, "brighter", tmp_path, 3)), right), True)


@pytest.fixture(scope="module")
def asked(bench: Any) -> tuple[RunConfig, Models, Any]:
    """An evaluation's config, models and classifier."""
    given = ("logger=none", *bench.models, f"store={bench.store}", "n=9", "seed=3", "classifier.seed=0")
    config = RunConfig.of(bench.compose("evaluate", *given)[0])
    models = Models.of(config)
    return config, models, models.share(config.explained)


@pytest.mark.parametrize("suffix", [".csv", ".json"])
@each_damage
def test_frozen_queries(suffix: str, damage: str, fault: Fault, asked: tuple[RunConfig, Models, Any]) -> None:
    config, models, classifier = asked
    folder = models.store.root / "queries"
    shutil.rmtree(folder, ignore_errors=True)
    right = query_set(config, models, classifier)
    (file,) = folder.glob(f"*{suffix}")
    file.write_bytes(DAMAGES[damage](file.read_bytes()))

    def again() -> bool:
        found = query_set(config, models, classifier)
        return found.names == right.names and same([found.query, found.target], [right.query, right.target])

    fault("frozen queries", again, True)


@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
@each_damage
def test_weights_and_manifests(
    suffix: str, damage: str, fault: Fault, asked: tuple[RunConfig, Models, Any], tmp_path: Path
) -> None:
    config, models, _ = asked
    file = models.store.address(config.explained, models.data)
    for each in (file, file.with_suffix(".json")):
        shutil.copy(each, tmp_path / each.name)
    store = models.store
    weights = models.load(config.explained).state_dict()
    noted = store.manifest(config.explained, models.data)["test"]
    broken = tmp_path / file.with_suffix(suffix).name
    broken.write_bytes(DAMAGES[damage](broken.read_bytes()))
    elsewhere = Models(type(store)(tmp_path), config.data)

    def again() -> bool:
        net = elsewhere.load(config.explained).state_dict()
        told = elsewhere.store.manifest(config.explained, elsewhere.data)["test"]
        return told == noted and all(torch.equal(net[name], value) for name, value in weights.items())

    outcome = fault("weights, manifest", again, True)
    assert outcome == "survived" or damage != "none"


@each_damage
def test_digests_of_files(damage: str, fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "SETTLED", -60.0)
    files = [tmp_path / f"{i}.png" for i in range(3)]
    for i, path in enumerate(files):
        Image.new("L", (4, 4), i).save(path)
    right = file_digests(files, tmp_path, tmp_path / "cache")
    noted = tmp_path / NAME
    noted.write_bytes(DAMAGES[damage](noted.read_bytes()))
    fault("digests of files", lambda: file_digests(files, tmp_path, tmp_path / "cache"), right)
