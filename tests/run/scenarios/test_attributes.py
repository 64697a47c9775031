"""Attributes by name, from a folder in CelebA's layout to the report; and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from omegaconf import open_dict

from counterfoil.data.avatars import Avatars
from counterfoil.run.evaluate import evaluate
from counterfoil.run.train import train

ROOT = Path(__file__).parents[3]
Script = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("python_avatars", "resvg_py")),
    reason="needs the extra 'avatars'",
)
EDITED = ["Smiling", "Eyeglasses", "Beard"]
SMALL = (
    "experiment=attributes",
    "data=celeba",
    "data.size=32",
    "logger=none",
    "n=6",
    *(
        f"{key}.{option}"
        for key in ("classifier", "judge")
        for option in ("net={width: 8, stages: 2}", "layers=[blocks.0,pool]")
    ),
    *(
        f"{key}.training.{option}"
        for key in ("classifier", "judge")
        for option in ("epochs=1", "batch_size=16")
    ),
    f"generative.net={{width: 4, attributes: [{', '.join(EDITED)}]}}",
    "generative.training={epochs: 1, batch_size: 16}",
)
QUICK = ("explainer.gci={steps: 5, rounds: 2, gate: 0}", "explainer.aip={n_max: 5, gate: 0}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Faces in CelebA's layout, and a store of small models trained on them."""
    folder = tmp_path_factory.mktemp("celeba")
    Avatars(n=100, cache_dir=folder / "cache").export_celeba(folder / "faces", n=40)
    config, _ = compose("train", *options(folder))
    train(config, folder / "training")
    return folder


def options(folder: Path) -> list[str]:
    return [
        *SMALL,
        f"data.root={folder / 'faces'}",
        f"data.cache_dir={folder / 'cache'}",
        f"store={folder / 'models'}",
    ]


def compose(name: str, *overrides: str) -> tuple[Any, Any]:
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
        config = hydra.compose(name, overrides=list(overrides), return_hydra_config=True)
    choices = dict(config.hydra.runtime.choices)
    with open_dict(config):
        del config.hydra
    return config, choices


def test_a_folder_in_celebas_layout_is_explained_by_attributes(folder: Path, tmp_path: Path) -> None:
    given = [*options(folder), *QUICK, "explainer.aip.frozen=[Beard]"]
    config, choices = compose("evaluate", *given)
    summary = evaluate(config, tmp_path / "run", choices, given)
    assert list(summary["methods"]) == ["gci", "aip"]
    for entries in summary["methods"].values():
        assert {name for name in entries if name.startswith("attribute_change/")} == {
            f"attribute_change/{name}" for name in EDITED
        }
        assert entries["reconstruction_gate"]["n"] == 6
        assert entries["validity"]["n"] == 6  # a query without counterfactual is counted, not dropped
    assert summary["methods"]["aip"]["attribute_change/Beard"]["value"] == 0.0
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["queries"]["class_names"] == [
        "not Smiling",
        "Smiling",
    ]
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", (tmp_path / "run" / "report.html").read_text()))
    assert re.search(r"(to be|not yet) read as (not )?Smiling: (no attribute changed|\w+ [+−]\d\.\d, )", page)


