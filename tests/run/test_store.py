"""The folder of models, and the one that is published in weights/."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from counterfoil.classifier.base import Classifier
from counterfoil.classifier.cnn import CNN
from counterfoil.core.errors import UserError
from counterfoil.data.base import ImageData
from counterfoil.data.digits import Digits
from counterfoil.data.text_csv import TextCsv
from counterfoil.run.address import Seen, differences, recipe, stem
from counterfoil.run.config import ModelRecipe
from counterfoil.run.readdress import data_kinds, up_to_date
from counterfoil.run.store import Place, Store, check_manifest, made_by
from counterfoil.util.build import build
from counterfoil.util.checkpoint import load_weights, read_manifest
from counterfoil.util.digest import file_digest
from counterfoil.util.fingerprint import fingerprint
from counterfoil.util.record import write_json

WEIGHTS = Path(__file__).parents[2] / "weights"
PUBLISHED = sorted(WEIGHTS.glob("*.safetensors"))
MIB = 2**20
RECIPE = ModelRecipe.of(
    {
        "role": "classifier",
        "name": "mine",
        "seed": 0,
        "mean": 0.5,
        "std": 0.5,
        "checkpoint": None,
        "net": {"_target_": "counterfoil.classifier.cnn.CNN", "width": 8},
        "training": {"_target_": "counterfoil.classifier.training.ClassifierTraining", "epochs": 1},
    }
)
published = pytest.mark.parametrize("file", PUBLISHED, ids=lambda path: path.stem)


def seen_in_weights(data: dict[str, Any], trainer: dict[str, Any]) -> Seen:
    """What a model of the published folder sees under a trainer."""
    kind = data_kinds(None).get(data["name"], ImageData)
    return Seen(data["name"], data, kind, trainer, Store(WEIGHTS, trainer)._older)


@published
def test_published_weights_lie_at_the_address_of_their_own_recipe(file: Path) -> None:
    noted = read_manifest(file)
    seen = seen_in_weights(noted["data"], noted.get("trainer", {}))
    node = up_to_date(noted["node"])
    assert stem(node, seen) == file.stem
    assert not list(differences(noted["recipe"], recipe(node, seen, whole=True)))


@published
def test_published_weights_are_small_and_those_of_their_manifest(file: Path) -> None:
    assert file_digest(file) == read_manifest(file)["sha256"]
    assert file.stat().st_size <= 4 * MIB


def test_published_weights_take_at_most_40_mb() -> None:
    """On a disk of 4 KiB blocks, as `du` counts."""
    blocks = sum(-(-path.stat().st_size // 4096) for path in WEIGHTS.iterdir())
    assert len(PUBLISHED) > 40
    assert blocks * 4096 <= 40 * MIB


@pytest.fixture(scope="module")
def digits() -> Digits:
    return Digits(limit=20)


@pytest.fixture
def file(digits: Digits, tmp_path: Path) -> Path:
    """Weights, empty, with the manifest of a training."""
    store = Store(tmp_path)
    assert not store.has(RECIPE, digits)
    assert store.manifest(RECIPE, digits) == {}
    path = store.weights(RECIPE, digits)
    path.touch()
    path.with_suffix(".json").write_text(json.dumps(made_by(RECIPE, digits)))
    assert store.has(RECIPE, digits)
    assert store.manifest(RECIPE, digits)["node"] == RECIPE.as_dict()
    return path


def test_the_manifest_holds_every_default(file: Path) -> None:
    noted = read_manifest(file)["recipe"]
    assert noted["net"] == {"_target_": "CNN", "width": 8, "stages": 3, "dropout": 0.1}
    assert noted["training"]["batch_size"] == 128, "of a base class"
    assert (noted["mean"], noted["seed"]) == (0.5, 0)


def with_dropout(monkeypatch: pytest.MonkeyPatch, default: float) -> None:
    """Let another default of `CNN` have been written into the code."""
    own = inspect.signature(CNN.__init__)
    parameters = [p.replace(default=default) if p.name == "dropout" else p for p in own.parameters.values()]

    def constructor(self: Any, *args: Any, **kwargs: Any) -> None: ...

    constructor.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    monkeypatch.setattr(CNN, "__init__", constructor)


def test_weights_of_another_default_are_refused(
    file: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_manifest(file, RECIPE, digits)
    with_dropout(monkeypatch, 0.2)
    assert Store(file.parent).address(RECIPE, digits) == file, "or nobody would look"
    with pytest.raises(
        UserError, match=r"trained with net\.dropout=0\.1, the config has 0\.2; run .*readdress"
    ) as error:
        check_manifest(file, RECIPE, digits)
    assert "\n" not in str(error.value)
    with pytest.raises(
        UserError, match=r"net\.dropout=0\.1, the config has 0\.2; set the one that the file has"
    ):
        check_manifest(file, replace(RECIPE, checkpoint=str(file)), digits)


def test_of_given_weights_only_what_the_network_reads_counts(file: Path, digits: Digits) -> None:
    given = replace(RECIPE, checkpoint=str(file))
    check_manifest(file, replace(given, seed=7, name="x", training={**RECIPE.training, "lr": 1.0}), digits)
    with pytest.raises(UserError, match=r"trained with net\.width=8, the config has 9"):
        check_manifest(file, replace(given, net={**RECIPE.net, "width": 9}), digits)
    with pytest.raises(UserError, match=r"trained with mean=0\.5, the config has 0\.1"):
        check_manifest(file, replace(given, mean=0.1), digits)


def test_weights_are_kept_under_the_default_that_they_had(
    file: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the error says: the old value is spelt out, and the new default's address is free."""
    from counterfoil.run.readdress import readdress

    with_dropout(monkeypatch, 0.2)
    moved, left = readdress(file.parent)
    assert len(moved) == 1
    assert not left
    spelt = replace(RECIPE, net={**RECIPE.net, "dropout": 0.1})
    store = Store(file.parent)
    assert store.has(spelt, digits)
    assert not store.has(RECIPE, digits)
    check_manifest(store.weights(spelt, digits), spelt, digits)


