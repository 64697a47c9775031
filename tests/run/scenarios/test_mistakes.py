"""Mistakes: one line, exit code 1, nothing left behind; and what the scripts do before torch is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

ROOT = Path(__file__).parents[3]
Script = Callable[..., tuple[int, str, str]]

MISTAKES = {
    "misspelt option": (("evaluate", "confidnce=0.5"), "option confidnce does not exist"),
    "misspelt inner option": (
        ("evaluate", "explainer.revise.lamda_=3"),
        "option explainer.revise.lamda_ does not exist",
    ),
    "misspelt data option": (("evaluate", "data.rot=x"), "option data.rot does not exist"),
    "misspelt group": (("train", "clasifier=cnn"), "option clasifier does not exist"),
    "misspelt choice": (
        ("train", "classifier=cnnn"),
        "classifier=cnnn does not exist; choose one of: cnn, custom.*did you mean cnn",
    ),
    "misspelt method": (
        ("evaluate", "explainer=[nearest,wachterr]"),
        "explainer=wachterr does not exist; .*revise.*did you mean wachter",
    ),
    "misspelt metric": (
        ("evaluate", "metric=[valdity]"),
        "metric=valdity does not exist; .*did you mean validity",
    ),
    "broken syntax": (("evaluate", "n=["), r"option n: \[ cannot be read"),
    "group without a choice": (
        ("evaluate", "generative=null"),
        "a config group cannot be set to null; take it out with ~GROUP",
    ),
    "network without a class": (
        ("train", "classifier=custom"),
        r"classifier\.net\._target_ is not set; name the network's class",
    ),
    "option without a value": (
        ("train", "classifier=cnn", "classifier.net.width=???"),
        r"option classifier\.net\.width has no value",
    ),
    "nothing to train": (("train",), "nothing to train"),
    "no number": (("evaluate", "n=many"), "n='many': expected a whole number"),
    "no batch": (("evaluate", "batch_size=0"), "batch_size=0: expected a whole number of at least 1"),
    "no thread": (("train", "classifier=cnn", "threads=x"), "threads='x': expected a whole number"),
    "no probability": (("evaluate", "confidence=high"), "confidence='high': expected a number above 0"),
    "confidence above 1": (
        ("evaluate", "confidence=95"),
        "confidence=95: expected a number above 0 and at most 1",
    ),
    "unknown device": (("evaluate", "device=abacus"), "device=abacus is not a device"),
    "unknown precision": (("evaluate", "dtype=float8"), "dtype=float8 is not supported"),
    "unknown attribute": (
        ("train", "classifier=cnn", "attribute=Smiling"),
        "attribute=Smiling is not in data=digits",
    ),
    "no such class": (
        ("train", "classifier=custom", "classifier.net._target_=no.Net"),
        r"_target_=no.Net cannot be imported",
    ),
    "unknown network option": (
        ("train", "classifier=cnn", "+classifier.net.depth=3"),
        r"option classifier\.net\.depth does not exist; .*stages",
    ),
    "empty folder": (("train", "data=folder", "data.root=.", "classifier=cnn"), "holds no images"),
    "missing folder": (("train", "data=folder", "data.root=absent", "classifier=cnn"), "is not a folder"),
    "no folder": (("train", "data=folder", "classifier=cnn"), "needs data.root"),
}


def says(error: str, words: str) -> None:
    """Exactly one line on stderr, which begins with error: and holds the words."""
    import re

    lines = error.splitlines()
    assert len(lines) == 1, error
    assert lines[0].startswith("error: ")
    assert re.search(words, lines[0]), lines[0]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_ends_in_one_line(script: Script, mistake: str) -> None:
    (name, *arguments), words = MISTAKES[mistake]
    code, _, error = script(name, *arguments, "logger=none", "run_dir=run", "store=models")
    assert code == 1
    says(error, words)
    assert not list(Path().iterdir()), "something was left behind"


class Softmax(nn.Module):
    """Probabilities instead of logits."""

    def __init__(self, channels: int, size: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels * size**2, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1)).softmax(1)


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Overrides that explain `Softmax` with random weights, from a module outside the package."""
    source = "import torch\nfrom torch import nn\n\n\n" + _source(Softmax)
    (tmp_path / "outside.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    torch.manual_seed(0)
    save_file(Softmax(1, 28, 10).state_dict(), str(tmp_path / "weights.safetensors"))
    return (
        "classifier=custom",
        "classifier.net._target_=outside.Softmax",
        f"classifier.checkpoint={tmp_path / 'weights.safetensors'}",
    )


def _source(thing: Any) -> str:
    import inspect

    return inspect.getsource(thing).replace("Tensor", "torch.Tensor")


def options(bench: Any) -> list[str]:
    """Of an evaluation whose judge is trained, and that needs no other model."""
    small = [part for part in bench.models if not part.startswith("classifier.")]
    return [
        "logger=none",
        *small,
        f"store={bench.store}",
        "n=4",
        "explainer=[wachter]",
        "metric=[validity,judge_agreement]",
        "run_dir=run",
    ]


def test_probabilities_are_refused_and_their_fix_works(
    script: Script, bench: Any, foreign: tuple[str, ...]
) -> None:
    code, _, error = script("evaluate", *options(bench), *foreign)
    assert code == 1
    says(error, "returns probabilities.*set decision=probabilities")
    assert not list(Path().iterdir())
    code, _, error = script("evaluate", *options(bench), *foreign, "decision=probabilities")
    assert code == 0, error
    (line,) = [line for line in error.splitlines() if "no better than chance" in line]
    assert line.startswith("warning: classifier: accuracy")
    assert "wachter" in json.loads(Path("run/metrics.json").read_text())["methods"]


def test_bad_checkpoints_and_unknown_names_are_told(script: Script, bench: Any, tmp_path: Path) -> None:
    (judge,) = bench.store.glob("digits-classifier-resnet-*.safetensors")
    (cnn,) = bench.store.glob("digits-classifier-cnn-*.safetensors")
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(cnn.read_bytes()[:1000])
    own = ("classifier.net.width=8", "classifier.net.stages=2", "classifier.layers=[blocks.0,pool]")
    cases = (
        ((f"classifier.checkpoint={tmp_path}/absent.pt",), r"absent\.pt does not exist"),
        (
            (f"classifier.checkpoint={judge}",),
            r"does not fit CNN: no name agrees; it begins with blocks",
        ),
        ((f"classifier.checkpoint={damaged}",), "is damaged"),
        (
            (f"classifier.checkpoint={cnn}", "target=ten"),
            "target=ten is not a class of this classifier; choose .*: 0, 1",
        ),
        ((f"classifier.checkpoint={cnn}", "attribute=Smiling"), "attribute=Smiling is not in data=digits"),
        (
            (f"classifier.checkpoint={cnn}", "classifier.layers=[neck]"),
            "no layer 'neck' in CNN; its layers: blocks",
        ),
        ((f"classifier.checkpoint={cnn}", "mask=mask.png"), r"mask=mask\.png is missing"),
        ((f"classifier.checkpoint={cnn}", "queries=ask.csv"), r"queries=ask\.csv cannot be read"),
        (
            (f"classifier.checkpoint={cnn}", "counterfactuals=cf.npz"),
            r"counterfactuals=cf\.npz does not exist",
        ),
        ((f"classifier.checkpoint={cnn}", "explainer=[]"), "explainer: none chosen"),
    )
    for given, words in cases:
        code, _, error = script("evaluate", *options(bench), *own, *given)
        assert code == 1, given
        says(error, words)
        assert not list(Path().iterdir()), given


def test_another_number_of_classes_and_channels_is_refused(
    script: Script, bench: Any, tmp_path: Path
) -> None:
    from counterfoil.classifier.cnn import CNN

    cases = (
        ({"channels": 3, "classes": 10}, r"cannot take images of shape \(1, 28, 28\).*data\.channels"),
        ({"channels": 1, "classes": 7}, r"puts out \(7,\) per image, the data have 10 classes"),
    )
    for sizes, words in cases:
        save_file(CNN(**sizes, width=8, stages=2).state_dict(), str(tmp_path / "a.safetensors"))
        net = [f"+classifier.net.{key}={value}" for key, value in sizes.items()]
        net += ["classifier.net.width=8", "classifier.net.stages=2", "classifier.layers=[]"]
        code, _, error = script(
            "evaluate", *options(bench), *net, f"classifier.checkpoint={tmp_path / 'a.safetensors'}"
        )
        assert code == 1
        says(error, words)


def process(environment: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A script in a process of its own."""
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=folder, capture_output=True, text=True, timeout=250
    )


@pytest.mark.slow
def test_mistake_after_torch_is_loaded_is_one_line_in_a_real_process(
    environment: dict[str, str], tmp_path: Path
) -> None:
    given = ("logger=none", "classifier.checkpoint=absent.pt", "metric=[validity]", "explainer=[wachter]")
    done = process(environment, tmp_path, str(ROOT / "evaluate.py"), *given)
    assert done.returncode == 1
    says(done.stderr, "not trained yet; run: python train.py classifier@judge=resnet")


PEEK = """
import atexit, runpy, sys
heavy = {"torch", "pytorch_lightning", "matplotlib", "wandb", "numpy"}
atexit.register(lambda: print("LOADED", sorted({name.split(".")[0] for name in sys.modules} & heavy)))
script = sys.argv.pop(1)
sys.argv[0] = script
runpy.run_path(script, run_name="__main__")
"""


@pytest.mark.parametrize(
    "command", ["train.py --help", "evaluate.py --cfg job", "evaluate.py explainer=all --cfg job"]
)
def test_help_and_config_come_without_torch(
    environment: dict[str, str], tmp_path: Path, command: str
) -> None:
    script, *rest = command.split()
    done = process(environment, tmp_path, "-c", PEEK, str(ROOT / script), *rest)
    assert done.returncode == 0, done.stderr
    assert "LOADED []" in done.stdout
    assert "confidence" in done.stdout


def test_all_explainers_stand_for_every_yaml_here_and_in_a_folder_of_mine(tmp_path: Path) -> None:
    from counterfoil.util.cli import NOT_ALL, expand_all

    (tmp_path / "explainer").mkdir()
    (tmp_path / "explainer/mine.yaml").touch()
    ours = {file.stem for file in (ROOT / "conf/explainer").glob("*.yaml")} - set(NOT_ALL)
    assert {"nearest", "wachter", "revise", "growing_spheres", "latent_shift"} <= ours

    def names(*arguments: str) -> set[str]:
        (chosen,) = [part for part in expand_all(arguments, ROOT / "conf") if part.startswith("explainer=")]
        return set(chosen.removeprefix("explainer=[").removesuffix("]").split(","))

    assert names("n=3", "explainer=all") == ours
    assert names("--config-dir", str(tmp_path), "explainer=all") == ours | {"mine"}
    assert names(f"--config-dir={tmp_path}", "explainer=all") == ours | {"mine"}
    assert expand_all(["explainer=[revise]", "n=3"], ROOT / "conf") == ["explainer=[revise]", "n=3"]


def test_folder_of_mine_brings_a_method_along(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine/explainer").mkdir(parents=True)
    (tmp_path / "mine/explainer/closest.yaml").write_text(
        "# @package explainer.closest\n_target_: counterfoil.explainer.nearest.Nearest\n"
        "confidence: ${confidence}\n"
    )
    code, out, error = script(
        "evaluate", "--config-dir", str(tmp_path / "mine"), "explainer=all", "--cfg", "job"
    )
    assert code == 0, error
    assert "  closest:\n    _target_: counterfoil.explainer.nearest.Nearest" in out
    assert "  revise:\n" in out


def test_the_command_for_a_missing_model_finds_the_same_configs(script: Script, tmp_path: Path) -> None:
    (tmp_path / "mine/classifier").mkdir(parents=True)
    (tmp_path / "mine/classifier/small.yaml").write_text(
        "defaults: [cnn, _self_]\nname: small\nnet: {width: 4}\n"
    )
    given = (
        "logger=none",
        "classifier=small",
        "explainer=[wachter]",
        "metric=[validity]",
        "store=models",
        "run_dir=run",
    )
    code, _, error = script("evaluate", "--config-dir", str(tmp_path / "mine"), *given)
    assert code == 1
    says(error, f"python train.py --config-dir={tmp_path / 'mine'} store=models classifier=small")


def test_multirun_has_a_folder_and_a_result_a_job(script: Script, bench: Any) -> None:
    given = [
        "logger=none",
        *bench.models,
        f"store={bench.store}",
        "n=4",
        "explainer=[nearest]",
        "metric=[validity]",
        "run_dir=sweep",
    ]
    code, _, error = script("evaluate", "-m", *given, "target=1,2")
    assert code == 0, error
    results = [json.loads(Path(f"sweep/{job}/metrics.json").read_text()) for job in (0, 1)]
    assert [result["config"]["target"] for result in results] == [1, 2]
    assert sorted(os.listdir("sweep/0/counterfactuals")) == ["nearest"]


def test_multirun_goes_on_after_a_job_that_fails(script: Script, bench: Any) -> None:
    given = [
        "logger=none",
        *bench.models,
        f"store={bench.store}",
        "n=4",
        "explainer=[nearest]",
        "confidence=0.1",  # that of the small classifier; at more, nearest says so
        "metric=[validity]",
        "run_dir=sweep",
    ]
    code, _, error = script("evaluate", "-m", *given, "target=ten,2")
    assert code == 1
    job, line = error.splitlines()
    assert job.endswith("'target=ten']"), "Hydra names the job"
    says(line, "target=ten is not a class")
    assert Path("sweep/1/metrics.json").is_file()
