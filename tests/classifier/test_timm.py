"""Classifiers of timm: by their path alone, as right as there, or refused in a line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.classifier.timm import Timm
from counterfoil.core.errors import UserError
from counterfoil.data.digits import Digits
from tests.bench import Bench

MEAN, STD = (0.3, 0.4, 0.5), (0.5, 0.6, 0.7)


@pytest.fixture(scope="module")
def timm() -> Any:
    """The library, where it and the torchvision that it needs can be imported."""
    try:
        import timm
    except (ImportError, RuntimeError):
        pytest.skip("timm, or its torchvision, is not there")
    return timm


def shaped(x: Tensor) -> Tensor:
    return (x.repeat(1, 3, 1, 1) - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


@pytest.fixture(scope="module")
def saved(timm: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module]:
    """A small classifier of the shipped digits, its outputs in another order, after a moment of training."""
    torch.manual_seed(0)
    given = {"input_size": (3, 28, 28), "mean": MEAN, "std": STD}
    net = timm.create_model("test_resnet", num_classes=10, pretrained_cfg_overlay=given).train()
    x, y, _ = Digits(limit=1000).train[:]
    optimiser = torch.optim.AdamW(net.parameters(), 3e-3)
    for _epoch in range(3):
        for rows in torch.randperm(len(x)).split(25):
            loss = nn.functional.cross_entropy(net(shaped(x[rows])), 9 - y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    folder = tmp_path_factory.mktemp("timm") / "saved"
    names = {"label_names": [str(9 - k) for k in range(10)]}
    timm.models.save_for_hf(net.eval(), folder, model_config=names, safe_serialization=True)
    return folder, net


def test_a_folder_is_explained_by_overrides_alone(
    saved: tuple[Path, nn.Module], own_models: Bench, tmp_path: Path
) -> None:
    folder, net = saved
    x, y, _ = Digits(limit=150).test[:]
    with torch.no_grad():
        right = float((net(shaped(x)).argmax(1) == 9 - y).float().mean())
    assert right > 0.6
    summary = own_models.evaluate(
        tmp_path / "run", "classifier=timm", f"classifier.path={folder}", "n=6", "confidence=0.5",
        "explainer=[wachter,nearest]", "explainer.wachter.steps=40", "metric=[validity]",
    )  # fmt: skip
    assert summary["queries"]["classifier_accuracy"] == pytest.approx(right, abs=1e-6)
    assert summary["methods"]["nearest"]["validity"]["value"] == 1


def test_images_of_another_size_are_refused(saved: tuple[Path, nn.Module]) -> None:
    with pytest.raises(UserError, match="takes images of 28 x 28 px, the data have 32 x 32; set"):
        Timm(saved[0], 1, 32)


def test_folders_that_hold_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no folder; give the folder that timm"):
        Timm(tmp_path / "none", 1, 28)
    with pytest.raises(UserError, match=r"lacks config\.json or model\.safetensors"):
        Timm(tmp_path, 1, 28)


def test_where_it_is_not_there_a_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match=r"needs the package timm, which .*pip install 'counterfoil\[timm\]'"):
        Timm(tmp_path, 1, 28)


def test_its_own_names_are_under_timm_on_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub

    asked: list[str] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda name, **_given: asked.append(name) or str(tmp_path)
    )
    for name in ("resnet18.a1_in1k", "someone/net"):
        assert Timm.find(name) == tmp_path
    assert asked == ["timm/resnet18.a1_in1k", "someone/net"]
