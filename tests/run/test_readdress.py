"""Models of an older version get the addresses of today."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from counterfoil.core.errors import UserError
from counterfoil.data.digits import Digits
from counterfoil.run.address import Seen, stem
from counterfoil.run.config import ModelRecipe
from counterfoil.run.readdress import data_kinds, moved, readdress
from counterfoil.run.store import Store, made_by, read_manifest
from tests.forked import Done, Forked

CLASSIFIER: dict[str, Any] = {
    "role": "classifier",
    "name": "cnn",
    "seed": 0,
    "mean": 0.5,
    "std": 0.5,
    "checkpoint": None,
    "decision": {"_target_": "counterfoil.core.decision.Classes"},
    "net": {"_target_": "counterfoil.gone.nets.CNN", "width": 8},
    "training": {"_target_": "counterfoil.classifier.training.ClassifierTraining", "epochs": 1},
}
TODAY = {**CLASSIFIER, "net": {"_target_": "counterfoil.classifier.cnn.CNN", "width": 8}}


def retrained(earlier: str) -> dict[str, Any]:
    """A node of before: its option's old name, and a path to a file's old name."""
    explainer = {
        "_target_": "counterfoil.explainer.wachter.Wachter",
        "classifier": {**CLASSIFIER, "checkpoint": f"models/{earlier}.safetensors"},
    }
    training = {
        "_target_": "counterfoil.classifier.retraining.Retraining",
        "asked": 9,
        "explainer": explainer,
    }
    return {**CLASSIFIER, "name": "retrained", "training": training}


def put(folder: Path, name: str, node: dict[str, Any], **noted: Any) -> None:
    """Weights with a manifest, as an older version wrote them."""
    (folder / f"{name}.safetensors").write_bytes(name.encode())
    content = {"node": node, "data": Digits(limit=20).identity, "sha256": "0", **noted}
    (folder / f"{name}.json").write_text(json.dumps(content))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    put(
        tmp_path,
        "digits-classifier-retrained-aaaaaaaaaa",
        retrained("digits-classifier-cnn-bbbbbbbbbb"),
        command="train.py classifier.training.asked=9 start=models/digits-classifier-cnn-bbbbbbbbbb.pt",
    )
    put(tmp_path, "digits-classifier-cnn-bbbbbbbbbb", CLASSIFIER)
    return tmp_path


def test_weights_and_manifests_are_renamed_and_a_second_call_changes_nothing(store: Path) -> None:
    lines, left = readdress(store)
    assert len(lines) == 2
    assert not left
    data = Digits(limit=20)
    first = Store(store).address(ModelRecipe.of(TODAY), data)
    assert first.read_bytes() == b"digits-classifier-cnn-bbbbbbbbbb"
    assert read_manifest(first)["node"] == TODAY
    assert read_manifest(first)["recipe"]["training"]["batch_size"] == 128
    (second,) = store.glob("*retrained*.safetensors")
    noted = read_manifest(second)
    assert noted["node"]["training"]["queries"] == 9
    assert noted["node"]["training"]["explainer"]["classifier"]["checkpoint"] == f"models/{first.name}"
    assert noted["command"] == f"train.py classifier.training.queries=9 start=models/{first.stem}.pt"
    assert stem(noted["node"], Seen.of(data)) == second.stem
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in store.iterdir()}
    assert len(before) == 4
    assert readdress(store) == ([], [])
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in store.iterdir()} == before


def test_what_cannot_be_moved_is_left_and_said_in_a_line_each(store: Path) -> None:
    put(store, "twin", {**CLASSIFIER, "layers": ["pool"]})
    put(store, "foreign", {**CLASSIFIER, "net": {"_target_": "nowhere.Net"}})
    for name, text in (("torn", "{"), ("other", "[]"), ("empty", '{"node": {}}')):
        (store / f"{name}.safetensors").touch()
        (store / f"{name}.json").write_text(text)
    (store / "alone.safetensors").touch()
    (store / "note.json").write_text("{}")
    lines, left = readdress(store)
    assert len(lines) == 1, "the retrained one"
    named = {line.split(".safetensors")[0]: line for line in left}
    pair = {"twin", "digits-classifier-cnn-bbbbbbbbbb"}
    assert named.keys() == {*pair, "foreign", "torn", "other", "empty", "alone"}
    assert all("has the same address" in named[name] for name in pair)
    assert "nowhere.Net cannot be imported" in named["foreign"]
    assert all("cannot be read" in named[name] for name in ("torn", "other", "empty", "alone"))
    assert not any("\n" in line for line in left)
    assert {path.stem for path in store.glob("*.safetensors")} > named.keys()


def test_a_move_that_was_cut_off_is_finished(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", cut)
        with pytest.raises(KeyboardInterrupt):
            readdress(store)
    readdress(store)
    assert readdress(store) == ([], [])
    assert len(list(store.iterdir())) == 4


def test_of_a_model_that_a_recipe_refers_to_the_name_noted_counts(store: Path) -> None:
    """A classifier whose training noted no trainer serves one that departs in precision."""
    readdress(store)
    data, fast = Digits(limit=20), Store(store, {"precision": "bf16-mixed"})
    explainer = {"_target_": "counterfoil.explainer.wachter.Wachter", "classifier": TODAY}
    training = {"_target_": "counterfoil.classifier.retraining.Retraining", "explainer": explainer}
    model = ModelRecipe.of({**TODAY, "name": "retrained", "training": training})
    file = fast.address(model, data)
    put(store, file.stem, **made_by(model, data, fast.seen(data)))
    assert Store(store).address(ModelRecipe.of(TODAY), data).stem in file.with_suffix(".json").read_text()
    assert readdress(store) == ([], [])
    assert fast.has(model, data)


def test_a_class_is_found_by_its_name_where_its_module_is_gone() -> None:
    assert moved("counterfoil.old.place.CNN") == "counterfoil.classifier.cnn.CNN"
    assert moved("counterfoil.classifier.cnn.CNN") == "counterfoil.classifier.cnn.CNN"
    assert moved("counterfoil.old.NoSuchClass") == "counterfoil.old.NoSuchClass"
    assert moved("torchvision.models.CNN") == "torchvision.models.CNN", "not ours to look for"


def test_data_sets_are_known_by_their_names() -> None:
    assert data_kinds(None)["digits"] is Digits
    assert {"mnist", "avatars", "celeba", "folder"} <= data_kinds(None).keys()
    with pytest.raises(UserError, match="cannot be imported"):
        data_kinds("nowhere.Data")


def test_the_command_ends_in_one_line_where_there_is_no_store(
    store: Path, environment: dict[str, str]
) -> None:
    def call(folder: Path) -> Done:
        return Forked(["-m", "counterfoil.run.readdress", str(folder)], store, environment).end()

    done = call(store)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "2 moved or brought up to date, 0 left")
    done = call(store / "absent")
    assert done.returncode == 1
    assert done.stderr.startswith("error: store ")
    assert len(done.stderr.splitlines()) == 1
