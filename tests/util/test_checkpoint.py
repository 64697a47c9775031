"""Weights in every form that people keep them, and every way in which a file can be wrong."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from counterfoil.classifier.cnn import CNN
from counterfoil.core.errors import UserError
from counterfoil.util.checkpoint import kept, load_weights, read_manifest, read_state
from counterfoil.util.digest import file_digest
from counterfoil.util.record import write_json


def net(seed: int = 0, **options: Any) -> CNN:
    torch.manual_seed(seed)
    return CNN(**{"classes": 3, "width": 4, "stages": 2, **options}).eval()


@pytest.fixture
def x() -> Tensor:
    return torch.rand(4, 1, 16, 16, generator=torch.Generator().manual_seed(0))


FORMS: dict[str, Any] = {
    "plain": lambda state: state,
    "lightning": lambda state: {
        "epoch": 3,
        "state_dict": {f"net.{k}": v for k, v in state.items()},
        "pytorch-lightning_version": "2.6",
    },
    "lightning with more": lambda state: {
        "state_dict": {**{f"model.{k}": v for k, v in state.items()}, "metric.total": torch.zeros(1)}
    },
    "data parallel": lambda state: {f"module.{k}": v for k, v in state.items()},
    "compiled": lambda state: {f"_orig_mod.{k}": v for k, v in state.items()},
    "nested": lambda state: {"model": state, "optimizer": {"lr": 1.0}},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ending", [".pt", ".pth", ".ckpt"])
def test_torch_files(tmp_path: Path, x: Tensor, form: str, ending: str) -> None:
    path = tmp_path / f"weights{ending}"
    torch.save(FORMS[form](net(1).state_dict()), path)
    loaded = net(0)
    load_weights(loaded, path)
    assert torch.equal(loaded(x), net(1)(x))


@pytest.mark.parametrize("prefix", ["", "net.", "model."])
def test_safetensors(tmp_path: Path, x: Tensor, prefix: str) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({prefix + k: v for k, v in net(1).state_dict().items()}, str(path))
    loaded = net(0)
    load_weights(loaded, path)
    assert torch.equal(loaded(x), net(1)(x))


def test_a_file_saved_on_a_gpu_loads_on_the_cpu(
    tmp_path: Path, x: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tensors are tagged cuda:0, as torch.save writes them there."""
    path = tmp_path / "gpu.pt"
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda _storage: "cuda:0")
        torch.save(net(1).state_dict(), path)
    assert b"cuda:0" in path.read_bytes()
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="CUDA"):
            torch.load(path, weights_only=True)
    loaded = net(0)
    load_weights(loaded, path)
    assert torch.equal(loaded(x), net(1)(x))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"width": 8}, "differs in shape"),
        ({"stages": 3}, "lacks"),
        ({"stages": 1}, "has in addition"),
        ({"classes": 10}, "head.1"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(net(1).state_dict(), str(path))
    other = net(0, **options)
    before = {key: value.clone() for key, value in other.state_dict().items()}
    with pytest.raises(UserError, match=rf"does not fit CNN.*{said}"):
        load_weights(other, path)
    assert all(torch.equal(value, before[key]) for key, value in other.state_dict().items()), (
        "weights half loaded"
    )


def one_line(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_state(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_missing(tmp_path: Path) -> None:
    assert "does not exist" in one_line(tmp_path / "none.pt")


@pytest.mark.parametrize("ending", [".pt", ".ckpt", ".safetensors"])
@pytest.mark.parametrize("harm", ["cut", "garbage", "empty", "text"])
def test_damaged(tmp_path: Path, ending: str, harm: str) -> None:
    path = tmp_path / f"weights{ending}"
    if ending == ".safetensors":
        save_file(net(1).state_dict(), str(path))
    else:
        torch.save(net(1).state_dict(), path)
    whole = path.read_bytes()
    cut, garbage = whole[: len(whole) // 2], bytes(range(1, 256)) * 9
    path.write_bytes({"cut": cut, "garbage": garbage, "empty": b"", "text": b"<html>404</html>"}[harm])
    assert "damaged" in one_line(path)


def test_a_pickled_module_is_refused_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "whole.pt"
    torch.save(net(1), path)
    message = one_line(path)
    assert "state_dict" in message
    assert "more than tensors" in message


class Mischief:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("ran-code"),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("by", ["torch", "pickle"])
def test_code_in_a_file_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mischief.pt"
    if by == "torch":
        torch.save({"state_dict": Mischief()}, path)
    else:
        path.write_bytes(pickle.dumps(Mischief()))
    one_line(path)
    assert not (tmp_path / "ran-code").exists()


@pytest.mark.parametrize("content", [torch.zeros(3), [torch.zeros(3)], {"epoch": 3}])
def test_something_else_than_weights(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "odd.pt"
    torch.save(content, path)
    assert "expected a state dict" in one_line(path)


def test_non_tensor_modules_have_names(tmp_path: Path) -> None:
    """The network named in the message is the one that was to be filled."""
    save_file(nn.Linear(2, 2).state_dict(), str(tmp_path / "w.safetensors"))
    with pytest.raises(UserError, match="Conv2d"):
        load_weights(nn.Conv2d(1, 1, 3), tmp_path / "w.safetensors")


class Critical(nn.Module):
    """A network with a part that only its training reads."""

    training_only = ("critic.",)

    def __init__(self) -> None:
        super().__init__()
        self.body, self.critic = nn.Linear(2, 2), nn.Linear(2, 1)


@pytest.mark.parametrize("whole", [True, False])
def test_weights_of_the_training_alone_are_neither_kept_nor_missed(tmp_path: Path, whole: bool) -> None:
    net, other = Critical(), Critical()
    critic = other.critic.weight.clone()
    assert kept(net).keys() == {"body.weight", "body.bias"}
    save_file(net.state_dict() if whole else kept(net), str(tmp_path / "w.safetensors"))
    load_weights(other, tmp_path / "w.safetensors")
    assert torch.equal(other.body.weight, net.body.weight)
    assert torch.equal(other.critic.weight, critic)
    save_file({"body.weight": net.body.weight}, str(tmp_path / "less.safetensors"))
    with pytest.raises(UserError, match=r"lacks body\.bias"):
        load_weights(other, tmp_path / "less.safetensors")


def test_weights_are_those_of_their_manifest(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_file({"weight": torch.ones(3)}, str(path))
    write_json(path.with_suffix(".json"), {"sha256": file_digest(path)})
    assert read_state(path)["weight"].tolist() == [1, 1, 1]
    save_file({"weight": torch.zeros(3)}, str(path))
    with pytest.raises(UserError, match=r"net\.safetensors has sha256 .*net\.json notes .*overwrite=true"):
        read_state(path)
    path.with_suffix(".json").write_text("{}")
    assert read_state(path)["weight"].tolist() == [0, 0, 0], "a JSON of another tool's"


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00", None])
def test_a_damaged_manifest_is_named(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "net.safetensors"
    assert read_manifest(path) == read_manifest(path.with_suffix(".pt")) == {}
    write_json(path.with_suffix(".json"), {"test": {"accuracy": 0.98}})
    assert read_manifest(path) == {"test": {"accuracy": 0.98}}
    noted = path.with_suffix(".json")
    noted.write_text(noted.read_text().replace("0.98", "0.18") if text is None else text)
    with pytest.raises(UserError, match=r"net\.json .*expected the manifest .*overwrite"):
        read_manifest(path)
