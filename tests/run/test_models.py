"""What a config's model nodes become: networks sized by the data, files alone, one object an address."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from counterfoil.classifier.cnn import CNN
from counterfoil.core.errors import UserError
from counterfoil.run import models as module
from counterfoil.run.config import RunConfig
from counterfoil.run.models import Models, resolve_device
from counterfoil.util.checkpoint import read_manifest
from counterfoil.util.digest import file_digest
from counterfoil.util.record import write_json


def of(bench: Any, *overrides: str) -> tuple[Models, RunConfig]:
    """The models and the config of an evaluation on small models, on the CPU."""
    given = (*bench.models, f"store={bench.store}", "device=cpu", *overrides)
    config = RunConfig.of(bench.compose("evaluate", *given)[0])
    return Models.of(config), config


def test_networks_take_sizes_from_the_data(bench: Any) -> None:
    models, config = of(bench)
    net = models.network(config.classifier)
    assert net(torch.rand(2, 1, 28, 28)).shape == (2, 10)
    assert sum(1 for _ in models.network(config.autoencoder).children()) == 1
    assert len(models.network(config.autoencoder).experts) == 11


def test_vae_has_no_condition_and_cvae_one_a_class(bench: Any) -> None:
    """The data offer `classes` to every network; an unconditional model must not take them."""
    models, config = of(bench)
    assert models.network(config.generative).classes == 0
    models, config = of(bench, "generative=cvae")
    assert models.network(config.generative).classes == 10
    x, condition = torch.rand(2, 1, 28, 28), torch.eye(10)[:2]
    cvae = models.network(config.generative).eval()
    assert cvae.decode(cvae.encode(x, condition), condition).shape == x.shape
    with pytest.raises(ValueError, match="condition"):
        cvae.encode(x)


def test_one_object_an_address(bench: Any) -> None:
    models, config = of(bench)
    assert models.share(config.classifier) is models.share(replace(config.explained))
    assert models.share(config.judge) is not models.share(config.classifier)
    assert models.share(config.data) is models.data


def test_loaded_networks_are_frozen_and_placed(bench: Any) -> None:
    models, config = of(bench, "dtype=float64")
    for key in ("classifier", "generative", "autoencoder"):
        net = models.share(getattr(config, key))
        assert not any(p.requires_grad for p in net.parameters())
        assert not any(module.training for module in net.modules())
        assert {p.dtype for p in net.parameters()} == {torch.float64}


def _script(net: nn.Module, path: Path) -> None:
    torch.jit.script(net).save(str(path))


def _export(net: nn.Module, path: Path) -> None:
    batch = torch.export.Dim("batch", min=1, max=4096)
    torch.export.save(
        torch.export.export(net, (torch.rand(3, 1, 28, 28),), dynamic_shapes={"x": {0: batch}}), path
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(("save", "name"), [(_script, "net.pt"), (_export, "net.pt2")])
def test_program_alone_is_explained_without_naming_a_class(
    bench: Any, tmp_path: Path, save: Any, name: str
) -> None:
    """And is graded as the network it was made of."""
    torch.manual_seed(0)
    net = CNN(1, 10, width=4, stages=2).eval()
    save(net, tmp_path / name)
    given = (
        "classifier=custom",
        f"classifier.checkpoint={tmp_path / name}",
        "explainer=[wachter]",
        "metric=[validity,judge_agreement]",
    )
    small = replace(bench, models=tuple(part for part in bench.models if not part.startswith("classifier.")))
    summary = small.evaluate(tmp_path / "run", *given, "n=4", "confidence=0.2")
    from counterfoil.core.counterfactuals import Counterfactuals

    cf = Counterfactuals.load(tmp_path / "run/counterfactuals/wachter/batch-00000.safetensors")
    with torch.no_grad():
        torch.testing.assert_close(cf.counterfactual_logits, net(cf.counterfactual), rtol=1e-4, atol=1e-5)
    assert summary["queries"]["classifier"] == "custom"


def test_files_have_names_of_their_own(bench: Any, tmp_path: Path) -> None:
    """classifier=torchscript and state_dict read what classifier=custom reads."""
    torch.manual_seed(0)
    net = CNN(1, 10, width=4, stages=2).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _script(net, tmp_path / "net.pt")
    torch.save(
        {"state_dict": {f"m.{name}": value for name, value in net.state_dict().items()}}, tmp_path / "a"
    )
    own = ("classifier.net._target_=counterfoil.classifier.cnn.CNN", "+classifier.net.width=4")
    x = torch.rand(3, 1, 28, 28)
    for name, file, given in (
        ("torchscript", "net.pt", ()),
        ("state_dict", "a", (*own, "+classifier.net.stages=2")),
    ):
        path = f"classifier.path={tmp_path / file}"
        run = RunConfig.of(bench.compose("evaluate", f"classifier={name}", path, *given, "device=cpu")[0])
        made = Models.of(run).share(run.explained)
        assert made.given
        with torch.no_grad():
            torch.testing.assert_close(made(x), net(x))


def test_weights_alone_need_their_class(bench: Any, tmp_path: Path) -> None:
    torch.save(CNN(1, 10).state_dict(), tmp_path / "net.pt")
    small = replace(bench, models=tuple(part for part in bench.models if not part.startswith("classifier.")))
    with pytest.raises(UserError, match=r"classifier\.net\._target_ is not set.*name the network's class"):
        small.evaluate(tmp_path / "run", "classifier=custom", f"classifier.checkpoint={tmp_path / 'net.pt'}")


def test_weights_are_hashed_once(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models, config = of(bench)
    files: list[Path] = []
    hashed = lambda path: files.append(path) or file_digest(path)  # noqa: E731
    monkeypatch.setattr(module, "file_digest", hashed)
    assert {models.weights_sha256(config.explained) for _ in range(3)} == set(
        models.hashes({"a": config.explained}).values()
    )
    assert len(files) == 1
    given = tmp_path / "weights.safetensors"
    given.write_bytes(b"a")
    assert models._sha256(given) == file_digest(given)
    (tmp_path / "other").write_bytes(b"b")
    (tmp_path / "other").replace(given)
    assert models._sha256(given) == file_digest(given)


def test_devices_by_name() -> None:
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type in ("cpu", "cuda")
    with pytest.raises(UserError, match="device=abacus is not a device"):
        resolve_device("abacus")


@pytest.mark.parametrize(
    ("noted", "message"),
    [
        ({"images": [1, 32, 32]}, r"trained on images of shape \(1, 32, 32\).*data=digits has \(1, 28, 28\)"),
        ({"recipe": {"net": {"beta": 0.5}}}, r"trained with net\.beta=0\.5, the config has 1;"),
        ({"recipe": None, "node": {"net": {"beta": 0.5}}}, r"trained with net\.beta=0\.5, the config has 1;"),
        ({}, None),
    ],
)
def test_weights_given_by_hand_are_held_against_their_manifest(
    bench: Any, tmp_path: Path, noted: dict[str, Any], message: str
) -> None:
    """Neither changes the shape of a single weight of a network that pads its images."""
    models, config = of(bench)
    trained = models.store.weights(config.generative, models.data)
    given = tmp_path / "given.safetensors"
    given.write_bytes(trained.read_bytes())
    write_json(given.with_suffix(".json"), read_manifest(trained) | noted)
    models, config = of(bench, f"generative.checkpoint={given}")
    with pytest.raises(UserError, match=message) if message else nullcontext():
        models.share(config.generative)


def test_one_of_several_sets_of_weights_is_chosen_by_its_prefix(bench: Any, tmp_path: Path) -> None:
    models, config = of(bench)
    state = models.share(config.classifier).net.state_dict()
    path = tmp_path / "both.pt"
    torch.save({"model": state, "ema": {key: value * 0 for key, value in state.items()}}, path)
    chosen = {}
    for prefix in ("model", "ema"):
        models, config = of(bench, f"classifier.checkpoint={path}", f"+classifier.prefix={prefix}")
        chosen[prefix] = models.share(config.classifier).net.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in chosen["model"].items())
    assert not any(bool(value.any()) for value in chosen["ema"].values())
