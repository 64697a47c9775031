"""The set of faces: independent attributes, planted correlations, cache and export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.data import avatars
from counterfoil.data.avatars import Avatars
from counterfoil.data.decode import Shape, decode_in_memory
from counterfoil.data.face import ATTRIBUTES
from counterfoil.data.listing import image_files

needs_packages = pytest.mark.skipif(
    any(avatars.find_spec(name) is None for name in ("python_avatars", "resvg_py")),
    reason="needs the extra 'avatars'",
)
PLANT = {"first": "Smiling", "second": "Eyeglasses", "strength": 0.95}


def truth(**options: object) -> np.ndarray:
    return Avatars(n=20_000, **options)._attributes()


def agreement(attributes: np.ndarray, first: str, second: str) -> float:
    return float((attributes[:, ATTRIBUTES.index(first)] == attributes[:, ATTRIBUTES.index(second)]).mean())


def test_attributes_are_independent_and_even() -> None:
    attributes = truth()
    probability = attributes.mean(0)
    sunglasses, glasses = ATTRIBUTES.index("Sunglasses"), ATTRIBUTES.index("Eyeglasses")
    expected = np.full(len(ATTRIBUTES), 0.5)
    expected[sunglasses] = 0.25
    np.testing.assert_allclose(probability, expected, atol=0.015)
    correlation = np.corrcoef(attributes.T) - np.eye(len(ATTRIBUTES))
    assert correlation[glasses, sunglasses] == pytest.approx(-np.sqrt(1 / 3), abs=0.02)
    correlation[glasses, sunglasses] = correlation[sunglasses, glasses] = 0
    assert np.abs(correlation).max() < 0.035  # 5 standard errors at n = 20,000


def test_no_face_wears_two_glasses() -> None:
    for spurious in (None, PLANT, {**PLANT, "second": "Sunglasses"}):
        attributes = truth(spurious=spurious)
        assert not (
            attributes[:, ATTRIBUTES.index("Eyeglasses")] & attributes[:, ATTRIBUTES.index("Sunglasses")]
        ).any()


@pytest.mark.parametrize("second", ["Eyeglasses", "Sunglasses", "Beard"])
@pytest.mark.parametrize("in_test", [False, True])
def test_planted_correlation(second: str, in_test: bool) -> None:
    attributes = truth(spurious={**PLANT, "second": second, "test": in_test})
    assert agreement(attributes[:18_000], "Smiling", second) == pytest.approx(0.95, abs=0.01)
    in_test_expected = 0.95 if in_test else 0.5
    assert agreement(attributes[18_000:], "Smiling", second) == pytest.approx(in_test_expected, abs=0.05)
    assert agreement(attributes[:18_000], "Smiling", "Mouth_Open") == pytest.approx(0.5, abs=0.02)


def test_several_correlations_at_once() -> None:
    other = {"first": "Beard", "second": "Pale_Skin", "strength": 0.6}
    attributes = truth(spurious=[PLANT, other])
    assert np.array_equal(attributes[:, :3], truth(spurious=PLANT)[:, :3])
    assert agreement(attributes[:18_000], "Beard", "Pale_Skin") == pytest.approx(0.6, abs=0.02)
    assert agreement(attributes[:18_000], "Smiling", "Beard") == pytest.approx(0.5, abs=0.02)
    assert agreement(attributes[18_000:], "Beard", "Pale_Skin") == pytest.approx(0.5, abs=0.05)


def test_identity_follows_the_recipe_and_nothing_else(tmp_path: Path) -> None:
    base = Avatars(cache_dir=tmp_path)
    assert base.identity == Avatars(attribute="Smiling", batch_size=3).identity
    assert base.images_identity == Avatars(attribute="Beard").images_identity
    for change in ({"n": 100}, {"seed": 1}, {"spurious": PLANT}, {"size": 32}):
        assert Avatars(**change).images_identity != base.images_identity
    assert Avatars(size=64).images_identity == base.images_identity
    assert Avatars(spurious=[PLANT]).images_identity == Avatars(spurious=PLANT).images_identity
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 5}, "Avatars: n=5: expected a whole number of at least 20"),
        ({"spurious": {"first": "Smiling"}}, "expected first, second, strength"),
        ({"spurious": {**PLANT, "second": "Hat"}}, "Hat; known attributes: Smiling, "),
        ({"spurious": {**PLANT, "strength": 95}}, "strength=95"),
        ({"spurious": {**PLANT, "second": "Smiling"}}, "cannot vary together"),
        (
            {"spurious": {"first": "Sunglasses", "second": "Eyeglasses", "strength": 1}},
            "cannot vary together",
        ),
        (
            {"spurious": [PLANT, {**PLANT, "second": "Beard"}]},
            "plants Smiling twice",
        ),
        (
            {"spurious": [PLANT, {"first": "Beard", "second": "Sunglasses", "strength": 1}]},
            "plants Sunglasses twice, or beside what excludes it",
        ),
    ],
)
def test_bad_options_are_told(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Avatars(**options)


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avatars, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"python_avatars, resvg_py: pip install 'counterfoil\[avatars\]'"):
        Avatars(n=20, cache_dir=tmp_path).setup()
    assert list(tmp_path.iterdir()) == []


@needs_packages
def test_drawn_once_and_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = Avatars(n=100, cache_dir=tmp_path, attribute="Beard")
    assert (len(data.train), len(data.val), len(data.test)) == (80, 10, 10)
    assert (data.channels, data.size, data.class_names) == (3, 64, ("not Beard", "Beard"))
    assert torch.equal(data.train.labels, data.train.attributes[:, ATTRIBUTES.index("Beard")].long())
    monkeypatch.setattr(avatars, "_draw", lambda *args: pytest.fail("drawn again"))
    again = Avatars(n=100, cache_dir=tmp_path)
    assert torch.equal(again.test.images, data.test.images)
    assert torch.equal(again.train.labels, again.train.attributes[:, 0].long())


@needs_packages
def test_workers_draw_what_one_process_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avatars, "cores", lambda: 2)
    many = np.concatenate(list(avatars._draw(truth()[:520], 7)))
    monkeypatch.setattr(avatars, "cores", lambda: 1)
    one = np.concatenate(list(avatars._draw(truth()[:520], 7)))
    assert np.array_equal(many, one)


@needs_packages
def test_export_writes_the_published_layout(tmp_path: Path) -> None:
    data = Avatars(n=100, cache_dir=tmp_path / "cache")
    data.export_celeba(tmp_path / "out", n=5)
    lines = (tmp_path / "out" / "list_attr_celeba.txt").read_text().splitlines()
    assert lines[0] == "15"
    assert tuple(lines[1].split()) == ATTRIBUTES
    assert [int(value) for value in lines[2].split()[1:]] == (2 * data.train.attributes[0].int() - 1).tolist()
    parts = [
        line.split()[1] for line in (tmp_path / "out" / "list_eval_partition.txt").read_text().splitlines()
    ]
    assert parts == ["0"] * 5 + ["1"] * 5 + ["2"] * 5
    files = image_files(tmp_path / "out" / "img_align_celeba")
    pictures = decode_in_memory(files, Shape(3, 64))
    assert [path.name for path in files[:2]] == ["000001.jpg", "000002.jpg"]
    assert (pictures[10].float() - data.test.images[0].float()).abs().mean() < 4


@needs_packages
def test_twins_differ_by_the_turned_attribute_alone(tmp_path: Path) -> None:
    data = Avatars(n=40, cache_dir=tmp_path)
    twins, test = data.twins("Eyeglasses", 4), data.test
    column, other = ATTRIBUTES.index("Eyeglasses"), ATTRIBUTES.index("Sunglasses")
    assert test.attributes is not None
    assert twins.attributes is not None
    assert torch.equal(twins.attributes[:, column], 1 - test.attributes[:4, column])
    kept = [i for i in range(len(ATTRIBUTES)) if i not in (column, other)]
    assert torch.equal(twins.attributes[:, kept], test.attributes[:4, kept])
    assert not bool((twins.attributes[:, column] & twins.attributes[:, other]).any())
    assert torch.equal(twins.labels, test.labels[:4])
    changed = (twins.images != test.images[:4]).any(1)
    assert bool(changed.flatten(1).any(1).all())
    assert not bool(changed[:, 45:].any())  # the clothes
    data.query_split = "val"  # the same faces, drawn anew twice
    assert torch.equal(data.twins("Eyeglasses", 4).images[:, :, 45:], data.val.images[:4, :, 45:])
    with pytest.raises(UserError, match=r"data\.limit: twins are drawn of all test faces"):
        Avatars(n=40, limit=3, cache_dir=tmp_path).twins("Eyeglasses", 2)
