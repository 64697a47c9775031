"""A network in a file and a folder of images, nothing else: what is then explained, measured, and refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from counterfoil.classifier.cnn import CNN

Script = Callable[..., tuple[int, str, str]]
Compose = Callable[..., tuple[DictConfig, Any]]
ALONE = (
    "data=images",
    "classifier=custom",
    "explainer=disc",
    "judge=null",
    "logger=none",
    "threads=1",
    "device=cpu",
    "store=store",
)
QUICK = (
    "explainer.disc.prior={_target_:counterfoil.generative.prior.inr.INR,width:16,depth:2}",
    "explainer.disc.steps=15",
    "confidence=0.5",
)
NEEDS_JUDGE = ["judge_agreement", "fid_judge", "kid_judge"]


def program(path: Path, channels: int = 1, classes: int = 4, seed: int = 0) -> str:
    """A small smooth network of 28 px images as a TorchScript file."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Conv2d(channels, 4, 3, stride=4), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 49, classes)
        )
    torch.jit.script(net).save(str(path))
    return str(path)


@pytest.fixture
def given(tmp_path: Path) -> tuple[str, ...]:
    """Overrides that name three pictures of 28 px and a network, all that there is."""
    (tmp_path / "pictures").mkdir()
    draw = np.random.default_rng(0)
    for i in range(3):
        Image.fromarray(draw.integers(0, 256, (28, 28)).astype(np.uint8)).save(
            tmp_path / "pictures" / f"{i}.png"
        )
    shape = ("data.size=28", "data.channels=1")
    return (
        f"data.root={tmp_path / 'pictures'}",
        *shape,
        f"classifier.checkpoint={program(tmp_path / 'net.pt')}",
        *ALONE,
        *QUICK,
    )


def refused(script: Script, *overrides: str) -> str:
    code, _, err = script("evaluate", *overrides)
    assert code == 1, err
    lines = [line for line in err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, err
    assert "Traceback" not in err
    return lines[0]


def test_a_network_and_pictures_are_enough(script: Script, given: tuple[str, ...]) -> None:
    code, out, err = script("evaluate", *given, "metric=[validity,l1,steps]", "run_dir=run")
    assert code == 0, err
    assert "metrics left out" not in out
    summary = json.loads(Path("run/metrics.json").read_text())
    assert summary["queries"]["class_names"] == ["class 0", "class 1", "class 2", "class 3"]
    assert (summary["queries"]["judge"], summary["queries"]["n"]) == (None, 3)
    assert set(summary["methods"]["disc"]) == {"validity", "l1", "l1_valid", "steps"}
    rows = csv.DictReader(Path("run/queries.csv").read_text().splitlines())
    assert {row["image"] for row in rows} == {"0.png", "1.png", "2.png"}
    assert Path("run/report.html").is_file()


def test_the_default_metrics_lose_those_that_need_more_and_say_so_once(
    script: Script, given: tuple[str, ...]
) -> None:
    code, _, err = script("evaluate", *given, "data.class_names=[a,b,c,d]", "target=c", "run_dir=run")
    assert code == 0, err
    told = " ".join(err.split())
    assert "judge_agreement, fid_judge, kid_judge: needs a judge" in told
    assert "im1, im2: needs auto-encoders of the classes" in told
    assert err.count("metrics left out") == 1
    summary = json.loads(Path("run/metrics.json").read_text())
    assert not {*NEEDS_JUDGE, "im1", "im2"} & set(summary["methods"]["disc"])
    assert {"validity", "cout", "sparsity", "seconds"} <= set(summary["methods"]["disc"])
    assert summary["queries"]["class_names"] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["metric=[validity,judge_agreement]"],
            "metric=judge_agreement needs a judge, found judge=null; choose one",
        ),
        (
            ["metric=im1"],
            "metric=im1 needs auto-encoders of the classes, which data=images cannot train; "
            "choose data=folder",
        ),
        (
            ["explainer=revise"],
            "data=images has no labels to train generative on; set generative.checkpoint=FILE, or choose",
        ),
        (["explainer=nearest"], "explainer=nearest needs training images, data=images has none"),
        (
            ["classifier.checkpoint=null"],
            "data=images has no labels to train classifier on; "
            "set classifier=custom classifier.checkpoint=FILE",
        ),
        (["data.channels=3"], "classifier: cannot take images of shape (3, 28, 28)"),
        (["data.channels=2"], "data.channels=2: expected 1, 3 or null"),
        (["data.class_names=[a,b]"], "data.class_names: 2 names for 4 classes of the classifier"),
        (["target=0:1"], "target=0:1 needs labels, which data=images does not have"),
        (["data.root=../empty"], "holds no image files; put the images to explain right into it"),
        (["data.root=../broken"], "1.png cannot be read as an image"),
    ],
)
def test_what_cannot_be_done_is_one_line_with_its_fix(
    script: Script, given: tuple[str, ...], tmp_path: Path, overrides: list[str], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "1.png").write_text("no image")
    taken = [
        part
        for part in given
        if not part.startswith("explainer.disc") or not any(o.startswith("explainer=") for o in overrides)
    ]
    own = ["metric=[validity]"] if not any(o.startswith("metric=") for o in overrides) else []
    assert message in refused(script, *taken, *own, *overrides, "run_dir=run")


def test_a_judge_in_a_file_judges_where_it_has_the_same_classes(
    script: Script, given: tuple[str, ...], tmp_path: Path
) -> None:
    taken = [part for part in given if part != "judge=null"]
    assert "set judge=null, or judge.checkpoint=FILE" in refused(
        script, *taken, "metric=[validity]", "run_dir=run"
    )
    judge = ("classifier@judge=custom", "metric=[validity,judge_agreement]", "run_dir=run")
    other = program(tmp_path / "other.pt", classes=3, seed=1)
    assert "judge: tells 3 classes, the classifier 4" in refused(
        script, *taken, *judge, f"judge.checkpoint={other}"
    )
    code, _, err = script(
        "evaluate", *taken, *judge, f"judge.checkpoint={program(tmp_path / 'judge.pt', seed=1)}"
    )
    assert code == 0, err
    assert "judge_agreement" in json.loads(Path("run/metrics.json").read_text())["methods"]["disc"]


def test_weights_without_their_network_need_the_names_of_the_classes(
    script: Script, given: tuple[str, ...], tmp_path: Path
) -> None:
    save_file(CNN(channels=1, classes=4, width=4).state_dict(), str(tmp_path / "cnn.safetensors"))
    taken = [
        part for part in given if part != "classifier=custom" and not part.startswith("classifier.checkpoint")
    ]
    own = (
        "classifier=cnn",
        "classifier.net.width=4",
        f"classifier.checkpoint={tmp_path / 'cnn.safetensors'}",
        "metric=[validity]",
    )
    told = refused(script, *taken, *own, "run_dir=run")
    assert (
        "classifier.net: data=images does not tell how many classes there are; set data.class_names" in told
    )
    code, _, err = script("evaluate", *taken, *own, "data.class_names=[a,b,c,d]", "run_dir=run")
    assert code == 0, err


def test_nothing_is_trained_on_them(script: Script, given: tuple[str, ...]) -> None:
    code, _, err = script("train", "data=images", given[0], "classifier=cnn", "logger=none")
    assert code == 1
    assert "data=images has no labels, so nothing can be trained on it; choose data=folder" in err
