"""Lists of CelebA; whole layouts are in tests/inputs/test_layouts.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from counterfoil.core.errors import UserError
from counterfoil.data.celeba_lists import find, read_attributes, read_mapping, read_partition


def test_an_earlier_name_goes_before_an_earlier_folder(tmp_path: Path) -> None:
    for name in (
        "list_attr_celeba.csv",
        "Anno/list_attr_celeba.txt",
        "Eval/list_eval_partition.txt",
        "CelebAMask-HQ-attribute-anno.txt",
        "img_align_celeba/x.jpg",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    layout = find(tmp_path)
    assert layout.attributes == tmp_path / "Anno" / "list_attr_celeba.txt"
    assert layout.aligned
    assert layout.picture("1.jpg") == tmp_path / "img_align_celeba" / "1.jpg"


def test_all_missing_parts_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"lacks list_attr_celeba\.txt, list_eval_partition\.txt, img_align_celeba; expected"
    ):
        find(tmp_path)


def test_text_and_csv_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("2\nBald Young\n1.jpg -1  1\n2.jpg  1 -1\n")
    (tmp_path / "a.csv").write_text("image_id,Bald,Young\n1.jpg,-1,1\n2.jpg,1,-1\n")
    for name in ("a.txt", "a.csv"):
        names, attributes, values = read_attributes(tmp_path / name)
        assert (names, attributes) == (["1.jpg", "2.jpg"], ["Bald", "Young"])
        assert values.tolist() == [[0, 1], [1, 0]]
    (tmp_path / "p.txt").write_text("1.jpg 0\n\n2.jpg 2\n")
    (tmp_path / "p.csv").write_text("image_id, partition\n1.jpg, 0\n2.jpg,2\n")
    for name in ("p.txt", "p.csv"):
        assert read_partition(tmp_path / name) == {"1.jpg": 0, "2.jpg": 2}


def test_mapping(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("idx  orig_idx  orig_file\n0  119613  119614.jpg\n")
    assert read_mapping(tmp_path / "m.txt") == {"0.jpg": "119614.jpg"}
    (tmp_path / "m.txt").write_text("idx  orig_idx  orig_file\n0  119613\n")
    with pytest.raises(UserError, match=r"m\.txt is no list of idx"):
        read_mapping(tmp_path / "m.txt")