MISTAKES = {
    "unknown frozen": (
        ["explainer.gci.frozen=[Hat]"],
        "free, frozen: Hat is no attribute of this generator; its attributes: Smiling, Eye",
    ),
    "unknown free": (["explainer.aip.free=[Hat]"], "free, frozen: Hat is no attribute of this generator"),
    "nothing free": (
        [f"explainer.aip.frozen=[{','.join(EDITED)}]"],
        "all 3 attributes are frozen, so nothing can change; free one of: Smi",
    ),
    "unknown decision": (["attribute=Hat"], "attribute=Hat is not in data=celeba; known attributes: Smiling"),
    "impossible gate": (
        ["explainer.gci.gate=1.01"],
        r"explainer\.gci\.gate=1\.01: expected a number of at least 0 and at most 1",
    ),
    "no generator of attributes": (
        [
            "generative=vae",
            "train_missing=true",
            "generative.training.epochs=1",
            "~generative.training.attribute",
        ],
        "explainer aip needs a",
    ),
    "option of another training": (
        ["generative=vae", "train_missing=true"],
        "generative.training.attribute is no option of GenerativeTraining",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_cannot_be_ends_in_one_line(folder: Path, script: Script, mistake: str) -> None:
    overrides, words = MISTAKES[mistake]
    given = [
        part
        for part in options(folder)
        if not ("generative=vae" in overrides and part.startswith("generative."))
    ]
    code, _, error = script("evaluate", *given, *QUICK, *overrides)
    says(code, error, words)


@pytest.mark.parametrize(
    ("net", "words"),
    [
        (
            "{attributes: [Smiling, Hat]}",
            "attributes: Hat is not in data=celeba; known attributes: Smiling, Mouth_Open",
        ),
        ("{attributes: [Smiling, Smiling]}", "expected one or more different names, found Smiling, Smiling"),
        ("{attributes: []}", "expected the names of one or more attributes, found none"),
        ("{norm: batch}", "norm=batch is not supported"),
    ],
)
def test_attributes_that_cannot_be_learned_are_told(
    folder: Path, script: Script, net: str, words: str
) -> None:
    code, _, error = script("train", *options(folder), f"generative.net={net}")
    says(code, error, words)


def test_an_attribute_that_never_varies_is_told(folder: Path, script: Script, tmp_path: Path) -> None:
    faces = tmp_path / "faces"
    faces.mkdir()
    (faces / "img_align_celeba").symlink_to(folder / "faces" / "img_align_celeba")
    (faces / "list_eval_partition.txt").write_text((folder / "faces" / "list_eval_partition.txt").read_text())
    lines = (folder / "faces" / "list_attr_celeba.txt").read_text().splitlines()
    column = 1 + lines[1].split().index("Eyeglasses")
    rows = [[*line.split()[:column], "1", *line.split()[column + 1 :]] for line in lines[2:]]
    (faces / "list_attr_celeba.txt").write_text(
        "\n".join([*lines[:2], *(" ".join(row) for row in rows)]) + "\n"
    )
    given = [part for part in options(folder) if not part.startswith(("data.root", "store"))]
    code, _, error = script("train", *given, f"data.root={faces}", f"store={tmp_path}")
    says(
        code,
        error,
        "attributes: Eyeglasses is 1 in all 40 training images of data=celeba, so no model can learn",
    )
    code, _, error = script(
        "train", *given, f"data.root={faces}", f"store={tmp_path}", "attribute=Eyeglasses"
    )
    says(
        code,
        error,
        "attribute=Eyeglasses is 1 in all 40 training images of data=celeba; choose an attribute that varies",
    )


@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize(
    ("options_of", "words", "words_without_manifest"),
    [
        (
            ["data.size=64"],
            r"trained on images of shape \(3, 32, 32\) .* has \(3, 64, 64\)",
            "does not fit AttGAN",
        ),
        (
            ["data.size=28", "+generative.net.size=32"],
            r"trained on images of shape \(3, 32, 32\) .* has \(3, 28, 28\)",
            r"attgan: made for images of shape \(3, 32, 32\) .* found \(3, 28, 28\)",
        ),
        (
            ["+generative.net.channels=1"],
            *[r"does not fit AttGAN: .* \(4, 3, 4, 4\), expected \(4, 1, 4, 4\)"] * 2,
        ),
    ],
)
def test_a_generator_of_other_images_is_told(
    folder: Path,
    script: Script,
    tmp_path: Path,
    options_of: list[str],
    words: str,
    words_without_manifest: str,
    noted: bool,
) -> None:
    """Networks are trained for the new size; the generator's weights are given, with manifest or without."""
    (file,) = (folder / "models").glob("*attgan*.safetensors")
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes(file.read_bytes())
    given = f"generative.checkpoint={file if noted else alone}"
    code, _, error = script("evaluate", *options(folder), *QUICK, *options_of, given, "train_missing=true")
    says(code, error, words if noted else words_without_manifest)


def says(code: int, error: str, words: str) -> None:
    """Exit code 1 and one line on stderr beside progress and warnings, which holds the words."""
    lines = [
        line for line in error.splitlines() if line and not line.startswith(("Decoding images", "warning: "))
    ]
    assert code == 1
    assert len([line for line in lines if not line.startswith(("warning:", "Decoding"))]) == 1, error
    assert lines[0].startswith("error: ")
    assert re.search(words, lines[0]), lines[0]
