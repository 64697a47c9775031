"""A full disk: one line, and nothing half-written."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

Script = Callable[..., tuple[int, str, str]]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """small_disk(64) mounts a file system of 64 KiB; skipped where nobody may."""
    mounted = []

    def mount(kibibytes: int) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", str(folder)], capture_output=True
        )
        if done.returncode:
            pytest.skip("mounting a small file system needs privileges")
        mounted.append(folder)
        return folder

    try:
        yield mount
    finally:
        for folder in mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def says(error: str, code: int) -> None:
    assert code == 1
    assert len(error.splitlines()) == 1, error
    assert error.startswith("error: no space left on the disk")
    assert "run_dir=" in error


def options(bench: Any) -> list[str]:
    return [
        "logger=none",
        *bench.models,
        f"store={bench.store}",
        "n=40",
        "batch_size=10",
        "explainer=[nearest]",
        "confidence=0.1",  # that of the small classifier; at more, nearest says so
        "metric=[validity]",
    ]


@pytest.mark.parametrize("kibibytes", [40, 120, 300])
def test_evaluation_on_a_full_disk_ends_in_one_line_and_goes_on_with_more(
    script: Script, bench: Any, small_disk: Callable[[int], Path], kibibytes: int
) -> None:
    """The disk is full at the first batch, at a later one, at the report."""
    from counterfoil.core.counterfactuals import Counterfactuals

    disk = small_disk(kibibytes)
    code, _, error = script("evaluate", *options(bench), f"run_dir={disk / 'run'}")
    says(error, code)
    assert not list(disk.rglob("*.partial"))
    assert not (disk / "run/metrics.json").exists()
    for file in (disk / "run").rglob("*.safetensors"):
        assert len(Counterfactuals.load(file)) == 10
    subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
    code, _, error = script("evaluate", *options(bench), f"run_dir={disk / 'run'}")
    assert code == 0, error
    assert json.loads((disk / "run/metrics.json").read_text())["methods"]["nearest"]["validity"]["n"] == 40


@pytest.mark.parametrize("kibibytes", [4, 40, 80])
def test_training_on_a_full_disk_ends_in_one_line_and_keeps_no_model(
    script: Script, bench: Any, small_disk: Callable[[int], Path], kibibytes: int
) -> None:
    disk = small_disk(kibibytes)
    given = [
        *bench.models_of(("classifier=cnn",)),
        "classifier=cnn",
        "classifier.training.epochs=1",
        "logger=none",
        "run_dir=run",
    ]
    code, _, error = script("train", *given, f"store={disk}")
    says(error, code)
    assert not list(disk.glob("*.safetensors"))
    assert not list(disk.glob("*.json"))


@pytest.mark.parametrize(
    "full",
    [
        OSError(errno.ENOSPC, "No space left on device", "x"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError(
            "[enforce fail at inline_container.cc:858] . PytorchStreamWriter failed writing file data/0: "
            "No space left on device"
        ),
    ],
)
def test_every_way_a_writer_says_it_is_told_alike(
    script: Script, bench: Any, monkeypatch: pytest.MonkeyPatch, full: Exception
) -> None:
    import counterfoil.core.counterfactuals as module

    def fails(tensors: dict[str, torch.Tensor], path: str, **_: Any) -> None:
        Path(path).write_bytes(b"half")
        raise full

    monkeypatch.setattr(module, "save_file", fails)
    code, _, error = script("evaluate", *options(bench), "run_dir=run")
    says(error, code)
    assert not list(Path().rglob("*.partial"))
    assert not list(Path().rglob("*.safetensors"))


@pytest.mark.parametrize("option", ["store", "run_dir"])
@pytest.mark.parametrize("name", ["train", "evaluate"])
def test_a_read_only_folder_is_told_before_the_work_and_a_store_of_whole_models_will_do(
    script: Script, bench: Any, small_disk: Callable[[int], Path], name: str, option: str
) -> None:
    disk = small_disk(4000)
    for file in bench.store.glob("digits-*") if name == "evaluate" else ():
        shutil.copy(file, disk)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    given = options(bench)
    if name == "train":
        given = [*bench.models_of(("classifier=cnn",)), "classifier=cnn", "logger=none", "store=store"]
    below = disk if option == "store" else disk / "run"
    code, _, error = script(
        name, *given, *(["run_dir=run"] if option == "store" else []), f"{option}={below}"
    )
    if (name, option) == ("evaluate", "store"):
        assert code == 0, error
        assert "cannot be written" in error
        assert Path("run/query_set.csv").is_file()
    else:
        assert code == 1
        assert len(error.splitlines()) == 1, error
        assert str(disk) in error
        assert "read-only file system; choose another run_dir= or store=" in error


def test_an_image_whose_name_is_not_utf8_is_explained(script: Script, bench: Any, tmp_path: Path) -> None:
    from PIL import Image

    from counterfoil.data.digits import Digits

    name = os.fsdecode(b"caf\xe9.png")
    (tmp_path / "images").mkdir()
    Image.fromarray(Digits().test.images[0, 0].numpy()).save(tmp_path / "images" / name)
    given = ["run_dir=run", f"queries={tmp_path / 'images'}", "corruption=none"]
    code, _, error = script("evaluate", *options(bench), *given)
    assert code == 0, error
    assert "caf\\udce9.png" in Path("run/queries.csv").read_text()
    assert b"caf" in Path("run/query_set.csv").read_bytes()
