"""Networks that are files of their own: TorchScript and torch.export."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from counterfoil.classifier.base import Classifier
from counterfoil.classifier.cnn import CNN
from counterfoil.core.errors import UserError
from counterfoil.util.program import load_program


def net(seed: int = 0) -> CNN:
    torch.manual_seed(seed)
    return CNN(classes=3, width=4, stages=2).eval()


@pytest.fixture
def x() -> Tensor:
    return torch.rand(4, 1, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("ending", [".pt", ".ts", ".pth"])
def test_torchscript(tmp_path: Path, x: Tensor, ending: str) -> None:
    path = tmp_path / f"program{ending}"
    torch.jit.trace(net(1), x).save(str(path))
    program = load_program(path)
    assert program is not None
    classifier = Classifier(program)
    torch.testing.assert_close(classifier(x), net(1)(x))
    leaf = x.clone().requires_grad_()
    classifier(leaf).sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.abs().sum() > 0


def test_exported_program(tmp_path: Path, x: Tensor) -> None:
    path = tmp_path / "program.pt2"
    batch = torch.export.Dim("batch")
    torch.export.save(torch.export.export(net(1), (x,), dynamic_shapes=({0: batch},)), path)
    program = load_program(path)
    assert program is not None
    classifier = Classifier(program)
    torch.testing.assert_close(classifier(x[:3]), net(1)(x[:3]))
    classifier.train()
    leaf = x.clone().requires_grad_()
    classifier(leaf).sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.abs().sum() > 0


def test_weights_alone_are_no_program(tmp_path: Path) -> None:
    torch.save(net(1).state_dict(), tmp_path / "weights.pt")
    save_file(net(1).state_dict(), str(tmp_path / "weights.safetensors"))
    assert load_program(tmp_path / "weights.pt") is None
    assert load_program(tmp_path / "weights.safetensors") is None


def test_a_damaged_program_is_one_line(tmp_path: Path, x: Tensor) -> None:
    path = tmp_path / "program.pt2"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match=r"program\.pt2") as caught:
        load_program(path)
    assert "\n" not in str(caught.value)
