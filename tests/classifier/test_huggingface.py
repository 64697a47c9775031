"""Image classifiers that transformers saved: by their path alone, as right as there, or refused in a line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.classifier.huggingface import HuggingFace, normalisation, shown
from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.data.digits import Digits
from tests.bench import Bench

transformers = pytest.importorskip("transformers")

MEAN, STD = [0.3, 0.4, 0.5], [0.5, 0.6, 0.7]
Made = tuple[Path, nn.Module]


def vit() -> nn.Module:
    """A small ViT for grey images."""
    options = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 96}
    config = transformers.ViTConfig(
        **options, initializer_range=0.15, image_size=28, patch_size=7, num_channels=1, id2label=names()
    )
    return transformers.ViTForImageClassification(config)


def convnext() -> nn.Module:
    """A small ConvNeXt for images in colour."""
    options = {"num_stages": 2, "depths": [1, 1], "hidden_sizes": [16, 32], "layer_scale_init_value": 1.0}
    config = transformers.ConvNextConfig(**options, patch_size=4, image_size=28, id2label=names())
    return transformers.ConvNextForImageClassification(config)


def names() -> dict[int, str]:
    """The digits, the last one first."""
    return {k: str(9 - k) for k in range(10)}


def shaped(net: nn.Module, x: Tensor) -> Tensor:
    """Images as the network expects them, by hand."""
    channels = net.config.num_channels
    mean, std = (torch.tensor(numbers[:channels]).view(-1, 1, 1) for numbers in (MEAN, STD))
    return (x.repeat(1, channels, 1, 1) - mean) / std


def accuracy(net: nn.Module, data: Digits) -> float:
    """The share of test digits that it knows, read by its own names."""
    x, y, _ = data.test[:]
    with torch.no_grad():
        found = net.eval()(shaped(net, x)).logits.argmax(1).tolist()
    return sum(
        net.config.id2label[k] == str(label) for k, label in zip(found, y.tolist(), strict=True)
    ) / len(y)


def trained(make: Callable[[], nn.Module], folder: Path) -> Made:
    """A classifier of the shipped digits after a moment of training, saved with its preprocessor."""
    torch.manual_seed(0)
    net, data = make().train(), Digits(limit=2000)
    x, y, _ = data.train[:]
    optimiser = torch.optim.AdamW(net.parameters(), 3e-3)
    for _epoch in range(4):
        for rows in torch.randperm(len(x)).split(25):
            loss = nn.functional.cross_entropy(net(shaped(net, x[rows])).logits, 9 - y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    net.eval().save_pretrained(folder)
    channels = net.config.num_channels
    told = {"image_mean": MEAN[:channels], "image_std": STD[:channels], "size": {"height": 28, "width": 28}}
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    return folder, net


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    """Both classifiers, by name."""
    root = tmp_path_factory.mktemp("huggingface")
    return {make.__name__: trained(make, root / make.__name__) for make in (vit, convnext)}


@pytest.mark.parametrize("name", ["vit", "convnext"])
def test_a_folder_is_explained_by_overrides_alone(
    saved: dict[str, Made], own_models: Bench, tmp_path: Path, name: str
) -> None:
    """With the accuracy that it has in its own library, far from chance, and its classes found by name."""
    folder, net = saved[name]
    right = accuracy(net, Digits(limit=150))
    assert right > 0.6
    summary = own_models.evaluate(
        tmp_path / "run", "classifier=huggingface", f"classifier.path={folder}", "n=6", "confidence=0.5",
        "explainer=[wachter,nearest]", "explainer.wachter.steps=40", "metric=[validity]",
    )  # fmt: skip
    assert summary["queries"]["classifier_accuracy"] == pytest.approx(right, abs=1e-6)
    assert summary["queries"]["class_names"] == list("0123456789")
    assert summary["methods"]["nearest"]["validity"]["value"] == 1
    assert summary["methods"]["wachter"]["validity"]["value"] > 0.5


def test_it_puts_out_what_the_library_puts_out(saved: dict[str, Made]) -> None:
    x = Digits(limit=150).test[:5].x
    for folder, net in saved.values():
        read = HuggingFace(folder, 1, 28).eval()
        with torch.no_grad():
            torch.testing.assert_close(read(x).logits, net.eval()(shaped(net, x)).logits)
            other = HuggingFace(folder, 1, 28, mean=0.0, std=1.0).eval()
            torch.testing.assert_close(
                other(x).logits, net(x.repeat(1, net.config.num_channels, 1, 1)).logits
            )


def test_images_of_another_size_are_scaled_where_that_is_asked_for(saved: dict[str, Made]) -> None:
    folder, _net = saved["vit"]
    assert HuggingFace(folder, 1, 14, resize=True).eval()(torch.rand(2, 1, 14, 14)).logits.shape == (2, 10)
    refused(folder, "takes images of 28 x 28 px, the data have 14 x 14; set data.size=28, or set", size=14)


@pytest.mark.parametrize(
    ("processor", "mean", "std"),
    [
        ({"image_mean": [0.5], "image_std": [0.25]}, [0.5], [0.25]),
        ({"do_normalize": False, "image_mean": [0.5]}, [0], [1]),
        ({"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False}, [0.5], [0.5]),
        ({"do_rescale": False, "image_mean": [127.5], "image_std": [51]}, [0.5], [0.2]),
        ({}, [0], [1]),
    ],
)
def test_normalisation_is_that_of_images_from_0_to_1(
    processor: dict[str, Any], mean: list[float], std: list[float]
) -> None:
    assert normalisation(processor) == (pytest.approx(mean), pytest.approx(std))


@pytest.mark.parametrize(
    ("config", "processor", "size"),
    [
        ({"image_size": 32}, {}, (32, 32)),
        ({"image_size": 32}, {"size": {"height": 24, "width": 20}}, (24, 20)),
        ({}, {"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": 224}, (224, 224)),
        ({}, {"size": {"shortest_edge": 256}, "crop_size": 224}, (256, 256)),
        ({"image_size": [30, 40]}, {"size": 9, "do_resize": False}, (30, 40)),
        ({}, {}, None),
    ],
)
def test_size_is_what_the_network_is_shown(
    config: dict[str, Any], processor: dict[str, Any], size: tuple[int, int] | None
) -> None:
    assert shown(config, processor) == size


def refused(folder: Path, told: str, **shape: int) -> None:
    with pytest.raises(UserError) as caught:
        HuggingFace(folder, **{"channels": 1, "size": 28, **shape})
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folders_that_hold_no_classifier_are_refused(saved: dict[str, Made], tmp_path: Path) -> None:
    refused(tmp_path / "none", "is no folder; give the folder that save_pretrained wrote")
    refused(tmp_path, "has no config.json; give the folder that save_pretrained wrote")
    folder, net = saved["vit"]
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    (tmp_path / "preprocessor_config.json").write_text("{}")
    refused(tmp_path, "holds no weights (model.safetensors)")
    net.vit.save_pretrained(tmp_path / "headless")
    shutil.copy(folder / "preprocessor_config.json", tmp_path / "headless")
    refused(tmp_path / "headless", "lacks weights of ViTForImageClassification, such as classifier.bias")
    copy = shutil.copytree(folder, tmp_path / "text")
    (copy / "config.json").write_text(json.dumps({"model_type": "bert"}))
    refused(copy, "is not read as an image classifier (")


def test_code_of_a_folder_is_not_run(saved: dict[str, Made], tmp_path: Path) -> None:
    copy = shutil.copytree(saved["vit"][0], tmp_path / "coded")
    named = {"AutoConfig": "code.Config", "AutoModelForImageClassification": "code.Net"}
    (copy / "config.json").write_text(json.dumps({"model_type": "mine", "auto_map": named}))
    (copy / "code.py").write_text(f"open({str(tmp_path / 'was_run')!r}, 'w')")
    refused(copy, "is not read as an image classifier (")
    assert not (tmp_path / "was_run").exists()


def test_a_pickle_is_read_as_weights_alone(saved: dict[str, Made], tmp_path: Path) -> None:
    folder, net = saved["vit"]
    copy = shutil.copytree(folder, tmp_path / "pickled")
    (copy / "model.safetensors").unlink()
    torch.save(net.state_dict(), copy / "pytorch_model.bin")
    x = torch.rand(2, 1, 28, 28)
    torch.testing.assert_close(
        HuggingFace(copy, 1, 28).eval()(x).logits, HuggingFace(folder, 1, 28).eval()(x).logits
    )
    torch.save(net, copy / "pytorch_model.bin")
    refused(copy, "is not read as an image classifier (")


def test_without_a_preprocessor_images_are_shown_as_they_are(saved: dict[str, Made], tmp_path: Path) -> None:
    copy = shutil.copytree(saved["vit"][0], tmp_path / "bare")
    (copy / "preprocessor_config.json").unlink()
    with pytest.warns(CounterfoilWarning, match=r"has no preprocessor_config\.json.*set classifier\.mean="):
        net = HuggingFace(copy, 1, 28)
    assert net.mean.tolist() == [[[0.0]]]
    assert HuggingFace(copy, 1, 28, mean=0.5).mean.tolist() == [[[0.5]]]


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([*"012345678", "ten"], "lacks the class '9' of the data"),
        ([*"0123456788"], "has several outputs for '8'"),
        ([*"01234"], "lacks the class '5'"),
    ],
)
def test_names_of_outputs_that_are_not_the_classes_are_refused(
    saved: dict[str, Made], own_models: Bench, tmp_path: Path, labels: list[str], told: str
) -> None:
    copy = shutil.copytree(saved["vit"][0], tmp_path / "named")
    config = json.loads((copy / "config.json").read_text())
    if len(labels) < 10:
        net = transformers.ViTForImageClassification(
            transformers.ViTConfig(**{**config, "id2label": dict(enumerate(labels))})
        )
        net.save_pretrained(copy)
    else:
        (copy / "config.json").write_text(json.dumps(config | {"id2label": dict(enumerate(labels))}))
    with pytest.raises(UserError) as caught:
        own_models.evaluate(tmp_path / "run", "classifier=huggingface", f"classifier.path={copy}", "n=3")
    assert told in str(caught.value)


def test_a_path_is_needed(own_models: Bench, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"classifier\.path is not set; huggingface is read from a file or"):
        own_models.evaluate(tmp_path / "run", "classifier=huggingface")
