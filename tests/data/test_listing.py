"""Images of a folder, and what is left aside."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from PIL import Image

from counterfoil.data.listing import counted, image_files, image_names, sub_folders


def test_images_by_name_and_the_rest_by_kind(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", ".c.png"):
        Image.new("L", (1, 1)).save(tmp_path / name, format="PNG")
    for name in ("notes.txt", "more.txt", "README"):
        (tmp_path / name).write_text("")
    for name in ("z", "y", ".git", "__MACOSX"):
        (tmp_path / name).mkdir()
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    skipped: Counter[str] = Counter()
    assert [path.name for path in image_files(tmp_path, skipped)] == ["a.jpg", "b.PNG"]
    assert image_names(tmp_path) == ["a.jpg", "b.PNG"]
    assert skipped == {
        "hidden": 3,
        ".txt": 2,
        "without a suffix": 1,
        "nested folders": 2,
        "broken links": 1,
    }
    assert counted(skipped).startswith("hidden (3), ")
    assert counted(Counter({"x": 0})) == ""
    skipped.clear()
    assert [path.name for path in sub_folders(tmp_path, skipped)] == ["y", "z"]
    assert skipped["images beside the folders"] == 2