@pytest.mark.parametrize(
    "file", [path for path in PUBLISHED if "exaggerator" in path.stem], ids=lambda path: path.stem
)
def test_a_published_exaggerator_knows_the_published_classifier(file: Path) -> None:
    """Weights of a classifier that are stored as float16 have another fingerprint."""
    noted = read_manifest(file)
    weights = WEIGHTS / f"{noted['recipe']['training']['classifier']['weights']}.safetensors"
    classes = load_file(str(weights))["head.1.weight"].shape[0]
    net = build(
        up_to_date(noted["node"])["training"]["classifier"]["net"],
        channels=noted["images"][0],
        classes=classes,
    )
    load_weights(net, weights)
    assert int(load_file(str(file))["knob.classifier"]) == int(fingerprint(Classifier(net, 0.5, 0.5)))


@published
def test_published_weights_are_found_in_their_precision_and_by_no_cut_training(file: Path) -> None:
    """Where the training noted no trainer, in every precision: about half of these were done in bfloat16."""
    noted = read_manifest(file)
    node, own = up_to_date(noted["node"]), noted.get("trainer")

    def found(**trainer: Any) -> str:
        return stem(node, seen_in_weights(noted["data"], trainer))

    assert found(precision="bf16-mixed") == file.stem
    assert (found() == file.stem) == (own is None)
    assert own in (None, {"precision": "bf16-mixed"})
    for trainer in ({"max_steps": 1}, {"precision": "bf16-mixed", "max_steps": 1}):
        assert not (WEIGHTS / f"{found(**trainer)}.safetensors").exists()


def test_weights_whose_training_noted_its_trainer_serve_it_alone(file: Path, digits: Digits) -> None:
    fast = Store(file.parent, {"precision": "bf16-mixed"})
    assert not fast.has(RECIPE, digits)
    noted = read_manifest(file)
    assert noted.pop("trainer") == {}
    file.with_suffix(".json").write_text(json.dumps(noted))
    assert fast.address(RECIPE, digits) == file
    again = replace(fast, older=False).address(RECIPE, digits)
    assert again != file
    again.touch()
    assert fast.address(RECIPE, digits) == again, "the exact one comes first"
    check_manifest(again, RECIPE, digits, fast.seen(digits))


def finished_in(place: Place) -> None:
    """A training that is whole in its folder, as it is before both files are moved out."""
    place.work.mkdir()
    save_file({"weight": torch.ones(3)}, str(place.work / place.file.name))
    write_json(place.work / place.manifest.name, {"sha256": file_digest(place.work / place.file.name)})


@pytest.mark.parametrize("moved", [(), (".json",)])
def test_a_model_whose_process_died_between_the_two_moves_is_moved_out(
    tmp_path: Path, moved: tuple[str, ...]
) -> None:
    place = Place(tmp_path / "digits-classifier-cnn-0.safetensors")
    place.file.write_bytes(b"old")
    place.manifest.write_text("{}")
    finished_in(place)
    for ending in moved:
        (place.work / place.file.with_suffix(ending).name).replace(place.file.with_suffix(ending))
    place.lock.touch()
    place.settle()
    assert read_manifest(place.file)["sha256"] == file_digest(place.file)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".safetensors"]


def test_half_of_a_finished_model_is_not_moved_out(tmp_path: Path) -> None:
    place = Place(tmp_path / "digits-classifier-cnn-0.safetensors")
    place.file.write_bytes(b"old")
    finished_in(place)
    made = place.work / place.file.name
    made.write_bytes(made.read_bytes()[:-1])
    (place.work / "last.ckpt").touch()
    place.settle()
    assert place.file.read_bytes() == b"old"
    assert not place.done(go_on=True)
    assert place.done(go_on=False)


def test_a_model_that_is_being_trained_is_left_alone(tmp_path: Path) -> None:
    place = Place(tmp_path / "digits-classifier-cnn-0.safetensors")
    finished_in(place)
    with place.claimed("classifier cnn"):
        place.settle()
        assert not place.file.exists()
    place.settle()
    assert place.file.exists()


def test_weights_of_another_vocabulary_are_told(tmp_path: Path) -> None:
    """Of the same size, so that neither shape nor number of weights tells them apart."""
    made = {}
    for name, words in (("one", ("good", "bad")), ("other", ("fine", "poor"))):
        lines = [f"{words[i % 2]} film a{i // 2},{i % 2},{'train' if i < 12 else 'test'}" for i in range(16)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label,split", *lines]))
        made[name] = TextCsv(csv=tmp_path / f"{name}.csv", length=4)
    file = tmp_path / "weights.safetensors"
    recipe_of_file = replace(RECIPE, checkpoint=str(file))
    save_file({"a": torch.zeros(1)}, file)
    write_json(file.with_suffix(".json"), made_by(RECIPE, made["one"]))
    check_manifest(file, recipe_of_file, made["one"])
    with pytest.raises(UserError, match="another vocabulary than that of data=text_csv; train one on these"):
        check_manifest(file, recipe_of_file, made["other"])
    assert "tokens" not in made_by(RECIPE, Digits())
