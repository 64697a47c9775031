"""ONNX files: as right as the network they were made of, with gradients or as black boxes, or refused."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.classifier.base import Classifier
from counterfoil.classifier.cnn import CNN
from counterfoil.classifier.onnx import Onnx
from counterfoil.core.errors import UserError
from counterfoil.data.digits import Digits
from counterfoil.explainer.wachter import Wachter
from counterfoil.run.load import load_classifier
from tests.bench import Bench

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
Made = tuple[Path, nn.Module]


def with_torch() -> bool:
    """Whether onnx2torch is there, and the torchvision that it needs can be imported."""
    try:
        import onnx2torch  # noqa: F401
    except (ImportError, RuntimeError):
        return False
    return True


in_torch = pytest.mark.skipif(not with_torch(), reason="onnx2torch, or its torchvision, is not there")


def export(net: nn.Module, path: Path, *inputs: Tensor, axes: dict[str, Any] | None = None) -> Path:
    """Write a network as torch does."""
    names = [f"x{place}" for place in range(len(inputs))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net.eval(), inputs, str(path), dynamo=False, opset_version=13, input_names=names,
            dynamic_axes={"x0": {0: "batch"}} if axes is None else axes,
        )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A small network of the shipped digits after a moment of training."""
    torch.manual_seed(0)
    net = CNN(1, 10, width=8, stages=2).train()
    x, y, _ = Digits(limit=1000).train[:]
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    for _epoch in range(3):
        for rows in torch.randperm(len(x)).split(25):
            loss = nn.functional.cross_entropy(net((x[rows] - 0.5) / 0.5), y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    path = tmp_path_factory.mktemp("onnx") / "net.onnx"
    return export(net, path, torch.rand(2, 1, 28, 28)), net


def accuracy(net: nn.Module) -> float:
    x, y, _ = Digits(limit=150).test[:]
    with torch.no_grad():
        return float((net((x - 0.5) / 0.5).argmax(1) == y).float().mean())


def explained(bench: Bench, run_dir: Path, path: Path, *given: str) -> dict[str, Any]:
    return bench.evaluate(
        run_dir, "classifier=onnx", f"classifier.path={path}", "classifier.mean=0.5", "classifier.std=0.5",
        "n=6", "confidence=0.5", "metric=[validity,l1,cout]", *given,
    )  # fmt: skip


def test_a_file_is_explained_by_overrides_alone(saved: Made, own_models: Bench, tmp_path: Path) -> None:
    """As a black box, with the accuracy that the network has, far from chance."""
    path, net = saved
    right = accuracy(net)
    assert right > 0.6
    summary = explained(
        own_models, tmp_path / "run", path, "explainer=[nearest,growing_spheres]",
        "classifier.net.backend=onnxruntime", "explainer.growing_spheres.n=20",
    )  # fmt: skip
    assert summary["queries"]["classifier_accuracy"] == pytest.approx(right, abs=1e-6)
    assert summary["methods"]["nearest"]["validity"]["value"] == 1
    assert summary["methods"]["growing_spheres"]["validity"]["value"] > 0


def test_a_file_is_loaded_in_python(saved: Made) -> None:
    path, net = saved
    read = load_classifier(path, "classifier.mean=0.5", "classifier.std=0.5", "device=cpu")
    assert accuracy(nn.Sequential(Undone(), read)) == pytest.approx(accuracy(net), abs=1e-6)


class Undone(nn.Module):
    """Turns normalised images back."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 0.5 + 0.5


@in_torch
def test_with_onnx2torch_methods_follow_its_gradients(saved: Made, own_models: Bench, tmp_path: Path) -> None:
    path, net = saved
    given = ("explainer=wachter", "explainer.wachter.steps=40")
    summary = explained(own_models, tmp_path / "run", path, *given)
    assert summary["queries"]["classifier_accuracy"] == pytest.approx(accuracy(net), abs=1e-6)
    assert summary["methods"]["wachter"]["validity"]["value"] > 0.5


def test_gradient_methods_refuse_a_black_box(saved: Made, own_models: Bench, tmp_path: Path) -> None:
    told = r"is run by onnxruntime, which has no gradients.*explainer=\[growing_spheres,nearest\]$"
    box = "classifier.net.backend=onnxruntime"
    with pytest.raises(UserError, match=told):
        explained(own_models, tmp_path / "run", saved[0], "explainer=[wachter,nearest]", box)
    classifier = Classifier(Onnx(saved[0], 1, 28, 0.5, 0.5, backend="onnxruntime"))
    with pytest.raises(UserError, match=told):
        Wachter(classifier, steps=2)(torch.rand(2, 1, 28, 28), 3)


@pytest.mark.skipif(with_torch(), reason="onnx2torch is there")
def test_without_onnx2torch_it_is_a_black_box_that_tells_why(saved: Made) -> None:
    net = Onnx(saved[0], 1, 28)
    x = torch.rand(2, 1, 28, 28, requires_grad=True)
    with pytest.raises(UserError, match=r"no gradients \(.*pip install 'counterfoil\[onnx2torch\]'"):
        net(x)
    with pytest.raises(UserError, match=r"net.backend=onnx2torch needs the package onnx2torch"):
        Onnx(saved[0], 1, 28, backend="onnx2torch")


@pytest.mark.parametrize("backend", ["onnxruntime", pytest.param("onnx2torch", marks=in_torch)])
@pytest.mark.parametrize("rows", [None, 1, 2])
def test_outputs_are_the_networks_whatever_the_batch(
    saved: Made, tmp_path: Path, backend: Any, rows: int | None
) -> None:
    """Also where the file fixes the number of images, as exporters do by default."""
    net = saved[1]
    path = export(net, tmp_path / "net.onnx", torch.rand(rows or 2, 1, 28, 28), axes={} if rows else None)
    read = copy.deepcopy(Onnx(path, 1, 28, backend=backend)).eval()
    for images in (1, 2, 5):
        x = torch.rand(images, 1, 28, 28)
        with torch.no_grad():
            torch.testing.assert_close(read(x), net(x), rtol=1e-4, atol=1e-5)
    if backend == "onnxruntime":
        assert read(torch.rand(1, 1, 28, 28).double()).dtype == torch.float64


class Both(nn.Module):
    """Two outputs."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.flatten(1), x.mean((1, 2, 3))


def test_several_outputs_have_their_names(tmp_path: Path) -> None:
    path = export(Both(), tmp_path / "both.onnx", torch.rand(2, 3, 4, 4))
    found = Onnx(path, 3, 4, backend="onnxruntime")(torch.rand(5, 3, 4, 4))
    assert [tuple(value.shape) for value in found.values()] == [(5, 48), (5,)]


class Sum(nn.Module):
    """Two inputs."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return (x + y).flatten(1)


class Flat(nn.Module):
    """Takes rows of numbers, or images."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) * 2


def two_inputs(path: Path) -> Path:
    return export(Sum(), path, torch.rand(2, 1, 4, 4), torch.rand(2, 1, 4, 4))


def rows(path: Path) -> Path:
    return export(Flat(), path, torch.rand(2, 16))


def open_channels(path: Path) -> Path:
    return export(Flat(), path, torch.rand(2, 1, 4, 4), axes={"x0": dict(enumerate("BCHW"))})


def larger(path: Path) -> Path:
    return export(Flat(), path, torch.rand(2, 1, 8, 8))


def coloured(path: Path) -> Path:
    return export(Flat(), path, torch.rand(2, 3, 4, 4))


def bytes_in(path: Path) -> Path:
    return export(Flat(), path, torch.zeros(2, 1, 4, 4, dtype=torch.uint8))


def damaged(path: Path) -> Path:
    path.write_bytes(b"no graph")
    return path


def missing(path: Path) -> Path:
    return path


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (two_inputs, "has 2 inputs (x0, x1); expected one, of images (B, C, H, W)"),
        (rows, "expected four axes (B, C, H, W)"),
        (open_channels, "which leaves the channels open; of the axes (B, C, H, W) only B"),
        (larger, "takes images of 8 x 8 px, the data have 4 x 4; set data.size=8, or set"),
        (bytes_in, "its input is a tensor(uint8); expected one of tensor(float)"),
        (damaged, "is not read as an ONNX file ("),
        (missing, "does not exist; give an ONNX file"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path: Path, make: Callable[[Path], Path], told: str) -> None:
    path = make(tmp_path / "net.onnx")
    with pytest.raises(UserError) as caught:
        Onnx(path, 1, 4, backend="onnxruntime")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_open_sides_take_any_size_and_grey_is_shown_in_colour(tmp_path: Path) -> None:
    path = export(Flat(), tmp_path / "a.onnx", torch.rand(2, 1, 8, 8), axes={"x0": {0: "B", 2: "H", 3: "W"}})
    assert Onnx(path, 1, 4, backend="onnxruntime")(torch.rand(3, 1, 4, 4)).shape == (3, 16)
    net = Onnx(coloured(tmp_path / "b.onnx"), 1, 4, [0.1, 0.2, 0.3], 0.5, backend="onnxruntime")
    x = torch.rand(2, 1, 4, 4)
    expected = torch.cat([2 * (x - mean) / 0.5 for mean in (0.1, 0.2, 0.3)], 1).flatten(1)
    torch.testing.assert_close(net(x), expected)
