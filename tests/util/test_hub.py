"""Models by a name on the hub: from what was downloaded before, else refused in a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from counterfoil.core.errors import UserError
from counterfoil.util.hub import folder_of, on_hub

FILES = ("config.json", "model*.safetensors*")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("google/vit-base-patch16-224", True),
        ("timm/resnet18.a1_in1k", True),
        ("timm/vit_large_patch14_clip_224.openai", True),
        ("vit", False),
        ("models/net.onnx", False),
        ("a/b/c", False),
        ("../vit", False),
        ("/models/vit", False),
    ],
)
def test_names(path: str, name: bool) -> None:
    assert on_hub(path) is name


def test_a_folder_is_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where its name reads like one of the hub."""
    monkeypatch.chdir(tmp_path)
    Path("mine/vit").mkdir(parents=True)
    assert folder_of("mine/vit", FILES, "x") == Path("mine/vit")


def test_a_model_is_found_in_what_was_downloaded_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    asked: list[Any] = []

    def snapshot_download(name: str, *, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        if name == "a/there":
            return str(tmp_path)
        raise OSError("offline\nand more")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert folder_of("a/there", FILES, "x") == tmp_path
    assert asked == [("a/there", list(FILES))]
    with pytest.raises(UserError) as caught:
        folder_of("a/missing", FILES, "x")
    assert str(caught.value) == (
        "path=a/missing is no folder here, and the hub does not give it (offline); give the folder of a "
        "model, or a name of the hub while it can be reached"
    )
